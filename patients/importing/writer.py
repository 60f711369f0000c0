"""Write rows of patient lists: a chunk is one transaction and as many queries always.

A row that cannot be stored is left out alone, never its neighbours.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from core.sql import insert_objects, insert_rows
from patients.importing.compare import Changes, Comparison, Stored
from patients.importing.reach import beyond, kept_of, note_beyond
from patients.importing.rows import ImportResult, OnRow, PatientRow
from patients.models import Channel, Consent, ContactPoint, Identifier, Patient
from patients.registry import died
from patients.services import BY_IMPORT
from patients.terms import Terms, index_patients, insert_terms, terms_of

_AtSite = Patient.sites.through
#: What the database says to a value or a duplicate it does not take.
REFUSALS = (IntegrityError, DataError)


class PatientWriter:
    """Takes the rows of any number of files; remembers whom it has seen in each."""

    def __init__(
        self,
        *,
        site: Site,
        by: User | None,
        dry_run: bool,
        result: ImportResult,
        on_row: OnRow | None,
    ) -> None:
        self.site, self.by, self.dry_run = site, by, dry_run
        self.result, self.on_row = result, on_row
        #: {how rows refer to a patient: patient id}; 0 for one a dry run would create.
        self.people: dict[str, int] = {}
        #: {identifier: row} of this chunk; on a dry run of all. What is written is
        #: found by ``_row_of``, {patient id: row}, at a tenth of the memory.
        self._rows: dict[tuple[str, str], int] = {}
        self._row_of: dict[int, int] = {}

    def start_file(self) -> None:
        """Begin with another file: who stood in the one before may stand in this."""
        self._rows.clear()
        self._row_of.clear()

    def write(self, rows: Sequence[PatientRow]) -> None:
        """Write a chunk and count it."""
        for row in rows:
            self._refuse_second(row)
        alive = [row for row in rows if not row.is_rejected]
        try:
            self._attempt(alive)
        except REFUSALS:
            # Somebody stored one of them in between, or it holds a value the database
            # refuses: one by one, so that only that row is left out.
            for row in alive:
                self._write_alone(row)
        for row in rows:
            self.result.rejected += row.is_rejected
            self.result.note(row, self.on_row)
        if not self.dry_run:
            self._rows.clear()

    def _refuse_second(self, row: PatientRow) -> None:
        if row.is_rejected:
            return
        key = row.identifiers[0]
        first = self._rows.setdefault(key, row.number)
        if first != row.number:
            row.reject(
                "identifier",
                _("%(value)s stands in row %(row)d already")
                % {"value": key[1], "row": first},
            )

    def _write_alone(self, row: PatientRow) -> None:
        try:
            self._attempt([row])
        except REFUSALS:
            row.reject("row", _("could not be stored"))

    def _attempt(self, rows: Sequence[PatientRow]) -> None:
        """Compare and write in one transaction; count only what was committed."""
        noted = [len(row.problems) for row in rows]
        changes = Changes(at=timezone.now())
        try:
            with transaction.atomic():
                stored = self._read(rows)
                for row in rows:
                    Comparison(row, stored, changes, self.site, self.by).run(
                        self._row_of
                    )
                if not self.dry_run:
                    _save(changes, self.site)
                    self._record(changes)
                note_beyond(
                    changes.refused,
                    site=self.site,
                    by=self.by,
                    dry_run=self.dry_run,
                    subject="import:patients",
                )
        except REFUSALS:
            for row, count in zip(rows, noted, strict=True):
                del row.problems[count:]
            raise
        self._count(changes)

    def _record(self, changes: Changes) -> None:
        """Write one event for the whole chunk."""
        created = [patient.pk for _row, patient in changes.created]
        updated = [patient.pk for _row, patient in changes.updated]
        if created or updated:
            record(
                AuditEvent.Verb.CREATE if created else AuditEvent.Verb.CHANGE,
                patient_ids=[*created, *updated],
                subject="import:patients",
                details={"created": len(created), "updated": len(updated)},
                by=self.by,
            )

    def _count(self, changes: Changes) -> None:
        self.result.created += len(changes.created)
        self.result.updated += len(changes.updated)
        self.result.unchanged += len(changes.unchanged)
        for row, patient in (*changes.created, *changes.updated, *changes.unchanged):
            if patient.pk:
                self._row_of[patient.pk] = row.number
            for reference in row.references:
                self.people[reference] = patient.pk or 0

    def _read(self, rows: Sequence[PatientRow]) -> Stored:
        stored = Stored(
            owners=owners_of(key for row in rows for key in row.identifiers)
        )
        if self.by:
            not_ours = beyond(self.by, kept_of(set(stored.owners.values())))
            stored.beyond = {
                key: not_ours[pk] for key, pk in stored.owners.items() if pk in not_ours
            }
        keys = {row.identifiers[0] for row in rows} - stored.beyond.keys()
        wanted = {stored.owners[key] for key in keys if key in stored.owners}
        while wanted:
            # Locked in one order, so that two imports wait instead of deadlocking.
            found = Patient.objects.select_for_update().filter(pk__in=wanted)
            stored.patients |= {p.pk: p for p in found.order_by("pk")}
            wanted = {
                p.merged_into_id for p in stored.patients.values() if p.merged_into_id
            } - stored.patients.keys()
        if stored.patients:
            self._read_more(stored)
        return stored

    def _read_more(self, stored: Stored) -> None:
        ids = list(stored.patients)
        for point in ContactPoint.objects.filter(patient__in=ids).order_by(
            "rank", "id"
        ):
            stored.points[point.patient_id or 0].append(point)
        stored.at_site.update(
            _AtSite.objects.filter(site=self.site, patient__in=ids).values_list(
                "patient_id", flat=True
            )
        )
        consents = Consent.objects.filter(
            patient__in=ids, purpose=Consent.Purpose.CARE
        ).order_by("at", "id")
        for pk, channel, given, method in consents.values_list(
            "patient_id", "channel", "given", "method"
        ):
            stored.consents[pk, channel] = given
            if method == BY_IMPORT:
                stored.imported[pk, channel] = given


def owners_of(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return {(system, value): patient id}; one query a system."""
    by_system: dict[str, set[str]] = {}
    for system, value in keys:
        by_system.setdefault(system, set()).add(value)
    return {
        (system, value): patient_id
        for system, values in by_system.items()
        for value, patient_id in Identifier.objects.filter(
            system=system, value__in=values
        ).values_list("value", "patient_id")
    }


