"""A visit, its texts and the answers, through the real Twilio client."""

import pytest
from django.urls import reverse

from accounts.ticks import run_pass
from appointments.models import Appointment
from messaging.models import Message, Notice
from messaging.promises import broken_promises
from tests.factories import GRACE, booked
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def webhooks(live_server, settings):
    settings.PUBLIC_BASE_URL = live_server.url
    return live_server.url


def reply(twilio: FakeTwilio, webhooks: str, body: str) -> None:
    answer = twilio.reply(
        webhooks + reverse("messaging:twilio_inbound"),
        from_=GRACE,
        to="+16175550100",
        body=body,
    )
    assert answer.status == 200
    assert answer.text == "<Response/>"
    run_pass()


def test_grace_is_told_confirms_and_hears_back(monday, twilio, webhooks):
    visit = booked()
    twilio.callbacks = ("sent", "delivered")
    run_pass()
    twilio.drain_callbacks()

    (sent,) = twilio.accepted_to(GRACE)
    assert sent.body == (
        "Harbour Clinic: Grace, your visit is Tue 24 Nov 10:00am with Dr Rao. "
        "Reply 1 if you will come, 2 to move it, 3 if you can't. Or call 617 555 0100"
        " Text STOP to end texts."
    )
    assert Notice.objects.get(purpose="visit_booked").state == Notice.State.REACHED

    reply(twilio, webhooks, "1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert [m.body for m in twilio.accepted_to(GRACE)][1:] == [
        "Harbour Clinic: Thank you, Grace. See you Tue 24 Nov 10:00am at Pier St."
    ]
    assert broken_promises() == []


def test_cannot_come_is_asked_once_more_with_other_digits(monday, twilio, webhooks):
    visit = booked()
    run_pass()
    reply(twilio, webhooks, "3")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert twilio.accepted_to(GRACE)[-1].body == (
        "Harbour Clinic: Cancel your visit Tue 24 Nov 10:00am? Reply 4 to cancel it, "
        "5 to keep it. Or call 617 555 0100"
    )

    reply(twilio, webhooks, "4")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CANCELLED
    assert "is cancelled" in twilio.accepted_to(GRACE)[-1].body
    assert not visit.patient.work_items.open().exists()
    assert broken_promises() == []


def test_the_same_reply_twice_is_one(monday, twilio, webhooks):
    booked()
    run_pass()
    for _again in range(3):
        twilio.reply(
            webhooks + reverse("messaging:twilio_inbound"),
            from_=GRACE,
            to="+16175550100",
            body="1",
            sid="SM" + "7" * 32,
        )
    run_pass()
    assert Message.objects.filter(direction="in").count() == 1
    assert len(twilio.accepted_to(GRACE)) == 2
