"""Booking, moving and marking visits in the browser."""

import uuid
from datetime import datetime, time

import pytest
from django.urls import reverse

from accounts.roles import Role
from appointments.models import Appointment, BookableHours
from appointments.services import move_appointment
from messaging.models import Notice
from tests.factories import (
    SiteFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
    visit_type,
)

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def booking(**changes):
    return {
        "visit_type": visit_type().pk,
        "clinician": clinician().pk,
        "site": SiteFactory().pk,
        "day": "2026-11-24",
        "time": "10:00",
        "tell": "on",
        "client_key": str(uuid.uuid4()),
    } | changes


def test_appointment_book(client, femi):
    grace = patient()
    url = reverse("appointments:appointment_book", args=[grace.pk])
    answer = client.post(url, booking())
    assert answer["Location"] == reverse("patients:patient_detail", args=[grace.pk])
    visit = Appointment.objects.get()
    assert (visit.patient, visit.local_date.isoformat()) == (grace, "2026-11-24")
    assert visit.events.get().by == femi
    assert Notice.objects.get().purpose == "visit_booked"


def test_the_form_sent_twice_books_once(client, femi):
    url = reverse("appointments:appointment_book", args=[patient().pk])
    form = booking()
    client.post(url, form)
    client.post(url, form)
    assert Appointment.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"time": "08:00", "day": "2026-11-23"}, "time", "This time is past."),
        ({"time": ""}, "time", "This field is required."),
        ({"day": "2027-03-14", "time": "02:30"}, "time", "02:30 does not exist"),
        ({"day": "9999-12-31", "time": "23:59"}, "day", "more than five years off"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(client, femi, changes, field, told):
    url = reverse("appointments:appointment_book", args=[patient().pk])
    answer = client.post(url, booking(**changes))
    assert answer.status_code == 200
    assert told in str(answer.context["form"].errors[field])
    assert not Appointment.objects.exists()


def test_a_taken_time_is_said_beside_the_time(client, femi):
    booked(patient("Leo", phone=""), at=TOMORROW_10)
    url = reverse("appointments:appointment_book", args=[patient().pk])
    answer = client.post(url, booking())
    assert answer.context["form"].errors == {"time": ["Dr Rao is not free then."]}


def test_a_clinician_of_another_site_is_refused(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    femi.sites.add(north)
    url = reverse("appointments:appointment_book", args=[patient().pk])
    answer = client.post(url, booking(site=north.pk))
    assert answer.context["form"].errors == {
        "clinician": ["Dr Rao is not at Harbour Clinic North."]
    }


def test_appointment_move(client, femi):
    visit = booked(at=TOMORROW_10)
    url = reverse("appointments:appointment_move", args=[visit.pk])
    client.post(url, booking(time="15:00"))
    visit.refresh_from_db()
    assert (visit.local_time.hour, visit.version) == (15, 2)


def test_appointment_cancel(client, femi):
    visit = booked(at=TOMORROW_10)
    client.post(reverse("appointments:appointment_cancel", args=[visit.pk]))
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CANCELLED


def test_appointment_mark_in_one_tap(client, femi):
    visit = booked(at=TOMORROW_10)
    url = reverse("appointments:appointment_mark", args=[visit.pk])
    answer = client.post(url, {"state": "arrived", "next": "today"})
    visit.refresh_from_db()
    assert (visit.state, answer["Location"]) == ("arrived", "/")
    client.post(url, {"state": "nonsense"})
    client.post(url, {"state": "cancelled"})
    visit.refresh_from_db()
    assert visit.state == "arrived"


def test_another_sites_visit_is_not_there(client, femi):
    visit = booked(at=TOMORROW_10)
    femi.sites.set([SiteFactory(name="Harbour Clinic North")])
    for name in ("detail", "move", "cancel", "mark"):
        url = reverse(f"appointments:appointment_{name}", args=[visit.pk])
        assert client.post(url, booking()).status_code in (404, 405)
    visit.refresh_from_db()
    assert visit.version == 1


def test_a_visit_elsewhere_of_ones_own_patient_is_seen_and_not_changed(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    visit = booked(site=north, at=TOMORROW_10)
    visit.patient.sites.add(SiteFactory())
    detail = reverse("appointments:appointment_detail", args=[visit.pk])
    on_timeline = client.get(f"/patients/{visit.patient_id}/").content.decode()
    assert f'href="{detail}"' in on_timeline
    page = client.get(detail).content.decode()
    assert "Harbour Clinic North" in page
    for name in ("move", "cancel", "mark", "link"):
        url = reverse(f"appointments:appointment_{name}", args=[visit.pk])
        assert url not in page
        assert client.post(url, booking(state="arrived")).status_code == 404
    assert client.get("/schedule/?day=2026-11-24").context["visits"] == []
    visit.refresh_from_db()
    assert (visit.version, visit.state) == (1, "booked")


def test_whose_visit_is_at_a_site_is_a_patient_of_it(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    otis = member_of_staff("otis", Role.FRONT_DESK, north)
    visit = booked(at=TOMORROW_10)
    client.force_login(otis)
    assert client.get(f"/patients/{visit.patient_id}/").status_code == 404
    move_appointment(appointment_id=visit.pk, by=femi, site=north)
    assert client.get(f"/patients/{visit.patient_id}/").status_code == 200
    assert {site.name for site in visit.patient.sites.all()} == {
        "Harbour Clinic",
        "Harbour Clinic North",
    }


def test_outside_their_hours_is_booked_with_a_warning(client, femi):
    BookableHours.objects.create(
        clinician=clinician(),
        site=SiteFactory(),
        weekday=1,
        opens=time(9),
        closes=time(17),
    )
    grace = patient()
    url = reverse("appointments:appointment_book", args=[grace.pk])
    for hour, warned in (("10:00", False), ("17:00", True)):
        answer = client.post(url, booking(time=hour), follow=True)
        assert ("outside the hours of Dr Rao" in answer.content.decode()) is warned
    assert Appointment.objects.count() == 2


def test_a_type_the_clinician_does_not_offer_is_refused(client, femi):
    visit_type().clinicians.add(clinician("Dr Lin"))
    url = reverse("appointments:appointment_book", args=[patient().pk])
    answer = client.post(url, booking())
    assert answer.context["form"].errors == {
        "clinician": ["Dr Rao does not offer Consultation."]
    }


@pytest.mark.parametrize(
    "day",
    ["", "nonsense", "2026-99-99", "0001-01-01", "9999-12-31", "2026-11-24"],
)
def test_schedule_takes_any_day(client, femi, day):
    booked(at=TOMORROW_10)
    answer = client.get(reverse("appointments:schedule"), {"day": day})
    assert answer.status_code == 200
    assert len(answer.context["visits"]) == (1 if day == "2026-11-24" else 0)
