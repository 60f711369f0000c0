"""Write rows of medical history: a chunk is one transaction and four queries.

An imported entry carries no *told on*: until a clinician has confirmed it, nothing the
clinic sends may name it.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from patients.importing.reach import beyond, kept_of, note_beyond
from patients.importing.rows import HistoryRow, ImportResult, OnRow
from patients.importing.writer import REFUSALS, owners_of
from patients.models import HistoryEntry

_FIELDS = (
    "kind",
    "label",
    "clinical_name",
    "code_system",
    "code",
    "status",
    "happened_on",
    "happened_about",
    "ended_on",
    "details",
)
#: When one of these changes, the entry states another fact than the one confirmed.
_MEANING = {"kind", "code", "code_system"}
_CONFIRMED = ("told_on", "verified_by", "verified_at", "reviewed_at")


class HistoryWriter:
    """Takes history rows after the patients of the same run are written.

    ``people`` maps how rows refer to a patient to the patient's id, 0 for one that a
    dry run would create.
    """

    def __init__(
        self,
        *,
        site: Site,
        by: User | None,
        dry_run: bool,
        result: ImportResult,
        on_row: OnRow | None,
        people: dict[str, int],
    ) -> None:
        self.site, self.by, self.dry_run = site, by, dry_run
        self.result, self.on_row = result, on_row
        self.people = people

    def write(self, rows: Sequence[HistoryRow]) -> None:
        """Write a chunk and count it."""
        alive = [row for row in rows if not row.is_rejected]
        try:
            self._attempt(alive)
        except REFUSALS:
            for row in alive:
                self._write_alone(row)
        for row in rows:
            self.result.history.rejected += row.is_rejected
            self.result.note(row, self.on_row)

    def _write_alone(self, row: HistoryRow) -> None:
        if row.is_rejected:
            return
        try:
            self._attempt([row])
        except REFUSALS:
            row.reject("row", _("could not be stored"))

    def _attempt(self, rows: Sequence[HistoryRow]) -> None:
        noted = [len(row.problems) for row in rows]
        created: dict[tuple[str, str], HistoryEntry] = {}
        updated: list[HistoryEntry] = []
        unchanged = 0
        try:
            with transaction.atomic():
                patients, refused = self._patients(rows)
                before = _entries(rows)
                for row, patient_id in zip(rows, patients, strict=True):
                    key = row.external_system, row.external_id
                    entry = before.get(key) or created.get(key)
                    if patient_id is None:
                        row.reject("subject", _("this patient is not here"))
                    elif (
                        entry is None
                        and row.fields["status"] in HistoryEntry.TAKEN_BACK
                    ):
                        row.reject("status", _("was entered in error at the source"))
                    elif entry is None:
                        created[key] = self._new(row, patient_id)
                    elif entry.patient_id != patient_id:
                        row.reject("subject", _("it is somebody else's entry here"))
                    elif entry.pk and _update(entry, row):
                        updated.append(entry)
                    else:
                        unchanged += 1
                if not self.dry_run:
                    HistoryEntry.objects.bulk_create(created.values())
                    if updated:
                        HistoryEntry.objects.bulk_update(
                            updated, [*_FIELDS, *_CONFIRMED, "last_imported"]
                        )
                    self._record(list(created.values()), updated)
                note_beyond(
                    refused,
                    site=self.site,
                    by=self.by,
                    dry_run=self.dry_run,
                    subject="import:history",
                )
        except REFUSALS:
            for row, count in zip(rows, noted, strict=True):
                del row.problems[count:]
            raise
        counts = self.result.history
        counts.created += len(created)
        counts.updated += len(updated)
        counts.unchanged += unchanged

    def _record(self, created: list[HistoryEntry], updated: list[HistoryEntry]) -> None:
        """Write one event for the whole chunk."""
        if created or updated:
            record(
                AuditEvent.Verb.CREATE if created else AuditEvent.Verb.CHANGE,
                patient_ids=[entry.patient_id for entry in (*created, *updated)],
                subject="import:history",
                details={"created": len(created), "updated": len(updated)},
                by=self.by,
            )

    def _patients(
        self, rows: Sequence[HistoryRow]
    ) -> tuple[list[int | None], set[int]]:
        """Return whose each row is: by reference in this run, else as stored.

        And who are beyond reach; for a row they are as good as not here.
        """
        owners = owners_of(
            key
            for row in rows
            if not any(subject in self.people for subject in row.subjects)
            for key in row.identifiers
        )
        kept = kept_of(set(owners.values()))
        not_ours = beyond(self.by, kept)
        owners = {key: pk for key, pk in owners.items() if pk not in not_ours}
        found: list[int | None] = []
        for row in rows:
            here = (self.people[s] for s in row.subjects if s in self.people)
            stored = (kept[owners[key]] for key in row.identifiers if key in owners)
            found.append(next(here, next(stored, None)))
        return found, set(not_ours.values())

    def _new(self, row: HistoryRow, patient_id: int) -> HistoryEntry:
        return HistoryEntry(
            patient_id=patient_id,
            source=HistoryEntry.Source.IMPORTED,
            external_system=row.external_system,
            external_id=row.external_id,
            recorded_by=self.by,
            recorded_at=timezone.now(),
            last_imported=_told(row),
            **row.fields,
        )


def _entries(rows: Sequence[HistoryRow]) -> dict[tuple[str, str], HistoryEntry]:
    """Return the stored entries by their id at the source; one query a type."""
    by_system: dict[str, set[str]] = {}
    for row in rows:
        by_system.setdefault(row.external_system, set()).add(row.external_id)
    return {
        (entry.external_system, entry.external_id): entry
        for system, ids in by_system.items()
        for entry in HistoryEntry.objects.filter(
            external_system=system, external_id__in=ids
        )
    }


def _update(entry: HistoryEntry, row: HistoryRow) -> bool:
    """Take what the source says anew; return whether that changed the entry.

    Compared with what the source said last, and not with what stands here: what people
    wrote since outlives a file that repeats itself.
    """
    told, before = _told(row), entry.last_imported
    changed = {name for name in _FIELDS if told[name] != before.get(name)}
    if not changed:
        return False
    entry.last_imported = told
    for name in changed:
        setattr(entry, name, row.fields[name])
    if changed & _MEANING:
        # The patient was told of, and a clinician confirmed, something else.
        for name in _CONFIRMED:
            setattr(entry, name, None)
    return True


def _told(row: HistoryRow) -> dict[str, Any]:
    """Return what the source says, as JSON keeps it."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name in _FIELDS
        for value in [row.fields[name]]
    }
