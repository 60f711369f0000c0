"""Which way out a message takes, and whether that way is open.

A gateway that refuses every message (wrong credentials, a blocked sender) is closed
for a while, so that messages wait instead of failing one by one; then a few try again.
A manager may switch one off by hand.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from messaging.models import Breaker, Message
from patients.models import Channel
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: How long a refusing gateway stays closed before it is tried again.
CLOSED_FOR = timedelta(minutes=1)
#: How often a message looks whether a gateway is switched on again.
OFF_LOOK = timedelta(minutes=1)


def gateway_of(message: Message) -> str:
    """Return which way out a message takes."""
    is_demo = message.patient is not None and message.patient.is_demo
    return gateway_for(message.channel, is_demo=is_demo)


def gateway_for(channel: str, *, is_demo: bool) -> str:
    """Return a channel's way out. Demo patients never pass a real one."""
    if is_demo:
        return "simulated"
    gateways = {
        Channel.SMS: settings.SMS_GATEWAY,
        Channel.EMAIL: settings.EMAIL_GATEWAY,
    }
    return str(gateways[Channel(channel)])


def credential_of(gateway: str) -> str:
    """Return which account a gateway is used with; a new one starts afresh."""
    if gateway == "twilio":
        return str(settings.TWILIO_ACCOUNT_SID)
    return str(settings.EMAIL_HOST) if gateway == "smtp" else ""


def closed_gateways(gateways: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return {gateway: when to look again} of those nothing may go through now."""
    closed = {}
    for breaker in Breaker.objects.filter(provider__in=set(gateways)):
        if breaker.credential != credential_of(breaker.provider):
            continue
        if breaker.state == Breaker.State.OFF:
            closed[breaker.provider] = now + OFF_LOOK
        elif breaker.state == Breaker.State.OPEN and (breaker.until or now) > now:
            closed[breaker.provider] = breaker.until or now
    return closed


def trip(gateway: str, code: str) -> None:
    """Close a gateway for a while, and tell somebody unless that has been done."""
    now = timezone.now()
    breaker, _created = Breaker.objects.update_or_create(
        provider=gateway,
        credential=credential_of(gateway),
        defaults={
            "state": Breaker.State.OPEN,
            "until": now + CLOSED_FOR,
            "why": code,
        },
    )
    known = WorkItem.objects.open().filter(
        subject_kind="gateway", subject_id=breaker.pk
    )
    if known.exists():
        return
    raise_item(
        kind="gateway",
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "%(gateway)s refuses to send (%(code)s). Messages wait until its settings "
            "are mended."
        ),
        reason_places={"gateway": gateway, "code": code},
        subject_kind="gateway",
        subject_id=breaker.pk,
        dedupe_key=f"gateway:{breaker.pk}:{now:%Y-%m-%dT%H:%M}",
        due_at=now + timedelta(minutes=30),
    )


def mend(gateway: str) -> None:
    """Open a gateway again: a message went through. One query when it was open."""
    breakers = Breaker.objects.filter(
        provider=gateway,
        credential=credential_of(gateway),
        state=Breaker.State.OPEN,
    )
    for breaker in breakers:
        Breaker.objects.filter(pk=breaker.pk).update(
            state=Breaker.State.CLOSED, until=None
        )
        close_by_rule(
            subject_kind="gateway",
            subject_id=breaker.pk,
            rule=gettext_noop("it sends again"),
            unclaimed=False,
        )
