"""What providers report of messages: appended, then applied, never going back."""

import uuid

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from messaging.ladder import note_progress
from messaging.models import Message, StatusEvent
from messaging.purposes import RANKS
from messaging.services import mark_unusable, suppress
from patients.models import Channel

#: The provider's word for a status, and our state. A word not named here is kept as
#: an event and changes nothing.
STATES = {
    "accepted": Message.State.ACCEPTED,
    "scheduled": Message.State.ACCEPTED,
    "queued": Message.State.ACCEPTED,
    "sending": Message.State.ACCEPTED,
    "sent": Message.State.SENT,
    "delivered": Message.State.DELIVERED,
    "read": Message.State.READ,
    "undelivered": Message.State.UNDELIVERED,
    "failed": Message.State.FAILED,
    "canceled": Message.State.FAILED,
}
#: The recipient has told the provider to stop us; it may say so in a callback too.
OPTED_OUT_CODES = {"21610", "63033"}
#: Unknown handset; landline or unreachable carrier (Twilio's error dictionary).
DEAD_NUMBER_CODES = {"30005", "30006"}
#: What is then noted of the address.
NOT_REACHABLE = gettext_noop("not reachable")


@transaction.atomic
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
    A report without a message is kept and applied when the message is known.
    """
    message = _find(provider, provider_id, ref)
    event, created = StatusEvent.objects.get_or_create(
        provider=provider,
        provider_id=provider_id,
        status=status,
        code=code,
        defaults={"message": message, "at": timezone.now()},
    )
    if created and message is not None:
        _apply(message, event)
    return created


def apply_orphans(message: Message) -> None:
    """Apply the reports that came before the message's provider id was known."""
    orphans = StatusEvent.objects.filter(
        provider=message.provider, provider_id=message.provider_id, message=None
    ).order_by("id")
    for event in orphans:
        event.message = message
        event.save(update_fields=["message"])
        _apply(message, event)


def _find(provider: str, provider_id: str, ref: uuid.UUID | None) -> Message | None:
    messages = Message.objects.select_for_update().filter(
        direction=Message.Direction.OUT
    )
    found = messages.filter(provider=provider, provider_id=provider_id).first()
    if found is None and ref:
        found = messages.filter(ref=ref).first()
        if found is not None and found.provider_id not in ("", provider_id):
            return None
    return found


def _apply(message: Message, event: StatusEvent) -> None:
    state = STATES.get(event.status)
    if state is None:
        return
    if not message.provider_id:
        message.provider, message.provider_id = event.provider, event.provider_id
    if message.accepted_at is None:
        message.accepted_at = event.at
    if RANKS[state] > message.rank:
        message.state, message.rank = state, RANKS[state]
        message.why = ""
        # An error code once known is not lost to a later report without one.
        message.error_code = event.code or message.error_code
    # The lease stays: the worker that holds it still writes its own result.
    message.save()
    if event.code in OPTED_OUT_CODES:
        suppress(
            address=message.address,
            channel=Channel(message.channel),
            cause=f"{event.provider} {event.code}",
            message=message,
        )
    if event.code in DEAD_NUMBER_CODES and state in (
        Message.State.UNDELIVERED,
        Message.State.FAILED,
    ):
        mark_unusable(
            channel=Channel(message.channel),
            address=message.address,
            why=f"{NOT_REACHABLE} ({event.code})",
        )
    note_progress(message)
