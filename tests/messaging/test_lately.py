"""What went wrong in the last days, in words, and what the month's texts cost."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.ladder import open_due
from messaging.lately import lately, segment_price, spend
from messaging.models import Message, Tally
from messaging.services import suppress
from messaging.tally import tally
from patients.models import Channel
from tests.factories import GRACE, MONDAY, booked, member_of_staff, patient
from tests.fakes.twilio import Behaviour

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)
LATELY = "/operations/lately/"


@pytest.fixture
def ada(client):
    user = member_of_staff("ada", Role.MANAGER)
    client.force_login(user)
    return user


def page(client) -> str:
    answer = client.get(LATELY)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_what_failed_lately_in_words(client, monday, twilio, ada):
    for n, code in enumerate((21211, 21614, 21610, 99999)):
        somebody = patient(f"Given{n}", phone=f"+1617555012{n}")
        booked(somebody, at=datetime(2026, 11, 24, 10 + n))
        twilio.script(Behaviour.error(400, code))
        run_pass()
    found = lately(timezone.now())
    assert [
        (one.title, one.day, one.week, sorted(one.codes)) for one in found["troubles"]
    ] == [
        ("No such number or mailbox", 2, 2, ["21211", "21614"]),
        ("Refused or filtered", 1, 1, ["99999"]),
        ("They stopped us", 1, 1, ["21610"]),
    ]
    monday.shift(timedelta(days=2))
    (first, *_rest) = lately(timezone.now())["troubles"]
    assert (first.day, first.week) == (0, 2)
    client.force_login(ada)
    text = page(client)
    assert "a landline takes no texts" in text
    monday.shift(timedelta(days=6))
    assert lately(timezone.now())["troubles"] == []


@pytest.mark.parametrize(
    ("state", "channel", "code", "title"),
    [
        ("undelivered", "sms", "30003", "Not reachable then"),
        ("undelivered", "sms", "30007", "Refused or filtered"),
        ("undelivered", "sms", "30034", "The account may not send"),
        ("undelivered", "sms", "", "Not delivered, no reason given"),
        ("failed", "email", "5.2.2", "Mailbox full"),
        ("undelivered", "email", "5.1.1", "No such number or mailbox"),
    ],
)
def test_each_code_has_its_words(monday, state, channel, code, title):
    booked(at=TOMORROW_10)
    open_due()
    provider = "twilio" if channel == "sms" else "smtp"
    Message.objects.update(
        state=state, channel=channel, error_code=code, provider=provider
    )
    (one,) = lately(timezone.now())["troubles"]
    assert one.title == title


def test_what_was_not_sent_and_why(monday):
    booked(at=TOMORROW_10)
    open_due()
    suppress(address=GRACE, channel=Channel.SMS, cause="STOP")
    run_pass()
    found = lately(timezone.now())
    assert {"why": "they asked us to stop", "day": 1, "week": 1} in found["withdrawn"]
    assert found["stopped"] == {"day": 1, "week": 1}


def test_what_is_only_counted(client, monday, ada):
    tally("webhook_unsigned")
    Tally.objects.create(key="webhook_missed", day=MONDAY.date(), count=3)
    Tally.objects.create(
        key="webhook_missed", day=MONDAY.date() - timedelta(days=6), count=4
    )
    Tally.objects.create(
        key="webhook_missed", day=MONDAY.date() - timedelta(days=7), count=5
    )
    found = lately(timezone.now())["tallies"]
    assert found["webhook_unsigned"] == {"day": 1, "week": 1}
    assert found["webhook_missed"] == {"day": 3, "week": 7}
    assert "1 today: a wrong public address" in page(client)


def test_what_the_month_costs(client, monday, settings, ada):
    booked(at=TOMORROW_10)
    booked(patient("Leo", phone="+16175550120"), at=datetime(2026, 11, 24, 11))
    run_pass()
    found = spend(timezone.now())
    assert [(row["title"], row["texts"]) for row in found["rows"]] == [
        ("A visit was booked", 2)
    ]
    segments = found["segments"]
    assert segments >= 2
    assert found["cost"] is None
    assert "With SMS_SEGMENT_PRICE set" in page(client)
    settings.SMS_SEGMENT_PRICE = "0.0083 USD"
    found = spend(timezone.now())
    assert found["cost"] == (Decimal("0.0083") * segments).quantize(Decimal("0.01"))
    assert "USD" in page(client)
    # The month is the clinic's own: at 04:00Z on the first it has not begun.
    monday.move_to(datetime(2026, 12, 1, 4, tzinfo=MONDAY.tzinfo))
    assert spend(timezone.now())["segments"] == segments
    monday.move_to(datetime(2026, 12, 1, 5, tzinfo=MONDAY.tzinfo))
    assert spend(timezone.now())["segments"] == 0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", (None, "")),
        ("0.0083", (Decimal("0.0083"), "")),
        ("0.0083 USD", (Decimal("0.0083"), "USD")),
        ("free", (None, "")),
        ("NaN", (None, "")),
        ("-1 USD", (None, "")),
    ],
)
def test_the_price_of_a_segment(settings, written, read):
    settings.SMS_SEGMENT_PRICE = written
    assert segment_price() == read
