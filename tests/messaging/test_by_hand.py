"""A manager settles by hand what nobody knows, and switches a gateway; reports win."""

import threading
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.by_hand import give_up_try, mark_sent, send_again, switch_gateway
from messaging.models import Breaker, Message, Notice
from messaging.promises import broken_promises
from messaging.status import receive_status
from tests.factories import GRACE, booked, member_of_staff, patient
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem
from worklist.services import claim_item

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


@pytest.fixture
def ada():
    return member_of_staff("ada", Role.MANAGER)


@pytest.fixture
def unknown(monday, twilio) -> Message:
    """The text about Grace's visit, of which nobody knows whether it went."""
    booked(patient(email="grace@harbour.example"), at=TOMORROW_10)
    twilio.script(Behaviour.CUT_AFTER)
    run_pass()
    message = Message.objects.get(direction="out")
    assert message.state == "unknown"
    return message


def with_a_person(message: Message, monday, twilio) -> WorkItem:
    """Let the machinery ask twice, send once more in vain, and hand it to a person."""
    twilio.always(Behaviour.CUT_BEFORE)
    Message.objects.filter(pk=message.pk).update(body="Something else")
    Notice.objects.update(purpose="reply", matters=True)
    for minutes in (3, 11):
        monday.shift(timedelta(minutes=minutes))
        run_pass()
    twilio.always(Behaviour.OK)
    return WorkItem.objects.open().get(kind="unreached")


def test_seen_at_the_provider_it_counts_as_sent(unknown, monday, ada):
    mark_sent(message_id=unknown.pk, reason="In Twilio's list.", by=ada)
    unknown.refresh_from_db()
    assert (unknown.state, unknown.why) == ("sent", "settled by hand: it went")
    assert unknown.accepted_at == unknown.submitting_at
    # Without a receipt it is not reached: the ladder goes on after the rung's wait.
    assert Notice.objects.filter(state="open", rung_until__isnull=False).exists()
    event = AuditEvent.objects.get(subject=f"message:{unknown.pk}")
    assert (event.actor, event.reason) == ("ada", "In Twilio's list.")
    assert event.details == {"what": "marked as sent"}
    assert event.patient_ids == [unknown.patient_id]
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert Message.objects.filter(channel="email").exists()


def test_sent_again_it_is_a_message_of_its_own(unknown, twilio, ada):
    again = send_again(message_id=unknown.pk, reason="They asked.", by=ada)
    assert (again.resend_of, again.state) == (unknown, "queued")
    run_pass()
    again.refresh_from_db()
    assert again.state == "accepted"
    assert len(twilio.accepted_to(GRACE)) == 2
    assert broken_promises() == []


def test_it_is_sent_again_once(unknown, ada):
    send_again(message_id=unknown.pk, reason="They asked.", by=ada)
    for deed in (send_again, mark_sent, give_up_try):
        with pytest.raises(ValidationError, match="sent again already"):
            deed(message_id=unknown.pk, reason="Once more.", by=ada)
    assert Message.objects.filter(direction="out").count() == 2


def test_sent_again_what_a_person_had_is_taken_from_the_list(
    unknown, monday, twilio, ada
):
    item = with_a_person(unknown, monday, twilio)
    Notice.objects.update(purpose="visit_booked")
    last = Message.objects.filter(resend_of=None, state="unknown").get()
    send_again(message_id=last.pk, reason="They are waiting.", by=ada)
    item.refresh_from_db()
    assert item.closed_by_rule == "sent again by hand"
    run_pass()
    assert broken_promises() == []
    # It fails in its turn, and so does the way after it: a person again.
    receive_status(
        provider="twilio",
        provider_id=Message.objects.get(resend_of=last).provider_id,
        ref=None,
        status="undelivered",
        code="30005",
    )
    run_pass()
    Message.objects.filter(channel="email").update(state="failed", rank=4)
    monday.shift(timedelta(days=2))
    run_pass()
    assert broken_promises() == []


def test_what_a_colleague_has_is_not_sent_again(unknown, monday, twilio, ada):
    item = with_a_person(unknown, monday, twilio)
    nora = member_of_staff("nora", Role.NURSE)
    claim_item(item_id=item.pk, by=nora)
    last = Message.objects.filter(resend_of=None, state="unknown").get()
    with pytest.raises(ValidationError, match="Nora has it already"):
        send_again(message_id=last.pk, reason="They are waiting.", by=ada)
    assert WorkItem.objects.open().get().owner == nora


