"""From queued to handed over: claim, gate, send, record. The only user of channels.

One statement claims, with a lease and a token; the gate judges in one short
transaction; the provider is called with no transaction open; the result is written
only by the holder of the token. A worker killed in between leaves at most its batch
unknown, and nothing is sent twice.
"""

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from functools import lru_cache, partial

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged, persistently
from core.sayings import say
from core.sql import skips_locked
from messaging.channels import (
    ChannelClient,
    ChannelError,
    Failure,
    HandedOver,
    Outgoing,
)
from messaging.channels.simulated import SimulatedChannel
from messaging.channels.smtp import SmtpChannel
from messaging.channels.twilio import TwilioChannel
from messaging.gate import LEASE, pass_gate
from messaging.gateways import CLOSED_FOR, gateway_of, mend, trip
from messaging.handover import give_up
from messaging.ladder import note_progress, start_rung
from messaging.models import Conversation, Message, Notice
from messaging.purposes import PURPOSES, RANKS
from messaging.services import mark_unusable, suppress
from messaging.status import apply_orphans
from patients.models import Channel

logger = logging.getLogger(__name__)

#: Messages handed over at once; also how many a killed worker can leave unknown.
THREADS = 8
#: Batches one pass sends before it lets the rest of the pass have its turn.
MOST_BATCHES = 50
#: A throttled message waits so long times the number of its tries.
BACK_OFF = timedelta(seconds=30)
#: When to ask a provider about a message nobody knows about, after its submission.
LOOK_AFTER = (timedelta(minutes=2), timedelta(minutes=10))


@lru_cache(maxsize=4)
def _client(name: str) -> ChannelClient:
    if name == "twilio":
        return TwilioChannel(
            account_sid=settings.TWILIO_ACCOUNT_SID,
            auth_token=settings.TWILIO_AUTH_TOKENS[0],
            base_url=settings.TWILIO_API_BASE_URL,
            messaging_service_sid=settings.TWILIO_MESSAGING_SERVICE_SID,
            from_number=settings.TWILIO_FROM_NUMBER,
            connections=THREADS,
        )
    if name == "smtp":
        return SmtpChannel()
    return SimulatedChannel()


def forget_clients() -> None:
    """Make the channels anew from the settings; for tests that change them."""
    _client.cache_clear()


def dispatch_due() -> int:
    """Send what is due, batch after batch; return how many messages were dealt with."""
    handled = 0
    for _batch in range(MOST_BATCHES):
        token = claim(THREADS)
        if token is None:
            break
        going, judged = persistently(partial(_gate, token), "the gate")
        handled += judged
        _send(going, token)
    return handled


def claim(limit: int) -> uuid.UUID | None:
    """Lease up to ``limit`` due messages in one statement; return the lease's token.

    On PostgreSQL rows another worker is at are skipped; on SQLite writers take turns.
    """
    token = uuid.uuid4()
    now = timezone.now()
    with transaction.atomic():
        due = (
            Message.objects.filter(state=Message.State.QUEUED, not_before__lte=now)
            .order_by("not_before", "id")
            .select_for_update(skip_locked=skips_locked())
            .values("pk")[:limit]
        )
        claimed = Message.objects.filter(pk__in=due).update(
            state=Message.State.CLAIMED, lease_token=token, lease_until=now + LEASE
        )
    return token if claimed else None


def _gate(token: uuid.UUID) -> tuple[list[tuple[Message, Outgoing]], int]:
    """Return what may go, ready to be sent, and how many messages were judged.

    All that could fail before the provider is called is done in this transaction: when
    it is rolled back, nothing was sent and the lease runs out.
    """
    with transaction.atomic():
        messages = list(
            Message.objects.select_for_update(of=("self",))
            .select_related("patient", "resend_of")
            .filter(lease_token=token, state=Message.State.CLAIMED)
            .order_by("id")
        )
        going = [(message, _outgoing(message)) for message in pass_gate(messages)]
        return going, len(messages)


