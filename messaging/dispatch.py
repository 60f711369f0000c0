"""From queued to handed over, chunk by chunk: claim, gate, send, record.

One statement claims, with a lease and a token; the gate judges in one short
transaction; the provider is called with no transaction open; the results are written
together, only by the holder of the token (``recording.py``). A worker killed in between
leaves at most its chunk unknown, and nothing is sent twice.
"""

import logging
import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial

from django.conf import settings
from django.db import OperationalError, transaction
from django.urls import reverse
from django.utils import timezone

from core.faults import logged, persistently
from core.sql import skips_locked
from messaging.channels import ChannelError, Failure, Outgoing
from messaging.clients import MOST_AT_ONCE, THREADS, client_of, forget_clients
from messaging.gate import FULL, LEASE, pass_gate
from messaging.gateways import gateway_of
from messaging.leave import leave_links
from messaging.models import Message
from messaging.recording import (
    MOST_TRIES,
    STALE,
    Outcome,
    record,
    record_all,
    record_failure,
)
from messaging.settling import reap, settle_unknown
from messaging.tasks import wake

__all__ = [
    "MOST_TRIES",
    "claim",
    "dispatch_due",
    "forget_clients",
    "reap",
    "record",
    "record_failure",
    "settle_unknown",
]

logger = logging.getLogger(__name__)

#: Chunks one pass sends before it lets the rest of the pass have its turn.
MOST_CHUNKS = 50
#: What the gate let go so long ago is not handed over: it may no longer be true. A
#: process that was stopped for a while comes back to find that out.
FRESH_FOR = timedelta(seconds=5)


def dispatch_due() -> int:
    """Send what is due, chunk after chunk; return how many messages were dealt with."""
    handled = 0
    # Channels of which nothing more fits through now.
    full: set[str] = set()
    for _chunk in range(MOST_CHUNKS):
        token = claim(THREADS, leaving_out=full)
        if token is None:
            break
        going, judged = _gate(token)
        record_all(_send(going), token)
        handled += len(judged)
        full |= {message.channel for message in judged if message.why == FULL}
    else:
        # The rest need not wait for the next tick.
        wake()
    return handled


def claim(limit: int, leaving_out: Collection[str] = ()) -> uuid.UUID | None:
    """Lease up to ``limit`` due messages in one statement; return the lease's token.

    The most urgent first, then the oldest; none of the channels left out. On PostgreSQL
    rows another worker is at are skipped; on SQLite writers take turns.
    """
    token = uuid.uuid4()
    now = timezone.now()
    with transaction.atomic():
        due = (
            Message.objects.filter(state=Message.State.QUEUED, not_before__lte=now)
            .exclude(channel__in=leaving_out)
            .order_by("urgency", "not_before", "id")
            .select_for_update(skip_locked=skips_locked())
            .values("pk")[:limit]
        )
        claimed = Message.objects.filter(pk__in=due).update(
            state=Message.State.CLAIMED, lease_token=token, lease_until=now + LEASE
        )
    return token if claimed else None


def _gate(
    token: uuid.UUID,
) -> tuple[list[tuple[Message, Outgoing]], list[Message]]:
    """Return what may go, ready to be sent, and all that was judged.

    All that could fail before the provider is called is done in the gate's transaction:
    when it is rolled back, nothing was sent and the lease runs out. Where a chunk
    cannot be judged, each of its messages is by itself: one holds up no other.
    """
    try:
        return persistently(partial(_judge, token), "the gate")
    except OperationalError:
        raise
    except Exception:
        logger.exception("judging a chunk broke: one by one")
    going: list[tuple[Message, Outgoing]] = []
    judged: list[Message] = []
    claimed = Message.objects.filter(lease_token=token, state=Message.State.CLAIMED)
    for pk in claimed.order_by("urgency", "not_before", "id").values_list(
        "pk", flat=True
    ):
        with logged(f"message {pk}: judging"):
            one, seen = persistently(partial(_judge, token, pk), "the gate")
            going += one
            judged += seen
    return going, judged


@transaction.atomic
def _judge(
    token: uuid.UUID, only: int | None = None
) -> tuple[list[tuple[Message, Outgoing]], list[Message]]:
    claimed = Message.objects.filter(lease_token=token, state=Message.State.CLAIMED)
    if only is not None:
        claimed = claimed.filter(pk=only)
    messages = list(claimed.select_for_update().order_by("id"))
    passed = pass_gate(messages)
    links = leave_links(passed)
    going = [
        (message, replace(_outgoing(message), leave_url=links.get(message.pk, "")))
        for message in passed
    ]
    return going, messages


def _send(
    going: Sequence[tuple[Message, Outgoing]],
) -> Iterator[tuple[Message, Outcome]]:
    """Hand a chunk over, each message in a thread of its own; yield the answers as
    they come.
    """
    futures = {
        _pool(gateway_of(message)).submit(_call, message, outgoing): message
        for message, outgoing in going
    }
    for future in as_completed(futures):
        yield futures[future], future.result()


def _call(message: Message, outgoing: Outgoing) -> Outcome:
    """Call the provider, without a query; return what came of it."""
    if timezone.now() > (message.submitting_at or timezone.now()) + FRESH_FOR:
        return STALE
    try:
        return client_of(gateway_of(message)).send(outgoing)
    except ChannelError as error:
        return error
    except Exception:
        # Whatever it was, it may have come after the provider took it.
        logger.exception("message %s: sending broke", message.pk)
        return ChannelError(Failure.UNKNOWN, "ours")


@lru_cache(maxsize=4)
def _pool(gateway: str) -> ThreadPoolExecutor:
    """Return the threads of a gateway; they stay, and so do their connections."""
    return ThreadPoolExecutor(MOST_AT_ONCE.get(gateway, THREADS), f"send-{gateway}")


# Threads do not follow into a child.
os.register_at_fork(after_in_child=_pool.cache_clear)


@lru_cache(maxsize=4)
def _status_url(base: str) -> str:
    return f"{base}{reverse('messaging:twilio_status')}"


def _outgoing(message: Message) -> Outgoing:
    return Outgoing(
        ref=str(message.ref),
        first_ref=str(message.resend_of.ref if message.resend_of else message.ref),
        to=message.address,
        body=message.body,
        subject=message.subject,
        deadline=message.deadline or timezone.now(),
        neutral=message.neutral,
        status_url=f"{_status_url(settings.PUBLIC_BASE_URL)}?ref={message.ref}",
    )
