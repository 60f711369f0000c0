"""What the import commands have in common: where, what they tell, and how they end."""

from collections.abc import Sequence

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import reset_queries

from accounts.models import Site
from patients.importing.rejects import RejectsFile
from patients.importing.rows import OnRow, Problem

#: What the shell hears when a file cannot be read.
UNREADABLE = 2
#: Problems told one by one; all rejected rows are in their file.
TOLD = 50


class ImportCommand(BaseCommand):
    """A command that brings something in; all talk goes to standard error."""

    #: How often it says how far it is.
    progress_every = 10_000

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what every import understands."""
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Say what would happen; write nothing.",
        )
        parser.add_argument(
            "--json", action="store_true", help="One JSON object on standard output."
        )
        parser.add_argument(
            "--site", help="The site by its name, where no row names one."
        )

    def site_named(self, name: str | None) -> Site:
        """Return the site that is asked for, or the only one, or the first one."""
        sites = Site.objects.order_by("pk")
        if name is not None:
            found = sites.filter(name__iexact=name).first()
            if found is None:
                known = ", ".join(sites.values_list("name", flat=True)) or "none"
                raise CommandError(
                    f"There is no site {name}. There is: {known}.",
                    returncode=UNREADABLE,
                )
            return found
        first, *others = sites[:2] or [None]
        if first is None:
            raise CommandError(
                "There is no site yet, so nobody knows where patients are seen and how "
                "their numbers are written. Make one in the admin, or set up the demo "
                "clinic alone: manage.py seed_demo --patients 0",
                returncode=UNREADABLE,
            )
        if others:
            self.stderr.write(f"This goes to {first}; --site names another one.")
        return first

    def hear(self, rejects: RejectsFile) -> OnRow:
        """Return who keeps the rejected rows and tells the first problems."""
        told = 0

        def on_row(problems: Sequence[Problem]) -> None:
            nonlocal told
            rejects.take(problems)
            for problem in problems:
                told += 1
                if told <= TOLD:
                    self.stderr.write(str(problem))
                elif told == TOLD + 1:
                    self.stderr.write(
                        "There are more problems; they are counted below."
                    )

        return on_row

    def progress(self, rows: int) -> None:
        """Say how far it is, now and then."""
        # With DEBUG, Django keeps the text of every statement until the request ends; a
        # command has none, and its memory would grow with the file.
        reset_queries()
        if rows % self.progress_every == 0:
            self.stderr.write(f"{rows:,} rows read")
