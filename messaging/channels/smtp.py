"""Email through an SMTP server: one recipient a mail, classed by reply code.

What smtplib raises says how a mail failed, not whether it went; so its steps are taken
one by one here. Until the final dot is out nobody has the mail; after it, without an
answer, nobody knows. Measured server by server in delivery.md §4.1.
"""

import re
import smtplib
import ssl
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum

from django.conf import settings
from django.core.mail import BadHeaderError
from django.core.mail.utils import DNS_NAME

from messaging import mime
from messaging.channels import (
    ChannelError,
    Failure,
    HandedOver,
    Listed,
    Outgoing,
)
from messaging.mail_tokens import Token, plus_address

#: A connection idle for longer is not used again; seconds. Servers drop them after a
#: minute or more (RFC 5321, 4.5.3.2.7 asks for five), routers forget them sooner.
LONGEST_IDLE = 30.0
#: Connections to the server at once, whatever the number of our threads: Postfix grants
#: a client 50, smaller providers ten or twenty.
MOST_LINES = 10
#: A closed connection says so at once. One that only times out has used up the time a
#: second try would take: ten exchanges of EMAIL_TIMEOUT must fit into one lease.
AT_ONCE = 1.0


class Step(Enum):
    """How far the talk with the server had come."""

    CONNECT = "connect"
    SENDER = "sender"
    RECIPIENT = "recipient"
    #: The server is asked whether it wants the text at all.
    DATA = "data"
    #: The final dot is out: from here the server may have the mail.
    DOT = "dot"


class SmtpChannel:
    """Sends mails with a Message-ID of our own, over connections that are kept."""

    name = "smtp"
    can_find = False

    def __init__(self) -> None:
        self._lines = _Lines()

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Hand one mail over, to one recipient.

        The Message-ID comes from the reference of the first try: whoever gets a mail
        twice can tell. A kept connection that the server has closed meanwhile is
        replaced once, as long as it has taken nothing.
        """
        to = _mailbox(outgoing.to)
        mail = _mail(outgoing, to)
        ref = uuid.UUID(outgoing.ref)
        # The envelope only: what comes back to it, comes back signed.
        envelope = plus_address(Token.BOUNCE, ref) or mime.sender_of(neutral=True)
        with self._lines.turn():
            started = time.monotonic()
            line, kept = self._lines.take()
            try:
                self._deliver(line, envelope, to, mail)
            except _StaleError:
                if not kept or time.monotonic() - started > AT_ONCE:
                    raise
                self._deliver(_connect(), envelope, to, mail)
        return HandedOver(
            provider_id=mime.message_id(outgoing.ref),
            sender=mime.sender_of(neutral=outgoing.neutral),
        )

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Return None: an SMTP server cannot be asked."""
        return None

    def recent(self, since: datetime) -> Iterable[Listed]:
        """Return nothing: an SMTP server keeps no list."""
        return ()

    def _deliver(self, line: "_Line", envelope: str, to: str, mail: bytes) -> None:
        """Hand one mail over, and keep the connection while it is fit for another."""
        try:
            _hand_over(line, envelope, to, mail)
        except ChannelError:
            if line.sock is not None:
                self._lines.give_back(line)
            raise
        except BaseException:
            line.close()
            raise
        self._lines.give_back(line)


class _StaleError(ChannelError):
    """The connection was over before the server had taken anything."""

    def __init__(self, code: str = "", detail: str = "connection lost") -> None:
        super().__init__(Failure.TRY_LATER, code, detail)


class _Line(smtplib.SMTP):
    """A connection, and what it was made with and last used at."""

    made_with: tuple[object, ...] = ()
    used = 0.0


class _SecureLine(_Line, smtplib.SMTP_SSL):
    """The same under TLS from its first byte."""


