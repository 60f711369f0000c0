"""What patients read about their visits."""

from datetime import date, datetime

import pytest
from django.utils import timezone

from accounts.ticks import run_pass
from messaging.inbound import receive
from messaging.models import Message
from patients.models import Consent, ContactPerson, ContactPoint
from tests.factories import booked, clinician, patient

pytestmark = pytest.mark.django_db


def body() -> str:
    return Message.objects.filter(direction="out").latest("id").body


def test_in_spanish_in_one_segment(monday):
    booked(patient("Tomás", "Silva", language="es"), at=datetime(2026, 11, 24, 15, 20))
    run_pass()
    assert body() == (
        "Harbour Clinic: Tomás, su cita es el mar 24 nov 15:20 con Dr Rao. Responda 1 "
        "si viene, 2 para cambiarla, 3 si no puede. O llame al 617 555 0100"
        " STOP para no recibir textos."
    )


def test_the_name_they_go_by(monday):
    booked(patient(preferred_name="Gigi"), at=datetime(2026, 11, 24, 15, 20))
    run_pass()
    assert "Gigi, your visit is Tue 24 Nov 3:20pm" in body()


def test_two_visits_of_a_day_in_spanish(monday):
    tomas = patient("Tomás", "Silva", language="es")
    booked(tomas, at=datetime(2026, 11, 25, 10), tell=False)
    booked(
        tomas, at=datetime(2026, 11, 25, 14), tell=False, clinician=clinician("Dr Lin")
    )
    monday.move_to(datetime(2026, 11, 24, 16).astimezone())
    run_pass()
    assert "le esperamos el mie 25 nov 10:00 y 14:00 en Pier St" in body()


def test_a_mother_reads_for_whom_it_is(monday):
    leo = patient("Leo", "Duarte", phone="", birth_date=date(2020, 5, 1))
    Consent.objects.create(
        patient=leo, channel="sms", given=True, method="spoken", at=timezone.now()
    )
    ana = ContactPerson.objects.create(
        patient=leo,
        name="Ana Duarte",
        relation="mother",
        is_responsible=True,
        scopes=["schedule"],
    )
    ContactPoint.objects.create(
        contact_person=ana, channel="sms", address="+16175550161"
    )
    booked(leo, at=datetime(2026, 11, 24, 15, 20))
    run_pass()
    assert "Ana, your visit is Tue 24 Nov 3:20pm for Leo with Dr Rao." in body()
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address="+16175550161",
        to_address="",
        body="1",
    )
    run_pass()
    assert "Thank you, Ana. See you Tue 24 Nov 3:20pm for Leo at Pier St." in body()


@pytest.mark.parametrize(
    ("hour", "shown"),
    [(0, "12:05am"), (9, "9:05am"), (12, "12:05pm"), (23, "11:05pm")],
)
def test_clock(monday, hour, shown):
    booked(at=datetime(2026, 11, 25, hour, 5))
    run_pass()
    assert f"Wed 25 Nov {shown}" in body()
