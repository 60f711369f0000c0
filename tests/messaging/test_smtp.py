"""What a mail server may do, and what it makes of a mail: none twice, none lost."""

import socket
import socketserver
import ssl
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.utils import timezone

from accounts.ticks import run_pass
from messaging import mime
from messaging.channels import ChannelError, Failure, Outgoing, smtp
from messaging.mail_tokens import Token, read_addresses
from messaging.models import Breaker, Message
from patients.models import ContactPoint
from tests.factories import booked, patient
from tests.fakes.mailbox import MailBehaviour, Mailbox

TOMORROW_10 = datetime(2026, 11, 24, 10)
ANA = "ana@example.org"


@pytest.fixture
def channel():
    return smtp.SmtpChannel()


def letter(to=ANA, **changes) -> Outgoing:
    ref = str(uuid.uuid4())
    fields = {
        "ref": ref,
        "first_ref": ref,
        "to": to,
        "body": "See you tomorrow, São.\n.A line with a dot\nhttps://x.example/p/abc",
        "subject": "Your visit",
        "deadline": timezone.now() + timedelta(days=1),
        "status_url": "",
    }
    return Outgoing(**fields | changes)


class Script(socketserver.ThreadingTCPServer):
    """A server that says line after line, whatever it hears; None hangs up.

    With ``hang`` it says nothing after them and leaves the connection open. A whole
    text counts as one thing heard.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *lines, hang=False):
        self.lines, self.hang, self.heard = lines, hang, []
        self.connections = 0
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Talk)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.server_close()


class _Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        in_text = False
        for line in self.server.lines:
            if line is None:
                return
            self.wfile.write(f"{line}\r\n".encode())
            heard = self.rfile.readline()
            while in_text and heard not in (b".\r\n", b""):
                heard = self.rfile.readline()
            in_text = heard.upper().startswith(b"DATA")
            self.server.heard.append(heard)
        if self.server.hang:
            self.server.over.wait(10)


@pytest.fixture
def talk(settings):
    """Make a server with a script, and have mails go to it."""
    running = []

    def start(*lines, **how) -> Script:
        server = Script(*lines, **how).__enter__()
        running.append(server)
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_TIMEOUT = 1
        return server

    yield start
    for server in running:
        server.__exit__()


HELLO, EHLO, OK, GO_ON = "220 ready", "250 8BITMIME", "250 OK", "354 go on"
UP_TO_MAIL = (HELLO, EHLO)
UP_TO_RCPT = (*UP_TO_MAIL, OK)
UP_TO_DATA = (*UP_TO_RCPT, OK)
UP_TO_DOT = (*UP_TO_DATA, GO_ON)


@pytest.mark.parametrize(
    ("lines", "failure", "code"),
    [
        # Before a mail is begun: about us, and true of every mail.
        (("554 no",), Failure.CONFIG, "554"),
        (("421 busy",), Failure.TRY_LATER, "421"),
        ((None,), Failure.TRY_LATER, ""),
        (("hello?", EHLO), Failure.TRY_LATER, "-1"),
        ((HELLO, "502 what", "502 what"), Failure.CONFIG, "502"),
        ((HELLO, None), Failure.TRY_LATER, ""),
        # The sender.
        ((*UP_TO_MAIL, "550 5.7.1 not you"), Failure.CONFIG, "550 5.7.1"),
        ((*UP_TO_MAIL, "552 too much"), Failure.CONFIG, "552"),
        ((*UP_TO_MAIL, "530 5.7.0 log in first"), Failure.CONFIG, "530 5.7.0"),
        ((*UP_TO_MAIL, "552 5.3.4 too large"), Failure.REFUSED, "552 5.3.4"),
        ((*UP_TO_MAIL, "451 4.3.0 later"), Failure.TRY_LATER, "451 4.3.0"),
        ((*UP_TO_MAIL, "421 4.7.0 later"), Failure.TRY_LATER, "421 4.7.0"),
        ((*UP_TO_MAIL, None), Failure.TRY_LATER, ""),
        # The recipient.
        ((*UP_TO_RCPT, "550 5.1.1 nobody"), Failure.BAD_ADDRESS, "550 5.1.1"),
        ((*UP_TO_RCPT, "450 4.2.0 greylisted"), Failure.TRY_LATER, "450 4.2.0"),
        ((*UP_TO_RCPT, "452 4.2.2 full"), Failure.TRY_LATER, "452 4.2.2"),
        ((*UP_TO_RCPT, "421 too many"), Failure.TRY_LATER, "421"),
        ((*UP_TO_RCPT, None), Failure.TRY_LATER, ""),
        # Whether it wants the text.
        ((*UP_TO_DATA, "451 no"), Failure.TRY_LATER, "451"),
        ((*UP_TO_DATA, "554 5.5.1 no valid recipients"), Failure.REFUSED, "554 5.5.1"),
        ((*UP_TO_DATA, "250 what"), Failure.TRY_LATER, "250"),
        ((*UP_TO_DATA, None), Failure.TRY_LATER, ""),
        # After the final dot: an answer counts, silence says nothing.
        ((*UP_TO_DOT, "554 5.7.1 spam"), Failure.REFUSED, "554 5.7.1"),
        ((*UP_TO_DOT, "451 4.3.0 no room"), Failure.TRY_LATER, "451 4.3.0"),
        ((*UP_TO_DOT, "421 shutting down"), Failure.TRY_LATER, "421"),
        ((*UP_TO_DOT, "550 5.1.1 nobody"), Failure.BAD_ADDRESS, "550 5.1.1"),
        ((*UP_TO_DOT, "552 5.2.2 full"), Failure.TRY_LATER, "552 5.2.2"),
        ((*UP_TO_DOT, "550 no"), Failure.REFUSED, "550"),
        ((*UP_TO_DOT, "what?"), Failure.UNKNOWN, "-1"),
        ((*UP_TO_DOT, "354 go on"), Failure.UNKNOWN, "354"),
        ((*UP_TO_DOT, None), Failure.UNKNOWN, ""),
    ],
)
def test_what_each_answer_means(channel, talk, lines, failure, code):
    talk(*lines)
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert (refusal.value.failure, refusal.value.code) == (failure, code)


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        ((), Failure.TRY_LATER),
        (UP_TO_MAIL, Failure.TRY_LATER),
        (UP_TO_RCPT, Failure.TRY_LATER),
        (UP_TO_DATA, Failure.TRY_LATER),
        (UP_TO_DOT, Failure.UNKNOWN),
    ],
)
def test_silence_is_unknown_only_after_the_dot(channel, talk, lines, failure):
    talk(*lines, hang=True)
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is failure


@pytest.mark.parametrize(
    ("code", "text", "failure"),
    [
        (550, "5.1.1 no such user", Failure.BAD_ADDRESS),
        (550, "5.1.10 null mx", Failure.BAD_ADDRESS),
        (550, "no such user", Failure.BAD_ADDRESS),
        (551, "not here", Failure.BAD_ADDRESS),
        (553, "not allowed", Failure.BAD_ADDRESS),
        (556, "takes no mail", Failure.BAD_ADDRESS),
        (550, "relay not permitted", Failure.REFUSED),
        (550, "blocked by a list", Failure.REFUSED),
        (554, "no", Failure.REFUSED),
        (501, "syntax", Failure.REFUSED),
        (599, "what", Failure.REFUSED),
        (552, "5.2.2 mailbox full", Failure.TRY_LATER),
        (552, "full", Failure.TRY_LATER),
        (550, "5.2.1 disabled", Failure.REFUSED),
        (550, "5.7.1 policy", Failure.REFUSED),
        (550, "5.4.1 access denied", Failure.REFUSED),
        (553, "5.1.7 bad sender", Failure.CONFIG),
        (553, "5.1.8 bad sender's domain", Failure.CONFIG),
        (530, "5.7.0 authentication required", Failure.CONFIG),
        (550, "5.7.3 not authenticated", Failure.CONFIG),
        (450, "4.7.1 later", Failure.TRY_LATER),
        (421, "busy", Failure.TRY_LATER),
        (452, "4.2.2 full", Failure.TRY_LATER),
    ],
)
def test_what_is_said_of_a_recipient(code, text, failure):
    assert smtp.classify(code, text).failure is failure


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("535 5.7.8 wrong", Failure.CONFIG),
        ("534 too weak", Failure.CONFIG),
        ("454 4.7.0 try later", Failure.TRY_LATER),
    ],
)
def test_who_may_not_log_in(channel, talk, settings, answer, failure):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "clinic", "wrong"
    talk(HELLO, "250-here\r\n250 AUTH PLAIN", answer, answer)
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is failure


def test_without_the_encryption_asked_for_nothing_is_sent(channel, talk, settings):
    settings.EMAIL_USE_TLS = True
    server = talk(*UP_TO_DOT, OK)
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is Failure.CONFIG
    assert not any(heard.startswith(b"MAIL") for heard in server.heard)


def a_certificate(folder):
    """Return the file of a key and a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = timezone.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption_algorithm=NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


