"""Reached, the next rung, or a person."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.services import cancel_appointment
from messaging.ladder import climb
from messaging.models import Message, Notice
from messaging.promises import broken_promises
from messaging.status import apply_orphans, receive_status
from patients.models import ContactPoint
from tests.factories import GRACE, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import claim_item, close_item

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def told() -> Notice:
    return Notice.objects.get(purpose="visit_booked")


def report(message: Message, status: str, code: str = "") -> None:
    receive_status(
        provider="twilio",
        provider_id=message.provider_id,
        ref=message.ref,
        status=status,
        code=code,
    )


def first_text() -> Message:
    return Message.objects.filter(direction="out", channel="sms").order_by("id")[0]


def test_undelivered_goes_on_by_email_at_once(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    report(first_text(), "undelivered", "30006")
    run_pass()
    assert len(mailbox.messages_to("grace@example.com")) == 1


def test_a_second_number_is_tried_before_another_channel(monday, twilio, mailbox):
    grace = patient(email="grace@example.com")
    ContactPoint.objects.create(
        patient=grace, channel="sms", address="+16175550145", rank=1
    )
    booked(grace, at=TOMORROW_10)
    run_pass()
    report(first_text(), "undelivered", "30006")
    run_pass()
    assert [a.to for a in twilio.ledger] == [GRACE, "+16175550145"]
    assert mailbox.messages == []


def test_sent_without_a_receipt_is_not_reached(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    report(first_text(), "sent")
    monday.shift(timedelta(minutes=29))
    run_pass()
    assert mailbox.messages == []
    monday.shift(timedelta(minutes=2))
    run_pass()
    assert len(mailbox.messages) == 1


def test_the_last_rung_is_a_person(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    report(first_text(), "undelivered", "30006")
    item = WorkItem.objects.open().get()
    assert item.sentence == (
        "Not told of the visit Tue 24 Nov, 10:00 with Dr Rao "
        "(Text: Not delivered; Email: no address)"
    )
    femi = member_of_staff("femi", Role.FRONT_DESK)
    close_item(item_id=item.pk, outcome="told", by=femi)
    assert (told().state, told().why) == ("settled", "told")
    assert broken_promises() == []


def test_a_late_receipt_closes_what_nobody_has_taken_on(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert told().state == Notice.State.WITH_STAFF
    report(first_text(), "delivered")
    assert told().state == Notice.State.REACHED
    assert WorkItem.objects.get().closed_by_rule == "delivered after all"


def test_but_not_what_a_colleague_is_on_the_phone_about(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    claim_item(
        item_id=WorkItem.objects.get().pk, by=member_of_staff("femi", Role.FRONT_DESK)
    )
    report(first_text(), "delivered")
    assert told().state == Notice.State.WITH_STAFF
    assert WorkItem.objects.open().count() == 1


def test_a_late_failure_of_an_earlier_try_starts_nothing_twice(monday, twilio, mailbox):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert len(mailbox.messages) == 1
    report(first_text(), "undelivered", "30003")
    run_pass()
    assert len(mailbox.messages) == 1


def test_what_went_out_as_one_text_goes_on_as_one_mail(monday, twilio, mailbox):
    grace = patient(email="grace@example.com")
    booked(grace, at=datetime(2026, 11, 25, 10), tell=False)
    booked(grace, at=datetime(2026, 11, 25, 14), tell=False)
    monday.move_to(datetime(2026, 11, 24, 15, tzinfo=UTC))
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    (mail,) = mailbox.messages
    assert "10:00am and 2:00pm" in mail.get_body(("plain",)).get_content()


def test_a_dead_number_in_a_report_is_remembered(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    report(first_text(), "undelivered", "30006")
    assert ContactPoint.objects.get().why_not == "not reachable (30006)"


def test_reports_out_of_order_never_go_back(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    for status in ("delivered", "sent", "queued", "delivered", "confused"):
        report(first_text(), status)
    message = first_text()
    assert message.state == Message.State.DELIVERED
    assert list(message.status_events.values_list("status", flat=True)) == [
        "delivered",
        "sent",
        "queued",
        "confused",
    ]


def test_a_report_before_the_provider_told_us_its_id_is_kept(monday, twilio):
    twilio.callbacks = ("sent", "delivered")
    receive_status(
        provider="twilio", provider_id="SMearly", ref=None, status="delivered"
    )
    booked(at=TOMORROW_10)
    run_pass()
    message = first_text()
    message.provider_id = "SMearly"
    message.save()
    apply_orphans(message)
    assert first_text().state == Message.State.DELIVERED


def test_a_cancelled_visit_takes_its_item_along(monday, twilio):
    visit = booked(patient(phone=""), at=TOMORROW_10)
    run_pass()
    assert WorkItem.objects.open().count() == 1
    cancel_appointment(appointment_id=visit.pk, by=None)
    assert WorkItem.objects.open().count() == 0
    assert told().state == Notice.State.SUPERSEDED


def test_climbing_finds_nothing_when_all_is_well(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    report(first_text(), "delivered")
    assert climb() == 0
    assert first_text().address == GRACE
