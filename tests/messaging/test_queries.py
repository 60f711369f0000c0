"""How late the dispatcher is: what could have gone, and nothing the gate would hold."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from messaging.gateways import trip
from messaging.models import Breaker, Message, Notice, NoticeMessage
from messaging.purposes import DAILY_CAP
from messaging.queries import oldest_sendable
from tests.factories import GRACE, MONDAY, patient

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def grace(monday):
    return patient()


def queued(
    who,
    purpose: str = "visit_reminder",
    *,
    not_before: datetime = MONDAY,
    zone: str = "America/New_York",
    **fields,
) -> Message:
    notice = Notice.objects.create(
        purpose=purpose,
        template_key=purpose,
        patient=who,
        about_patient=who,
        cause_kind="message",
        cause_id=1,
        dedupe_key=str(uuid.uuid4()),
        zone=zone,
        not_before=not_before,
        deadline=not_before + timedelta(days=2),
        matters=True,
        state=Notice.State.OPEN,
        created_at=not_before,
    )
    values = {"channel": "sms", "address": GRACE, "state": "queued"} | fields
    message = Message.objects.create(
        direction="out",
        patient=who,
        body="x",
        encoding="GSM-7",
        not_before=not_before,
        at=not_before,
        **values,
    )
    NoticeMessage.objects.create(message=message, notice=notice)
    return message


def lag() -> timedelta | None:
    now = timezone.now()
    since = oldest_sendable(now)
    return None if since is None else now - since


def test_nothing_waits(grace):
    assert lag() is None


def test_the_oldest_counts_from_when_it_could_go(grace, monday):
    queued(grace)
    monday.shift(MINUTE)
    queued(grace, not_before=timezone.now())
    assert lag() == MINUTE


@pytest.mark.parametrize("state", ["claimed", "submitting", "withdrawn", "delivered"])
def test_what_is_under_way_or_done_waits_for_nobody(grace, monday, state):
    queued(grace, state=state)
    monday.shift(MINUTE)
    assert lag() is None


def test_its_time_has_not_come(grace):
    queued(grace, not_before=MONDAY + MINUTE)
    assert lag() is None


def test_at_night_a_reminder_waits_rightly_and_from_eight_on_no_more(grace, monday):
    night = datetime(2026, 11, 24, 3, tzinfo=UTC)  # 22:00 in New York
    queued(grace, not_before=night)
    monday.move_to(night + 10 * MINUTE)
    assert lag() is None
    eight = datetime(2026, 11, 24, 13, tzinfo=UTC)
    monday.move_to(eight - MINUTE)
    assert lag() is None
    monday.move_to(eight + 5 * MINUTE)
    assert lag() == 5 * MINUTE


def test_the_hours_are_those_of_the_recipient(grace, monday):
    queued(grace, zone="America/Los_Angeles")  # 06:00 there
    monday.shift(10 * MINUTE)
    assert lag() is None
    queued(grace)
    assert lag() == 10 * MINUTE


def test_what_could_have_gone_by_day_is_late_at_night_too(grace, monday):
    queued(grace)
    monday.shift(timedelta(hours=14))
    assert lag() == timedelta(hours=14)


@pytest.mark.parametrize(
    ("purpose", "channel"), [("visit_booked", "sms"), ("visit_reminder", "email")]
)
def test_what_keeps_no_hours_is_late_at_night(grace, monday, purpose, channel):
    night = datetime(2026, 11, 24, 3, tzinfo=UTC)
    queued(grace, purpose, not_before=night, channel=channel)
    monday.move_to(night + MINUTE)
    assert lag() == MINUTE


def test_an_address_that_had_enough_for_a_day_waits_rightly(grace, monday):
    for _text in range(DAILY_CAP):
        queued(grace, state="delivered", submitting_at=MONDAY)
    queued(grace)
    monday.shift(MINUTE)
    assert lag() is None
    # What is not capped, and whoever else, does not wait with it.
    queued(grace, "visit_changed", not_before=timezone.now())
    assert lag() == timedelta()
    queued(grace, address="+16175550199")
    assert lag() == MINUTE


def test_yesterdays_texts_hold_nothing_back(grace, monday):
    for _text in range(DAILY_CAP):
        queued(grace, state="delivered", submitting_at=MONDAY - timedelta(hours=25))
    queued(grace)
    monday.shift(MINUTE)
    assert lag() == MINUTE


def test_a_gateway_that_refuses_is_waited_for_but_not_the_other(
    grace, monday, settings
):
    settings.EMAIL_GATEWAY = "smtp"
    queued(grace)
    trip("simulated", "20003")
    monday.shift(MINUTE / 2)
    assert lag() is None
    queued(grace, channel="email")
    assert lag() == MINUTE / 2


def test_a_gateway_that_is_tried_again_is_late(grace, monday):
    queued(grace)
    trip("simulated", "20003")
    monday.shift(2 * MINUTE)
    assert lag() == 2 * MINUTE


def test_a_gateway_somebody_switched_off_is_waited_for(grace, monday):
    queued(grace)
    trip("simulated", "20003")
    Breaker.objects.update(state=Breaker.State.OFF)
    monday.shift(timedelta(hours=2))
    assert lag() is None


def test_a_demo_patients_text_needs_no_twilio(grace, monday, settings):
    settings.SMS_GATEWAY = "twilio"
    trip("twilio", "20003")
    queued(grace)
    monday.shift(MINUTE / 2)
    assert lag() is None
    queued(patient("Leo", is_demo=True))
    assert lag() == MINUTE / 2


def test_two_queries_however_much_waits(grace, monday, django_assert_num_queries):
    for n in range(5):
        queued(grace, address=f"+1617555012{n}")
    with django_assert_num_queries(2):
        lag()
