"""Mails that come back, believed where we signed for them, and what follows."""

from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest
from django.utils import timezone

from accounts.ticks import run_pass
from messaging.bounces import read_report
from messaging.mail_in import AUTOMATIC, read_mailbox
from messaging.mail_tokens import Token, plus_address
from messaging.models import Message, Notice, StatusEvent
from messaging.promises import broken_promises
from patients.models import ContactPoint
from tests.factories import GRACE as GRACES_PHONE
from tests.factories import booked, patient
from tests.fakes.imap import ImapServer
from tests.fakes.mailbox import MailBehaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)
GRACE = "grace@example.com"


@pytest.fixture
def imap(settings, monday):
    with ImapServer() as server:
        settings.MAIL_IN_URL = server.url
        settings.MAIL_IN_ADDRESS = "clinic@harbour.example"
        yield server


@pytest.fixture
def sent(mailbox, imap):
    """The mail Grace got about her visit."""
    booked(patient(phone="", email=GRACE), at=TOMORROW_10)
    run_pass()
    [mail] = mailbox.messages
    return mail


def report(
    to,
    action="failed",
    status="5.1.1",
    *,
    recipient=GRACE,
    returned="",
    message_id="<bounce@mx.example>",
    diagnostic="smtp; 550 5.1.1 no such user",
):
    """Return a delivery report as RFC 3464 has it."""
    parts = [
        ("text/plain", "I am sorry."),
        (
            "message/delivery-status",
            "Reporting-MTA: dns; mx.example\n\n"
            f"Final-Recipient: rfc822; {recipient}\nAction: {action}\n"
            f"Status: {status}\nDiagnostic-Code: {diagnostic}\n",
        ),
        ("text/rfc822-headers", f"Message-ID: {returned}\nSubject: Your visit\n"),
    ]
    body = "".join(f"--x\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts)
    return (
        f"Return-Path: <>\nFrom: Mail Delivery <mailer-daemon@mx.example>\nTo: {to}\n"
        f"Message-ID: {message_id}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n"
        f"{body}--x--\n"
    ).encode()


def look(monday):
    monday.shift(61)
    return read_mailbox()


def the_message():
    return Message.objects.filter(direction="out").order_by("id")[0]


def test_a_mail_that_came_back_goes_to_a_person_at_once(imap, sent, monday):
    imap.put(report(sent.mail_from))
    look(monday)
    message = the_message()
    assert (message.state, message.error_code) == ("undelivered", "5.1.1")
    point = ContactPoint.objects.get(channel="email")
    assert (point.usable, point.why_not) == (False, "not reachable (5.1.1)")
    assert WorkItem.objects.open().get().kind == "unreached"
    assert not Message.objects.filter(direction="in").exists()
    assert broken_promises() == []


def test_another_way_is_tried_where_there_is_one(imap, mailbox, twilio, monday):
    booked(
        patient(phone=GRACES_PHONE, email=GRACE, preferred_way="email"), at=TOMORROW_10
    )
    run_pass()
    [mail] = mailbox.messages
    imap.put(report(mail.mail_from))
    look(monday)
    run_pass()
    assert len(twilio.accepted_to(GRACES_PHONE)) == 1


@pytest.mark.parametrize(
    ("status", "usable"),
    [
        ("5.1.1", False),
        ("5.1.2", False),
        ("5.1.10", False),
        ("5.2.2", True),
        ("4.2.2", True),
        ("4.4.1", True),
        ("5.7.1", True),
        ("5.0.0", True),
        ("nonsense", True),
        ("", True),
    ],
)
def test_only_a_mailbox_that_is_not_there_marks_the_address(
    imap, sent, monday, status, usable
):
    imap.put(report(sent.mail_from, status=status, diagnostic=""))
    look(monday)
    assert the_message().state == Message.State.UNDELIVERED
    assert ContactPoint.objects.get(channel="email").usable is usable


def test_a_diagnosis_tells_what_a_status_does_not(imap, sent, monday):
    imap.put(report(sent.mail_from, status=""))
    look(monday)
    assert the_message().error_code == "5.1.1"


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("delayed", "accepted"),
        ("relayed", "accepted"),
        ("expanded", "accepted"),
        ("delivered", "delivered"),
        ("FAILED", "undelivered"),
    ],
)
def test_what_each_action_makes_of_a_mail(imap, sent, monday, action, state):
    imap.put(report(sent.mail_from, action=action, status="4.0.0"))
    look(monday)
    assert the_message().state == state
    assert StatusEvent.objects.get().message == the_message()


def test_an_action_nobody_knows_is_no_report(imap, sent, monday):
    imap.put(report(sent.mail_from, action="eaten"))
    look(monday)
    assert the_message().state == Message.State.ACCEPTED
    assert Message.objects.get(direction="in").note == AUTOMATIC


def test_delays_and_a_failure_in_any_order_end_the_same(imap, sent, monday):
    for n, action in enumerate(("failed", "delayed", "failed", "delayed")):
        imap.put(report(sent.mail_from, action=action, message_id=f"<{n}@mx.example>"))
    look(monday)
    assert the_message().state == Message.State.UNDELIVERED
    assert StatusEvent.objects.count() == 2
    assert WorkItem.objects.open().count() == 1


