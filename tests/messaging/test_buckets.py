"""As many segments as a sender may send, the urgent ones first."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.ticks import run_pass
from messaging import buckets
from messaging.buckets import HOLDS_SECONDS, take
from messaging.models import Bucket, Message
from tests.factories import GRACE, booked, patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def one_a_second(twilio, settings) -> None:
    settings.SMS_SEGMENTS_PER_SECOND = 1.0


def text(pk: int, segments: int = 1, urgency: int = 2) -> Message:
    return Message(
        pk=pk, channel="sms", address=GRACE, segments=segments, urgency=urgency
    )


def waits(*messages: Message) -> dict[int, float]:
    """Return {number: seconds it waits} of those that do not fit."""
    now = timezone.now()
    return {
        pk: (until - now).total_seconds() for pk, until in take(messages, now).items()
    }


def test_without_a_rate_there_is_no_bucket(monday, twilio, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert waits(*map(text, range(1000))) == {}


def test_what_fits_goes_and_the_rest_waits_its_turn(monday, one_a_second):
    assert waits(*map(text, range(HOLDS_SECONDS + 3))) == {
        HOLDS_SECONDS: 1,
        HOLDS_SECONDS + 1: 2,
        HOLDS_SECONDS + 2: 3,
    }


def test_it_fills_with_time_and_holds_no_more_than_it_can(monday, one_a_second):
    waits(text(1, segments=HOLDS_SECONDS))
    monday.shift(timedelta(seconds=2.9))
    assert waits(text(1, segments=3)) == {1: pytest.approx(0.1)}
    monday.shift(timedelta(seconds=0.1))
    assert waits(text(1, segments=3)) == {}
    monday.shift(timedelta(days=1))
    assert waits(text(1, segments=HOLDS_SECONDS), text(2)) == {2: 1}


def test_segments_count_and_nothing_overtakes_a_long_text(monday, one_a_second):
    waits(text(1, segments=HOLDS_SECONDS - 1))
    assert waits(text(2, segments=3), text(3)) == {2: 2, 3: 3}


def test_danger_never_waits_and_is_paid_for(monday, one_a_second):
    waits(text(1, segments=HOLDS_SECONDS))
    assert waits(text(2, urgency=0)) == {}
    assert waits(text(3)) == {3: 2}


def test_a_text_longer_than_the_bucket_goes_from_a_full_one(
    monday, one_a_second, settings
):
    settings.SMS_SEGMENTS_PER_SECOND = 0.1
    assert waits(text(1, segments=3)) == {}
    assert waits(text(2, segments=3)) == {2: 50}


def test_a_clock_that_is_behind_empties_nothing(monday, one_a_second):
    waits(text(1))
    monday.shift(timedelta(seconds=-30))
    assert waits(text(2, segments=HOLDS_SECONDS - 1)) == {}
    assert Bucket.objects.get().level == 0


def test_senders_and_demo_patients_have_their_own(monday, one_a_second, settings):
    waits(text(1, segments=HOLDS_SECONDS))
    settings.TWILIO_MESSAGING_SERVICE_SID = "MG1"
    assert waits(text(2)) == {}
    demo = text(3, segments=HOLDS_SECONDS)
    demo.patient = patient(is_demo=True)
    assert waits(demo) == {}


def test_the_queue_drains_at_the_rate_without_being_judged_again_and_again(
    monday, one_a_second, twilio, monkeypatch
):
    monkeypatch.setattr(buckets, "HOLDS_SECONDS", 2)
    for place in range(6):
        booked(
            patient(f"Given{place}", phone=f"+1617555010{place}"),
            at=datetime(2026, 11, 24, 9 + place),
        )
    run_pass()
    first = len(twilio.ledger)
    assert 0 < first < 6
    waiting = Message.objects.filter(state="queued")
    assert {why for (why,) in waiting.values_list("why")} == {
        "as many as the sender may send"
    }
    run_pass()
    assert len(twilio.ledger) == first
    for _second in range(20):
        monday.shift(1)
        run_pass()
    assert len(twilio.ledger) == 6


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_take_no_more_than_there_is(one_a_second, monkeypatch):
    now = timezone.now()
    Bucket.objects.create(sender="+16175550100", level=HOLDS_SECONDS, at=now)
    start, waiting = threading.Barrier(2), []

    def work(first: int) -> None:
        start.wait()
        with transaction.atomic():
            waiting.append(take([text(first + n) for n in range(8)], now))
        connection.close()

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(later) for later in waiting) == 16 - HOLDS_SECONDS
    assert Bucket.objects.get().level == 0
