"""Reached, the next rung, or a person."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.services import cancel_appointment
from messaging.ladder import climb, note_progress
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


@pytest.mark.parametrize("status", ["", "sent"])
@pytest.mark.parametrize(
    ("waited", "mails"),
    [
        (timedelta(minutes=30) - timedelta(seconds=1), 0),
        (timedelta(minutes=30), 1),
    ],
)
def test_a_text_without_a_receipt_waits_half_an_hour_and_no_longer(
    monday, twilio, mailbox, status, waited, mails
):
    booked(patient(email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    if status:
        report(first_text(), status)
    monday.shift(waited)
    run_pass()
    assert len(mailbox.messages) == mails
    assert told().state == Notice.State.OPEN


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", Notice.State.OPEN),
        ("sending", Notice.State.OPEN),
        ("sent", Notice.State.OPEN),
        ("delivered", Notice.State.REACHED),
        ("read", Notice.State.REACHED),
    ],
)
def test_what_counts_as_reached_by_text(monday, twilio, status, state):
    booked(at=TOMORROW_10)
    run_pass()
    report(first_text(), status)
    assert told().state == state


@pytest.mark.parametrize(
    ("waited", "state"),
    [
        (timedelta(hours=1) - timedelta(seconds=1), Notice.State.OPEN),
        (timedelta(hours=1), Notice.State.REACHED),
    ],
)
def test_a_mail_counts_once_its_hour_for_bounces_is_over(
    monday, twilio, mailbox, waited, state
):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    assert len(mailbox.messages) == 1
    assert told().state == Notice.State.OPEN
    monday.shift(waited)
    run_pass()
    assert told().state == state


def test_a_mail_that_bounces_within_it_goes_to_a_person(monday, twilio, mailbox):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    run_pass()
    mail = Message.objects.get()
    monday.shift(timedelta(minutes=59))
    mail.state, mail.rank = Message.State.UNDELIVERED, 4
    mail.save()
    note_progress(mail)
    assert told().state == Notice.State.WITH_STAFF
    monday.shift(timedelta(hours=2))
    run_pass()
    assert told().state == Notice.State.WITH_STAFF


def test_what_nobody_knows_of_reaches_nobody(monday, twilio):
    booked(at=TOMORROW_10)
    run_pass()
    text = first_text()
    text.state, text.rank = Message.State.UNKNOWN, 0
    text.save()
    note_progress(text)
    assert told().state == Notice.State.OPEN


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (timedelta(seconds=1), Notice.State.OPEN),
        (timedelta(0), Notice.State.WITH_STAFF),
    ],
)
def test_at_its_deadline_a_promise_goes_to_a_person(monday, twilio, left, state):
    booked(at=TOMORROW_10)
    run_pass()
    notice = told()
    # As if the text had been held back all day.
    Notice.objects.update(rung_until=None)
    monday.move_to(notice.deadline - left)
    climb()
    assert told().state == state


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
