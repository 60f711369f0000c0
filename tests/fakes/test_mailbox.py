"""The mailbox, seen through smtplib."""

import smtplib
import socket
import threading
import time
from email.message import EmailMessage

import pytest

from tests.fakes import __main__ as by_hand
from tests.fakes.mailbox import MailBehaviour, Mailbox
from tests.fakes.twilio import FakeTwilio

CLINIC = "clinic@example.org"
ANA = "ana@example.org"
BEN = "ben@example.org"


@pytest.fixture
def mailbox():
    with Mailbox() as mailbox:
        yield mailbox


def letter(to=ANA, subject="Your visit"):
    message = EmailMessage()
    message["From"] = "Riverside Clinic <clinic@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.org>"
    message.set_content("See you tomorrow, São.\n.A line with a dot\n")
    message.add_alternative("<p>See you tomorrow.</p>", subtype="html")
    return message


def send(mailbox, *recipients, subject="Your visit"):
    with smtplib.SMTP(
        mailbox.host, mailbox.port, local_hostname="localhost", timeout=5
    ) as smtp:
        return smtp.send_message(
            letter(subject=subject), CLINIC, list(recipients or (ANA,))
        )


def test_accept_keeps_message_and_envelope(mailbox):
    assert send(mailbox) == {}

    [mail] = mailbox.messages
    assert (mail.mail_from, mail.rcpt_tos) == (CLINIC, (ANA,))
    assert (mail["Subject"], mail["Message-ID"]) == ("Your visit", "<1@example.org>")
    plain = mail.get_body(("plain",)).get_content()
    assert plain.splitlines() == ["See you tomorrow, São.", ".A line with a dot"]
    assert "<p>" in mail.get_body(("html",)).get_content()
    assert mailbox.messages_to(ANA) == [mail]
    assert mailbox.messages_to(BEN) == []


def test_url_suits_the_email_url_setting(mailbox):
    assert mailbox.url == f"smtp://127.0.0.1:{mailbox.port}"


@pytest.mark.parametrize(
    ("code", "text"), [(550, "5.1.1 No such user"), (450, "4.2.0 Greylisted")]
)
def test_refuse_recipient(mailbox, code, text):
    mailbox.script(MailBehaviour.refuse_recipient(code, text))

    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        send(mailbox)

    assert refusal.value.recipients == {ANA: (code, text.encode())}
    assert mailbox.messages == []
    assert send(mailbox) == {}


@pytest.mark.parametrize(
    ("code", "text"), [(554, "5.7.1 Rejected"), (451, "4.3.0 Try again")]
)
def test_refuse_data(mailbox, code, text):
    mailbox.script(MailBehaviour.refuse_data(code, text))

    with pytest.raises(smtplib.SMTPDataError) as refusal:
        send(mailbox)

    assert (refusal.value.smtp_code, refusal.value.smtp_error) == (code, text.encode())
    assert mailbox.messages == []


@pytest.mark.parametrize(
    ("behaviour", "kept"),
    [(MailBehaviour.DROP_AFTER, 1), (MailBehaviour.DROP_BEFORE, 0)],
)
def test_drop_hides_whether_it_was_kept(mailbox, behaviour, kept):
    mailbox.script(behaviour)

    with pytest.raises(smtplib.SMTPServerDisconnected, match="unexpectedly closed"):
        send(mailbox)

    assert len(mailbox.messages) == kept


@pytest.mark.parametrize(
    ("behaviour", "kept"),
    [(MailBehaviour.HANG_AFTER, 1), (MailBehaviour.HANG_BEFORE, 0)],
)
def test_hang_outlasts_the_sender(mailbox, behaviour, kept):
    mailbox.script(behaviour)

    with smtplib.SMTP(
        mailbox.host, mailbox.port, local_hostname="localhost", timeout=5
    ) as smtp:
        smtp.ehlo()
        smtp.sock.settimeout(0.2)
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            smtp.send_message(letter(), CLINIC, [ANA])

    mailbox.wait_until_received(kept)
    assert len(mailbox.messages) == kept


def test_hang_answers_once_released(mailbox):
    mailbox.script(MailBehaviour.HANG_AFTER)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(send(mailbox)))
    sender.start()
    mailbox.wait_until_received()

    assert answers == []
    mailbox.release()
    sender.join()
    assert answers == [{}]


