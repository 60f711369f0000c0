"""Run a calendar import: count whom it would tell, then take row by row."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TextIO

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Site, User
from appointments.importing.apply import Batch, DoubleBooked, tells
from appointments.importing.lookups import Names, look_up
from appointments.importing.rows import VisitRow, open_calendar, read_calendar
from appointments.services import fit_in_appointment
from patients.importing.rows import LISTED, OnRow, Problem
from patients.importing.tables import as_text
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: Telling more patients than this of a change needs a person's yes: a broken export
#: looks just like a hundred cancelled visits.
MOST_TOLD = 20
#: Rows in one transaction. On SQLite it holds the write lock, and people are working.
CHUNK = 50
_REFUSALS = (IntegrityError, DataError)


@dataclass(slots=True)
class CalendarResult:
    """What an import did, or on a dry run would do; every row is in one of the counts.

    ``conflicts`` are counted once more: they are among ``unchanged``.
    """

    created: int = 0
    moved: int = 0
    cancelled: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    #: Left for a person's yes: moves and cancels of which patients would be told.
    waiting: int = 0
    conflicts: int = 0
    warnings: int = 0
    #: Patients who are told of a change, or would be.
    told: int = 0
    problems: list[Problem] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)


def import_calendar(
    name: str,
    source: str | TextIO,
    *,
    site: Site,
    by: User | None,
    dry_run: bool,
    sure: bool = False,
    on_row: OnRow | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> CalendarResult:
    """Bring in the calendar of another system; the same file twice changes nothing.

    ``site`` is where a visit is whose row names none. Without ``sure``, moves and
    cancels of which more than ``MOST_TOLD`` patients would be told are left out and
    wait, all of them; the other rows are taken. A cancelled row of a visit we never had
    is not stored. Raises ``UnreadableFile`` before anything is written.
    """
    return _Run(site, by, dry_run, sure, on_row, on_progress).take(
        name, as_text(source)
    )


class _Run:
    def __init__(
        self,
        site: Site,
        by: User | None,
        dry_run: bool,
        sure: bool,
        on_row: OnRow | None,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self.by, self.dry_run, self.sure = by, dry_run, sure
        self.on_row, self.on_progress = on_row, on_progress
        self.site = site
        self.names = Names.read(site)
        self.result = CalendarResult()
        self.holds = False
        self._double_booked: list[DoubleBooked] = []

    def take(self, name: str, text: TextIO) -> CalendarResult:
        """Read the file twice: who would be told, then row by row for real."""
        waiting = self._telling(name, text)
        self.result.told = len(set(waiting.values()))
        self.holds = not self.sure and self.result.told > MOST_TOLD
        table = open_calendar(_rewound(text))
        self.result.unknown_columns = table.unknown
        seen: dict[str, int] = {}
        read = 0
        for chunk in _chunks(read_calendar(table, source=name)):
            for row in chunk:
                _refuse_second(row, seen)
            self._write(chunk)
            read += len(chunk)
            if self.on_progress:
                self.on_progress(read)
        self._settle_double_booked()
        if not self.dry_run:
            self._note_hold(waiting)
        return self.result

    def _telling(self, name: str, text: TextIO) -> dict[str, int]:
        """Return {external id: patient id} of the changes that patients are told of."""
        telling: dict[str, int] = {}
        table = open_calendar(_rewound(text))
        for chunk in _chunks(read_calendar(table, source=name)):
            for meant in look_up(
                [row for row in chunk if not row.is_rejected], self.names
            ):
                if tells(meant):
                    telling[meant.row.external_id] = meant.patient.pk
        return telling

    def _note_hold(self, waiting: dict[str, int]) -> None:
        if not self.holds:
            close_by_rule(
                subject_kind="calendar_import",
                subject_id=self.site.pk,
                rule=gettext_noop("the import went through"),
                # Who ran it with a yes has dealt with it; an import that has nothing to
                # hold any more leaves it to whoever is looking into it.
                unclaimed=not self.sure,
            )
            return
        # The same changes raise one item a day, however often the import runs.
        what = hashlib.sha256("\n".join(sorted(waiting)).encode()).hexdigest()[:16]
        now = timezone.now()
        raise_item(
            kind="import_held",
            severity=WorkItem.Severity.AMBER,
            reason=gettext_noop(
                "The calendar import would tell %(count)d patients of a change. "
                "Look at the file, then run it again with --yes."
            ),
            reason_places={"count": self.result.told},
            subject_kind="calendar_import",
            subject_id=self.site.pk,
            dedupe_key=f"import_held:{now:%Y-%m-%d}:{what}",
            due_at=now + timedelta(hours=1),
            site=self.site,
        )

    def _write(self, rows: Sequence[VisitRow]) -> None:
        """Write a chunk, and count it only when it is committed."""
        noted = [len(row.problems) for row in rows]
        try:
            batches = [self._attempt(rows)]
        except _REFUSALS:
            # What the database refuses only at the end of a transaction.
            for row, count in zip(rows, noted, strict=True):
                del row.problems[count:]
            batches = [self._attempt_alone(row) for row in rows]
        for batch in batches:
            for name, count in batch.counts.items():
                setattr(self.result, name, getattr(self.result, name) + count)
            self._double_booked += batch.double_booked
        for row in rows:
            self.result.rejected += row.is_rejected
            self._note(row.problems)

    def _note(self, problems: Sequence[Problem]) -> None:
        self.result.warnings += sum(not p.is_rejection for p in problems)
        self.result.problems += problems[: max(0, LISTED - len(self.result.problems))]
        if problems and self.on_row:
            self.on_row(problems)

    def _attempt_alone(self, row: VisitRow) -> Batch:
        try:
            return self._attempt([row])
        except _REFUSALS:
            row.reject("row", _("could not be stored"))
            return Batch(by=self.by, holds=self.holds)

    def _attempt(self, rows: Sequence[VisitRow]) -> Batch:
        batch = Batch(by=self.by, holds=self.holds)
        with transaction.atomic():
            for meant in look_up(rows, self.names):
                try:
                    with transaction.atomic():
                        batch.take(meant)
                except ValidationError as error:
                    meant.row.reject("row", "; ".join(error.messages))
                except _REFUSALS:
                    meant.row.reject("row", _("could not be stored"))
            batch.plan()
            if self.dry_run:
                transaction.set_rollback(True)
        return batch

    def _settle_double_booked(self) -> None:
        """Warn of visits that are double booked now that every row is in its place."""
        for double in self._double_booked:
            if self.dry_run or not fit_in_appointment(
                appointment_id=double.appointment_id
            ):
                double.row.problems = []
                double.row.warn("start", _("double booked: ") + double.why)
                self._note(double.row.problems)


def _refuse_second(row: VisitRow, seen: dict[str, int]) -> None:
    if row.is_rejected:
        return
    first = seen.setdefault(row.external_id, row.number)
    if first != row.number:
        row.reject(
            "external_id",
            _("%(value)s stands in row %(row)d already")
            % {"value": row.external_id, "row": first},
        )


def _rewound(text: TextIO) -> TextIO:
    text.seek(0)
    return text


def _chunks(rows: Iterable[VisitRow]) -> Iterator[list[VisitRow]]:
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
