"""The people of our stories, and short ways to bring them on.

Nora is a nurse, Femi sits at the front desk, Otto has no business here. Grace, Tomás
and Leo are patients.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import factory
from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from accounts.models import Clinician, Site, User
from accounts.roles import Role
from appointments.models import Appointment, CadenceStep, VisitType
from appointments.services import book_appointment
from core.time import to_local, zone
from patients.models import Channel, Consent, ContactPoint, Patient

#: A Monday morning, 09:00 in New York. Tests that care about time travel here.
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
GRACE = "+16175550143"


class SiteFactory(factory.django.DjangoModelFactory[Site]):
    class Meta:
        model = Site
        django_get_or_create = ("name",)

    name = "Harbour Clinic"
    place = "Pier St"
    zone = "America/New_York"
    phone = "617 555 0100"


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    name = factory.LazyAttribute(lambda user: user.username.title())


def member_of_staff(username: str, role: Role, *sites: Site) -> User:
    """Return somebody who works at these sites in this role."""
    user = UserFactory(username=username)
    user.groups.add(Group.objects.get(name=role.value))
    user.sites.set(sites or [SiteFactory()])
    return user


def come_in(client: Client, user: User) -> None:
    """Sign somebody in anew, as they do who have just shown who they are."""
    client.cookies.clear()
    client.force_login(user)
    request = HttpRequest()
    request.session = client.session
    record_authentication(request, user, "password")
    request.session.save()


class ClinicianFactory(factory.django.DjangoModelFactory[Clinician]):
    class Meta:
        model = Clinician
        django_get_or_create = ("name",)

    name = "Dr Rao"


def clinician(name: str = "Dr Rao") -> Clinician:
    """Return a clinician who works at Harbour Clinic."""
    found = ClinicianFactory(name=name)
    found.sites.add(SiteFactory())
    return found


def visit_type(*days_before: int, minutes: int = 20) -> VisitType:
    """Return the type Consultation, reminded of so many days before (1 by default)."""
    found, _created = VisitType.objects.get_or_create(
        name="Consultation", defaults={"minutes": minutes, "discreet_name": ""}
    )
    for days in days_before or (1,):
        CadenceStep.objects.get_or_create(visit_type=found, days_before=days)
    return found


class PatientFactory(factory.django.DjangoModelFactory[Patient]):
    class Meta:
        model = Patient
        skip_postgeneration_save = True

    given_name = factory.Sequence(lambda n: f"Given{n}")
    family_name = factory.Sequence(lambda n: f"Family{n}")


def patient(
    given: str = "Grace",
    family: str = "Okafor",
    *,
    phone: str = GRACE,
    email: str = "",
    consent: bool = True,
    **fields: Any,
) -> Patient:
    """Return a patient of Harbour Clinic who may be texted, unless told otherwise."""
    somebody = PatientFactory(given_name=given, family_name=family, **fields)
    somebody.sites.add(SiteFactory())
    for channel, address in ((Channel.SMS, phone), (Channel.EMAIL, email)):
        if address:
            ContactPoint.objects.create(
                patient=somebody, channel=channel, address=address
            )
            if consent:
                Consent.objects.create(
                    patient=somebody,
                    channel=channel,
                    given=True,
                    method="spoken",
                    at=timezone.now(),
                )
    return somebody


def booked(
    who: Patient | None = None, *, at: datetime | None = None, **fields: Any
) -> Appointment:
    """Return a visit booked through the service; ``at`` is naive time in New York."""
    site = SiteFactory()
    if at is None:
        tomorrow = to_local(timezone.now(), zone(site.zone)).date() + timedelta(days=1)
        at = datetime.combine(tomorrow, time(10))
    arguments: dict[str, Any] = {
        "clinician": clinician(),
        "site": site,
        "visit_type": visit_type(),
        "by": None,
        "tell": True,
    }
    return book_appointment(
        patient=who or patient(), local_start=at, **(arguments | fields)
    )