def test_a_server_that_is_not_who_it_says_is_for_us_to_mend(
    channel, talk, settings, tmp_path
):
    settings.EMAIL_USE_SSL = True
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(a_certificate(tmp_path))
    server = talk(HELLO)
    server.socket = secure.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is Failure.CONFIG


def test_a_server_that_is_away_costs_time_only(channel, settings):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_HOST, settings.EMAIL_PORT = nobody.getsockname()
        with pytest.raises(ChannelError) as refusal:
            channel.send(letter())
    assert refusal.value.failure is Failure.TRY_LATER


def test_trouble_at_goodbye_is_none(channel, talk):
    talk(*UP_TO_DOT, OK, None)
    channel.send(letter())


def test_a_mail_has_both_parts_and_its_headers(channel, mailbox, settings):
    settings.MAIL_IN_ADDRESS = "replies@harbour.example"
    outgoing = letter(subject="Su cita mañana", leave_url="https://x.example/leave/a/")
    handed = channel.send(outgoing)

    [mail] = mailbox.messages
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    plain, html = (part.get_content() for part in mail.iter_parts())
    assert plain.splitlines() == outgoing.body.splitlines()
    assert '<a href="https://x.example/p/abc">' in html
    assert "style=" in html
    assert "<style>" not in html
    assert mail.as_bytes().isascii()
    assert mail["Subject"] == "Su cita mañana"
    assert mail["Message-ID"] == f"<{outgoing.ref}@harbour.example>"
    assert handed.provider_id == mail["Message-ID"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"] == "<https://x.example/leave/a/>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["To"] == ANA
    ref = uuid.UUID(outgoing.ref)
    assert read_addresses([mail["Reply-To"]]) == (Token.REPLY, ref)
    assert read_addresses([mail.mail_from]) == (Token.BOUNCE, ref)
    # Nobody who was written to can make a bounce of what they see.
    assert mail.mail_from not in mail.as_string()


def test_without_a_mailbox_for_answers_there_are_no_plus_addresses(channel, mailbox):
    channel.send(letter())
    [mail] = mailbox.messages
    assert mail.mail_from == "clinic@harbour.example"
    assert mail["Reply-To"] is None
    assert mail["List-Unsubscribe"] is None


def test_a_neutral_mail_names_nobody(channel, mailbox):
    channel.send(letter(neutral=True))
    [mail] = mailbox.messages
    assert mail["From"] == "clinic@harbour.example"


def test_a_mail_sent_once_more_has_a_message_id_of_before(channel, mailbox):
    first = letter()
    again = letter(first_ref=first.ref)
    channel.send(first)
    assert channel.send(again).provider_id != mailbox.messages[0]["Message-ID"]
    assert len({mail["Message-ID"] for mail in mailbox.messages}) == 1


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.org\r\nRCPT TO:<ben@example.org>",
        "ana@example.org\nBcc: ben@example.org",
        "ana@example.org, ben@example.org",
        "<ana@example.org>",
        "ana example.org",
        "ana@",
        "@example.org",
        "",
        "ana@" + "x" * 70 + ".org",
        "\ud800@example.org",
    ],
)
def test_what_is_no_address_goes_nowhere(channel, mailbox, address):
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter(address))
    assert refusal.value.failure is Failure.BAD_ADDRESS
    assert mailbox.messages == []


