"""The diary of the demo clinic: free times within bookable hours, and the visits."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from accounts.models import Site
from appointments.models import Appointment, AppointmentEvent, VisitType
from clinic_crm.demo.clinic import CLINICIANS, ZONE, Clinic
from clinic_crm.demo.store import Known
from core.time import days_before, to_utc, tzdata_version, zone

State = Appointment.State
#: Three weeks back and two weeks ahead.
FIRST_DAY, LAST_DAY = -21, 14
#: Kept free every day, so that whoever looks at the demo can book something.
KEPT_FREE = {"Dr Rao": (time(10), time(10, 30))}
#: What each clinician mostly does.
_MIX: dict[str, tuple[tuple[str, int], ...]] = {
    "Dr Rao": (("Consultation", 5), ("Review", 4), ("New visit", 1)),
    "Dr Lin": (("Consultation", 5), ("Review", 2), ("New visit", 2)),
    "Dr Haddad": (("Consultation", 4), ("New visit", 2), ("Telephone call", 2)),
    "Nurse Maya": (
        ("Wound check", 4),
        ("Blood pressure check", 3),
        ("Vaccination", 2),
        ("Telephone call", 1),
    ),
}


@dataclass(frozen=True)
class Slot:
    """A free time; ``start`` is wall time at the site."""

    clinician: str
    north: bool
    type_name: str
    start: datetime
    minutes: int

    @property
    def starts_at(self) -> datetime:
        """The instant it starts."""
        return to_utc(self.start, zone(ZONE))

    def holds(self, at: datetime) -> bool:
        """Return whether it lasts at that instant."""
        return self.starts_at <= at < self.starts_at + timedelta(minutes=self.minutes)

    @property
    def due_at(self) -> datetime:
        """The instant its reminder goes out: the same wall time the day before."""
        return days_before(self.start, 1, zone(ZONE))


@dataclass
class Visit:
    """A visit to be: its row, when it was booked, and what happened to it so far."""

    known: Known
    slot: Slot
    row: Appointment
    booked_at: datetime
    events: list[AppointmentEvent] = field(default_factory=list)
    #: When it was cancelled or moved away: from then on answers to it mean nothing.
    ended_at: datetime | None = None

    def happen(self, what: str, at: datetime, *, by: Any = None, **fields: Any) -> None:
        """Add an event of the visit as it stands."""
        self.events.append(
            AppointmentEvent(
                appointment=self.row,
                version=self.row.version,
                what=what,
                after=snapshot(self.row),
                by=by,
                at=at,
                **fields,
            )
        )

    def move(self, slot: Slot, at: datetime, *, by: Any, clinic: Clinic) -> None:
        """Move it to another slot, as staff did at that instant."""
        before = snapshot(self.row)
        self.slot = slot
        place(self.row, slot, clinic)
        self.row.version += 1
        self.row.version_at = at
        self.happen("moved", at, by=by, before=before)

    def cancel(self, at: datetime, *, by: Any = None, by_patient: bool = False) -> None:
        """Call it off at that instant."""
        before = snapshot(self.row)
        self.row.state = State.CANCELLED
        self.row.version += 1
        self.row.version_at = self.ended_at = at
        self.happen("cancelled", at, by=by, by_patient=by_patient, before=before)


def snapshot(row: Appointment) -> dict[str, Any]:
    """Return what an event keeps of a visit."""
    return {
        "start": row.starts_at.isoformat(),
        "end": row.ends_at.isoformat(),
        "clinician": row.clinician_id,
        "site": row.site_id,
        "state": str(row.state),
    }


def place(row: Appointment, slot: Slot, clinic: Clinic) -> None:
    """Put a visit into a slot."""
    site: Site = clinic.north if slot.north else clinic.harbour
    visit_type: VisitType = clinic.types[slot.type_name]
    row.clinician, row.site = clinic.clinicians[slot.clinician], site
    row.visit_type = visit_type
    row.local_date, row.local_time = slot.start.date(), slot.start.time()
    row.zone, row.tzdata = site.zone, tzdata_version()
    row.starts_at = slot.starts_at
    row.ends_at = slot.starts_at + timedelta(minutes=slot.minutes)


class Diary:
    """Which times are free, and the visits taken so far."""

    def __init__(self, clinic: Clinic, now: datetime, today: date, seed: int) -> None:
        self.clinic, self.now, self.today, self.seed = clinic, now, today, seed
        self.visits: list[Visit] = []
        self._free = {
            day: list(self._slots_of(day)) for day in range(FIRST_DAY, LAST_DAY + 1)
        }

    def _slots_of(self, day: int) -> Iterable[Slot]:
        on = self.today + timedelta(days=day)
        rng = random.Random(f"slots:{self.seed}:{on}")  # noqa: S311 - a demo
        for name, (_login, hours) in CLINICIANS.items():
            for run in hours:
                if on.weekday() not in run.days:
                    continue
                start = datetime.combine(on, run.opens)
                while True:
                    kind = rng.choices(*zip(*_MIX[name], strict=True))[0]
                    minutes = self.clinic.types[kind].minutes
                    end = start + timedelta(minutes=minutes)
                    if end > datetime.combine(on, run.closes):
                        break
                    kept = KEPT_FREE.get(name)
                    if kept and start.time() < kept[1] and end.time() > kept[0]:
                        start = datetime.combine(on, kept[1])
                        continue
                    yield Slot(name, run.north, kind, start, minutes)
                    start = end + timedelta(minutes=rng.choice((0, 0, 5, 10)))

    def free_on(self, day: int) -> list[Slot]:
        """Return what is still free on a day, counted from today."""
        return self._free[day]

    def take(self, slot: Slot) -> Slot:
        """Take a slot; nobody else gets it."""
        day = (slot.start.date() - self.today).days
        self._free[day].remove(slot)
        return slot

    def book(
        self, known: Known, slot: Slot, booked_at: datetime, *, by: Any = None
    ) -> Visit:
        """Book somebody into a slot, at an instant that is past; told face to face."""
        self.take(slot)
        row = Appointment(
            patient=known.patient, version_at=booked_at, state=State.BOOKED
        )
        place(row, slot, self.clinic)
        row.note_told()
        visit = Visit(known, slot, row, booked_at)
        visit.happen("booked", booked_at, by=by)
        self.visits.append(visit)
        return visit

    def save(self) -> None:
        """Write the visits and what happened to them."""
        self.visits.sort(key=lambda visit: visit.booked_at)
        Appointment.objects.bulk_create(visit.row for visit in self.visits)
        events = [event for visit in self.visits for event in visit.events]
        events.sort(key=lambda event: event.at)
        AppointmentEvent.objects.bulk_create(events)
