"""``manage.py export_patient``: everything about one person, as files."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from patients.exporting import export_patient, write_to
from patients.models import Patient


class Command(BaseCommand):
    """Write patient.json and pages to read into an empty folder."""

    help = "Write everything that is kept about one patient into an empty folder."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add whom and where."""
        parser.add_argument("id", type=int, metavar="ID", help="The patient's number.")
        parser.add_argument("folder", type=Path, metavar="DIR", help="New, or empty.")

    def handle(self, *args: Any, id: int, folder: Path, **options: Any) -> None:
        """Write the files, and how many they are; exit 1 where that cannot be."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{folder} is not an empty folder.")
        try:
            files = export_patient(patient_id=id, by=None)
        except Patient.DoesNotExist as error:
            raise CommandError(f"There is no patient {id}.") from error
        write_to(folder, files)
        self.stderr.write(f"{len(files)} files in {folder}. Begin with index.html.")