def _save(changes: Changes, site: Site) -> None:
    """Write what changed: a query a table."""
    insert_objects([patient for _row, patient in changes.created])
    if changes.patients:
        Patient.objects.bulk_update(changes.patients, sorted(changes.fields))
    insert_rows(
        _AtSite,
        ("patient", "site"),
        [(patient.pk, site.pk) for patient in changes.at_site],
        ignore_conflicts=True,
    )
    insert_rows(
        Identifier,
        ("patient", "system", "value"),
        [(patient.pk, *key) for key, patient in changes.identifiers.items()],
    )
    _insert(ContactPoint, changes.new_points)
    if changes.old_points:
        ContactPoint.objects.bulk_update(
            changes.old_points.values(), ["usable", "why_not", "rank", "safe_to_text"]
        )
    _insert(Consent, changes.consents)
    insert_terms(_terms_of_new(changes))
    if changes.to_index:
        index_patients([patient.pk for patient in changes.to_index])
    for patient in changes.died:
        for _key, tell in died:
            tell(patient)


def _terms_of_new(changes: Changes) -> Terms:
    # What is found by is known here: reading it back would cost a tenth of the import.
    terms: Terms = {}
    for row, patient in changes.created:
        terms |= terms_of(
            patient.pk,
            given=patient.given_name,
            family=patient.family_name,
            preferred=patient.preferred_name,
            born=patient.birth_date,
            identifiers=[
                key[1]
                for key in row.identifiers
                if changes.identifiers.get(key) is patient
            ],
            numbers=[p.address for p in row.points if p.channel == Channel.SMS],
        )
    return terms


def _insert(
    model: type[ContactPoint] | type[Consent], rows: Sequence[ContactPoint | Consent]
) -> None:
    for row in rows:
        # Made before their patient had a key.
        row.patient_id = row.patient.pk  # type: ignore[union-attr]
    names = [f.attname for f in model._meta.concrete_fields if not f.primary_key]
    values = attrgetter(*names)
    insert_rows(model, names, [values(row) for row in rows])
