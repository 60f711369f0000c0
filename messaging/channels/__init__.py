"""The ways out. Only ``messaging/dispatch.py`` may import from here.

A channel is a module with a class that has ``send`` and ``find``; to add one, copy the
simplest and name it in ``dispatch._client``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from django.utils.translation import gettext_noop

from messaging.models import Message


class Failure(Enum):
    """What a failed send says about what may be done next, in words for staff."""

    #: Provably not sent: throttled, refused connection. The same message, later.
    TRY_LATER = "try later"
    #: It may have been sent: timeout, reset, 5xx. Never again blindly.
    UNKNOWN = gettext_noop("unknown")
    #: This address will never take it.
    BAD_ADDRESS = gettext_noop("bad address")
    #: The recipient has told the provider to stop us.
    OPTED_OUT = gettext_noop("opted out")
    #: This message will never be taken: blocked, too long, refused for its content.
    REFUSED = gettext_noop("refused")
    #: Ours to mend, and every message would fail: credentials, sender, region.
    CONFIG = "config"


class ChannelError(Exception):
    """A message was not, or perhaps not, handed over."""

    def __init__(self, failure: Failure, code: str = "", detail: str = "") -> None:
        super().__init__(f"{failure.value} {code} {detail}".strip())
        self.failure = failure
        self.code = code


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


@dataclass(frozen=True)
class HandedOver:
    """The provider took it, under this id; ``state`` says how far it is known to be."""

    provider_id: str
    sender: str
    state: Message.State = Message.State.ACCEPTED


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
