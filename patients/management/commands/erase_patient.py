"""``manage.py erase_patient``: forget one person, for good."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from patients.erasing import erase_patient
from patients.models import Patient


class Command(BaseCommand):
    """Erase what is kept about one patient; the audit trail stays whole."""

    help = "Erase everything about one patient for good. There is no way back."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add whom and why."""
        parser.add_argument("id", type=int, metavar="ID", help="The patient's number.")
        parser.add_argument(
            "--reason",
            required=True,
            metavar="TEXT",
            help="Why; it stays in the audit trail, so it must not name them.",
        )

    def handle(self, *args: Any, id: int, reason: str, **options: Any) -> None:
        """Erase; exit 1 with what is in the way."""
        try:
            patient = erase_patient(patient_id=id, reason=reason, by=None)
        except Patient.DoesNotExist as error:
            raise CommandError(f"There is no patient {id}.") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stderr.write(f"Patient {patient.pk} is erased since {patient.erased_at}.")
