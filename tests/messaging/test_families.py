"""Several children of one parent: one text, and each child's own rules."""

from datetime import date, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Message, Notice
from patients.models import Consent, ContactPerson, ContactPoint
from tests.factories import MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

ANA, BEN = "+16175550161", "+16175550162"
WEDNESDAY = date(2026, 11, 25)


def child(given: str, **fields):
    """Return a child who may be texted about, without a phone of their own."""
    somebody = patient(given, "Duarte", phone="", birth_date=date(2016, 5, 1), **fields)
    Consent.objects.create(
        patient=somebody, channel="sms", given=True, method="spoken", at=MONDAY
    )
    return somebody


def answers(somebody, name: str, number: str, **fields) -> ContactPerson:
    person = ContactPerson.objects.create(
        patient=somebody,
        name=name,
        relation="parent",
        is_responsible=True,
        scopes=["schedule"],
        **fields,
    )
    ContactPoint.objects.create(contact_person=person, channel="sms", address=number)
    return person


def on_wednesday(somebody, hour: int, minute: int = 0, **fields):
    at = datetime(2026, 11, 25, hour, minute)
    return booked(somebody, at=at, tell=False, **fields)


def out() -> list[Message]:
    return list(
        Message.objects.filter(direction="out", accepted_at__isnull=False).order_by(
            "id"
        )
    )


@pytest.fixture
def family(monday):
    """Leo and Mia, both with their mother Ana, and a visit each on Wednesday."""
    leo, mia = child("Leo"), child("Mia")
    answers(leo, "Ana Duarte", ANA)
    answers(mia, "Ana Duarte", ANA)
    on_wednesday(leo, 10)
    on_wednesday(mia, 10, 30)
    monday.move_to(MONDAY + timedelta(days=1, hours=1))
    return leo, mia


def test_two_children_of_one_parent_make_one_text(family):
    run_pass()
    (text,) = out()
    assert text.address == ANA
    assert (
        "Ana, see you Wed 25 Nov 10:00am and 10:30am for Leo and Mia at Pier St"
        in text.body
    )
    told = Notice.objects.filter(purpose="visit_reminder")
    assert {notice.state for notice in told} == {"reached"}
    assert {n.contact_person.patient.given_name for n in told} == {"Leo", "Mia"}


def test_one_answer_speaks_for_both(family):
    run_pass()
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=ANA,
        to_address="",
        body="1",
    )
    run_pass()
    leo, mia = family
    states = [who.appointments.get().state for who in (leo, mia)]
    assert states == ["confirmed", "confirmed"]


def test_another_name_at_the_same_number_is_another_person(family):
    ContactPerson.objects.filter(patient=family[1]).update(name="Ben Duarte")
    run_pass()
    assert len(out()) == 2
    assert not any("Leo" in text.body and "Mia" in text.body for text in out())


def test_the_same_record_under_two_names_is_one_person(family):
    ana = patient("Ana", "Duarte", phone="")
    ContactPerson.objects.update(person=ana)
    ContactPerson.objects.filter(patient=family[1]).update(name="Mum")
    run_pass()
    assert len(out()) == 1


def test_a_child_without_consent_is_not_in_the_text(family):
    Consent.objects.create(
        patient=family[1],
        channel="sms",
        given=False,
        method="spoken",
        at=timezone.now(),
    )
    run_pass()
    (text,) = out()
    assert "Leo" in text.body
    assert "Mia" not in text.body
    assert "not agreed to" in WorkItem.objects.open().get().sentence


def test_a_yes_to_email_is_no_yes_to_a_text(family):
    for one in family:
        Consent.objects.create(
            patient=one, channel="email", given=True, method="spoken", at=MONDAY
        )
    open_due()
    Consent.objects.create(
        patient=family[1],
        channel="sms",
        given=False,
        method="spoken",
        at=timezone.now(),
    )
    run_pass()
    (text,) = out()
    assert "Leo" in text.body
    assert "Mia" not in text.body


def test_who_may_no_longer_know_of_one_still_hears_of_the_other(family):
    _leo, mia = family
    answers(mia, "Ben Duarte", BEN)
    open_due()
    assert Message.objects.count() == 1
    ContactPerson.objects.filter(patient=mia, name="Ana Duarte").update(
        ended_at=timezone.now()
    )
    run_pass()
    bodies = {text.address: text.body for text in out()}
    assert "for Leo at" in bodies[ANA]
    assert "Mia" not in bodies[ANA]
    assert "Ben, see you Wed 25 Nov 10:30am for Mia" in bodies[BEN]


def test_a_text_that_is_held_names_only_who_may_still_be_named(monday):
    leo, mia = child("Leo"), child("Mia")
    answers(leo, "Ana Duarte", ANA)
    answers(mia, "Ana Duarte", ANA)
    on_wednesday(leo, 7)
    on_wednesday(mia, 7, 30)
    # Tuesday at 07:40: due, and too early to be texted.
    monday.move_to(MONDAY.replace(hour=12, minute=40) + timedelta(days=1))
    open_due()
    ContactPerson.objects.filter(patient=mia).update(ended_at=timezone.now())
    run_pass()
    assert out() == []
    monday.move_to(MONDAY.replace(hour=13) + timedelta(days=1))
    run_pass()
    (text,) = out()
    assert "for Leo at" in text.body
    assert "Mia" not in text.body


def test_the_first_child_may_be_the_one_that_parts(family):
    leo, mia = family
    answers(leo, "Ben Duarte", BEN)
    open_due()
    ContactPerson.objects.filter(patient=leo, name="Ana Duarte").update(
        ended_at=timezone.now()
    )
    run_pass()
    bodies = {text.address: text for text in out()}
    assert "for Mia at" in bodies[ANA].body
    assert "Leo" not in bodies[ANA].body
    assert bodies[ANA].patient == mia
    assert "for Leo" in bodies[BEN].body


def test_two_patients_of_nobody_keep_their_own_texts(monday):
    for given, number in (("Ida", "+16175550171"), ("Joe", "+16175550172")):
        on_wednesday(patient(given, phone=number), 10 if given == "Ida" else 11)
    monday.move_to(MONDAY + timedelta(days=1, hours=2))
    run_pass()
    assert len(out()) == 2


def test_a_text_about_two_children_stands_on_each_ones_page(client, family):
    run_pass()
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    (text,) = out()
    for one in family:
        shown = client.get(reverse("patients:patient_timeline", args=[one.pk]))
        assert shown.content.decode().count("for Leo and Mia") == 1
    assert text.patient == family[0]
