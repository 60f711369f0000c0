"""A scriptable SMTP server on loopback that keeps what it is sent."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from enum import Enum
from types import TracebackType
from typing import ClassVar, Self, cast
from weakref import WeakKeyDictionary

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class ReceivedMail(EmailMessage):
    """A parsed message together with the envelope it came in."""

    mail_from: str = ""
    rcpt_tos: tuple[str, ...] = ()


class MailAnswer(Enum):
    """What the sender of a message sees."""

    ACCEPT = "accept"
    REFUSE_RECIPIENT = "refuse recipient"
    REFUSE_DATA = "refuse data"
    DROP = "drop"  # the connection closes after the final dot
    HANG = "hang"  # nothing after the final dot until released


@dataclass(frozen=True)
class MailBehaviour:
    """What one message meets: whether it is kept, and, separately, what is said."""

    accepts: bool
    answer: MailAnswer
    line: str = "250 OK"
    seconds: float | None = None

    ACCEPT: ClassVar["MailBehaviour"]
    DROP_AFTER: ClassVar["MailBehaviour"]
    DROP_BEFORE: ClassVar["MailBehaviour"]
    HANG_AFTER: ClassVar["MailBehaviour"]
    HANG_BEFORE: ClassVar["MailBehaviour"]

    @classmethod
    def refuse_recipient(
        cls, code: int = 550, text: str = "5.1.1 No such user"
    ) -> Self:
        """Refuse the RCPT command."""
        return cls(False, MailAnswer.REFUSE_RECIPIENT, f"{code} {text}")

    @classmethod
    def refuse_data(cls, code: int = 554, text: str = "5.7.1 Rejected") -> Self:
        """Refuse the message after its final dot."""
        return cls(False, MailAnswer.REFUSE_DATA, f"{code} {text}")

    @classmethod
    def hang_after(cls, seconds: float | None = None) -> Self:
        """Keep the message, then answer after ``seconds`` or ``Mailbox.release``."""
        return cls(True, MailAnswer.HANG, seconds=seconds)


MailBehaviour.ACCEPT = MailBehaviour(True, MailAnswer.ACCEPT)
MailBehaviour.DROP_AFTER = MailBehaviour(True, MailAnswer.DROP)
MailBehaviour.DROP_BEFORE = MailBehaviour(False, MailAnswer.DROP)
MailBehaviour.HANG_AFTER = MailBehaviour(True, MailAnswer.HANG)
MailBehaviour.HANG_BEFORE = MailBehaviour(
    False, MailAnswer.HANG, "451 4.3.0 Try again later"
)


class Mailbox:
    """An SMTP server on a loopback port.

    Use as a context manager, or with ``start`` and ``stop``. A stopped mailbox keeps
    its port and its messages, so stopping and starting plays an outage.

    A recipient takes its behaviour from ``for_recipient``, else its message takes one
    from the ``script`` queue, else ``always``. When recipients differ, the first whose
    behaviour is not to accept decides what happens after the final dot.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        port: int = 0,
        on_received: Callable[[ReceivedMail], None] | None = None,
    ) -> None:
        """Prepare the mailbox; it listens only once started."""
        self.port = port
        self.on_received = on_received
        self._changed = threading.Condition()
        self._messages: list[ReceivedMail] = []
        self._default = MailBehaviour.ACCEPT
        self._script: deque[MailBehaviour] = deque()
        self._by_recipient: dict[str, MailBehaviour] = {}
        self._hanging: list[asyncio.Event] = []
        self._controller: _Controller | None = None

    # Running

    @property
    def url(self) -> str:
        """The address in the form the EMAIL_URL setting takes."""
        return f"smtp://{self.host}:{self.port}"

    def start(self) -> Self:
        """Listen, from now on, on a port that stays the same."""
        if self._controller is not None:
            raise RuntimeError("Mailbox is already running")
        controller = _Controller(_Hooks(self), self.host, self.port)
        controller.start()
        self._controller = controller
        self.port = controller.port
        return self

    def stop(self) -> None:
        """Stop listening and cut every open connection."""
        if self._controller is None:
            return
        self._controller.hang_up()
        self._controller.stop()
        self._controller = None
        with self._changed:
            self._hanging.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Scripting

    def script(self, *behaviours: MailBehaviour) -> None:
        """Queue behaviours for the next messages."""
        with self._changed:
            self._script.extend(behaviours)

    def always(self, behaviour: MailBehaviour) -> None:
        """Do this whenever nothing else is scripted."""
        self._default = behaviour

    def for_recipient(self, address: str, behaviour: MailBehaviour | None) -> None:
        """Do this for every message to ``address``; None forgets it again."""
        with self._changed:
            if behaviour is None:
                self._by_recipient.pop(address, None)
            else:
                self._by_recipient[address] = behaviour

    def release(self) -> None:
        """Let every answer that hangs now go out; later ones hang again."""
        with self._changed:
            hanging, self._hanging = self._hanging, []
        if self._controller is not None:
            for event in hanging:
                self._controller.loop.call_soon_threadsafe(event.set)

    # Looking

    @property
    def messages(self) -> list[ReceivedMail]:
        """Every message kept so far, oldest first (a copy)."""
        with self._changed:
            return list(self._messages)

    def messages_to(self, address: str) -> list[ReceivedMail]:
        """Return the messages whose envelope names ``address``, oldest first."""
        return [mail for mail in self.messages if address in mail.rcpt_tos]

    def wait_until_received(self, count: int = 1, timeout: float = 10) -> None:
        """Block until ``count`` messages are kept."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: len(self._messages) >= count, timeout
            ):
                raise TimeoutError(f"{len(self._messages)} of {count} messages")

    def _behaviour_for(
        self, address: str, of_message: MailBehaviour | None
    ) -> tuple[MailBehaviour, MailBehaviour | None]:
        """Return a recipient's behaviour, and the one its message now has."""
        with self._changed:
            own = self._by_recipient.get(address)
            if own is not None:
                return own, of_message
            if of_message is None:
                of_message = self._script.popleft() if self._script else self._default
            return of_message, of_message

    def _keep(self, envelope: Envelope, hang: asyncio.Event | None) -> None:
        content = envelope.original_content or b""
        parser = BytesParser(ReceivedMail, policy=policy.default)
        mail = cast(ReceivedMail, parser.parsebytes(content))
        mail.mail_from = envelope.mail_from or ""
        mail.rcpt_tos = tuple(envelope.rcpt_tos)
        with self._changed:
            # Together, so that whoever waits for the message can release its answer.
            if hang is not None:
                self._hanging.append(hang)
            self._messages.append(mail)
            self._changed.notify_all()
        if self.on_received is not None:
            self.on_received(mail)