def forge(address):
    """Return the address as somebody would make it who has no key."""
    tag = address.index("+b")
    return f"{address[: tag + 2]}{'a' * 39}@harbour.example"


@pytest.mark.parametrize("to", [forge, lambda _a: "clinic@harbour.example"])
def test_a_report_we_did_not_sign_for_is_not_believed(imap, sent, monday, to):
    imap.put(report(to(sent.mail_from)))
    look(monday)
    assert the_message().state == Message.State.ACCEPTED
    assert ContactPoint.objects.get(channel="email").usable
    kept = Message.objects.get(direction="in")
    assert (kept.note, kept.conversation) == (AUTOMATIC, None)


def test_the_address_for_answers_makes_no_bounce(imap, sent, monday):
    imap.put(report(sent["Reply-To"]))
    look(monday)
    assert the_message().state == Message.State.ACCEPTED


@pytest.mark.parametrize(
    ("recipient", "state"), [(GRACE, "undelivered"), ("eve@example.com", "accepted")]
)
def test_without_plus_addresses_the_returned_message_id_counts(
    imap, mailbox, monday, settings, recipient, state
):
    settings.MAIL_IN_ADDRESS = ""
    booked(patient(phone="", email=GRACE), at=TOMORROW_10)
    run_pass()
    [mail] = mailbox.messages
    imap.put(
        report(
            "clinic@harbour.example", returned=mail["Message-ID"], recipient=recipient
        )
    )
    look(monday)
    assert the_message().state == state


def test_the_whole_mail_sent_back_is_read_as_well(sent):
    parsed = EmailMessage()
    parsed.set_content("I am sorry.")
    parsed.make_mixed()
    parsed.attach(sent)
    assert read_report(parsed) is None


def test_a_bounce_settles_what_nobody_knew(imap, mailbox, monday):
    booked(patient(phone="", email=GRACE), at=TOMORROW_10)
    mailbox.script(MailBehaviour.DROP_BEFORE)
    run_pass()
    message = the_message()
    assert message.state == Message.State.UNKNOWN
    imap.put(report(plus_address(Token.BOUNCE, message.ref)))
    look(monday)
    message = the_message()
    assert (message.state, message.provider) == ("undelivered", "smtp")
    assert WorkItem.objects.open().get().kind == "unreached"


def reached(monday) -> Notice:
    monday.shift(timedelta(minutes=61))
    run_pass()
    notice = Notice.objects.filter(state=Notice.State.REACHED).order_by("id")[0]
    assert not WorkItem.objects.exists()
    return notice


def test_a_late_bounce_reopens_what_counted_as_reached(imap, sent, monday):
    notice = reached(monday)
    imap.put(report(sent.mail_from))
    look(monday)
    notice.refresh_from_db()
    assert (notice.state, notice.reached_at) == ("with_staff", None)
    item = WorkItem.objects.open().get()
    assert (item.kind, item.subject_id) == ("unreached", notice.pk)
    assert item.due_at <= timezone.now() + timedelta(hours=2)
    assert broken_promises() == []
    imap.put(report(sent.mail_from, message_id="<again@mx.example>"))
    look(monday)
    assert WorkItem.objects.open().count() == 1


def test_not_past_its_deadline(imap, sent, monday):
    notice = reached(monday)
    monday.move_to(notice.deadline)
    imap.put(report(sent.mail_from))
    look(monday)
    notice.refresh_from_db()
    assert notice.state == Notice.State.REACHED
    assert the_message().state == Message.State.UNDELIVERED


def test_not_where_its_cause_is_gone(imap, sent, monday):
    notice = reached(monday)
    Notice.objects.filter(pk=notice.pk).update(cause_version=0)
    imap.put(report(sent.mail_from))
    look(monday)
    notice.refresh_from_db()
    assert notice.state == Notice.State.REACHED


def test_not_where_another_message_of_it_arrived(imap, sent, monday):
    notice = reached(monday)
    other = Message.objects.create(
        direction="out",
        channel="sms",
        address=GRACES_PHONE,
        encoding="GSM-7",
        state="delivered",
        rank=5,
        not_before=timezone.now(),
        at=timezone.now(),
    )
    other.notices.add(notice)
    imap.put(report(sent.mail_from))
    look(monday)
    notice.refresh_from_db()
    assert notice.state == Notice.State.REACHED


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: message/delivery-status\r\n\r\n\xff\xfe\0",
        b"Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n",
        b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\nnothing",
        b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: message/delivery-status\r\n\r\n\r\n\r\nAction: failed\r\n"
        b"Final-Recipient: ;;;\r\nStatus: 5.9999.9\r\n--x--",
    ],
)
def test_a_broken_report_is_kept_and_changes_nothing(imap, sent, monday, raw):
    imap.put(b"From: x@mx.example\r\nTo: clinic@harbour.example\r\n" + raw)
    look(monday)
    assert the_message().state == Message.State.ACCEPTED
    assert Message.objects.filter(direction="in").count() == 1