class _Lines:
    """Connections that wait for the next mail, the latest on top.

    One is held by one thread only. What waits is closed when the channel is forgotten.
    """

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(MOST_LINES)
        self._lock = threading.Lock()
        self._idle: list[_Line] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one of the connections we may have; raise where all stay busy."""
        if not self._turns.acquire(timeout=settings.EMAIL_TIMEOUT):
            raise ChannelError(Failure.TRY_LATER, detail="all connections are busy")
        try:
            yield
        finally:
            self._turns.release()

    def take(self) -> tuple[_Line, bool]:
        """Return a connection, and whether it had been used before."""
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return _connect(), False
            fresh = time.monotonic() - line.used <= LONGEST_IDLE
            if fresh and line.made_with == _server():
                return line, True
            _hang_up(line)

    def give_back(self, line: _Line) -> None:
        """Keep a connection for the next mail."""
        line.used = time.monotonic()
        with self._lock:
            self._idle.append(line)

    def __del__(self) -> None:
        # Without a word: in a process forked from another these are that one's too.
        for line in self._idle:
            line.close()


def _server() -> tuple[object, ...]:
    """Return what a connection depends on."""
    return (
        settings.EMAIL_HOST,
        settings.EMAIL_PORT,
        settings.EMAIL_HOST_USER,
        settings.EMAIL_HOST_PASSWORD,
        settings.EMAIL_USE_TLS,
        settings.EMAIL_USE_SSL,
        settings.EMAIL_TIMEOUT,
    )


def _connect() -> _Line:
    """Return a new connection, encrypted and signed in as the settings say.

    Never in the clear where TLS is asked for. Raises ``ChannelError``; nothing was
    sent then.
    """
    line: _Line | None = None
    server = (settings.EMAIL_HOST, settings.EMAIL_PORT, DNS_NAME.get_fqdn())
    timeout = settings.EMAIL_TIMEOUT
    try:
        secure = ssl.create_default_context()
        if settings.EMAIL_USE_SSL:
            line = _SecureLine(*server, timeout=timeout, context=secure)
        else:
            line = _Line(*server, timeout=timeout)
        line.ehlo_or_helo_if_needed()
        if settings.EMAIL_USE_TLS:
            line.starttls(context=secure)
            line.ehlo_or_helo_if_needed()
        if settings.EMAIL_HOST_USER and settings.EMAIL_HOST_PASSWORD:
            line.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
    except (OSError, smtplib.SMTPException) as error:
        if line is not None:
            line.close()
        raise _not_connected(error) from error
    line.made_with = _server()
    return line


def _hang_up(line: _Line) -> None:
    """Say goodbye without waiting for the answer, and close."""
    try:
        line.putcmd("quit")
    except (OSError, smtplib.SMTPException):
        pass
    finally:
        line.close()


#: A line that begins with a dot would end the mail (RFC 5321, 4.5.2).
_LINE_WITH_DOT = re.compile(rb"^\.", re.MULTILINE)


def _hand_over(line: _Line, envelope: str, to: str, mail: bytes) -> None:
    """Take one mail through the steps; raise ``ChannelError`` where it stops.

    What the server says no to leaves the connection fit for the next mail; any other
    end closes it.
    """
    options = [] if to.isascii() else ["smtputf8"]
    if options and not line.has_extn("smtputf8"):
        raise ChannelError(Failure.BAD_ADDRESS, detail="no smtputf8")
    try:
        _expect(line, Step.SENDER, line.mail(envelope, options))
        _expect(line, Step.RECIPIENT, line.rcpt(to))
        _expect(line, Step.DATA, line.docmd("DATA"))
        # At once: the dot goes out with the last of the text or not at all.
        line.send(_LINE_WITH_DOT.sub(b"..", mail) + b".\r\n")
    except (OSError, smtplib.SMTPException) as error:
        line.close()
        raise _StaleError(detail=type(error).__name__) from error
    try:
        answer = line.getreply()
    except (OSError, smtplib.SMTPException) as error:
        line.close()
        raise ChannelError(Failure.UNKNOWN, detail=type(error).__name__) from error
    _expect(line, Step.DOT, answer)


def _expect(line: _Line, step: Step, answer: tuple[int, bytes]) -> None:
    """Go on where the server agrees; else raise what its answer means."""
    code, said = answer
    if code == 354 if step is Step.DATA else 200 <= code < 300:
        return
    if step is Step.DOT and not 400 <= code < 600:
        # Neither yes nor no, after the mail was out.
        line.close()
        raise ChannelError(Failure.UNKNOWN, str(code))
    error = classify(code, said, step)
    if code == 421 or not 400 <= code < 600:
        line.close()
        if step is Step.SENDER:
            raise _StaleError(error.code)
    elif step is not Step.DOT:
        _start_over(line)
    raise error


def _start_over(line: _Line) -> None:
    """Clear the half-told mail, so that the next one starts anew."""
    try:
        line.rset()
    except (OSError, smtplib.SMTPException):
        line.close()


#: What enhanced codes say (RFC 3463 and the IANA registry), before the three digits.
_ENHANCED = {
    # The sender's own address is at fault: ours.
    **dict.fromkeys(("1.7", "1.8"), Failure.CONFIG),
    # Credentials, or the encryption they ask for.
    **dict.fromkeys(("7.3", "7.8", "7.9", "7.10", "7.11", "7.14"), Failure.CONFIG),
    # A full mailbox may be emptied.
    "2.2": Failure.TRY_LATER,
}
#: Words in a refusal without an enhanced code that are not about the mailbox.
_POLICY = re.compile(r"relay|spam|block|blacklist|policy|reject|denied", re.IGNORECASE)
#: Three digits that, alone, say of a recipient that there is no such mailbox.
_NO_MAILBOX = (521, 550, 551, 553, 556)
#: Three digits that are about us: log in first, encrypt first, wrong password.
_OURS = (530, 534, 535, 538)


def classify(code: int, text: bytes | str, step: Step = Step.RECIPIENT) -> ChannelError:
    """Return what an SMTP reply code means: 4xx is later, 5xx is never (RFC 5321).

    Only 5.1.x says that there is no such mailbox (RFC 3463); a full one, a policy, or a
    relay that does not know us says nothing about the address. What is said before a
    recipient was named is about us, and would be said of every mail.
    """
    said = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    found = re.match(r"\s*[45]\.(\d{1,3}\.\d{1,3})\b", said)
    detail = found[1] if found else ""
    shown = f"{code} {str(code)[0]}.{detail}" if detail else str(code)
    return ChannelError(_meaning(code, detail, said, step), shown)


def _meaning(code: int, detail: str, said: str, step: Step) -> Failure:
    if not 500 <= code < 600:
        return Failure.TRY_LATER
    if code in _OURS:
        return Failure.CONFIG
    if detail == "3.4":
        # Too large for this server: another mail would not be.
        return Failure.REFUSED
    if step in (Step.CONNECT, Step.SENDER):
        return Failure.CONFIG
    if detail in _ENHANCED:
        return _ENHANCED[detail]
    if detail.startswith("1."):
        return Failure.BAD_ADDRESS
    if detail:
        return Failure.REFUSED
    if code == 552:
        # "Exceeded storage allocation": full.
        return Failure.TRY_LATER
    about_address = step is Step.RECIPIENT and code in _NO_MAILBOX
    if about_address and not _POLICY.search(said):
        return Failure.BAD_ADDRESS
    return Failure.REFUSED


def _not_connected(error: Exception) -> ChannelError:
    """Return what it means that no connection could be made."""
    if isinstance(error, smtplib.SMTPResponseException):
        return classify(error.smtp_code, error.smtp_error, Step.CONNECT)
    # A server that is not who it says, or that cannot encrypt: it will not change.
    mend = (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError)
    failure = Failure.CONFIG if isinstance(error, mend) else Failure.TRY_LATER
    return ChannelError(failure, detail=type(error).__name__)


def _mailbox(address: str) -> str:
    """Return an address as the envelope takes it; raise where it cannot be one.

    The domain in ASCII (IDNA); letters beyond ASCII before the @ stay, for servers
    that take them (RFC 6531).
    """
    local, at, domain = address.rpartition("@")
    # Control characters and blanks would let an address add commands and headers.
    fit = at and local and domain and not re.search(r"[\x00-\x20\x7f<>,;]", address)
    try:
        if fit:
            local.encode()
            return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        pass
    raise ChannelError(Failure.BAD_ADDRESS, detail="not an address")


def _mail(outgoing: Outgoing, to: str) -> bytes:
    headers = {
        "Message-ID": mime.message_id(outgoing.first_ref),
        # No vacation notice in answer (RFC 3834).
        "Auto-Submitted": "auto-generated",
    }
    reply_to = plus_address(Token.REPLY, uuid.UUID(outgoing.ref))
    if reply_to:
        headers["Reply-To"] = reply_to
    if outgoing.leave_url:
        headers["List-Unsubscribe"] = f"<{outgoing.leave_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    try:
        return mime.as_bytes(
            subject=outgoing.subject,
            body=outgoing.body,
            to=to,
            neutral=outgoing.neutral,
            headers=headers,
        )
    except BadHeaderError as error:
        raise ChannelError(Failure.REFUSED, detail="line break in a header") from error
