"""The ways out. Only those who hand over may import from here (see pyproject.toml).

A channel is a module with a class that has ``send`` and ``find``; to add one, copy the
simplest and name it in ``clients.client_of``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from messaging.codes import Failure
from messaging.models import Message

__all__ = [
    "ChannelClient",
    "ChannelError",
    "Failure",
    "HandedOver",
    "Listed",
    "Outgoing",
]


class ChannelError(Exception):
    """A message was not, or perhaps not, handed over.

    ``retry_after``: the seconds a provider asked us to leave it alone, when it did.
    """

    def __init__(
        self,
        failure: Failure,
        code: str = "",
        detail: str = "",
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{failure.value} {code} {detail}".strip())
        self.failure = failure
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True)
class Outgoing:
    """What a channel needs to know of a message; plain values, no database."""

    ref: str
    #: The reference of the first try: a mail sent once more keeps its Message-ID.
    first_ref: str
    to: str
    body: str
    subject: str
    deadline: datetime
    status_url: str
    #: The name of whoever sends it must not be seen either.
    neutral: bool = False
    #: Where one click ends mails of this kind (RFC 8058); blank where none does.
    leave_url: str = ""


@dataclass(frozen=True)
class HandedOver:
    """The provider took it, under this id; ``state`` says how far it is known to be."""

    provider_id: str
    sender: str
    state: Message.State = Message.State.ACCEPTED


@dataclass(frozen=True)
class Listed:
    """A message as the provider's own list has it, from us or to us.

    ``at`` is when the provider last touched it (UTC), None where it does not say.
    """

    provider_id: str
    inbound: bool
    status: str
    code: str
    from_address: str
    to_address: str
    body: str
    media_count: int
    at: datetime | None


class ChannelClient(Protocol):
    """A way out."""

    name: str
    #: Whether ``find`` can tell what became of a message nobody knows about.
    can_find: bool

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Hand one message over; raise ``ChannelError`` otherwise. Opens no query."""

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Return a message the provider has and we do not know of, if there is one."""

    def recent(self, since: datetime) -> Iterable[Listed]:
        """Return what the provider has had to do for us since an instant, the newest
        first; nothing where ``can_find`` is false.
        """
