"""The rules of the gate: caps by notice, and nothing while a person has to look."""

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.ticks import run_pass
from messaging.handover import TAKE_OVER_WITHIN
from messaging.inbound import receive
from messaging.judging import HOLD_LOOK
from messaging.models import Hold, Message, Notice
from messaging.services import promise
from patients.models import Consent, ContactPerson, ContactPoint
from tests.factories import GRACE, MONDAY, booked, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


def test_the_cap_counts_notices_and_not_texts(monday):
    """One text of three visits is three of the four an address gets in a day."""
    grace = patient()
    for hour in (9, 10, 11):
        booked(grace, at=datetime(2026, 11, 25, hour), tell=False)
    for place in range(2):
        shares = patient(f"Given{place}")
        booked(shares, at=datetime(2026, 11, 25, 13 + place), tell=False)
    monday.move_to(MONDAY + timedelta(days=1, hours=5))
    run_pass()
    told = Message.objects.filter(direction="out")
    assert sorted(told.values_list("state", flat=True)) == [
        "delivered",
        "delivered",
        "queued",
    ]
    assert told.get(patient=grace).notices.count() == 3
    assert told.get(state="queued").why == "enough texts for one day"


def test_across_passes_too_and_for_a_day(monday):
    grace = patient()
    for hour in (9, 10, 11):
        booked(grace, at=datetime(2026, 11, 25, hour), tell=False)
    for place in range(2):
        shares = patient(f"Given{place}")
        booked(shares, at=datetime(2026, 11, 25, 13 + place), tell=False)
    tuesday = MONDAY + timedelta(days=1)
    for hours in (3, 4, 5):
        monday.move_to(tuesday + timedelta(hours=hours))
        run_pass()
    assert Message.objects.filter(state="delivered").count() == 2
    assert Message.objects.get(state="queued").why == "enough texts for one day"
    Message.objects.filter(state="queued").update(deadline=None)
    Notice.objects.update(deadline=tuesday + timedelta(days=3))
    monday.move_to(tuesday + timedelta(days=1, hours=2, minutes=59))
    run_pass()
    assert Message.objects.filter(state="queued").exists()
    monday.move_to(tuesday + timedelta(days=1, hours=4))
    run_pass()
    assert not Message.objects.filter(state="queued").exists()


def hold(kind: str, **whom) -> Hold:
    receive(
        provider="simulated",
        provider_id=f"SIM{kind}",
        channel="sms",
        from_address="+16175550199",
        to_address="",
        body="…",
    )
    words = Message.objects.filter(direction="in").latest("id")
    return Hold.objects.create(kind=kind, message=words, at=timezone.now(), **whom)


def test_a_number_that_may_be_wrong_waits_and_then_another_way_is_tried(
    monday, mailbox, settings
):
    grace = patient(email="grace@example.com")
    hold("wrong_number", address=GRACE)
    booked(grace, at=datetime(2026, 11, 30, 10))
    run_pass()
    (text,) = Message.objects.filter(direction="out")
    assert (text.state, text.why) == ("queued", "may be a wrong number")
    monday.shift(TAKE_OVER_WITHIN - timedelta(seconds=1))
    Message.objects.filter(state="queued").update(not_before=timezone.now())
    run_pass()
    assert mailbox.messages == []
    monday.shift(1)
    Message.objects.filter(state="queued").update(not_before=timezone.now())
    run_pass()
    assert len(mailbox.messages) == 1


def test_it_goes_when_a_person_has_looked(monday):
    wrong = hold("wrong_number", address=GRACE)
    booked(at=datetime(2026, 11, 30, 10))
    run_pass()
    wrong.ended_at = timezone.now()
    wrong.save()
    monday.shift(HOLD_LOOK)
    run_pass()
    assert Message.objects.get(direction="out").state == Message.State.DELIVERED


def test_of_somebody_who_may_have_died_nothing_goes_any_way(monday, mailbox):
    grace = patient(email="grace@example.com")
    hold("bereavement", patient=grace)
    booked(grace, at=datetime(2026, 11, 30, 10))
    run_pass()
    assert Message.objects.get(direction="out").why == "may have died"
    monday.shift(TAKE_OVER_WITHIN)
    run_pass()
    assert mailbox.messages == []
    assert Message.objects.get(direction="out").state == Message.State.WITHDRAWN
    item = WorkItem.objects.open().get(kind="unreached")
    assert "may have died" in item.sentence


def test_nor_to_those_who_answer_for_them(monday):
    leo = patient("Leo", phone="", birth_date=date(2020, 5, 1))
    father = ContactPerson.objects.create(
        patient=leo,
        name="Ben Duarte",
        relation="father",
        is_responsible=True,
        scopes=["schedule"],
    )
    ContactPoint.objects.create(contact_person=father, channel="sms", address=GRACE)
    Consent.objects.create(
        patient=leo, channel="sms", given=True, method="form", at=timezone.now()
    )
    hold("bereavement", patient=leo)
    booked(leo, at=datetime(2026, 11, 30, 10))
    run_pass()
    assert Message.objects.get(direction="out").why == "may have died"


def test_no_hold_is_waited_for_when_the_deadline_is_near(monday):
    grace = patient()
    hold("bereavement", patient=grace)
    booked(grace, at=datetime(2026, 11, 23, 11))
    run_pass()
    assert WorkItem.objects.open().filter(kind="unreached").exists()


def test_advice_in_an_emergency_is_not_held(monday):
    grace = patient()
    hold("wrong_number", address=GRACE)
    hold("bereavement", patient=grace)
    promise(
        purpose="emergency_reply",
        template_key="emergency_reply",
        cause_kind="message",
        cause_id=Message.objects.filter(direction="in")[0].pk,
        dedupe_key="danger",
        deadline=timezone.now() + timedelta(minutes=30),
        zone="America/New_York",
        address=GRACE,
        about_patient=grace,
    )
    run_pass()
    assert Message.objects.get(direction="out").state == Message.State.DELIVERED