class _Hooks:
    """What aiosmtpd calls, all on the server's own thread."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._of_message: WeakKeyDictionary[Envelope, MailBehaviour] = (
            WeakKeyDictionary()
        )
        self._of_recipients: WeakKeyDictionary[Envelope, list[MailBehaviour]] = (
            WeakKeyDictionary()
        )

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds hooks by name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        behaviour, of_message = self._mailbox._behaviour_for(
            address, self._of_message.get(envelope)
        )
        if of_message is not None:
            self._of_message[envelope] = of_message
        if behaviour.answer is MailAnswer.REFUSE_RECIPIENT:
            return behaviour.line
        self._of_recipients.setdefault(envelope, []).append(behaviour)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds hooks by name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        behaviour = next(
            (
                behaviour
                for behaviour in self._of_recipients[envelope]
                if behaviour.answer is not MailAnswer.ACCEPT
            ),
            MailBehaviour.ACCEPT,
        )
        hang = asyncio.Event() if behaviour.answer is MailAnswer.HANG else None
        if behaviour.accepts:
            self._mailbox._keep(envelope, hang)
        elif hang is not None:
            with self._mailbox._changed:
                self._mailbox._hanging.append(hang)
        if hang is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(hang.wait(), behaviour.seconds)
        if behaviour.answer is MailAnswer.DROP:
            _abort(server)
            # The loss of the connection cancels this task; returning instead would
            # have aiosmtpd write to a closed socket.
            await asyncio.Event().wait()
        return behaviour.line


class _Controller(Controller):
    """aiosmtpd's controller, able to take any free port and to leave nothing open."""

    def __init__(self, hooks: _Hooks, host: str, port: int) -> None:
        # A given name spares the look-up of this machine's full one per connection.
        super().__init__(hooks, host, port, server_hostname="localhost")
        self._sessions: list[SMTP] = []

    def factory(self) -> SMTP:
        session: SMTP = super().factory()
        self._sessions.append(session)
        return session

    def _trigger_server(self) -> None:
        # Called once the socket is bound: port 0 has become a real one.
        self.port = self._listener.sockets[0].getsockname()[1]
        super()._trigger_server()

    @property
    def _listener(self) -> asyncio.Server:
        return cast(asyncio.Server, self.server)

    def hang_up(self) -> None:
        """Cut every connection and wait until its task has ended."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(timeout=10)

    async def _hang_up(self) -> None:
        this = asyncio.current_task()
        while True:
            for session in self._sessions:
                _abort(session)
            tasks = asyncio.all_tasks() - {this}
            if tasks:
                await asyncio.wait(tasks)
            elif any(session.transport is not None for session in self._sessions):
                # An aborted connection closes its socket only in the next turn.
                await asyncio.sleep(0)
            else:
                break
        # Last, with nothing on its way through accept: asyncio forgets the socket of
        # a connection whose listener has closed meanwhile.
        self._listener.close()


def _abort(session: SMTP) -> None:
    """Close a connection at once, whatever is still to be written."""
    if session.transport is not None:
        cast(asyncio.WriteTransport, session.transport).abort()