def _send(going: Sequence[tuple[Message, Outgoing]], token: uuid.UUID) -> None:
    if not going:
        return
    with ThreadPoolExecutor(max_workers=len(going)) as pool:
        futures = {
            pool.submit(_client(gateway_of(message)).send, outgoing): message
            for message, outgoing in going
        }
        for future in as_completed(futures):
            message = futures[future]
            outcome: HandedOver | ChannelError
            try:
                outcome = future.result()
            except ChannelError as error:
                outcome = error
            except Exception:
                # Whatever it was, it may have come after the provider took it.
                logger.exception("message %s: sending broke", message.pk)
                outcome = ChannelError(Failure.UNKNOWN, "ours")
            with logged(f"message {message.pk}: recording"):
                _write_down(message, outcome, token)


def _write_down(
    message: Message, outcome: HandedOver | ChannelError, token: uuid.UUID
) -> None:
    """Record an outcome.

    Should it fail, the lease runs out and the message becomes unknown.
    """

    def write() -> None:
        if isinstance(outcome, HandedOver):
            record(message, outcome, token)
        else:
            record_failure(message, outcome, token)

    persistently(write, f"message {message.pk}: recording")


def _outgoing(message: Message) -> Outgoing:
    return Outgoing(
        ref=str(message.ref),
        first_ref=str(message.resend_of.ref if message.resend_of else message.ref),
        to=message.address,
        body=message.body,
        subject=message.subject,
        deadline=message.deadline or timezone.now(),
        neutral=message.neutral,
        status_url=(
            f"{settings.PUBLIC_BASE_URL}{reverse('messaging:twilio_status')}"
            f"?ref={message.ref}"
        ),
    )


def record(message: Message, handed: HandedOver, token: uuid.UUID | None) -> None:
    """Write that a provider took a message, if the lease is still ours.

    A callback may have been quicker: the state never goes back, and callbacks that
    came before the provider's id was known are applied now.
    """
    with transaction.atomic():
        current = _ours(message, token, taken=True)
        if current is None:
            return
        current.provider = gateway_of(message)
        current.provider_id = handed.provider_id
        current.sender = handed.sender or current.sender
        current.accepted_at = timezone.now()
        current.lease_token = current.lease_until = None
        if current.rank < RANKS[handed.state]:
            current.state, current.rank = handed.state, RANKS[handed.state]
        current.why = ""
        current.save()
        note_progress(current)
        apply_orphans(current)
        mend(current.provider)
        # Last in everybody's order of locks.
        Conversation.objects.filter(messages=current).update(
            last_message_at=current.accepted_at
        )


def record_failure(
    message: Message, error: ChannelError, token: uuid.UUID | None
) -> None:
    """Write that a message was not, or perhaps not, handed over."""
    logger.warning(
        "message %s: not handed over",
        message.pk,
        extra={"failure": error.failure.value, "code": error.code},
    )
    with transaction.atomic():
        current = _ours(message, token)
        if current is None:
            return
        current.error_code = error.code
        current.lease_token = current.lease_until = None
        current.provider = gateway_of(message)
        now = timezone.now()
        if error.failure is Failure.UNKNOWN:
            if current.state == Message.State.SUBMITTING:
                current.state = Message.State.UNKNOWN
                current.why = str(error.failure.value)
        elif error.failure is Failure.TRY_LATER:
            _back_to_queue(current, now + BACK_OFF * current.attempts)
        elif error.failure is Failure.CONFIG:
            current.attempts -= 1
            _back_to_queue(current, now + CLOSED_FOR)
            trip(current.provider, error.code)
        else:
            current.state = Message.State.FAILED
            current.rank = RANKS[Message.State.FAILED]
            current.why = error.failure.value
            _learn(current, error)
        current.save()
        if current.state == Message.State.FAILED:
            note_progress(current)


def _ours(
    message: Message, token: uuid.UUID | None, *, taken: bool = False
) -> Message | None:
    """Return the message as it stands, locked, unless another has it now.

    That a provider has ``taken`` it is a fact, and welcome however late while nobody
    knows what became of the message.
    """
    current = (
        Message.objects.select_for_update(of=("self",))
        .select_related("patient")
        .get(pk=message.pk)
    )
    unknown = current.state == Message.State.UNKNOWN and not current.provider_id
    if taken and unknown:
        return current
    if token is not None and current.lease_token != token:
        logger.warning("message %s: the lease was lost", message.pk)
        return None
    return current


