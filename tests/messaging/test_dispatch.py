"""From queued to handed over, whatever the provider answers: none twice, none lost."""

import threading
import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.services import cancel_appointment, move_appointment
from messaging import dispatch
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Breaker, Bucket, CurrentSuppression, Message, Notice
from messaging.promises import broken_promises
from messaging.status import receive_status
from patients.models import Channel, ContactPoint
from tests.factories import GRACE, booked, patient
from tests.fakes.mailbox import MailBehaviour
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def the_message() -> Message:
    return Message.objects.filter(direction="out").order_by("id")[0]


@pytest.mark.parametrize(
    ("behaviour", "state", "why"),
    [
        (Behaviour.OK, "accepted", ""),
        (Behaviour.error(429, 20429), "queued", ""),
        (Behaviour.error(400, 21211), "failed", "bad address"),
        (Behaviour.error(400, 21610), "failed", "opted out"),
        (Behaviour.error(400, 99999), "failed", "refused"),
        (Behaviour.error(401, 20003), "queued", ""),
        (Behaviour.SERVER_ERROR_BEFORE, "unknown", "unknown"),
        (Behaviour.SERVER_ERROR_AFTER, "unknown", "unknown"),
        (Behaviour.CUT_BEFORE, "unknown", "unknown"),
        (Behaviour.CUT_AFTER, "unknown", "unknown"),
        (Behaviour.UNPARSABLE_AFTER, "unknown", "unknown"),
    ],
)
def test_what_each_answer_makes_of_a_message(monday, twilio, behaviour, state, why):
    booked(at=TOMORROW_10)
    twilio.script(behaviour)
    run_pass()
    message = the_message()
    assert (message.state, message.why) == (state, why)
    assert message.lease_token is None


