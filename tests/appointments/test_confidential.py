"""A confidential visit of a minor: nobody hears of it but the minor."""

from datetime import date, datetime, timedelta

import pytest
from django.urls import reverse

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import cancel_appointment, move_appointment
from messaging.inbound import handle_received, receive
from messaging.ladder import open_due
from messaging.models import Message, Notice
from patients.models import Consent, ContactPerson, ContactPoint
from patients.safe_contact import make_plan
from tests.factories import (
    MONDAY,
    SiteFactory,
    booked,
    clinician,
    come_in,
    member_of_staff,
    patient,
    visit_type,
)
from tests.patients.merging_scene import merge
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

ANA, MAYA = "+16175550161", "+16175550171"


def minor(phone: str = MAYA, born: date = date(2010, 5, 1)):
    """Return Maya, who is 16 with a phone of her own, and her mother Ana."""
    maya = patient("Maya", "Duarte", phone=phone, birth_date=born)
    ana = ContactPerson.objects.create(
        patient=maya,
        name="Ana Duarte",
        relation="mother",
        is_responsible=True,
        scopes=["schedule"],
    )
    ContactPoint.objects.create(contact_person=ana, channel="sms", address=ANA)
    return maya


def out(to: str | None = None):
    found = Message.objects.filter(direction="out", accepted_at__isnull=False)
    return [m for m in found.order_by("id") if to in (None, m.address)]


def text(body: str, number: str = ANA) -> None:
    receive(
        provider="simulated",
        provider_id=f"{number}:{body}",
        channel="sms",
        from_address=number,
        to_address="",
        body=body,
    )


def test_only_the_minor_hears_of_it_all_the_way(monday):
    maya = minor()
    visit = booked(maya, at=datetime(2026, 11, 26, 10), confidential=True)
    run_pass()
    move_appointment(
        appointment_id=visit.pk, by=None, local_start=datetime(2026, 11, 26, 14)
    )
    run_pass()
    monday.move_to(MONDAY + timedelta(days=2, hours=6))
    run_pass()
    cancel_appointment(appointment_id=visit.pk, by=None)
    run_pass()
    assert [m.address for m in out()] == [MAYA] * 4
    assert set(Notice.objects.values_list("confidential", flat=True)) == {True}


def test_another_visit_that_day_does_not_take_it_along(monday):
    maya = minor()
    booked(maya, at=datetime(2026, 11, 25, 10), tell=False)
    booked(maya, at=datetime(2026, 11, 25, 11), tell=False, confidential=True)
    monday.move_to(MONDAY + timedelta(days=1, hours=2))
    run_pass()
    (hers,), (mothers,) = out(MAYA), out(ANA)
    assert "11:00am" in hers.body
    assert "10:00am" in mothers.body
    assert "11:00am" not in mothers.body


@pytest.mark.parametrize("whose", ["her mother's", "her brother's", "their own"])
def test_a_number_that_others_have_is_no_way_to_tell_her_alone(monday, whose):
    maya = minor(phone=ANA if whose == "her mother's" else MAYA)
    if whose == "her brother's":
        patient("Leo", "Duarte", phone=MAYA)
    booked(maya, at=datetime(2026, 11, 24, 10), confidential=True)
    run_pass()
    if whose == "their own":
        assert len(out(MAYA)) == 1
        return
    assert out() == []
    item = WorkItem.objects.open().get()
    assert "confidential, and others have this address" in item.sentence


def test_a_number_that_somebody_else_gets_while_it_waits_stops_it(monday):
    maya = minor()
    booked(maya, at=datetime(2026, 11, 24, 10), confidential=True)
    open_due()
    patient("Leo", "Duarte", phone=MAYA)
    run_pass()
    assert out() == []


@pytest.mark.parametrize("body", ["1", "3", "Is Maya coming to you this week?"])
def test_a_text_from_the_mother_brings_nothing_to_light(monday, body):
    visit = booked(minor(), at=datetime(2026, 11, 24, 10), confidential=True)
    run_pass()
    text(body)
    run_pass()
    assert out(ANA) == []
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED


def test_her_own_answer_counts(monday):
    visit = booked(minor(), at=datetime(2026, 11, 24, 10), confidential=True)
    run_pass()
    text("1", MAYA)
    run_pass()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert out(ANA) == []


@pytest.mark.parametrize(
    ("born", "offered"),
    [
        (date(2014, 11, 24), False),
        (date(2014, 11, 23), True),
        (date(2008, 11, 24), True),
        (date(2008, 11, 23), False),
        (None, False),
    ],
)
def test_the_booking_form_offers_it_from_12_to_17(client, monday, born, offered):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    come_in(client, femi)
    maya = minor(born=born)
    page = client.get(reverse("appointments:appointment_book", args=[maya.pk]))
    assert (b'name="confidential"' in page.content) is offered


