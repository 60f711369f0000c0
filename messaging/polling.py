"""What the webhooks missed, found in the provider's own list.

Twilio calls a webhook once; where nobody answered, only its list knows. Everything that
is found goes the way a webhook's news goes, and unique ids make both one.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.utils import timezone

from accounts.models import Heartbeat
from accounts.ticks import beat
from core.faults import logged
from messaging.channels import Listed
from messaging.clients import client_of
from messaging.inbound import receive
from messaging.models import Message
from messaging.purposes import RANKS
from messaging.status import STATES, adopt_orphans, receive_status
from messaging.tally import MISSED_STATUS, MISSED_TEXT, tally
from patients.models import Channel

#: When the list was last asked for, and up to when it is known to have been read.
ASKED, READ = "inbound_poll", "inbound_polled"
POLL_EVERY = timedelta(minutes=5)
#: How far back a poll looks each time, and once an hour: a receipt may come after the
#: ten hours that Twilio keeps trying a phone that is off.
LOOK_BACK, LOOK_BACK_DEEP = timedelta(hours=3), timedelta(hours=36)
#: After days of standing still the worklist is full of what those brought, and not of
#: what was written to us a month ago.
LOOK_BACK_MOST = timedelta(days=7)
#: What happened this moment its webhook is about to tell.
GIVE_THE_WEBHOOK = timedelta(minutes=2)
#: How many listed messages are compared with ours at once.
CHUNK = 500


def poll() -> int:
    """Take in what the webhooks missed, every few minutes; return how much that was.

    One request to Twilio for a thousand messages, and one query for five hundred. A
    list that cannot be had is asked for again next time, further back.
    """
    if settings.SMS_GATEWAY != "twilio" or not _is_due():
        return 0
    found = adopt_orphans()
    with logged("polling the provider's list"):
        now = timezone.now()
        listed = client_of("twilio").recent(_since(now))
        settled = (
            one for one in listed if one.at is None or one.at <= now - GIVE_THE_WEBHOOK
        )
        texts: list[Listed] = []
        for chunk in _chunks(settled):
            found += _take_in(chunk, texts)
        # The oldest first: as they were written they stand in the thread, and count.
        for text in reversed(texts):
            with logged("a listed text: storing"):
                found += _store(text)
        beat(READ, found)
    return found


def _is_due() -> bool:
    """Take the right to ask now; of two workers one gets it."""
    now = timezone.now()
    _beat, is_first = Heartbeat.objects.get_or_create(key=ASKED, defaults={"at": now})
    last = Heartbeat.objects.filter(key=ASKED, at__lte=now - POLL_EVERY)
    return is_first or bool(last.update(at=now))


def _since(now: datetime) -> datetime:
    """Return from when on the list is read: further back than the last time it was.

    An account that is new to us has a past that was somebody else's to answer.
    """
    read = Heartbeat.objects.filter(key=READ).values_list("at", flat=True).first()
    if read is None:
        return now - LOOK_BACK
    is_deep = read.hour != now.hour or now - read >= timedelta(hours=1)
    back = LOOK_BACK_DEEP if is_deep else LOOK_BACK
    return now - max(back, min(now - read + LOOK_BACK, LOOK_BACK_MOST))


def _chunks(listed: Iterable[Listed]) -> Iterator[list[Listed]]:
    rest = iter(listed)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _take_in(chunk: Sequence[Listed], texts: list[Listed]) -> int:
    """Apply what is news of our messages, and return of how many; what was written to
    us and is not here goes to ``texts``.
    """
    ours = dict(
        Message.objects.filter(
            provider="twilio", provider_id__in=[one.provider_id for one in chunk]
        ).values_list("provider_id", "rank")
    )
    found = 0
    for one in chunk:
        if one.inbound and one.provider_id not in ours and one.status == "received":
            texts.append(one)
        elif not one.inbound and _is_news(one, ours.get(one.provider_id)):
            with logged("a listed status: applying"):
                found += _apply(one)
    return found


def _store(one: Listed) -> bool:
    new = receive(
        provider="twilio",
        provider_id=one.provider_id,
        channel=Channel.SMS,
        from_address=one.from_address,
        to_address=one.to_address,
        body=one.body,
        media_count=one.media_count,
        at=one.at,
    )
    if new:
        tally(MISSED_TEXT)
    return new


def _is_news(one: Listed, rank: int | None) -> bool:
    """Return whether a status says more of a message of ours than we know."""
    state = STATES.get(one.status)
    return rank is not None and state is not None and RANKS[state] > rank


def _apply(one: Listed) -> bool:
    new = receive_status(
        provider="twilio",
        provider_id=one.provider_id,
        ref=None,
        status=one.status,
        code=one.code,
    )
    if new:
        tally(MISSED_STATUS)
    return new
