"""The clinic itself: sites, hours, staff, clinicians, visit types. No patients.

Everything is made once and then left alone, so what a clinic has changed stays.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import Clinician, Duty, Site, StaffedHours, User, Weekday
from accounts.roles import Role
from appointments.models import BookableHours, CadenceStep, VisitType
from clinic_crm.demo.people import STAFF_NUMBERS, phone
from core.time import to_local, to_utc, zone

SYSTEM = "demo"
ZONE = "America/New_York"
#: What patients ring; it stands in every text.
PHONE = "617 555 0100"
AFTER_HOURS = (
    "The line plays a message: for an emergency call 911. The on-call nurse of the "
    "Harbour group answers 617 555 0100 until the clinic opens."
)
EVERY_DAY = tuple(Weekday)
WEEKDAYS = EVERY_DAY[:5]
#: Days the duty roster is filled for, today among them.
ROSTER_DAYS = 15
#: The one of them on which nobody has thought of the other site.
FORGOTTEN_DAY = 5


@dataclass(frozen=True)
class _Staff:
    username: str
    name: str
    role: Role
    phone: str = ""
    #: Of both sites, or of Harbour Clinic alone.
    both: bool = True


STAFF = (
    _Staff("femi", "Femi Adeyemi", Role.FRONT_DESK),
    # A patient of the other site is her way into emergency access.
    _Staff("maya", "Maya Osei", Role.NURSE, phone(STAFF_NUMBERS[0]), both=False),
    _Staff("rao", "Dr Anita Rao", Role.CLINICIAN, phone(STAFF_NUMBERS[1])),
    _Staff("ada", "Ada Brandt", Role.MANAGER, phone(STAFF_NUMBERS[2])),
    _Staff("otto", "Otto Lindqvist", Role.AUDITOR),
)


@dataclass(frozen=True)
class _Hours:
    north: bool
    days: tuple[Weekday, ...]
    opens: time
    closes: time


#: Open every day, so that Today is never empty, whenever somebody looks at the demo.
_FULL_DAY = (
    _Hours(False, EVERY_DAY, time(8), time(12)),
    _Hours(False, EVERY_DAY, time(13), time(17)),
)
_MON, _TUE, _WED, _THU, _FRI, _SAT, _SUN = EVERY_DAY
CLINICIANS: dict[str, tuple[str, tuple[_Hours, ...]]] = {
    "Dr Rao": ("rao", _FULL_DAY),
    "Dr Lin": (
        "",
        (
            _Hours(False, WEEKDAYS, time(8, 20), time(12)),
            _Hours(False, WEEKDAYS, time(13), time(16, 40)),
        ),
    ),
    "Dr Haddad": (
        "",
        (
            _Hours(True, (_MON, _WED, _FRI), time(9), time(13)),
            _Hours(False, (_TUE, _THU, _SAT, _SUN), time(9), time(15)),
        ),
    ),
    "Nurse Maya": (
        "maya",
        (
            _Hours(False, EVERY_DAY, time(8), time(12)),
            _Hours(False, EVERY_DAY, time(12, 40), time(16)),
        ),
    ),
}
_TAKES_OVERFLOW = {"Dr Rao": 4, "Dr Haddad": 3}


@dataclass(frozen=True)
class _Type:
    name: str
    discreet: str
    minutes: int
    by: tuple[str, ...] = ()


_DOCTORS = ("Dr Rao", "Dr Lin", "Dr Haddad")
TYPES = (
    _Type("Consultation", "", 20),
    _Type("New visit", "", 40, _DOCTORS),
    _Type("Review", "", 20, _DOCTORS),
    _Type("Wound check", "nurse visit", 15, ("Dr Rao", "Nurse Maya")),
    _Type("Blood pressure check", "short nurse visit", 10, ("Nurse Maya",)),
    _Type("Vaccination", "", 10, ("Nurse Maya",)),
    _Type("Telephone call", "", 10),
)


@dataclass(frozen=True)
class Clinic:
    """What was set up; ``password`` only when one was made up just now."""

    harbour: Site
    north: Site
    staff: dict[str, User]
    clinicians: dict[str, Clinician]
    types: dict[str, VisitType]
    password: str


def set_up_clinic() -> Clinic:
    """Make the clinic where it is not there yet; what is there stays as it is."""
    harbour = _site("Harbour Clinic", "Pier St")
    north = _site("Harbour Clinic North", "Mill Rd")
    staff, password = _staff(harbour, north)
    clinicians = {
        name: _clinician(name, staff.get(login), hours, (harbour, north))
        for name, (login, hours) in CLINICIANS.items()
    }
    types = {one.name: _visit_type(one, clinicians) for one in TYPES}
    _roster(harbour, north, staff)
    return Clinic(harbour, north, staff, clinicians, types, password)


def _site(name: str, place: str) -> Site:
    site, created = Site.objects.get_or_create(
        name=name,
        defaults={
            "place": place,
            "neutral_name": f"{place} office",
            "zone": ZONE,
            "phone": PHONE,
            "after_hours_plan": AFTER_HOURS,
        },
    )
    if created:
        StaffedHours.objects.bulk_create(
            StaffedHours(site=site, weekday=day, opens=time(8), closes=time(17))
            for day in EVERY_DAY
        )
    return site


def _staff(*sites: Site) -> tuple[dict[str, User], str]:
    made_up = ""
    staff = {}
    for one in STAFF:
        user, created = User.objects.get_or_create(
            username=one.username,
            defaults={"name": one.name, "phone": one.phone},
        )
        if created:
            if not settings.DEMO_PASSWORD:
                made_up = made_up or secrets.token_urlsafe(12)
            user.set_password(settings.DEMO_PASSWORD or made_up)
            user.save(update_fields=["password"])
            user.groups.add(Group.objects.get(name=one.role.value))
            user.sites.set(sites if one.both else sites[:1])
        staff[one.username] = user
    return staff, made_up


def _roster(harbour: Site, north: Site, staff: dict[str, User]) -> None:
    """Put Maya on duty by day and Dr Rao by night; all day at the other site."""
    if Duty.objects.exists():
        return
    maya, rao, ada = (staff[login] for login in ("maya", "rao", "ada"))
    today = to_local(timezone.now(), zone(ZONE)).date()
    duties = []
    for number in range(ROSTER_DAYS):
        day = today + timedelta(days=number)
        midnight, opens, closes, next_midnight = (
            to_utc(datetime.combine(on, clock), zone(ZONE))
            for on, clock in (
                (day, time(0)),
                (day, time(8)),
                (day, time(17)),
                (day + timedelta(days=1), time(0)),
            )
        )
        spans = [
            (harbour, rao, ada, midnight, opens),
            (harbour, maya, rao, opens, closes),
            (harbour, rao, ada, closes, next_midnight),
        ]
        if number != FORGOTTEN_DAY:
            spans.append((north, rao, ada, midnight, next_midnight))
        duties += [
            Duty(site=site, user=user, backup=backup, starts_at=start, ends_at=end)
            for site, user, backup, start, end in spans
        ]
    Duty.objects.bulk_create(duties)


def _clinician(
    name: str, user: User | None, hours: tuple[_Hours, ...], sites: tuple[Site, Site]
) -> Clinician:
    clinician, created = Clinician.objects.get_or_create(
        name=name,
        defaults={
            "user": user,
            "takes_overflow": name in _TAKES_OVERFLOW,
            "overflow_max": _TAKES_OVERFLOW.get(name, 0),
        },
    )
    if created:
        clinician.sites.set({sites[run.north] for run in hours})
        BookableHours.objects.bulk_create(
            BookableHours(
                clinician=clinician,
                site=sites[run.north],
                weekday=day,
                opens=run.opens,
                closes=run.closes,
            )
            for run in hours
            for day in run.days
        )
    return clinician


def _visit_type(one: _Type, clinicians: dict[str, Clinician]) -> VisitType:
    visit_type, created = VisitType.objects.get_or_create(
        name=one.name,
        defaults={"discreet_name": one.discreet, "minutes": one.minutes},
    )
    if created:
        visit_type.clinicians.set([clinicians[name] for name in one.by])
        CadenceStep.objects.create(visit_type=visit_type, days_before=1)
    return visit_type