def test_the_tick_makes_it_so(client, monday):
    come_in(client, member_of_staff("femi", Role.FRONT_DESK))
    maya = minor()
    client.post(
        reverse("appointments:appointment_book", args=[maya.pk]),
        {
            "client_key": "0b0d7b9e-4f1c-4a5e-9d43-111111111111",
            "visit_type": visit_type().pk,
            "clinician": clinician().pk,
            "site": SiteFactory().pk,
            "day": "2026-11-24",
            "time": "10:00",
            "tell": "on",
            "confidential": "on",
        },
    )
    visit = maya.appointments.get()
    assert visit.confidential
    page = client.get(
        reverse("appointments:appointment_detail", args=[visit.pk])
    ).content.decode()
    assert "Only the patient is told of it" in page


# Who will receive this, on each page where something is about to go.


@pytest.fixture
def maya_and_visit(client, monday):
    come_in(client, member_of_staff("femi", Role.FRONT_DESK))
    maya = minor()
    return maya, booked(maya, at=datetime(2026, 11, 24, 10), tell=False)


def shown(client, name: str, number: int, *, post: bool = False) -> str:
    address = reverse(f"appointments:{name}", args=[number])
    page = client.post(address) if post else client.get(address)
    assert page.status_code == 200
    return " ".join(page.content.decode().split())


def test_booking_says_who_receives_it_either_way(client, maya_and_visit):
    page = shown(client, "appointment_book", maya_and_visit[0].pk)
    assert "Ana Duarte (mother) gets it" in page
    assert "617 555 0161" in page
    assert "If it is confidential:" in page
    assert "Maya Duarte gets it" in page
    assert "617 555 0171" in page


@pytest.mark.parametrize(
    ("name", "post"),
    [
        ("appointment_move", False),
        ("appointment_detail", False),
        ("appointment_link", True),
    ],
)
@pytest.mark.parametrize("confidential", [False, True])
def test_so_do_moving_cancelling_and_the_link(
    client, maya_and_visit, name, post, confidential
):
    visit = maya_and_visit[1]
    Appointment.objects.update(confidential=confidential)
    page = shown(client, name, visit.pk, post=post)
    assert ("Maya Duarte gets it" in page) is confidential
    assert ("Ana Duarte (mother) gets it" in page) is not confidential


def test_it_says_why_nobody_does_and_what_happens_then(client, monday):
    come_in(client, member_of_staff("femi", Role.FRONT_DESK))
    page = shown(client, "appointment_book", patient(phone="").pk)
    assert "nothing can be sent (Text: no address; Email: no address)." in page
    assert "It goes on the worklist, for somebody to call." in page


def told_of_by_her_mother(**fields):
    """Return a visit of Maya's that her mother has a text of, with its digits."""
    maya = minor(phone="", **fields)
    Consent.objects.create(
        patient=maya, channel="sms", given=True, method="spoken", at=MONDAY
    )
    visit = booked(maya, at=datetime(2026, 11, 26, 10))
    run_pass()
    assert len(out(ANA)) == 1
    return visit


@pytest.mark.parametrize(
    "change",
    [
        {"ended_at": MONDAY},
        {"until": date(2026, 11, 22)},
        {"scopes": ["clinical"]},
        {"barred_topics": ["visit_booked"]},
        {"is_responsible": False},
    ],
)
def test_who_may_no_longer_know_answers_for_nobody(monday, change):
    visit = told_of_by_her_mother()
    ContactPerson.objects.update(**change)
    for body in ("1", "3", "4"):
        text(body)
        run_pass()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert len(out(ANA)) == 1
    # Nor is it lost: somebody reads what came in.
    assert visit.patient.conversation.state == "waiting"


def test_nor_who_is_stopped_between_one_question_and_the_next(monday):
    visit = told_of_by_her_mother()
    text("3")
    run_pass()
    assert "4" in out(ANA)[-1].body
    ContactPerson.objects.update(ended_at=MONDAY)
    text("4")
    run_pass()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert len(out(ANA)) == 2


@pytest.mark.parametrize("when", ["before she answers", "before we answer her"])
def test_nor_whom_a_safe_contact_plan_hides_her_from(monday, when):
    visit = told_of_by_her_mother()
    if when == "before we answer her":
        text("1")
        handle_received()
    make_plan(
        patient_id=visit.patient_id,
        by=member_of_staff("nora", Role.NURSE),
        region="US",
        channel="sms",
        reason="asked for it",
    )
    if when == "before she answers":
        text("1")
    run_pass()
    assert len(out(ANA)) == 1
    visit.refresh_from_db()
    is_kept = when == "before she answers"
    assert visit.state == ("booked" if is_kept else "confirmed")


def test_a_number_that_both_of_her_records_had_is_hers_alone(monday):
    maya, again = minor(), minor()
    again.contact_persons.all().delete()
    merge(maya, again, member_of_staff("femi", Role.FRONT_DESK))
    booked(maya, at=datetime(2026, 11, 26, 10), confidential=True)
    run_pass()
    assert [m.address for m in out()] == [MAYA]
