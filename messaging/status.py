"""What providers report of messages: appended, then applied, never going back.

Reports come twice, late, in any order, before our own commit, or about messages we do
not know (yet). What is known of a message only grows (``RANKS``), so the order makes no
difference to where it ends.
"""

import logging
import uuid
from datetime import timedelta
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged, persistently
from messaging.codes import Failure, meaning_of
from messaging.failures import again_at, learn_of_address, tell_staff
from messaging.ladder import note_progress
from messaging.models import Message, StatusEvent
from messaging.purposes import RANKS

logger = logging.getLogger(__name__)

#: The provider's word for a status, and our state. A word not named here is kept as
#: an event and changes nothing.
STATES = {
    "accepted": Message.State.ACCEPTED,
    "scheduled": Message.State.ACCEPTED,
    "queued": Message.State.ACCEPTED,
    "sending": Message.State.ACCEPTED,
    "sent": Message.State.SENT,
    # Some of its parts or recipients: no receipt, and no failure either.
    "partially_delivered": Message.State.SENT,
    "delivered": Message.State.DELIVERED,
    "read": Message.State.READ,
    "undelivered": Message.State.UNDELIVERED,
    "failed": Message.State.FAILED,
    "canceled": Message.State.FAILED,
    # A mail that came back (``bounces.py``).
    "bounced": Message.State.UNDELIVERED,
}
#: Nothing follows these but a receipt that was slower.
ENDED = (Message.State.UNDELIVERED, Message.State.FAILED)
#: What is noted of an address that turned out dead.
NOT_REACHABLE = gettext_noop("not reachable")
#: Reports without a message are looked at again so long; then they are others'.
ORPHANED_FOR = timedelta(days=2)


def receive_status(
    *,
    provider: str,
    provider_id: str,
    ref: uuid.UUID | None,
    status: str,
    code: str = "",
) -> bool:
    """Keep one status report and apply it; return whether it was new.

    Finds the message by the provider's id or, before that is known, by our reference.
    A report without a message is kept and applied when the message is known. So is one
    that breaks when it is applied: the provider will not come again with it.
    """
    event = StatusEvent(
        provider=provider, provider_id=provider_id, status=status, code=code
    )
    try:
        return persistently(partial(_keep_and_apply, event, ref), "a status report")
    except Exception:
        logger.exception("a status report could not be applied")
        event.pk, event.message = None, None
        return _keep(event)


@transaction.atomic
def _keep_and_apply(event: StatusEvent, ref: uuid.UUID | None) -> bool:
    event.pk, event.message = None, _find(event.provider, event.provider_id, ref)
    if not _keep(event):
        return False
    if event.message is not None:
        _apply(event.message, event)
    return True


def _keep(event: StatusEvent) -> bool:
    """Insert a report; return False when it was here already."""
    event.at = timezone.now()
    try:
        with transaction.atomic():
            event.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def apply_orphans(message: Message) -> None:
    """Apply the reports that came before the message's provider id was known.

    The caller holds the message's row.
    """
    orphans = StatusEvent.objects.filter(
        provider=message.provider, provider_id=message.provider_id, message=None
    ).order_by("id")
    for event in orphans:
        event.message = message
        event.save(update_fields=["message"])
        _apply(message, event)


def adopt_orphans() -> int:
    """Apply reports that were kept without their message; return to how many messages.

    They came in the moment in which the message learnt its provider id, or broke when
    they were applied. One query when there are none, over a partial index.
    """
    known = Message.objects.filter(
        direction=Message.Direction.OUT,
        provider=OuterRef("provider"),
        provider_id=OuterRef("provider_id"),
    )
    waiting = StatusEvent.objects.filter(
        Exists(known), message=None, at__gt=timezone.now() - ORPHANED_FOR
    )
    adopted = 0
    for provider, provider_id in set(
        waiting.order_by("id").values_list("provider", "provider_id")[:500]
    ):
        with logged("a status report: adopting"):
            persistently(partial(_adopt, provider, provider_id), "a status report")
            adopted += 1
    return adopted


@transaction.atomic
def _adopt(provider: str, provider_id: str) -> None:
    message = _of_provider(provider, provider_id)
    if message is not None:
        apply_orphans(message)


def _find(provider: str, provider_id: str, ref: uuid.UUID | None) -> Message | None:
    """Return the message a report is about, locked.

    A message that has another provider id is not it, whatever reference was sent along;
    an id that is known already counts more than a reference.
    """
    by_ref = None
    if ref is not None:
        by_ref = (
            Message.objects.select_for_update()
            .filter(direction=Message.Direction.OUT, ref=ref)
            .first()
        )
    if by_ref is not None and by_ref.provider_id == provider_id:
        return by_ref
    found = _of_provider(provider, provider_id)
    if found is not None or by_ref is None or not by_ref.provider_id:
        return found or by_ref
    logger.warning("message %s: reported under another id as well", by_ref.pk)
    return None


def _of_provider(provider: str, provider_id: str) -> Message | None:
    return (
        Message.objects.select_for_update()
        .filter(
            direction=Message.Direction.OUT,
            provider=provider,
            provider_id=provider_id,
        )
        .first()
    )


def _apply(message: Message, event: StatusEvent) -> None:
    """Let a report change what is known of its message, whose row is locked."""
    state = STATES.get(event.status)
    if state is None:
        return
    if not message.provider_id:
        message.provider, message.provider_id = event.provider, event.provider_id
    if message.accepted_at is None:
        message.accepted_at = event.at
    news = RANKS[state] > message.rank
    if news:
        message.state, message.rank = state, RANKS[state]
        message.why = ""
    if event.code and (news or not message.error_code):
        # A code once known is not lost to a later report without one.
        message.error_code = event.code
    # The lease stays: the worker that holds it still writes its own result.
    message.save(
        update_fields=[
            "provider",
            "provider_id",
            "accepted_at",
            "state",
            "rank",
            "why",
            "error_code",
        ]
    )
    failure = meaning_of(event.provider, event.code).failure if event.code else None
    ended = state in ENDED and message.state in ENDED
    if failure is Failure.OPTED_OUT or (failure is not None and ended):
        learn_of_address(message, failure, event.code, NOT_REACHABLE)
    note_progress(message, again_at=again_at(message) if news and ended else None)
    if news and ended and failure is not None:
        tell_staff(message, failure, event.code)
