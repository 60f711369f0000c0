"""Which way out a message takes, and whether that way is open.

A gateway that refuses every message (wrong credentials, a blocked sender), or does not
answer, is closed for a while, so that messages wait instead of failing one by one; then
one of them tries. A manager may switch one off by hand.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from messaging.models import Breaker, Message
from patients.models import Channel
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: How long a refusing gateway stays closed before it is tried again.
CLOSED_FOR = timedelta(minutes=1)
#: So many troubles one after the other, within so long, close a gateway for so long.
TROUBLES, TROUBLES_WITHIN = 8, timedelta(minutes=1)
TROUBLED_FOR = timedelta(seconds=30)
#: How often a message looks whether a gateway is switched on again.
OFF_LOOK = timedelta(minutes=1)
#: Why a breaker is open, as the work item says it.
REFUSES = gettext_noop(
    "%(gateway)s refuses to send (%(code)s). Messages wait until its settings "
    "are mended."
)
NO_ANSWER = gettext_noop(
    "%(gateway)s does not answer. Messages wait, and one of them tries again every "
    "half minute."
)


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


def breakers_of(gateways: Iterable[str]) -> list[Breaker]:
    """Return the breakers of gateways with the accounts in use; one query."""
    return [
        breaker
        for breaker in Breaker.objects.filter(provider__in=set(gateways))
        if breaker.credential == credential_of(breaker.provider)
    ]


def closed_gateways(gateways: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Return {gateway: when to look again} of those nothing may go through now."""
    return closed_among(breakers_of(gateways), now)


def closed_among(breakers: Iterable[Breaker], now: datetime) -> dict[str, datetime]:
    """Return {gateway: when to look again}, as ``closed_gateways``; pure."""
    closed = {}
    for breaker in breakers:
        if breaker.state == Breaker.State.OFF:
            closed[breaker.provider] = now + OFF_LOOK
        elif breaker.state == Breaker.State.OPEN and (breaker.until or now) > now:
            closed[breaker.provider] = breaker.until or now
    return closed


def begin_probe(breaker: Breaker, now: datetime) -> bool:
    """Take the right to try a closed gateway with one message; False when it is taken.

    Whatever else is to go waits until ``breaker.until``, by when the answer is known;
    should the worker die, another then tries. One guarded UPDATE.
    """
    until = now + CLOSED_FOR
    begun = Breaker.objects.filter(
        pk=breaker.pk, state=Breaker.State.OPEN, until=breaker.until
    ).update(until=until)
    breaker.until = until
    return bool(begun)


def hear(gateway: str, troubles: Sequence[str | None]) -> None:
    """Close or open a gateway by what it answered, in order.

    A code where it did not answer as it should, None where it answered. One query while
    all is well.
    """
    last = _since_the_last_answer(troubles)
    breaker = next(iter(breakers_of([gateway])), None)
    if len(last) < len(troubles) and breaker is not None:
        _mend(breaker)
    if not last:
        return
    with transaction.atomic():
        breaker, _created = Breaker.objects.select_for_update().get_or_create(
            provider=gateway, credential=credential_of(gateway)
        )
        now = timezone.now()
        since = breaker.trouble_since
        if since is None or since < now - TROUBLES_WITHIN:
            breaker.trouble, breaker.trouble_since = 0, now
        breaker.trouble = min(breaker.trouble + len(last), TROUBLES)
        breaker.save(update_fields=["trouble", "trouble_since"])
        was_open = breaker.state == Breaker.State.OPEN
        if breaker.state != Breaker.State.OFF and (
            was_open or breaker.trouble >= TROUBLES
        ):
            _open(breaker, now + TROUBLED_FOR, last[-1], NO_ANSWER)


def _since_the_last_answer(troubles: Sequence[str | None]) -> list[str]:
    last: list[str] = []
    for code in troubles:
        last = [] if code is None else [*last, code]
    return last


def trip(gateway: str, code: str) -> None:
    """Close a gateway for a while, and tell somebody unless that has been done.

    What a manager switched off stays off.
    """
    with transaction.atomic():
        breaker, _created = Breaker.objects.select_for_update().get_or_create(
            provider=gateway, credential=credential_of(gateway)
        )
        if breaker.state != Breaker.State.OFF:
            _open(breaker, timezone.now() + CLOSED_FOR, code, REFUSES)


def _open(breaker: Breaker, until: datetime, code: str, reason: str) -> None:
    if breaker.state != Breaker.State.OPEN:
        breaker.since = timezone.now()
    breaker.state, breaker.until, breaker.why = Breaker.State.OPEN, until, code
    breaker.save(update_fields=["state", "since", "until", "why"])
    known = WorkItem.objects.open().filter(
        subject_kind="gateway", subject_id=breaker.pk
    )
    if known.exists():
        return
    now = timezone.now()
    raise_item(
        kind="gateway",
        severity=WorkItem.Severity.AMBER,
        reason=reason,
        reason_places={"gateway": breaker.provider, "code": code},
        subject_kind="gateway",
        subject_id=breaker.pk,
        dedupe_key=f"gateway:{breaker.pk}:{now:%Y-%m-%dT%H:%M}",
        due_at=now + timedelta(minutes=30),
    )


def _mend(breaker: Breaker) -> None:
    """Open a gateway again: it answered. No query when it was open and well."""
    if breaker.trouble:
        Breaker.objects.filter(pk=breaker.pk).update(trouble=0, trouble_since=None)
    if breaker.state != Breaker.State.OPEN:
        return
    with transaction.atomic():
        mended = Breaker.objects.filter(pk=breaker.pk, state=Breaker.State.OPEN).update(
            state=Breaker.State.CLOSED, since=timezone.now(), until=None
        )
        if mended:
            close_by_rule(
                subject_kind="gateway",
                subject_id=breaker.pk,
                rule=gettext_noop("it sends again"),
                unclaimed=False,
            )
