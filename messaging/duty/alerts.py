"""Who is told that urgent work waits, in which order, and who took note.

For every red item that nobody has taken on: everybody on duty at once; who comes on
duty later, as they do; then the backups, then the managers, each when those before
have had their time. Nobody is told twice of the same item. Claiming or closing it ends
it all.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, Duty, Site, User
from accounts.roster import managers_of, on_duty
from core.faults import logged
from core.sql import skips_locked
from messaging.duty.links import LINK_LASTS, hash_of, token_of
from messaging.models import DutyAlert, Message, Notice
from messaging.services import promise
from patients.queries import speaking_site
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

Step = DutyAlert.Step

#: Of a text in one of these nobody hears any more.
_ENDED = (Message.State.FAILED, Message.State.UNDELIVERED, Message.State.WITHDRAWN)

#: One who does not take note has so long; so three people are told well within the
#: 15 minutes in which somebody must have (clinical.md §2.3).
PATIENCE = timedelta(minutes=5)
#: One who took note and takes nothing on has so long: a second person is alarmed by
#: 30 minutes (clinical.md §2.3).
TAKE_ON_WITHIN = timedelta(minutes=15)
#: By when somebody arranges who is on duty: while the red ones wait.
ARRANGE_WITHIN = timedelta(minutes=15)


def waiting() -> QuerySet[Any]:
    """Return the red items nobody has taken on, each with the instant since when it
    has been ``free``: opened, or given back by somebody who had it.
    """
    given_back = Max("events__at", filter=Q(events__what="given back"))
    return (
        WorkItem.objects.open()
        .filter(severity=WorkItem.Severity.RED, owner=None)
        .annotate(free=Coalesce(given_back, F("opened_at"), output_field=_INSTANT))
    )


_INSTANT = DateTimeField()


def watch_red() -> int:
    """Tell whoever must be told of what waits now; return how many people that were.

    Two queries when nothing does. Each site by itself, under a lock of its own: what
    another worker is at is passed over.
    """
    told = 0
    for site_id in sorted(
        set(waiting().values_list("site_id", flat=True)), key=lambda pk: pk or 0
    ):
        with logged(f"site {site_id}: duty"), transaction.atomic():
            told += _tell_of(site_id, skip=True)
    _close_what_is_arranged()
    return told


def alert_now(item: WorkItem) -> int:
    """Tell whoever is on duty of an item in the caller's transaction; return how many.

    Locks the item's site. Calling it again tells nobody twice.
    """
    with transaction.atomic():
        return _tell_of(item.site_id)


def _lock(site_id: int | None, *, skip: bool) -> bool:
    """Lock a site, or all of them for what is everybody's; False when another has it.

    Only against each other: the keys of other rows may still point at it.
    """
    sites = Site.objects.order_by("pk")
    if site_id is not None:
        sites = sites.filter(pk=site_id)
    locked = sites.select_for_update(no_key=True, skip_locked=skip and skips_locked())
    return len(locked) == sites.count()


def _tell_of(site_id: int | None, *, skip: bool = False) -> int:
    """Carry a site's alarms on; a few queries, and some for each person told."""
    if not _lock(site_id, skip=skip):
        return 0
    here = _Here(site_id, timezone.now())
    if not here.items:
        return 0
    turns: dict[int, tuple[Step, User]] = {}
    passed: set[int] = set()
    for item in here.items:
        step, people = here.next_for(item)
        for one in people:
            turns.setdefault(one.pk, (step, one))
        if people and step != Step.DUTY:
            passed.add(item.pk)
    for step, one in turns.values():
        _alert(here, step, one)
    overdue = [
        alert.pk for alert in here.alerts if passed & set(alert.items) and alert.pk
    ]
    DutyAlert.objects.filter(
        pk__in=overdue, acknowledged_at=None, passed_on_at=None
    ).update(passed_on_at=here.now)
    if not here.duties or not here.anybody_told(turns):
        _ask_for_somebody(here, nobody_told=not here.anybody_told(turns))
    return len(turns)


@dataclass
class _Here:
    """What a pass knows of one site's urgent work; ``site_id`` None: of no site."""

    site_id: int | None
    now: datetime
    items: list[Any] = field(init=False)
    duties: list[Duty] = field(init=False)
    alerts: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        # Numbers alone: nobody is shown whom they are about.
        free = waiting().filter(site=self.site_id).order_by("id")
        self.items = list(free.values_list("pk", "free", named=True))
        sites = None if self.site_id is None else [self.site_id]
        self.duties = list(on_duty(self.now, sites=sites).order_by("starts_at", "id"))
        since = min((one.free for one in self.items), default=self.now)
        may_arrive = Message.objects.filter(notices=OuterRef("notice")).exclude(
            state__in=_ENDED
        )
        self.alerts = list(
            DutyAlert.objects.filter(site=self.site_id, at__gte=since)
            .select_related("notice")
            .annotate(may_arrive=Exists(may_arrive))
            .order_by("id")
        )

    @cached_property
    def managers(self) -> list[User]:
        """Those who manage it; two queries, once."""
        return list(managers_of(self.site_id))

    def told_of(self, item: Any) -> dict[int, list[DutyAlert]]:
        """Return {user: what they were told} of an item since it has been free."""
        told: dict[int, list[DutyAlert]] = {}
        for alert in self.alerts:
            if item.pk in alert.items and alert.at >= item.free:
                told.setdefault(alert.user_id, []).append(alert)
        return told

    def next_for(self, item: Any) -> tuple[Step, list[User]]:
        """Return who is to be told of an item now, and as what; nobody for not yet."""
        told = self.told_of(item)
        nobody: tuple[Step, list[User]] = (Step.DUTY, [])
        if any(_holds(alert, self.now) for alerts in told.values() for alert in alerts):
            return nobody
        on_it = _untold((duty.user for duty in self.duties), told)
        if on_it:
            return Step.DUTY, on_it
        turn_ends = max(map(_turn_ends, told.values()), default=self.now)
        if self.duties and self.now < turn_ends:
            return nobody
        backups = _untold((d.backup for d in self.duties if d.backup), told)
        if backups:
            return Step.BACKUP, backups
        return Step.MANAGER, _untold(self.managers, told)

    def anybody_told(self, turns: Collection[int]) -> bool:
        """Return whether each item has somebody who was, or is now, told of it."""
        return bool(turns) or all(
            any(
                not _failed(alert)
                for alerts in self.told_of(item).values()
                for alert in alerts
            )
            for item in self.items
        )


