"""How fast a sender may hand over, across all workers: a bucket of segments."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from messaging.gateways import gateway_of
from messaging.models import Bucket, Message

#: A bucket holds what so many seconds bring: two passes, so that none of it overflows
#: while nobody looks, and little enough for what is urgent not to queue up behind it at
#: the provider.
HOLDS_SECONDS = 10
#: Up to this urgency a text goes whatever the bucket holds; the others pay for it.
NEVER_WAITS = 0


def rate_of(message: Message) -> tuple[str, float]:
    """Return (sender, segments a second) of a message; 0 is as fast as it goes.

    Providers count segments, not texts, and by sender (delivery.md, throughput).
    """
    if gateway_of(message) != "twilio":
        return "", 0.0
    sender = settings.TWILIO_MESSAGING_SERVICE_SID or settings.TWILIO_FROM_NUMBER
    return str(sender), float(settings.SMS_SEGMENTS_PER_SECOND)


def take(messages: Iterable[Message], now: datetime) -> dict[int, datetime]:
    """Take from the senders' buckets for messages, in their order.

    Returns {message id: when there will be enough} of those that do not fit now. None
    overtakes another of its sender, but for danger. Two queries a sender with a rate,
    none for others; locks the bucket until the caller's transaction ends.
    """
    by_sender: dict[tuple[str, float], list[Message]] = {}
    for message in messages:
        sender, rate = rate_of(message)
        if rate > 0:
            by_sender.setdefault((sender, rate), []).append(message)
    later: dict[int, datetime] = {}
    for (sender, rate), wanting in sorted(by_sender.items()):
        later |= _take(sender, rate, wanting, now)
    return later


def _take(
    sender: str, rate: float, messages: list[Message], now: datetime
) -> dict[int, datetime]:
    size = rate * HOLDS_SECONDS
    bucket, _created = Bucket.objects.select_for_update().get_or_create(
        sender=sender, defaults={"level": size, "at": now}
    )
    # Clocks of two machines differ a little; a bucket never empties by that.
    passed = max(0.0, (now - bucket.at).total_seconds())
    level = min(size, bucket.level + rate * passed)
    later: dict[int, datetime] = {}
    owed = 0.0
    for message in messages:
        # One that is longer than the bucket goes from a full one.
        fits = level + 1e-6 >= min(message.segments, size) and not later
        if fits or message.urgency <= NEVER_WAITS:
            level -= message.segments
        else:
            owed += message.segments
            later[message.pk] = now + timedelta(seconds=max(owed - level, 0.1) / rate)
    bucket.level, bucket.at = level, max(bucket.at, now)
    bucket.save(update_fields=["level", "at"])
    return later
