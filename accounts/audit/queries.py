"""Reads of the audit."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.audit.chain import VERIFIED
from accounts.models import AuditedPatient, AuditEvent, AuditSeal, Heartbeat, User
from core.time import day_bounds, zone


def trail(
    *,
    staff: int | None = None,
    verb: str = "",
    since: date | None = None,
    until: date | None = None,
    patient: int | None = None,
    address: str = "",
) -> QuerySet[AuditEvent]:
    """Return what was done, newest first: by whom, what, about whom, on which page.

    ``since`` and ``until`` are days of the clinic, both included.
    """
    events = AuditEvent.objects.order_by("-at", "-id")
    here = zone(timezone.get_current_timezone_name())
    if staff:
        events = events.filter(actor_id=staff)
    if verb:
        events = events.filter(verb=verb)
    if since:
        events = events.filter(at__gte=day_bounds(since, here)[0])
    if until:
        events = events.filter(at__lt=day_bounds(until, here)[1])
    if address:
        events = events.filter(address=address)
    if patient:
        about = AuditedPatient.objects.filter(patient_id=patient)
        events = events.filter(pk__in=about.values("event_id"))
    return events


def older_than(events: QuerySet[AuditEvent], event_id: str) -> QuerySet[AuditEvent]:
    """Return those that follow this one in a list, newest first; all if unknown."""
    last = (
        AuditEvent.objects.filter(pk=event_id).first()
        if event_id.isdecimal() and len(event_id) < 19
        else None
    )
    if last is None:
        return events
    # The first condition is what the index can use.
    return events.filter(at__lte=last.at).filter(Q(at__lt=last.at) | Q(pk__lt=last.pk))


def staff_names() -> dict[int, str]:
    """Return {id: name} of everybody who has, or had, a login; one query."""
    found = User.objects.order_by("name", "username").only("pk", "name", "username")
    return {user.pk: str(user) for user in found}


@dataclass(frozen=True)
class ChainState:
    """How far the chain reaches, and what the last walk along it found."""

    sealed_at: datetime | None
    unsealed: int
    verified_at: datetime | None
    is_whole: bool


def chain_state() -> ChainState:
    """Return the state of the audit's chain; three queries."""
    last = AuditSeal.objects.order_by("-id").first()
    walk = Heartbeat.objects.filter(key=VERIFIED).first()
    return ChainState(
        sealed_at=last.at if last else None,
        unsealed=AuditEvent.objects.filter(seal_id=None).count(),
        verified_at=walk.at if walk else None,
        is_whole=walk is not None and walk.value == 0,
    )