def _holds(alert: DutyAlert, now: datetime) -> bool:
    """Return whether somebody took note, and may still be about to take it on."""
    taken = alert.acknowledged_at
    return taken is not None and now < taken + TAKE_ON_WITHIN


def _failed(alert: Any) -> bool:
    """Return whether no way to somebody worked; a phone that is silent still may."""
    return alert.notice.state == Notice.State.EXPIRED and not alert.may_arrive


def _turn_ends(alerts: Sequence[DutyAlert]) -> datetime:
    """Return until when one person, told once or more often of an item, has it to
    themselves. A second text about something else gives no more time for the first.
    """
    taken = [alert.acknowledged_at for alert in alerts if alert.acknowledged_at]
    if taken:
        return max(taken) + TAKE_ON_WITHIN
    first = min(alert.at for alert in alerts)
    return first if all(map(_failed, alerts)) else first + PATIENCE


def _untold(people: Iterable[User], told: Collection[int]) -> list[User]:
    """Return those who can be told and were not, each once."""
    fit = {
        one.pk: one
        for one in people
        if one.is_active and (one.phone or one.email) and one.pk not in told
    }
    return list(fit.values())


def _alert(here: _Here, step: Step, user: User) -> None:
    """Promise one person a text about all that waits at a site."""
    alert = DutyAlert(
        site_id=here.site_id,
        user=user,
        step=step,
        items=[item.pk for item in here.items],
        at=here.now,
        until=here.now + PATIENCE,
    )
    alert.token_hash = hash_of(token_of(alert))
    alert.save()
    alert.notice = promise(
        purpose="duty_alert",
        template_key="duty_alert",
        cause_kind="duty_alert",
        cause_id=alert.pk,
        dedupe_key=f"duty_alert:{alert.pk}",
        deadline=here.now + LINK_LASTS,
        zone=(alert.site or speaking_site(None)).zone,
        user=user,
    )
    alert.save(update_fields=["notice"])


@transaction.atomic
def take_note(*, alert_id: int, seen: int = 0) -> DutyAlert:
    """Note that somebody knows of the urgent work they were told of; locks their rows.

    That covers what they were told at the same site up to the alert ``seen``, the
    latest on their page. Taking note again changes nothing. What is on its way to them
    is not sent any more.
    """
    alert = DutyAlert.objects.get(pk=alert_id)
    theirs = DutyAlert.objects.filter(
        user=alert.user_id,
        site=alert.site_id,
        pk__lte=max(seen, alert.pk),
        at__gt=timezone.now() - LINK_LASTS,
        acknowledged_at=None,
    )
    open_ones = list(theirs.select_for_update(of=("self",)).order_by("pk"))
    if open_ones:
        now = timezone.now()
        DutyAlert.objects.filter(pk__in=[one.pk for one in open_ones]).update(
            acknowledged_at=now
        )
        Notice.objects.filter(
            pk__in=[one.notice_id for one in open_ones if one.notice_id],
            state__in=[Notice.State.PLANNED, Notice.State.OPEN],
        ).update(state=Notice.State.REACHED, reached_at=now)
        record(AuditEvent.Verb.CHANGE, subject=f"duty_alert:{alert.pk}", by=alert.user)
    return DutyAlert.objects.select_related("user", "site").get(pk=alert_id)


def _ask_for_somebody(here: _Here, *, nobody_told: bool) -> None:
    """Put before the staff that nobody is on duty, or that nobody could be told."""
    where = here.site_id or 0
    asked = WorkItem.objects.open().filter(subject_kind="duty", subject_id=where)
    if asked.exists():
        return
    site = Site.objects.filter(pk=where).first()
    raise_item(
        kind="duty",
        severity=WorkItem.Severity.AMBER,
        reason=_NOBODY_TOLD if nobody_told else _NOBODY_ON_DUTY,
        reason_places={"site": str(site or gettext_noop("every site"))},
        subject_kind="duty",
        subject_id=where,
        dedupe_key=f"duty:{where}:{here.now:%Y-%m-%dT%H:%M:%S.%f}",
        due_at=here.now + ARRANGE_WITHIN,
        site=site,
    )


_NOBODY_ON_DUTY = gettext_noop(
    "Urgent work waits at %(site)s and nobody is on duty. The managers were told."
)
_NOBODY_TOLD = gettext_noop(
    "Urgent work waits at %(site)s and nobody could be told of it: take it on, and put "
    "somebody on duty who has a mobile."
)


def _close_what_is_arranged() -> None:
    """End what asks for somebody on duty once there is one who can be told; one query
    when there is none such.
    """
    asked = WorkItem.objects.open().filter(subject_kind="duty")
    for where in set(asked.values_list("subject_id", flat=True)):
        duties = on_duty(timezone.now(), sites=[where] if where else None)
        if _untold((duty.user for duty in duties), ()):
            close_by_rule(
                subject_kind="duty",
                subject_id=where,
                rule=gettext_noop("somebody is on duty"),
                unclaimed=True,
            )