def _back_to_queue(message: Message, not_before: datetime) -> None:
    message.state, message.not_before = Message.State.QUEUED, not_before
    message.submitting_at = None


def _learn(message: Message, error: ChannelError) -> None:
    """Keep what a failure says about the address."""
    channel = Channel(message.channel)
    if error.failure is Failure.OPTED_OUT:
        suppress(
            address=message.address,
            channel=channel,
            cause=f"{message.provider} {error.code}",
            message=message,
        )
    elif error.failure is Failure.BAD_ADDRESS:
        mark_unusable(
            channel=channel, address=message.address, why=f"refused ({error.code})"
        )


def reap() -> int:
    """Take back leases that ran out; return how many.

    Not yet submitted is provably not sent and queued again. Submitted without a result
    is unknown.
    """
    now = timezone.now()
    late = Message.objects.filter(lease_until__lte=now)
    queued = late.filter(state=Message.State.CLAIMED).update(
        state=Message.State.QUEUED, lease_token=None, lease_until=None
    )
    unknown = late.filter(state=Message.State.SUBMITTING).update(
        state=Message.State.UNKNOWN,
        why=gettext_noop("the worker was lost"),
        lease_token=None,
        lease_until=None,
    )
    return queued + unknown


def settle_unknown() -> int:
    """Find out about messages nobody knows about; return how many were settled.

    The status callback may settle one at any time. The provider's list is asked twice;
    after that the message is sent once more where that is safe and still useful, else
    a person decides.
    """
    now = timezone.now()
    settled = 0
    unknown = (
        Message.objects.filter(
            state=Message.State.UNKNOWN,
            submitting_at__lte=now - LOOK_AFTER[0],
            resent_as=None,
            notices__state=Notice.State.OPEN,
        )
        .select_related("patient")
        .distinct()
    )
    for message in unknown.order_by("submitting_at")[:100]:
        with logged(f"message {message.pk}: settling"):
            settled += _settle_one(message, now)
    return settled


def _settle_one(message: Message, now: datetime) -> int:
    """Look for one unknown message, or decide; return 1 when that settled it."""
    if message.looks < len(LOOK_AFTER):
        since = message.submitting_at or now
        if now < since + LOOK_AFTER[message.looks]:
            return 0
        client = _client(gateway_of(message))
        try:
            found = client.can_find and client.find(
                message.address,
                message.body,
                since - timedelta(minutes=1),
                _known_ids(message),
            )
        except ChannelError:
            return 0
        if found:
            record(message, found, token=None)
            return 1
        looks = message.looks + 1 if client.can_find else len(LOOK_AFTER)
        Message.objects.filter(pk=message.pk).update(looks=looks)
        if looks < len(LOOK_AFTER):
            return 0
    return _decide(message)


def _known_ids(message: Message) -> set[str]:
    return set(
        Message.objects.filter(address=message.address)
        .exclude(provider_id="")
        .values_list("provider_id", flat=True)
    )


def _decide(message: Message) -> int:
    """Resend once, or hand to a person; return 1 when that was done now."""
    with transaction.atomic():
        current = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        if current.state != Message.State.UNKNOWN:
            return 0
        notices = list(
            current.notices.select_for_update().filter(state=Notice.State.OPEN)
        )
        if not notices:
            return 0
        useful = min(n.deadline for n in notices) > timezone.now()
        once = current.resend_of_id is None
        if PURPOSES[notices[0].purpose].safe_twice and once and useful:
            again = start_rung(notices, notices[0].rung)
            if again is not None:
                again.resend_of = current
                again.save(update_fields=["resend_of"])
        else:
            for notice in notices:
                give_up(
                    notice,
                    say(gettext_noop("nobody knows whether the message went out")),
                )
    return 1
