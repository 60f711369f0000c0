"""``manage.py seed_demo``: the demo clinic, repeatable."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from clinic_crm.demo import DEMO_LOGINS
from clinic_crm.demo.builder import RealPatientsError, seed_clinic


class Command(BaseCommand):
    """Fill an empty database with the demo clinic; a filled one stays as it is."""

    help = "Set up the demo clinic; refuses a database that holds real patients."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --patients and --seed."""
        parser.add_argument(
            "--patients",
            type=int,
            default=300,
            metavar="N",
            help="How many; 0 sets up the clinic alone (300).",
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=1,
            metavar="S",
            help="The same number makes the same people and visits on the same day.",
        )

    def handle(self, *args: Any, patients: int, seed: int, **options: Any) -> None:
        """Seed, and say what is there now and who may sign in."""
        if patients < 0:
            raise CommandError("--patients must be 0 or more.")
        try:
            result = seed_clinic(count=patients, seed=seed)
        except RealPatientsError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(result.sentence)
        logins = ", ".join(f"{name} ({role})" for name, role in DEMO_LOGINS)
        self.stderr.write(f"Logins: {logins}.")
        if result.password:
            self.stderr.write(f"Password, shown this once: {result.password}")