def test_a_subject_cannot_add_a_header(channel, mailbox):
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter(subject="Visit\nBcc: ben@example.org"))
    assert refusal.value.failure is Failure.REFUSED
    assert mailbox.messages == []


def test_letters_of_the_world_before_the_at_need_a_server_for_them(channel, talk):
    talk(*UP_TO_DOT, OK)
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter("maría@example.org"))
    assert refusal.value.failure is Failure.BAD_ADDRESS


def test_a_server_for_them_gets_them(channel, talk):
    server = talk(HELLO, "250-here\r\n250 SMTPUTF8", OK, OK, GO_ON, OK)
    channel.send(letter("maría@münchen.example"))
    assert "RCPT TO:<maría@xn--mnchen-3ya.example>".lower() in [
        heard.decode().strip().lower() for heard in server.heard
    ]


def test_one_connection_serves_many_mails(channel, talk):
    server = talk(*UP_TO_DOT, *[OK, OK, OK, GO_ON] * 2, OK)
    for _time in range(3):
        channel.send(letter())
    assert server.connections == 1


def test_a_refusal_leaves_the_connection_fit_for_the_next_mail(channel, mailbox):
    mailbox.script(MailBehaviour.refuse_recipient(), MailBehaviour.refuse_data())
    for _time in range(2):
        with pytest.raises(ChannelError):
            channel.send(letter())
    channel.send(letter())
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("goodbye", [None, "421 idle too long"])
def test_a_connection_the_server_has_closed_is_replaced(channel, talk, goodbye):
    server = talk(*UP_TO_DOT, OK, *([goodbye] if goodbye else []), None)
    channel.send(letter())
    channel.send(letter())
    assert server.connections == 2


