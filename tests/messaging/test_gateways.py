"""A gateway that refuses or does not answer: messages wait, one of them tries."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.ticks import run_pass
from messaging import dispatch, gateways
from messaging.gateways import CLOSED_FOR, TROUBLED_FOR, TROUBLES, TROUBLES_WITHIN
from messaging.ladder import open_due
from messaging.models import Breaker, Message
from tests.factories import booked, patient
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

WRONG = Behaviour.error(401, 20003)
BUSY = Behaviour.error(429, 20429)


def several(count: int, first: int = 0) -> None:
    """Book visits of tomorrow for patients with a number each."""
    for place in range(first, first + count):
        booked(
            patient(f"Given{place}", phone=f"+16175550{place:03d}"),
            at=datetime(2026, 11, 24, 8 + place // 6, place % 6 * 10),
            overbooked=True,
        )


def breaker() -> Breaker:
    return Breaker.objects.get(provider="twilio")


def hear(*troubles: str | None) -> None:
    gateways.hear("twilio", troubles)


def test_wrong_credentials_close_it_burn_no_attempt_and_tell_somebody(monday, twilio):
    several(1)
    twilio.script(WRONG)
    run_pass()
    message = Message.objects.get()
    assert (message.state, message.attempts) == ("queued", 0)
    assert message.not_before == timezone.now() + CLOSED_FOR
    assert WorkItem.objects.open().get().kind == "gateway"


def test_one_message_tries_it_and_the_others_wait_for_what_it_says(monday, twilio):
    several(12)
    twilio.always(WRONG)
    run_pass()
    run_pass()
    assert len(twilio.attempts) == 12
    for tries in (13, 14):
        monday.shift(CLOSED_FOR)
        run_pass()
        assert len(twilio.attempts) == tries
    assert set(Message.objects.values_list("attempts", flat=True)) == {0}
    assert WorkItem.objects.open().count() == 1


def test_it_heals_by_itself(monday, twilio):
    several(12)
    twilio.always(WRONG)
    run_pass()
    twilio.always(Behaviour.OK)
    monday.shift(CLOSED_FOR)
    run_pass()
    assert len(twilio.ledger) == 1
    assert breaker().state == Breaker.State.CLOSED
    assert not WorkItem.objects.open().exists()
    monday.shift(CLOSED_FOR)
    run_pass()
    assert len(twilio.ledger) == 12


def test_whoever_tries_and_dies_leaves_it_to_another(monday, twilio):
    Breaker.objects.create(
        provider="twilio",
        credential=twilio.account_sid,
        state=Breaker.State.OPEN,
        until=timezone.now(),
    )
    several(2)
    open_due()
    going, judged = dispatch._gate(dispatch.claim(8))
    assert (len(going), len(judged)) == (1, 2)
    run_pass()
    assert twilio.attempts == []
    monday.shift(CLOSED_FOR)
    run_pass()
    assert len(twilio.attempts) == 1


@pytest.mark.parametrize(
    ("behaviour", "state"), [(BUSY, "queued"), (Behaviour.CUT_BEFORE, "unknown")]
)
def test_no_answer_so_often_closes_it(monday, twilio, behaviour, state):
    several(TROUBLES - 1)
    twilio.always(behaviour)
    run_pass()
    assert breaker().state == Breaker.State.CLOSED
    several(1, first=TROUBLES)
    run_pass()
    assert (breaker().state, breaker().until) == (
        Breaker.State.OPEN,
        timezone.now() + TROUBLED_FOR,
    )
    several(1, first=TROUBLES + 1)
    run_pass()
    assert len(twilio.attempts) == TROUBLES
    assert WorkItem.objects.open().filter(kind="gateway").count() == 1
    waiting = Message.objects.order_by("-id").first()
    assert (waiting.state, waiting.attempts) == ("queued", 0)
    assert set(Message.objects.exclude(pk=waiting.pk).values_list("state")) == {
        (state,)
    }


def test_an_answer_in_between_begins_the_count_anew(monday, twilio):
    hear(*["timeout"] * (TROUBLES - 1))
    hear("timeout", None, "timeout")
    assert (breaker().state, breaker().trouble) == (Breaker.State.CLOSED, 1)


def test_so_does_a_quiet_minute(monday, twilio):
    hear(*["timeout"] * (TROUBLES - 1))
    monday.shift(TROUBLES_WITHIN)
    hear("timeout")
    assert breaker().state == Breaker.State.OPEN
    Breaker.objects.all().delete()
    hear(*["timeout"] * (TROUBLES - 1))
    monday.shift(TROUBLES_WITHIN + timedelta(seconds=1))
    hear("timeout")
    assert (breaker().state, breaker().trouble) == (Breaker.State.CLOSED, 1)


def test_one_trouble_more_keeps_it_closed_for_longer(monday, twilio):
    hear(*["timeout"] * TROUBLES)
    monday.shift(TROUBLED_FOR)
    hear("timeout")
    assert breaker().until == timezone.now() + TROUBLED_FOR


def test_what_a_manager_switched_off_no_answer_switches_on(monday, twilio):
    Breaker.objects.create(
        provider="twilio", credential=twilio.account_sid, state=Breaker.State.OFF
    )
    hear(None)
    hear(*["timeout"] * TROUBLES)
    gateways.trip("twilio", "20003")
    assert breaker().state == Breaker.State.OFF


def test_another_account_starts_afresh(monday, twilio, settings):
    gateways.trip("twilio", "20003")
    settings.TWILIO_ACCOUNT_SID = "ACother"
    assert gateways.closed_gateways(["twilio"], timezone.now()) == {}


def test_while_all_is_well_it_is_one_query(monday, twilio, django_assert_num_queries):
    gateways.trip("twilio", "20003")
    hear(None)
    with django_assert_num_queries(1):
        hear(None, None)


def test_a_throttled_message_waits_as_long_as_it_is_told(monday, twilio):
    several(1)
    twilio.script(Behaviour.error(429, 20429, retry_after="7"))
    run_pass()
    assert Message.objects.get().not_before == timezone.now() + timedelta(seconds=7)


def test_a_greylist_says_nothing_about_the_mail_server(monday, mailbox):
    from tests.fakes.mailbox import MailBehaviour  # noqa: PLC0415

    for place in range(TROUBLES):
        who = patient(f"Given{place}", phone="", email=f"p{place}@example.com")
        booked(who, at=datetime(2026, 11, 24, 8 + place))
    mailbox.always(MailBehaviour.refuse_recipient(450, "4.2.0 greylisted"))
    run_pass()
    assert Message.objects.filter(state="queued").count() == TROUBLES
    assert not Breaker.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_four_workers_one_tries():
    open_breaker = Breaker.objects.create(
        provider="twilio", state=Breaker.State.OPEN, until=timezone.now()
    )
    start, began = threading.Barrier(4), []

    def work() -> None:
        mine = Breaker.objects.get(pk=open_breaker.pk)
        start.wait()
        began.append(gateways.begin_probe(mine, timezone.now()))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(began) == [False, False, False, True]
