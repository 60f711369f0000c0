"""Replies are handled whatever breaks: none is lost, late, or out of its turn."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.models import Appointment
from messaging import inbound
from messaging.inbound import handle_received, receive
from messaging.models import Message, Suppression
from messaging.promises import broken_promises
from tests.factories import GRACE, SiteFactory, booked, patient
from tests.messaging.test_inbound import TOMORROW_10, text, waiting
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def visit(monday) -> Appointment:
    """Grace's visit tomorrow, of which she has been told."""
    appointment = booked(at=TOMORROW_10)
    run_pass()
    return appointment


@pytest.fixture
def poison(monkeypatch):
    """Break the handling of one text."""
    screen = inbound.screen
    monkeypatch.setattr(
        inbound, "screen", lambda m: 1 / 0 if m.body == "poison" else screen(m)
    )


def test_one_that_cannot_be_handled_holds_up_no_other(visit, poison):
    text("poison")
    text("1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert Message.objects.filter(direction="in", handled_at=None).count() == 1


def test_three_hundred_that_break_hold_up_no_other_either(visit, poison, monkeypatch):
    monkeypatch.setattr(inbound, "MOST_TRIES", 99)
    for n in range(300):
        receive(
            provider="simulated",
            provider_id=f"P{n}",
            channel="sms",
            from_address="+16175550190",
            to_address="",
            body="poison",
        )
    text("1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED


def test_what_breaks_three_times_goes_to_a_person_as_it_is(visit, poison):
    text("poison")
    run_pass()
    assert not WorkItem.objects.exists()
    run_pass()
    item = WorkItem.objects.get()
    assert (item.kind, item.patient) == ("unhandled_reply", visit.patient)
    assert "poison" in item.sentence
    assert item.due_at == timezone.now() + timedelta(minutes=15)
    assert waiting()
    assert not Message.objects.filter(direction="in", handled_at=None).exists()
    run_pass()
    assert WorkItem.objects.count() == 1
    assert broken_promises() == []


def test_five_hundred_texts_are_handled_in_one_pass(monday):
    SiteFactory()
    for n in range(500):
        receive(
            provider="simulated",
            provider_id=f"P{n}",
            channel="sms",
            from_address=f"+1617555{n:04}",
            to_address="",
            body="hello",
        )
    assert handle_received() == 500


def test_what_no_time_is_left_for_is_the_next_passes(visit, monkeypatch):
    monkeypatch.setattr(inbound, "HANDLE_FOR", timedelta(0))
    receive(
        provider="simulated",
        provider_id="P",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="1",
    )
    assert handle_received() == 0
    monkeypatch.undo()
    assert handle_received() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_start_after_stop_is_never_taken_for_stop_after_start(monday):
    """One worker has STOP in hand; another meets the START that came after it."""
    patient()
    for sid, body in (("A", "STOP"), ("B", "START")):
        receive(
            provider="simulated",
            provider_id=sid,
            channel="sms",
            from_address=GRACE,
            to_address="",
            body=body,
        )

    def another_worker() -> int:
        try:
            return handle_received()
        finally:
            connection.close()

    with transaction.atomic():
        Message.objects.select_for_update().get(provider_id="A")
        with ThreadPoolExecutor(1) as workers:
            assert workers.submit(another_worker).result() == 0
    assert handle_received() == 2
    assert [s.on for s in Suppression.objects.order_by("id")] == [True, False]
