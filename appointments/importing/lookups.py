"""Who and what the names in a calendar mean, and which visits its rows are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import Clinician, Site
from appointments.importing.rows import VisitRow, as_json, read_start
from appointments.models import Appointment, VisitType
from core.text import fold
from core.time import to_local, to_utc, zone
from patients.importing.rows import MRN
from patients.models import Identifier, Patient, PatientTerm

#: ``Appointment.source`` of what came from the other calendar.
SOURCE = "import"


@dataclass(slots=True)
class Meant:
    """A row with everything it names."""

    row: VisitRow
    patient: Patient
    clinician: Clinician
    visit_type: VisitType
    site: Site
    local: datetime
    said: dict[str, Any]
    visit: Appointment | None

    @property
    def starts_at(self) -> datetime:
        """The instant it starts."""
        return to_utc(self.local, zone(self.site.zone))

    @property
    def last(self) -> dict[str, Any]:
        """What the row said the last time."""
        return (self.visit.last_imported if self.visit else None) or {}

    @property
    def is_elsewhere(self) -> bool:
        """Whether the row has the visit at another time, with others or for longer."""
        visit = self.visit
        return visit is not None and (
            visit.starts_at != self.starts_at
            or visit.clinician_id != self.clinician.pk
            or visit.site_id != self.site.pk
            or _is_longer(visit, self.row.minutes)
        )

    @property
    def was_touched_here(self) -> bool:
        """Whether the visit is not where, or no longer on as, the last row had it."""
        visit, last = self.visit, self.last
        if visit is None or not last:
            return False
        return (
            f"{visit.local_date}T{visit.local_time:%H:%M}" != last["start"]
            or visit.clinician_id != last["clinician"]
            or visit.site_id != last["site"]
            or _is_longer(visit, last["minutes"])
            or (visit.state == "cancelled") != (last["status"] == "cancelled")
        )


@dataclass(slots=True)
class Names:
    """Clinicians, types and sites by how a calendar may call them; read once."""

    site: Site
    clinicians: dict[str, list[Clinician]] = field(
        default_factory=lambda: defaultdict(list)
    )
    types: dict[str, VisitType] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)

    @classmethod
    def read(cls, site: Site) -> "Names":
        """Read them all; three queries. ``site`` is meant where a row names none."""
        names = cls(site)
        for clinician in Clinician.objects.select_related("user"):
            spellings = {fold(clinician.name)}
            if clinician.user:
                spellings |= {fold(clinician.user.username), fold(clinician.user.name)}
            for spelling in spellings - {""}:
                names.clinicians[spelling].append(clinician)
        names.types = {fold(type_.name): type_ for type_ in VisitType.objects.all()}
        for one in Site.objects.all():
            names.sites |= {fold(one.place): one, fold(one.name): one}
        return names

    def clinician(self, row: VisitRow) -> Clinician | None:
        """Return who is meant, by login or name; unclear rejects the row."""
        found = self.clinicians.get(fold(row.clinician), [])
        if len(found) == 1:
            return found[0]
        row.reject(
            "clinician",
            (_("%(text)s may be several people") if found else _("no %(text)s here"))
            % {"text": row.clinician[:60]},
        )
        return None

    def type(self, row: VisitRow) -> VisitType | None:
        """Return the visit type, by name; reject the row if there is none."""
        found = self.types.get(fold(row.visit_type))
        if found is None:
            row.reject(
                "visit_type", _("no %(text)s here") % {"text": row.visit_type[:60]}
            )
        return found

    def where(self, row: VisitRow) -> Site | None:
        """Return the site, by name or place; reject the row if there is none."""
        found = self.sites.get(fold(row.site)) if row.site else self.site
        if found is None:
            row.reject("site", _("no %(text)s here") % {"text": row.site[:60]})
        return found


def look_up(rows: Sequence[VisitRow], names: Names) -> list[Meant]:
    """Return the rows with what they mean; reject those that cannot be understood.

    Four queries, however many rows.
    """
    patients = _patients(rows)
    visits = {
        visit.external_id: visit
        for visit in Appointment.objects.filter(
            source=SOURCE, external_id__in={row.external_id for row in rows}
        ).select_related("visit_type", "patient")
    }
    found = []
    for row in rows:
        if not row.is_rejected:
            meant = _understand(row, names, patients, visits)
            if meant is not None and not row.is_rejected:
                found.append(meant)
    return found


def _is_longer(visit: Appointment, minutes: int | None) -> bool:
    """Tell whether a visit takes longer or less; a blank says nothing of that."""
    lasts = (visit.ends_at - visit.starts_at).total_seconds()
    return minutes is not None and lasts != minutes * 60


def _understand(
    row: VisitRow,
    names: Names,
    patients: dict[str, list[Patient]],
    visits: dict[str, Appointment],
) -> Meant | None:
    site = names.where(row)
    local = _local(row, site) if site else None
    clinician, visit_type = names.clinician(row), names.type(row)
    whom = patients.get(row.patient, [])
    if len(whom) != 1:
        why = _("%(text)s may be several people") if whom else _("no %(text)s here")
        row.reject("patient_identifier", why % {"text": row.patient[:60]})
        return None
    if site is None or local is None or clinician is None or visit_type is None:
        return None
    visit = visits.get(row.external_id)
    if visit is not None and _kept(visit.patient) != whom[0].pk:
        row.reject(
            "patient_identifier",
            _("%(id)s is a visit of somebody else") % {"id": row.external_id},
        )
    return Meant(
        row=row,
        patient=whom[0],
        clinician=clinician,
        visit_type=visit_type,
        site=site,
        local=local,
        said=as_json(
            row,
            clinician=clinician.pk,
            visit_type=visit_type.pk,
            site=site.pk,
            local=local,
        ),
        visit=visit,
    )


def _kept(patient: Patient) -> int:
    return patient.merged_into_id or patient.pk


def _local(row: VisitRow, site: Site) -> datetime | None:
    """Return the wall time at the site; reject one that the clocks leave out."""
    start = read_start(row.start, month_first=site.region == "US")
    if start is None:
        row.reject("start", _("%(text)s is no day and time") % {"text": row.start[:40]})
        return None
    where = zone(site.zone)
    local = to_local(start, where).replace(tzinfo=None) if start.tzinfo else start
    instant = to_utc(local, where)
    if to_local(instant, where).replace(tzinfo=None) != local:
        row.reject(
            "start",
            _("the clocks change that night: %(time)s does not exist")
            % {"time": f"{local:%H:%M}"},
        )
        return None
    if start.tzinfo and instant != start:
        # We keep the first of the two hours that look alike; the text would lie.
        row.reject(
            "start",
            _("the clocks change that night: %(time)s comes twice, this is the second")
            % {"time": f"{local:%H:%M}"},
        )
        return None
    return local


def _patients(rows: Sequence[VisitRow]) -> dict[str, list[Patient]]:
    """Return {identifier: those who have it}; the clinic's own numbers go first."""
    wanted = {row.patient for row in rows}
    found = _holders(Identifier.objects.filter(system=MRN, value__in=wanted))
    others = wanted - found.keys()
    if others:
        # Numbers of any other system, by the search index: identifiers have an index
        # by system only.
        holders = PatientTerm.objects.filter(
            kind=PatientTerm.Kind.IDENTIFIER, term__in={fold(value) for value in others}
        ).values("patient_id")
        found |= _holders(
            Identifier.objects.filter(patient__in=holders, value__in=others)
        )
    return {value: list(by_id.values()) for value, by_id in found.items()}


def _holders(identifiers: QuerySet[Identifier]) -> dict[str, dict[int, Patient]]:
    found: dict[str, dict[int, Patient]] = defaultdict(dict)
    for identifier in identifiers.select_related("patient__merged_into"):
        patient = identifier.patient.merged_into or identifier.patient
        found[identifier.value][patient.pk] = patient
    return found
