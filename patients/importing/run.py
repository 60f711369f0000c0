"""Run an import over one or several files: people first, then their history."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TextIO, TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Site, User
from core.time import to_local, zone
from patients.importing import fhir, patient_list
from patients.importing.history import HistoryWriter
from patients.importing.resources import is_fhir, read_resources
from patients.importing.rows import (
    HistoryRow,
    ImportResult,
    OnRow,
    PatientRow,
    UnreadableFile,
)
from patients.importing.tables import as_text
from patients.importing.writer import PatientWriter

#: Rows in one transaction: enough that queries cost little, while locks stay short.
CHUNK = 500
#: Hears how many rows have been read so far.
OnProgress = Callable[[int], None]

_T = TypeVar("_T")


def import_files(
    files: Iterable[tuple[str, str | TextIO]],
    *,
    site: Site,
    by: User | None,
    dry_run: bool,
    on_row: OnRow | None = None,
    on_progress: OnProgress | None = None,
    into: ImportResult | None = None,
    columns: Mapping[int, str] | None = None,
) -> ImportResult:
    """Bring in patient lists and medical history; the same files twice change nothing.

    ``files`` are (name, text or open file) in any order: everybody in any of them is
    written before anybody's history. New patients belong to ``site``, which also tells
    how numbers and dates are written. ``on_row`` hears of every row with a problem, of
    which the result lists only the first thousand. ``on_progress`` is called after each
    chunk is committed and may stop the run by raising; what was written by then stands
    in ``into``. ``columns``, {place: name}, says what a table's columns are, instead of
    how they are called. Raises ``UnreadableFile`` before anything of that file is
    written.
    """
    result = ImportResult() if into is None else into
    return _Run(site, by, dry_run, on_row, on_progress, result).take(
        [(name, as_text(source)) for name, source in files], columns
    )


def refuse_unreadable(text: str) -> None:
    """Raise ``UnreadableFile`` when the beginning of a list tells that nobody can.

    A bundle tells only when all of it is read.
    """
    source = as_text(text)
    if is_fhir(source):
        return
    columns = patient_list.columns_of(source)
    if len(columns) < len(patient_list.REQUIRED):
        raise UnreadableFile(
            _("There is only one column. The first line reads: %(header)s")
            % {"header": columns[0].header[:200]}
        )


class _Run:
    def __init__(
        self,
        site: Site,
        by: User | None,
        dry_run: bool,
        on_row: OnRow | None,
        on_progress: OnProgress | None,
        result: ImportResult,
    ) -> None:
        self.site = site
        self.today = to_local(timezone.now(), zone(site.zone)).date()
        self.on_progress = on_progress
        self.read = 0
        self.result = result
        self.patients = PatientWriter(
            site=site, by=by, dry_run=dry_run, result=self.result, on_row=on_row
        )
        self.history = HistoryWriter(
            site=site,
            by=by,
            dry_run=dry_run,
            result=self.result,
            on_row=on_row,
            people=self.patients.people,
        )

    def take(
        self, files: list[tuple[str, TextIO]], columns: Mapping[int, str] | None
    ) -> ImportResult:
        """Read every file once for people, and the FHIR ones again for history."""
        bundles = [file for file in files if is_fhir(file[1])]
        # All headers before any row: a file that cannot be read stops the run early.
        tables = [
            (name, patient_list.open_list(text, columns))
            for name, text in files
            if (name, text) not in bundles
        ]
        for name, table in tables:
            self.result.unknown_columns += table.unknown
            self.patients.start_file()
            self._write(
                self.patients.write,
                patient_list.read_list(
                    table, source=name, site=self.site, today=self.today
                ),
            )
        for name, text in bundles:
            self.patients.start_file()
            self._write(self.patients.write, self._people_of(name, text))
        for name, text in bundles:
            self._write(self.history.write, self._history_of(name, text))
        return self.result

    def _write(self, write: Callable[[list[_T]], None], rows: Iterable[_T]) -> None:
        rows = iter(rows)
        while chunk := list(islice(rows, CHUNK)):
            write(chunk)
            self.read += len(chunk)
            if self.on_progress:
                self.on_progress(self.read)

    def _people_of(self, name: str, text: TextIO) -> Iterator[PatientRow]:
        text.seek(0)
        for resource in read_resources(text, only="Patient"):
            if resource.broken or resource.body.get("resourceType") == "Patient":
                yield fhir.read_patient(
                    resource, source=name, site=self.site, today=self.today
                )

    def _history_of(self, name: str, text: TextIO) -> Iterator[HistoryRow]:
        text.seek(0)
        for resource in read_resources(text):
            if fhir.is_history(resource):
                yield fhir.read_history(resource, source=name)
            elif not resource.broken and resource.body.get("resourceType") != "Patient":
                kind = resource.body.get("resourceType")
                self.result.ignored[str(kind)[:40]] += 1