def test_hang_answers_after_its_seconds(mailbox):
    mailbox.script(MailBehaviour.hang_after(0.02))

    assert send(mailbox) == {}


def test_hang_does_not_hold_up_stop(mailbox):
    mailbox.script(MailBehaviour.HANG_AFTER)
    failures = []

    def hope():
        try:
            send(mailbox)
        except smtplib.SMTPServerDisconnected as error:
            failures.append(error)

    sender = threading.Thread(target=hope)
    sender.start()
    mailbox.wait_until_received()
    started = time.monotonic()
    mailbox.stop()
    sender.join()

    assert time.monotonic() - started < 1
    assert len(failures) == 1


def test_one_recipient_of_two_refused(mailbox):
    mailbox.for_recipient(BEN, MailBehaviour.refuse_recipient(550))

    assert send(mailbox, ANA, BEN) == {BEN: (550, b"5.1.1 No such user")}
    assert [mail.rcpt_tos for mail in mailbox.messages] == [(ANA,)]


def test_recipients_come_before_the_script_and_the_script_before_always(mailbox):
    mailbox.always(MailBehaviour.refuse_data(451, "4.3.0 later"))
    mailbox.script(MailBehaviour.ACCEPT, MailBehaviour.refuse_data(554))
    mailbox.for_recipient(BEN, MailBehaviour.refuse_data(552, "5.2.2 full"))

    def code_for(recipient):
        try:
            send(mailbox, recipient)
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        return 250

    told = [code_for(to) for to in (BEN, ANA, BEN, ANA, ANA)]
    mailbox.for_recipient(BEN, None)

    assert [*told, code_for(BEN)] == [552, 250, 552, 554, 451, 451]


def test_a_script_entry_serves_one_message_with_all_its_recipients(mailbox):
    mailbox.script(MailBehaviour.ACCEPT, MailBehaviour.refuse_data(554))

    send(mailbox, ANA, BEN)
    with pytest.raises(smtplib.SMTPDataError):
        send(mailbox)


def test_several_messages_over_one_connection(mailbox):
    mailbox.script(MailBehaviour.ACCEPT, MailBehaviour.refuse_data(451))
    with smtplib.SMTP(
        mailbox.host, mailbox.port, local_hostname="localhost", timeout=5
    ) as smtp:
        smtp.send_message(letter(), CLINIC, [ANA])
        with pytest.raises(smtplib.SMTPDataError):
            smtp.send_message(letter(), CLINIC, [ANA])
        smtp.send_message(letter(), CLINIC, [BEN])

    assert [mail.rcpt_tos for mail in mailbox.messages] == [(ANA,), (BEN,)]


def test_stop_and_start_play_an_outage(mailbox):
    send(mailbox)
    mailbox.stop()
    with pytest.raises(ConnectionRefusedError):
        send(mailbox)
    mailbox.start()
    send(mailbox)

    assert len(mailbox.messages) == 2


def test_stop_leaves_no_thread_behind():
    before = set(threading.enumerate())
    mailbox = Mailbox().start()
    with socket.create_connection((mailbox.host, mailbox.port)):
        mailbox.stop()

    assert set(threading.enumerate()) == before


def test_by_hand_prints_settings_and_mail(capsys):
    with FakeTwilio() as twilio, Mailbox(on_received=by_hand.tell_mail) as mailbox:
        settings = by_hand.settings_for(twilio, mailbox, "http://127.0.0.1:8000")
        send(mailbox, subject="Welcome")

    assert settings.splitlines() == [
        "SMS_GATEWAY=twilio",
        f"TWILIO_API_BASE_URL={twilio.url}",
        f"TWILIO_ACCOUNT_SID={twilio.account_sid}",
        f"TWILIO_AUTH_TOKEN={twilio.auth_token}",
        "TWILIO_FROM_NUMBER=+16175550100",
        "EMAIL_GATEWAY=smtp",
        f"EMAIL_URL={mailbox.url}",
        "PUBLIC_BASE_URL=http://127.0.0.1:8000",
    ]
    assert capsys.readouterr().out == "email to ana@example.org: Welcome\n"
