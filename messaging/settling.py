"""What became of messages whose worker was lost, or whose answer was."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged
from core.sayings import say
from messaging.channels import ChannelError
from messaging.clients import client_of
from messaging.gateways import gateway_of
from messaging.handover import give_up
from messaging.ladder import start_rung
from messaging.models import Message, Notice
from messaging.purposes import PURPOSES
from messaging.recording import record

#: When to ask a provider about a message nobody knows about, after its submission.
LOOK_AFTER = (timedelta(minutes=2), timedelta(minutes=10))


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
        client = client_of(gateway_of(message))
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
