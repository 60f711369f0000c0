"""``manage.py import_patients``: bring in patient lists and medical history."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from patients.importing import ImportResult, UnreadableFile, import_files
from patients.importing.command import UNREADABLE, ImportCommand
from patients.importing.rejects import RejectsFile
from patients.importing.tables import open_text


class Command(ImportCommand):
    """Import CSV lists, FHIR NDJSON files and FHIR bundles; again changes nothing.

    Exits 0 also when rows were rejected, 2 when a file cannot be read.
    """

    help = "Bring in patients from CSV, FHIR NDJSON or a FHIR bundle."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the files."""
        super().add_arguments(parser)
        parser.add_argument(
            "files",
            nargs="+",
            type=Path,
            metavar="FILE",
            help="In any order: everybody in them is read before anybody's history.",
        )

    def handle(
        self,
        *args: Any,
        files: list[Path],
        dry_run: bool,
        json: bool,
        site: str | None,
        **options: Any,
    ) -> None:
        """Import and say what came of it."""
        sources = _name_apart(files)
        rejects = RejectsFile(sources)
        try:
            with ExitStack() as stack:
                result = import_files(
                    [
                        (name, stack.enter_context(open_text(path)))
                        for name, path in sources.items()
                    ],
                    site=self.site_named(site),
                    by=None,
                    dry_run=dry_run,
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

    def _talk(self, result: ImportResult, path: Path | None, *, dry_run: bool) -> None:
        if result.unknown_columns:
            self.stderr.write(f"Left out: {', '.join(result.unknown_columns)}")
        if result.ignored:
            kinds = (f"{count} {kind}" for kind, count in result.ignored.most_common())
            self.stderr.write(f"Not used here: {', '.join(kinds)}")
        if dry_run:
            self.stderr.write("Dry run, nothing was written. It would be:")
        history = result.history
        self.stderr.write(
            f"Patients: {result.created} created, {result.updated} updated, "
            f"{result.unchanged} unchanged, {result.rejected} rejected; "
            f"{result.warnings} warnings"
        )
        if history.created or history.updated or history.unchanged or history.rejected:
            self.stderr.write(
                f"History: {history.created} created, {history.updated} updated, "
                f"{history.unchanged} unchanged, {history.rejected} rejected"
            )
        if path:
            self.stderr.write(f"Rejected rows, to be put right: {path}")


def _name_apart(files: list[Path]) -> dict[str, Path]:
    """Return {name for people: path}; files of one name keep their folders."""
    names = [path.name for path in files]
    return {
        path.name if names.count(path.name) == 1 else str(path): path for path in files
    }


def _as_json(result: ImportResult, rejects: Path | None) -> str:
    history = {
        "created": result.history.created,
        "unchanged": result.history.unchanged,
        "rejected": result.history.rejected,
    }
    if result.history.updated:
        # Beyond the promised three, and only when there is something to say.
        history["updated"] = result.history.updated
    return json.dumps(
        {
            "created": result.created,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "rejected": result.rejected,
            "warnings": result.warnings,
            "rejects_file": str(rejects) if rejects else None,
            "history": history,
        }
    )
