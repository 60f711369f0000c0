"""``manage.py import_appointments``: bring in the calendar of another system."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from appointments.importing import MOST_TOLD, CalendarResult, import_calendar
from patients.importing import UnreadableFile
from patients.importing.command import UNREADABLE, ImportCommand
from patients.importing.rejects import RejectsFile
from patients.importing.tables import open_text


class Command(ImportCommand):
    """Import a calendar as CSV; each row is compared with the last imported one.

    Exits 0 also when rows were rejected or wait for a yes, 2 when the file cannot be
    read.
    """

    help = "Bring in the visits of another calendar from CSV."
    progress_every = 1_000

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the file and the yes."""
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--yes",
            action="store_true",
            help=f"Also when more than {MOST_TOLD} patients are told of a change.",
        )

    def handle(
        self,
        *args: Any,
        file: Path,
        dry_run: bool,
        json: bool,
        yes: bool,
        site: str | None,
        **options: Any,
    ) -> None:
        """Import and say what came of it."""
        rejects = RejectsFile({file.name: file})
        try:
            with open_text(file) as text:
                result = import_calendar(
                    file.name,
                    text,
                    site=self.site_named(site),
                    by=None,
                    dry_run=dry_run,
                    sure=yes,
                    on_row=self.hear(rejects),
                    on_progress=self.progress,
                )
        except UnreadableFile as error:
            raise CommandError(str(error), returncode=UNREADABLE) from error
        finally:
            path = rejects.save()
        self._talk(result, path, dry_run=dry_run)
        if json:
            self.stdout.write(_as_json(result, path))

    def _talk(
        self, result: CalendarResult, path: Path | None, *, dry_run: bool
    ) -> None:
        if result.unknown_columns:
            self.stderr.write(f"Left out: {', '.join(result.unknown_columns)}")
        if dry_run:
            self.stderr.write("Dry run, nothing was written. It would be:")
        self.stderr.write(
            f"Visits: {result.created} created, {result.moved} moved, "
            f"{result.cancelled} cancelled, {result.updated} updated, "
            f"{result.unchanged} unchanged, {result.rejected} rejected; "
            f"{result.conflicts} conflicts, {result.warnings} warnings"
        )
        if result.waiting:
            self.stderr.write(
                f"{result.waiting} moves and cancels wait: {result.told} patients "
                "would be told of a change. Look at the file, then run it again "
                "with --yes."
            )
        elif result.told:
            self.stderr.write(f"{result.told} patients are told of a change.")
        if path:
            self.stderr.write(f"Rejected rows, to be put right: {path}")


def _as_json(result: CalendarResult, rejects: Path | None) -> str:
    answer: dict[str, int | str | None] = {
        "created": result.created,
        "moved": result.moved,
        "cancelled": result.cancelled,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "rejected": result.rejected,
        "rejects_file": str(rejects) if rejects else None,
    }
    # Beyond what is promised always, and only when there is something to say.
    answer |= {
        name: count
        for name in ("waiting", "conflicts", "warnings")
        if (count := getattr(result, name))
    }
    return json.dumps(answer)