def test_too_late_it_is_not_sent_again(unknown, monday, ada):
    monday.shift(timedelta(days=2))
    with pytest.raises(ValidationError, match="too late"):
        send_again(message_id=unknown.pk, reason="They asked.", by=ada)


def test_where_nothing_may_be_sent_all_stays_as_it_was(unknown, ada):
    unknown.patient.contact_points.update(usable=False)
    with pytest.raises(ValidationError, match="Call them"):
        send_again(message_id=unknown.pk, reason="They asked.", by=ada)
    assert Notice.objects.exclude(state="planned").get().state == "open"
    assert not WorkItem.objects.exists()


def test_given_up_the_next_way_is_tried(unknown, ada):
    give_up_try(message_id=unknown.pk, reason="Not in Twilio's list.", by=ada)
    unknown.refresh_from_db()
    assert (unknown.state, unknown.why) == ("withdrawn", "given up")
    assert Message.objects.get(channel="email").state == "queued"
    assert broken_promises() == []


@pytest.mark.parametrize("deed", [mark_sent, give_up_try, send_again])
def test_a_report_that_comes_after_still_counts(unknown, ada, deed):
    deed(message_id=unknown.pk, reason="Looked.", by=ada)
    receive_status(
        provider="twilio",
        provider_id="SM1",
        ref=unknown.ref,
        status="delivered",
    )
    unknown.refresh_from_db()
    assert unknown.state == "delivered"
    assert Notice.objects.exclude(state="planned").get().state == "reached"
    run_pass()
    # What was written meanwhile is not sent any more.
    others = Message.objects.exclude(pk=unknown.pk)
    assert set(others.values_list("state", flat=True)) <= {"withdrawn"}


@pytest.mark.parametrize("deed", [mark_sent, give_up_try, send_again])
def test_a_report_that_came_before_is_told(unknown, ada, deed):
    receive_status(
        provider="twilio", provider_id="SM1", ref=unknown.ref, status="delivered"
    )
    with pytest.raises(ValidationError, match="settled itself"):
        deed(message_id=unknown.pk, reason="Looked.", by=ada)
    unknown.refresh_from_db()
    assert unknown.state == "delivered"
    assert Message.objects.filter(direction="out").count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_report_and_a_hand_at_the_same_moment(unknown, ada):
    """Whoever holds the row first has the say; the other waits and sees it."""
    told: list[str] = []

    def by_hand() -> None:
        try:
            send_again(message_id=unknown.pk, reason="Looked.", by=ada)
        except ValidationError as error:
            told.append(error.messages[0])
        finally:
            connection.close()

    with transaction.atomic():
        receive_status(
            provider="twilio", provider_id="SM1", ref=unknown.ref, status="delivered"
        )
        hand = threading.Thread(target=by_hand)
        hand.start()
        hand.join(0.5)
        assert hand.is_alive()
    hand.join(20)
    assert told == ["It has settled itself meanwhile: Delivered."]
    assert Message.objects.filter(direction="out").count() == 1


def test_a_gateway_off_and_on(monday, twilio, ada):
    switch_gateway(gateway="twilio", on=False, reason="Wrong number shown.", by=ada)
    breaker = Breaker.objects.get()
    assert (breaker.state, breaker.why) == ("off", "Wrong number shown.")
    assert breaker.since is not None
    booked(at=TOMORROW_10)
    run_pass()
    assert twilio.attempts == []
    switch_gateway(gateway="twilio", on=True, reason="Mended.", by=ada)
    monday.shift(61)
    run_pass()
    assert len(twilio.ledger) == 1
    events = AuditEvent.objects.filter(subject=f"gateway:{breaker.pk}").order_by("id")
    assert [(e.reason, e.details["state"]) for e in events] == [
        ("Wrong number shown.", "off"),
        ("Mended.", "on"),
    ]


def test_switching_to_what_is_changes_nothing(monday, twilio, ada):
    switch_gateway(gateway="twilio", on=False, reason="First.", by=ada)
    switch_gateway(gateway="twilio", on=False, reason="Second.", by=ada)
    assert Breaker.objects.get().why == "First."
    assert AuditEvent.objects.filter(verb="change").count() == 1


def test_what_was_switched_off_is_not_opened_by_a_refusal(monday, twilio, ada):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.error(401, 20003))
    run_pass()
    breaker = Breaker.objects.get()
    assert (breaker.state, breaker.since) == (
        "open",
        datetime.now(tz=breaker.since.tzinfo),
    )
    switch_gateway(gateway="twilio", on=True, reason="New token.", by=ada)
    assert Breaker.objects.get().state == "closed"
    assert not WorkItem.objects.open().filter(kind="gateway").exists()
