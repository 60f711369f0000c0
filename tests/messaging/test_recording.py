"""What came of handing over is written once, by whoever holds the lease."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from accounts.ticks import run_pass
from messaging import dispatch, recording
from messaging.channels import ChannelError, Failure, HandedOver
from messaging.handover import give_up
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Conversation, Message, Notice, Question
from messaging.promises import broken_promises
from messaging.status import receive_status
from tests.factories import GRACE, booked, patient
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def the_message() -> Message:
    return Message.objects.filter(direction="out").order_by("id")[0]


def several(count: int) -> None:
    for place in range(count):
        who = patient(f"Given{place}", phone=f"+1617555012{place}")
        booked(who, at=datetime(2026, 11, 24, 9 + place))
    open_due()


def let_go(limit: int = 8) -> tuple[list[Message], uuid.UUID]:
    """Claim and judge; return what is now with the provider, and the lease's token."""
    token = dispatch.claim(limit)
    going, _judged = dispatch._gate(token)
    return [message for message, _outgoing in going], token


def taken(message: Message) -> HandedOver:
    return HandedOver(f"SM{message.pk}", "+16175550100")


def test_recording_costs_the_same_for_one_message_and_five(
    monday, twilio, django_assert_num_queries
):
    several(6)
    for count in (1, 5):
        messages, token = let_go(count)
        # A transaction of six statements, and the gateway's state.
        with django_assert_num_queries(2 + 6 + 1):
            recording.record_all([(m, taken(m)) for m in messages], token)
    assert Message.objects.filter(state="accepted").count() == 6


def test_it_is_what_the_ladder_the_page_and_the_thread_see(monday, twilio):
    several(2)
    messages, token = let_go()
    monday.shift(3)
    recording.record_all([(m, taken(m)) for m in messages], token)
    now = timezone.now()
    for message in Message.objects.all():
        assert (message.provider, message.accepted_at) == ("twilio", now)
        assert message.provider_id == f"SM{message.pk}"
        assert (message.lease_token, message.lease_until) == (None, None)
    waits = set(Notice.objects.values_list("rung_until", flat=True))
    assert waits == {now + timedelta(minutes=30)}
    assert set(Conversation.objects.values_list("last_message_at", flat=True)) == {now}


def test_a_late_worker_cannot_write_over_a_newer_lease(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    stale = dispatch.claim(8)
    monday.shift(91)
    dispatch.reap()
    run_pass()
    message = the_message()
    recording.record(message, HandedOver("SMfalse", ""), stale)
    recording.record_failure(message, ChannelError(Failure.REFUSED), stale)
    message.refresh_from_db()
    assert (message.state, message.provider_id) == ("accepted", twilio.ledger[0].sid)
    assert recording.ours(message, uuid.uuid4()) is None


def test_that_a_provider_took_it_is_welcome_however_late(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    (message,), token = let_go()
    monday.shift(91)
    dispatch.reap()
    recording.record(message, taken(message), token)
    assert the_message().state == Message.State.ACCEPTED


def test_what_a_callback_knew_first_is_not_taken_back(monday, twilio):
    several(2)
    messages, token = let_go()
    for message in messages:
        receive_status(
            provider="twilio",
            provider_id=f"SM{message.pk}",
            ref=message.ref if message == messages[0] else None,
            status="delivered",
        )
    recording.record_all([(m, taken(m)) for m in messages], token)
    assert set(Message.objects.values_list("state", flat=True)) == {"delivered"}
    assert set(Notice.objects.values_list("state", flat=True)) == {"reached"}


def test_an_item_nobody_claimed_is_closed_when_it_arrives_after_all(monday):
    booked(at=TOMORROW_10)
    open_due()
    messages, token = let_go()
    notice = Notice.objects.get()
    give_up(notice)
    arrived = HandedOver("SIM1", "", Message.State.DELIVERED)
    recording.record_all([(messages[0], arrived)], token)
    notice.refresh_from_db()
    assert notice.state == Notice.State.REACHED
    assert not WorkItem.objects.open().exists()


def test_a_database_that_gives_way_once_loses_no_result(monday, twilio, monkeypatch):
    several(3)
    note, tries = recording.note_taken, []

    def give_way_once(messages):
        tries.append(len(messages))
        if len(tries) == 1:
            raise OperationalError
        note(messages)

    monkeypatch.setattr(recording, "note_taken", give_way_once)
    dispatch.dispatch_due()
    assert tries == [3, 3]
    assert Message.objects.filter(state="accepted").count() == 3


def test_one_that_cannot_be_recorded_leaves_no_other_unknown(
    monday, twilio, monkeypatch
):
    several(3)
    note, broken = recording.note_taken, Message.objects.order_by("id")[1].pk

    def break_for_one(messages):
        if broken in {message.pk for message in messages}:
            raise IntegrityError
        note(messages)

    monkeypatch.setattr(recording, "note_taken", break_for_one)
    dispatch.dispatch_due()
    states = list(Message.objects.order_by("id").values_list("state", flat=True))
    assert states == ["accepted", "submitting", "accepted"]
    monkeypatch.undo()
    monday.shift(122)
    run_pass()
    run_pass()
    assert set(Message.objects.values_list("state", flat=True)) == {"accepted"}
    assert len(twilio.ledger) == 3


def test_one_provider_id_is_never_that_of_two_messages(monday, twilio):
    several(2)
    messages, token = let_go()
    same = HandedOver("SM1", "")
    recording.record_all([(message, same) for message in messages], token)
    states = sorted(Message.objects.values_list("state", "provider_id"))
    assert states == [("accepted", "SM1"), ("submitting", "")]


def test_a_text_put_off_asks_nothing_until_it_goes(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.error(429, 20429))
    run_pass()
    question = Question.objects.get()
    assert question.opened_at is None
    monday.shift(30)
    run_pass()
    receive(
        provider="twilio",
        provider_id="SM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="1",
    )
    run_pass()
    question.refresh_from_db()
    assert question.answer == "come"
    assert broken_promises() == []


def test_no_reply_answers_what_may_never_have_gone_out(monday, twilio):
    """Else a visit is confirmed of which the patient has not heard."""
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.CUT_BEFORE)
    run_pass()
    receive(
        provider="twilio",
        provider_id="SM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="1",
    )
    run_pass()
    assert Question.objects.get().answer == ""
    assert Notice.objects.get(purpose="visit_booked").state == Notice.State.OPEN
    assert Conversation.objects.get(state="waiting")