def test_a_provider_that_is_away_costs_time_and_no_message(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.stop()
    run_pass()
    message = the_message()
    assert message.state == Message.State.QUEUED
    assert message.not_before > timezone.now()
    twilio.start()
    monday.shift(60)
    run_pass()
    assert the_message().state == Message.State.ACCEPTED
    assert len(twilio.accepted_to(GRACE)) == 1


def test_a_gateway_switched_off_by_hand_holds_everything(monday, twilio):
    Breaker.objects.create(
        provider="twilio", credential=twilio.account_sid, state=Breaker.State.OFF
    )
    booked(at=TOMORROW_10)
    run_pass()
    assert the_message().why == "the gateway is closed"
    assert twilio.attempts == []
    Breaker.objects.update(state=Breaker.State.CLOSED)
    monday.shift(61)
    run_pass()
    assert len(twilio.ledger) == 1


def test_a_dead_number_is_remembered_and_a_person_told(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.error(400, 21211))
    run_pass()
    assert ContactPoint.objects.get().why_not == "refused (21211)"
    assert Notice.objects.get(purpose="visit_booked").state == "with_staff"


def test_an_answer_that_cannot_arrive_is_tried_once(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    receive(
        provider="twilio",
        provider_id="SM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="2",
    )
    twilio.always(Behaviour.error(400, 21614))
    run_pass()
    run_pass()
    assert len(twilio.attempts) == 2
    assert Notice.objects.get(purpose="reply").state == "expired"


def test_an_opt_out_only_the_provider_knew_of_is_mirrored(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.error(400, 21610))
    run_pass()
    assert CurrentSuppression.objects.get().address == GRACE


def test_the_callback_settles_what_the_answer_did_not(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.CUT_AFTER)
    run_pass()
    message = the_message()
    accepted = twilio.accepted_to(GRACE)[0]
    receive_status(
        provider="twilio",
        provider_id=accepted.sid,
        ref=uuid.UUID(accepted.status_callback.partition("ref=")[2]),
        status="delivered",
    )
    message.refresh_from_db()
    assert (message.state, message.provider_id) == ("delivered", accepted.sid)
    assert Notice.objects.get(purpose="visit_booked").state == "reached"
    monday.shift(3600)
    run_pass()
    assert len(twilio.accepted_to(GRACE)) == 1


def test_the_list_settles_it_when_no_callback_comes(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.SERVER_ERROR_AFTER)
    run_pass()
    monday.shift(121)
    run_pass()
    assert the_message().state == Message.State.ACCEPTED
    assert len(twilio.accepted_to(GRACE)) == 1


def test_what_provably_never_went_is_sent_once_more(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.SERVER_ERROR_BEFORE)
    run_pass()
    for _look in range(3):
        monday.shift(301)
        run_pass()
    first, second = Message.objects.filter(direction="out").order_by("id")
    assert (first.state, second.state) == ("unknown", "accepted")
    assert second.resend_of == first
    assert len(twilio.accepted_to(GRACE)) == 1


def test_once_more_may_mean_another_channel_and_is_once(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    twilio.script(Behaviour.SERVER_ERROR_BEFORE)
    run_pass()
    ContactPoint.objects.filter(channel="sms").update(usable=False)
    for _look in range(6):
        monday.shift(301)
        run_pass()
    assert len(mailbox.messages) == 1
    assert twilio.ledger == []


def test_unknown_twice_goes_to_a_person(monday, twilio):
    booked(at=TOMORROW_10)
    twilio.always(Behaviour.SERVER_ERROR_BEFORE)
    run_pass()
    for _look in range(8):
        monday.shift(301)
        run_pass()
        assert broken_promises() == []
    assert Message.objects.filter(direction="out").count() == 2
    assert Notice.objects.get(purpose="visit_booked").state == "with_staff"
    assert WorkItem.objects.open().get().kind == "unreached"


def test_a_worker_lost_before_the_gate_leaves_nothing_behind(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    assert dispatch.claim(8)
    assert dispatch.claim(8) is None
    monday.shift(91)
    dispatch.reap()
    run_pass()
    assert len(twilio.accepted_to(GRACE)) == 1


def test_a_worker_lost_after_the_gate_leaves_its_message_unknown(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    dispatch._gate(dispatch.claim(8))
    monday.shift(91)
    dispatch.reap()
    assert the_message().state == Message.State.UNKNOWN
    assert twilio.ledger == []


def test_what_was_let_go_too_long_ago_is_judged_again(monday, twilio):
    """A process that was stopped between gate and provider comes back late."""
    visit = booked(at=TOMORROW_10)
    open_due()
    token = dispatch.claim(8)
    going, _judged = dispatch._gate(token)
    monday.shift(dispatch.FRESH_FOR + timedelta(seconds=1))
    dispatch.record_all(dispatch._send(going), token)
    assert twilio.attempts == []
    assert (the_message().state, the_message().attempts) == ("queued", 0)
    cancel_appointment(appointment_id=visit.pk, by=None, tell=False)
    run_pass()
    assert twilio.attempts == []


def test_just_fresh_enough_goes(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    token = dispatch.claim(8)
    going, _judged = dispatch._gate(token)
    monday.shift(dispatch.FRESH_FOR)
    dispatch.record_all(dispatch._send(going), token)
    assert the_message().state == Message.State.ACCEPTED


def test_the_most_urgent_is_claimed_first_and_then_the_oldest(monday):
    for place in range(4):
        who = patient(f"Given{place}", phone=f"+1617555012{place}")
        booked(who, at=datetime(2026, 11, 24, 9 + place))
    open_due()
    late, early, changed, danger = Message.objects.order_by("id")
    now = timezone.now()
    for message, urgency, since in (
        (late, 2, now),
        (early, 2, now - timedelta(hours=1)),
        (changed, 1, now),
        (danger, 0, now),
    ):
        message.urgency, message.not_before = urgency, since
        message.save()
    claimed = []
    while token := dispatch.claim(1):
        claimed.append(Message.objects.get(lease_token=token))
    assert claimed == [danger, changed, early, late]


def test_a_moved_visit_goes_before_a_reminder(monday):
    visit = booked(at=TOMORROW_10)
    run_pass()
    move_appointment(
        appointment_id=visit.pk, local_start=datetime(2026, 11, 26, 10), by=None
    )
    open_due()
    assert [m.urgency for m in Message.objects.order_by("id")] == [2, 1]


def test_a_channel_that_is_full_holds_up_no_other(monday, twilio, mailbox, settings):
    settings.SMS_SEGMENTS_PER_SECOND = 1
    Bucket.objects.create(sender="+16175550100", level=0, at=timezone.now())
    booked(patient(), at=TOMORROW_10)
    ana = patient("Ana", phone="", email="ana@example.com")
    booked(ana, at=datetime(2026, 11, 24, 11))
    run_pass()
    assert (len(twilio.ledger), len(mailbox.messages)) == (0, 1)
    Message.objects.filter(channel="sms").update(not_before=timezone.now())
    assert dispatch.claim(8, leaving_out={Channel.SMS}) is None
    assert dispatch.claim(8) is not None


def test_put_off_again_and_again_it_goes_another_way(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    twilio.always(Behaviour.error(429, 20429))
    for _try in range(dispatch.MOST_TRIES):
        run_pass()
        monday.shift(timedelta(minutes=10))
    run_pass()
    assert the_message().why == "put off again and again"
    assert len(twilio.attempts) == dispatch.MOST_TRIES
    assert len(mailbox.messages) == 1


def test_one_that_cannot_be_judged_holds_up_no_other(monday, twilio, monkeypatch):
    booked(patient(), at=TOMORROW_10)
    booked(patient("Ana", phone="+16175550162"), at=datetime(2026, 11, 24, 11))
    outgoing = dispatch._outgoing

    def break_for_grace(message):
        if message.address == GRACE:
            raise RuntimeError
        return outgoing(message)

    monkeypatch.setattr(dispatch, "_outgoing", break_for_grace)
    run_pass()
    assert [accepted.to for accepted in twilio.ledger] == ["+16175550162"]
    monkeypatch.undo()
    monday.shift(91)
    run_pass()
    assert len(twilio.ledger) == 2


def test_the_lease_counts_from_the_submission(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    token = dispatch.claim(8)
    monday.shift(80)
    dispatch._gate(token)
    monday.shift(80)
    assert dispatch.reap() == 0


def test_a_country_we_may_not_text_is_no_fault_of_the_gateway(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    twilio.script(Behaviour.error(400, 21408))
    run_pass()
    assert len(mailbox.messages) == 1
    assert not Breaker.objects.exists()


def test_a_closed_gateway_holds_a_text_no_longer_than_its_rung(monday, twilio, mailbox):
    Breaker.objects.create(
        provider="twilio", credential=twilio.account_sid, state=Breaker.State.OFF
    )
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    assert mailbox.messages == []
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert len(mailbox.messages) == 1


def test_a_mail_sent_once_more_keeps_its_message_id(monday, mailbox):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    mailbox.script(MailBehaviour.DROP_AFTER)
    run_pass()
    monday.shift(121)
    run_pass()
    first, again = mailbox.messages
    assert first["Message-ID"] == again["Message-ID"]


def test_a_fault_of_ours_before_the_call_sends_nothing(monday, twilio, monkeypatch):
    booked(at=TOMORROW_10)
    open_due()

    def broken(message):
        raise RuntimeError

    monkeypatch.setattr(dispatch, "_outgoing", broken)
    dispatch.dispatch_due()
    assert twilio.attempts == []
    monkeypatch.undo()
    monday.shift(91)
    run_pass()
    assert the_message().state == Message.State.ACCEPTED


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_six_workers_send_two_hundred_texts_once_each(twilio):
    for place in range(200):
        booked(
            patient(f"Given{place}", phone=f"+1617555{place:04d}"),
            at=datetime(2030, 11, 1 + place // 20, 8 + place % 20 // 2, place % 2 * 30),
        )
    open_due()
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        dispatch.dispatch_due()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(twilio.ledger) == 200
    assert len({accepted.to for accepted in twilio.ledger}) == 200


def test_demo_patients_never_pass_a_real_gateway(monday, twilio):
    booked(patient(is_demo=True), at=TOMORROW_10)
    run_pass()
    assert twilio.ledger == []
    assert the_message().provider == "simulated"


def test_the_validity_ends_with_the_deadline(monday, twilio):
    booked(at=datetime(2026, 11, 23, 12))
    run_pass()
    assert twilio.ledger[0].validity_period == 2 * 3600


def test_by_email_where_there_is_no_phone(monday, twilio, mailbox):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    (mail,) = mailbox.messages_to("grace@example.com")
    assert mail["Subject"] == "Your visit"
    text = mail.get_body(("plain",)).get_content()
    assert "call 617 555 0100" in text
    assert "Reply" not in text
    assert the_message().provider_id == mail["Message-ID"]
    notice = Notice.objects.get(purpose="visit_booked")
    assert notice.state == "open"
    monday.shift(timedelta(hours=1, seconds=1))
    run_pass()
    notice.refresh_from_db()
    assert notice.state == "reached"