def test_a_connection_is_replaced_once_and_never_after_the_dot(channel, talk):
    server = talk(*UP_TO_DOT, OK, OK, OK, GO_ON, None)
    channel.send(letter())
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is Failure.UNKNOWN
    assert server.connections == 1


def test_an_outage_between_two_mails(channel, mailbox):
    channel.send(letter())
    mailbox.stop()
    with pytest.raises(ChannelError) as refusal:
        channel.send(letter())
    assert refusal.value.failure is Failure.TRY_LATER
    mailbox.start()
    channel.send(letter())
    assert len(mailbox.messages) == 2


def test_another_server_gets_a_connection_of_its_own(channel, mailbox, settings):
    channel.send(letter())
    with Mailbox() as other:
        settings.EMAIL_PORT = other.port
        channel.send(letter())
        assert len(other.messages) == 1
    assert len(mailbox.messages) == 1


def test_a_connection_that_waited_long_is_not_trusted(channel, talk, monkeypatch):
    server = talk(*UP_TO_DOT, OK, OK, OK, GO_ON, OK)
    channel.send(letter())
    monkeypatch.setattr(smtp, "LONGEST_IDLE", -1)
    channel.send(letter())
    assert server.connections == 2


def test_many_threads_share_few_connections(channel, mailbox):
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _n: channel.send(letter()), range(64)))
    assert len({mail["Message-ID"] for mail in mailbox.messages}) == 64
    assert len(channel._lines._idle) <= smtp.MOST_LINES


def test_a_server_that_hangs_does_not_hold_up_mails_for_ever(channel, talk, settings):
    server = talk(*UP_TO_DOT, hang=True)
    settings.EMAIL_TIMEOUT = 0.2
    began = time.monotonic()

    def send(_n):
        try:
            channel.send(letter())
        except ChannelError as error:
            return error.failure
        return None

    with ThreadPoolExecutor(2 * smtp.MOST_LINES) as pool:
        failures = list(pool.map(send, range(2 * smtp.MOST_LINES)))
    assert set(failures) <= {Failure.UNKNOWN, Failure.TRY_LATER}
    assert failures.count(Failure.UNKNOWN) >= smtp.MOST_LINES
    assert time.monotonic() - began < 5
    assert server.connections <= 2 * smtp.MOST_LINES


def test_the_frame_fetches_nothing_and_escapes_words():
    raw = mime.as_bytes(
        subject="Visit",
        body='<script>alert(1)</script> "quoted"',
        to=ANA,
        neutral=False,
        headers={},
    ).decode()
    assert "<script>" not in raw.partition("text/html")[2]
    assert "&lt;script&gt;" in raw


pytest_db = pytest.mark.django_db


@pytest_db
def test_grace_gets_one_mail_and_a_full_mailbox_is_given_up(monday, mailbox):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    mailbox.always(MailBehaviour.refuse_recipient(552, "5.2.2 full"))
    run_pass()
    message = Message.objects.get(direction="out")
    assert (message.state, message.error_code) == ("queued", "552 5.2.2")
    for _half_hour in range(4):
        for _pass in range(12):
            monday.shift(timedelta(minutes=5))
            run_pass()
    message.refresh_from_db()
    assert message.state == Message.State.FAILED
    assert ContactPoint.objects.get(channel="email").usable


@pytest_db
def test_a_dead_mailbox_is_noted_and_a_closed_server_waits(monday, mailbox):
    booked(patient(phone="", email="grace@example.com"), at=TOMORROW_10)
    mailbox.script(MailBehaviour.refuse_recipient())
    run_pass()
    point = ContactPoint.objects.get(channel="email")
    assert (point.usable, point.why_not) == (False, "refused (550 5.1.1)")
    assert not Breaker.objects.filter(state=Breaker.State.OPEN).exists()
