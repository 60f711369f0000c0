"""What came of handing over: written by whoever still holds the lease, and once.

A whole chunk at a time; should that break, one by one, so that one message that cannot
be recorded leaves no other unknown.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged, persistently
from core.sql import update_rows
from messaging import questions
from messaging.channels import ChannelError, Failure, HandedOver
from messaging.failures import learn_of_address, tell_staff
from messaging.gateways import CLOSED_FOR, gateway_of, hear
from messaging.ladder import note_progress, note_taken
from messaging.models import Conversation, Message, StatusEvent
from messaging.purposes import RANKS
from messaging.status import apply_orphans

logger = logging.getLogger(__name__)

Outcome = HandedOver | ChannelError

#: A throttled message waits so long times the number of its tries, where the provider
#: does not say how long; and no longer than this, whatever it says.
BACK_OFF, MOST_BACK_OFF = timedelta(seconds=30), timedelta(minutes=10)
#: Put off so often, which takes half an hour, it goes another way.
MOST_TRIES = 10
#: Let go by the gate too long ago; nobody called the provider.
STALE = ChannelError(Failure.TRY_LATER, "stale")


def record_all(answers: Iterable[tuple[Message, Outcome]], token: uuid.UUID) -> None:
    """Write down what came of a chunk, in the order of the answers.

    Should even a single one fail, its lease runs out and the message becomes unknown.
    """
    outcomes = list(answers)
    taken = [(m, o) for m, o in outcomes if isinstance(o, HandedOver)]
    try:
        persistently(lambda: _record(taken, token), "recording a chunk")
    except Exception:
        logger.exception("recording a chunk broke: one by one")
        for message, handed in taken:
            with logged(f"message {message.pk}: recording"):
                _persist_one(message, handed, token)
    for message, outcome in outcomes:
        if isinstance(outcome, ChannelError):
            with logged(f"message {message.pk}: recording"):
                _persist_one(message, outcome, token)
    with logged("a gateway's state"):
        _tell_gateways(outcomes)


def _persist_one(message: Message, outcome: Outcome, token: uuid.UUID) -> None:
    def write() -> None:
        if isinstance(outcome, HandedOver):
            record(message, outcome, token)
        else:
            record_failure(message, outcome, token)

    persistently(write, f"message {message.pk}: recording")


def record(message: Message, handed: HandedOver, token: uuid.UUID | None) -> None:
    """Write that a provider took a message, if the lease is still ours."""
    _record([(message, handed)], token)


@transaction.atomic
def _record(
    taken: Sequence[tuple[Message, HandedOver]], token: uuid.UUID | None
) -> None:
    """Write that a provider took these, where the lease is still ours.

    A callback may have been quicker: the state never goes back, and callbacks that came
    before the provider's id was known are applied now. Eight statements, however many.
    """
    current = {
        pk: (state, rank, lease, provider_id)
        for pk, state, rank, lease, provider_id in Message.objects.select_for_update()
        .filter(pk__in=[message.pk for message, _handed in taken])
        .order_by("pk")
        .values_list("pk", "state", "rank", "lease_token", "provider_id")
    }
    now = timezone.now()
    ours = []
    rows = []
    for message, handed in taken:
        state, rank, lease, provider_id = current[message.pk]
        # That a provider took it is a fact, and welcome however late while nobody
        # knows what became of the message.
        unknown = state == Message.State.UNKNOWN and not provider_id
        if token is not None and lease != token and not unknown:
            logger.warning("message %s: the lease was lost", message.pk)
            continue
        if rank < RANKS[handed.state]:
            state, rank = handed.state, RANKS[handed.state]
        message.state, message.rank = state, rank
        message.provider = gateway_of(message)
        message.provider_id, message.accepted_at = handed.provider_id, now
        message.sender = handed.sender or message.sender
        ours.append(message)
        rows.append(
            (
                message.pk,
                str(state),
                rank,
                message.provider,
                message.provider_id,
                message.sender,
            )
        )
    if not ours:
        return
    update_rows(
        Message,
        ("id", "state", "rank", "provider", "provider_id", "sender"),
        rows,
        accepted_at=now,
        lease_token=None,
        lease_until=None,
        why="",
    )
    note_taken(ours)
    _apply_orphans(ours)
    # Last in everybody's order of locks.
    threads = {m.conversation_id for m in ours if m.conversation_id}
    Conversation.objects.filter(pk__in=threads).update(last_message_at=now)


def _apply_orphans(messages: Sequence[Message]) -> None:
    early = StatusEvent.objects.filter(
        provider__in={message.provider for message in messages},
        provider_id__in=[message.provider_id for message in messages],
        message=None,
    )
    known = {(message.provider, message.provider_id): message for message in messages}
    for key in dict.fromkeys(early.values_list("provider", "provider_id")):
        if key in known:
            apply_orphans(
                Message.objects.select_related("patient").get(pk=known[key].pk)
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
        current = ours(message, token)
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
        elif error is STALE:
            current.attempts -= 1
            _back_to_queue(current, now)
        elif error.failure is Failure.CONFIG:
            current.attempts -= 1
            _back_to_queue(current, now + CLOSED_FOR)
        elif error.failure is Failure.TRY_LATER and current.attempts < MOST_TRIES:
            _back_to_queue(current, now + _pause(current, error))
        else:
            current.state = Message.State.FAILED
            current.rank = RANKS[Message.State.FAILED]
            current.why = (
                gettext_noop("put off again and again")
                if error.failure is Failure.TRY_LATER
                else str(error.failure.value)
            )
            learn_of_address(current, error.failure, error.code, REFUSED_BY)
        current.save()
        if current.state == Message.State.FAILED:
            note_progress(current)
        tell_staff(current, error.failure, error.code)


#: What is noted of an address a provider does not take.
REFUSED_BY = gettext_noop("refused")


def ours(message: Message, token: uuid.UUID | None) -> Message | None:
    """Return the message as it stands, locked, unless another has it now."""
    current = (
        Message.objects.select_for_update(of=("self",))
        .select_related("patient")
        .get(pk=message.pk)
    )
    if token is not None and current.lease_token != token:
        logger.warning("message %s: the lease was lost", message.pk)
        return None
    return current


def _pause(message: Message, error: ChannelError) -> timedelta:
    if error.retry_after is not None:
        return min(timedelta(seconds=max(error.retry_after, 0)), MOST_BACK_OFF)
    return min(BACK_OFF * message.attempts, MOST_BACK_OFF)


def _back_to_queue(message: Message, not_before: datetime) -> None:
    if message.state != Message.State.SUBMITTING:
        return
    message.state, message.not_before = Message.State.QUEUED, not_before
    message.submitting_at = None
    # Nobody has read it: what it asks is not to keep others from their digits.
    questions.take_back(message)


def _tell_gateways(outcomes: Sequence[tuple[Message, Outcome]]) -> None:
    """Let each gateway's breaker hear what it answered; one query while all is well."""
    heard: dict[str, list[str | None]] = {}
    for message, outcome in outcomes:
        if outcome is STALE:
            continue
        if isinstance(outcome, ChannelError) and outcome.failure is Failure.CONFIG:
            # It was closed with the message's own record.
            continue
        heard.setdefault(gateway_of(message), []).append(_trouble(outcome))
    for gateway, troubles in heard.items():
        hear(gateway, troubles)


def _trouble(outcome: Outcome) -> str | None:
    """Return the code of an answer that speaks ill of the gateway itself, else None.

    A mail server that puts off one recipient (450 to 452: greylists) answers well.
    """
    if isinstance(outcome, HandedOver):
        return None
    if outcome.failure is Failure.UNKNOWN:
        return outcome.code or str(outcome.failure.value)
    if outcome.failure is Failure.TRY_LATER and not outcome.code.startswith("45"):
        return outcome.code or str(outcome.failure.value)
    return None
