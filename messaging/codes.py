"""What providers' error codes mean for us, whenever they come: one table.

The same code may answer the hand-over or come in a status report days later. A code not
named here is a refusal of this one message: nothing is tried again by itself, and the
ladder goes on to another way or a person.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from django.utils.translation import gettext_noop


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
    #: This message will never be taken: blocked, filtered, or nobody knows why.
    REFUSED = gettext_noop("refused")
    #: The text itself is refused, and would be for everybody who is to get it.
    CONTENT = gettext_noop("its text is refused")
    #: Ours to mend, and every message would fail: credentials, sender, region.
    CONFIG = "config"


@dataclass(frozen=True)
class Meaning:
    """What a code says.

    ``wait`` is how long until the same words may be tried anew, after the provider has
    said that they did not arrive, and ``times`` how often at most.
    """

    failure: Failure
    wait: timedelta | None = None
    times: int = 0


REFUSED = Meaning(Failure.REFUSED)


def _later(times: int, **wait: float) -> Meaning:
    return Meaning(Failure.TRY_LATER, timedelta(**wait), times)


def _all(codes: tuple[int, ...], meaning: Meaning) -> dict[int, Meaning]:
    return dict.fromkeys(codes, meaning)


#: Twilio's error dictionary. It says of itself that codes come and change.
TWILIO: dict[int, Meaning] = {
    # The recipient has unsubscribed, or has blocked us.
    **_all((21610, 63033), Meaning(Failure.OPTED_OUT)),
    # Not a number, not a mobile, a landline, unknown, or no member of the channel.
    **_all(
        (21211, 21214, 21217, 21614, 21635, 30005, 30006, 63003, 63024),
        Meaning(Failure.BAD_ADDRESS),
    ),
    # Blocked or filtered by a carrier; a country we may not write to (21408): one
    # patient's number abroad is no fault of the gateway.
    **_all((21408, 30004, 30007, 63013, 63026), REFUSED),
    # Empty, too long, bad media, too big, no template for it, outside a window.
    **_all(
        (
            21602, 21617, 21620, 21623, 21656, 30019, 63005, 63016, 63021, 63027,
            63028,
        ),
        Meaning(Failure.CONTENT),
    ),
    # Too many requests at once: never processed.
    20429: Meaning(Failure.TRY_LATER),
    # The sender's queue is full: ten hours' worth of texts lie before this one.
    21611: _later(2, minutes=15),
    # Queues and rates: full, congested, over the carrier's rate.
    **_all((30001, 30017, 30022), _later(3, minutes=5)),
    # Switched off or out of reach; or the carrier does not say why.
    30003: _later(1, hours=2),
    30008: _later(1, minutes=30),
    # A carrier's cap for the day.
    **_all((30023, 30027), _later(1, days=1)),
    # It waited longer than it was good for, and may still be.
    30036: _later(1, minutes=5),
    # Held as suspected pumping: for minutes, for hours.
    30450: _later(2, minutes=30),
    30453: _later(1, hours=4),
    # Other channels' passing troubles.
    **_all((63009, 63010, 63012, 63017, 63018), _later(2, minutes=15)),
    # Credentials, account, addresses of the API and of our webhook, sender, service,
    # and registrations with carriers.
    **_all(
        (
            20003, 20005, 20008, 20404, 21212, 21601, 21603, 21606, 21608, 21609,
            21659, 21660, 21661, 21701, 21702, 21703, 21704, 21705, 30002, 30018,
            30024, 30032, 30033, 30034, 30035, 35118, 63001, 63002, 63007, 63020,
        ),
        Meaning(Failure.CONFIG),
    ),
    # The POST is not idempotent: it may have been taken before the server failed.
    20500: Meaning(Failure.UNKNOWN),
}  # fmt: skip

#: A mailbox or a domain that does not exist (RFC 3463, 3.2: X.1.1 to X.1.3, X.1.6,
#: and X.1.10 of RFC 7505).
_NO_SUCH_MAILBOX = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})


def meaning_of(provider: str, code: str) -> Meaning:
    """Return what a provider's code means; ``REFUSED`` for one nobody has met."""
    if provider == "twilio" and code.isdecimal():
        return TWILIO.get(int(code), REFUSED)
    if provider == "smtp" and code in _NO_SUCH_MAILBOX:
        return Meaning(Failure.BAD_ADDRESS)
    return REFUSED
