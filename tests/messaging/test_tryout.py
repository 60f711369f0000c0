"""A test to one's own phone goes as every message does, and shows how far it came."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.by_hand import switch_gateway
from messaging.models import Conversation, Message
from messaging.promises import broken_promises
from messaging.services import suppress
from messaging.status import receive_status
from messaging.tryout import preview, send_test, tries_of
from patients.models import Channel
from tests.factories import GRACE, member_of_staff, patient
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

OWN = "+16175550177"


@pytest.fixture
def ada():
    return member_of_staff("ada", Role.MANAGER)


def test_what_was_shown_is_what_goes(monday, twilio, ada):
    shown = preview(user=ada, address=OWN)
    assert "Harbour Clinic: This is a test" in shown.body
    assert shown.segments == 1
    send_test(user=ada, address=OWN)
    run_pass()
    (sent,) = twilio.accepted_to(OWN)
    assert sent.body == shown.body
    (one,) = tries_of(ada)
    assert one.message.state == "accepted"
    assert one.is_under_way
    receive_status(
        provider="twilio",
        provider_id=one.message.provider_id,
        ref=None,
        status="delivered",
    )
    (one,) = tries_of(ada)
    assert (one.message.state, one.is_under_way) == ("delivered", False)
    assert one.notice.state == "reached"


def test_it_goes_at_night_and_makes_no_conversation(monday, twilio, ada):
    monday.shift(timedelta(hours=14))
    send_test(user=ada, address=OWN)
    run_pass()
    assert len(twilio.accepted_to(OWN)) == 1
    assert not Conversation.objects.exists()


def test_by_email(monday, mailbox, ada):
    shown = preview(user=ada, address="ada@harbour.example")
    assert (shown.channel, shown.subject) == ("email", "A test")
    send_test(user=ada, address="ada@harbour.example")
    run_pass()
    (one,) = tries_of(ada)
    assert (one.message.channel, one.message.state) == ("email", "accepted")
    assert one.message.body == shown.body


def test_in_their_language(monday, twilio, ada):
    ada.language = "es"
    ada.save()
    assert "Esto es una prueba" in preview(user=ada, address=OWN).body


def test_a_number_that_stopped_us_says_why(monday, twilio, ada):
    suppress(address=OWN, channel=Channel.SMS, cause="STOP")
    send_test(user=ada, address=OWN)
    run_pass()
    (one,) = tries_of(ada)
    assert (one.message.state, one.message.why) == (
        "withdrawn",
        "they asked us to stop",
    )
    assert not one.is_under_way
    assert twilio.attempts == []
    assert not WorkItem.objects.exists()
    assert broken_promises() == []


def test_a_refusal_says_what_to_do(monday, twilio, ada):
    twilio.script(Behaviour.error(400, 21614))
    send_test(user=ada, address=OWN)
    run_pass()
    (one,) = tries_of(ada)
    assert (one.message.state, one.message.error_code) == ("failed", "21614")
    assert "landline takes no texts" in one.advice


def test_a_gateway_that_is_off_says_so(monday, twilio, ada):
    switch_gateway(gateway="twilio", on=False, reason="Trying.", by=ada)
    send_test(user=ada, address=OWN)
    run_pass()
    (one,) = tries_of(ada)
    assert (one.message.state, one.message.why) == ("queued", "the gateway is closed")
    assert one.is_under_way
    monday.shift(timedelta(minutes=31))
    run_pass()
    (one,) = tries_of(ada)
    assert not one.is_under_way
    assert twilio.attempts == []
    assert broken_promises() == []


def test_five_in_an_hour(monday, ada):
    for _n in range(5):
        send_test(user=ada, address=OWN)
    with pytest.raises(ValidationError, match="Too many tries"):
        send_test(user=ada, address=OWN)
    send_test(user=member_of_staff("rao", Role.MANAGER), address=OWN)
    monday.shift(timedelta(minutes=13))
    send_test(user=ada, address=OWN)


def test_it_is_recorded_without_the_number(monday, ada):
    notice = send_test(user=ada, address=OWN)
    event = AuditEvent.objects.get(subject=f"notice:{notice.pk}")
    assert (event.actor, event.patient_ids) == ("ada", [])
    assert event.details == {"what": "test sent", "channel": "sms"}


def test_a_patients_number_tells_nothing_and_touches_nothing(monday, twilio, ada):
    grace = patient()
    send_test(user=ada, address=GRACE)
    run_pass()
    assert Message.objects.get().patient is None
    assert not grace.messages.exists()
    (one,) = tries_of(ada)
    assert one.notice.about_patient is None


def test_only_ones_own_are_shown(monday, ada):
    send_test(user=ada, address=OWN)
    assert tries_of(member_of_staff("rao", Role.MANAGER)) == []
