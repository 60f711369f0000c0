"""The proof on live data: every promise is in an honest state, or it is listed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Count,
    Exists,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import Heartbeat
from accounts.ticks import beat
from core.sayings import Places, told
from messaging.duty.alerts import waiting
from messaging.models import DutyAlert, Hold, Message, Notice
from messaging.registry import causes
from messaging.vigilance import UNKNOWN_FOR, look
from worklist.models import WorkItem

#: How late the machinery may be before a promise counts as broken.
GRACE = timedelta(minutes=15)
#: How often a pass looks for broken promises.
WATCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Broken:
    """A promise in no honest state; ``notice`` is None when it was never made.

    ``text`` is English and marked for translation, its places beside it.
    """

    notice: int | None
    text: str
    places: Places = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Why nobody is keeping it, in English, as machines read it."""
        return self.text % self.places if self.places else self.text

    @property
    def says(self) -> str:
        """The same in the reader's language."""
        return told(self.text, self.places)


def broken_promises(now: datetime | None = None) -> list[Broken]:
    """Return every promise that nobody is keeping and nobody has taken over.

    Recomputes what should have been promised, too, and looks at holds and at urgent
    work. Five queries and those of the causes, whatever there is; only what is open is
    looked at.
    """
    now = now or timezone.now()
    late = now - GRACE
    moving = Message.objects.filter(
        notices=OuterRef("pk"),
        state__in=[
            Message.State.QUEUED,
            Message.State.CLAIMED,
            Message.State.SUBMITTING,
            Message.State.UNKNOWN,
        ],
    )
    item = WorkItem.objects.open().filter(
        subject_kind="notice", subject_id=OuterRef("pk")
    )
    found = [
        (
            gettext_noop("planned, due and never opened"),
            Notice.objects.filter(state=Notice.State.PLANNED, not_before__lt=late),
        ),
        (
            gettext_noop("past its deadline, neither reached nor with a person"),
            Notice.objects.filter(
                state__in=[Notice.State.PLANNED, Notice.State.OPEN], deadline__lt=late
            ),
        ),
        (
            gettext_noop("under way, but nothing is going and nothing is awaited"),
            Notice.objects.filter(state=Notice.State.OPEN, deadline__gte=late).filter(
                Q(rung_until=None) & ~Exists(moving) | Q(rung_until__lt=late)
            ),
        ),
        (
            gettext_noop("with staff, but on nobody's list"),
            Notice.objects.filter(~Exists(item), state=Notice.State.WITH_STAFF),
        ),
        (
            gettext_noop("its message waits without a reason"),
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state=Message.State.QUEUED,
                messages__not_before__lt=late,
            ),
        ),
        (
            gettext_noop("a worker holds its message past the lease"),
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state__in=[Message.State.CLAIMED, Message.State.SUBMITTING],
                messages__lease_until__lt=late,
            ),
        ),
        (
            gettext_noop("nobody knows whether its message went out"),
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state=Message.State.UNKNOWN,
                messages__resent_as=None,
                messages__submitting_at__lt=now - UNKNOWN_FOR,
            ),
        ),
    ]
    branches = [
        notices.annotate(which=Value(which, IntegerField()))
        .order_by()
        .values_list("pk", "which")
        .distinct()
        for which, (_why, notices) in enumerate(found)
    ]
    broken: dict[int, Broken] = {}
    # What is listed first says it best; a database may join its branches in any order.
    for pk, which in sorted(branches[0].union(*branches[1:], all=True), key=_by_which):
        broken.setdefault(pk, Broken(pk, found[which][0]))
    unhandled = Message.objects.filter(
        direction=Message.Direction.IN, handled_at=None, at__lt=late
    )
    return [
        *broken.values(),
        *(
            Broken(
                None,
                gettext_noop("reply %(pk)d was stored and never handled"),
                {"pk": pk},
            )
            for pk in unhandled.values_list("pk", flat=True)
        ),
        *(
            Broken(None, gettext_noop("hold %(pk)d waits for nobody"), {"pk": pk})
            for pk in holds_without_work(late).values_list("pk", flat=True)
        ),
        *(Broken(None, f"urgent work {pk}: nobody was told") for pk in untold_of(late)),
        *(
            Broken(None, gettext_noop("never promised: %(key)s"), {"key": key})
            for _kind, cause in causes
            for key in cause.missing(late)
        ),
    ]


def _by_which(row: tuple[int, int]) -> int:
    return row[1]


def holds_without_work(late: datetime) -> QuerySet[Hold]:
    """Return the holds of before ``late`` that are on nobody's list: nothing goes to
    somebody, and nobody is going to look.
    """
    item = WorkItem.objects.open().filter(
        kind=OuterRef("kind"), subject_kind="message", subject_id=OuterRef("message")
    )
    return Hold.objects.filter(~Exists(item), ended_at=None, at__lt=late)


def untold_of(late: datetime) -> list[int]:
    """Return the red items, free since before ``late``, of which no colleague was told
    and nobody was asked to arrange it; three queries at most.

    That those who were told do not come is theirs, and stands on the worklist as late.
    """
    # Annotated, which types do not follow.
    urgent: Any = waiting()
    free = list(urgent.filter(free__lt=late).values_list("pk", "free", "site_id"))
    if not free:
        return []
    since = min(since for _pk, since, _site in free)
    heard: dict[int, datetime] = {}
    alerts = DutyAlert.objects.filter(at__gte=since).order_by("at")
    for items, at in alerts.exclude(
        notice__state__in=[Notice.State.EXPIRED, Notice.State.SUPERSEDED]
    ).values_list("items", "at"):
        heard |= dict.fromkeys(items, at)
    asked = WorkItem.objects.open().filter(subject_kind="duty")
    sites = set(asked.values_list("subject_id", flat=True))
    return [
        pk
        for pk, since, site_id in free
        if (pk not in heard or heard[pk] < since) and (site_id or 0) not in sites
    ]


def watch() -> int:
    """Look once a minute: keep the count of broken promises for Today, and put what is
    wrong with sending before a manager. Return how many items that moved.
    """
    now = timezone.now()
    last = Heartbeat.objects.filter(key="promises", at__gt=now - WATCH_EVERY)
    if last.exists():
        return 0
    beat("promises", len(broken_promises(now)))
    return look(now)


def counts() -> dict[str, dict[str, int]]:
    """Return how many notices and messages stand in each state; two queries."""

    def by_state(model: type[Notice] | type[Message]) -> dict[str, int]:
        rows = model._default_manager.values_list("state").annotate(n=Count("pk"))
        return dict(rows.order_by("state"))

    return {"notices": by_state(Notice), "messages": by_state(Message)}
