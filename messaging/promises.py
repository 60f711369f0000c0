"""The proof on live data: every promise is in an honest state, or it is listed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import Heartbeat
from accounts.ticks import beat
from messaging.models import Message, Notice
from messaging.registry import causes
from worklist.models import WorkItem

#: How late the machinery may be before a promise counts as broken.
GRACE = timedelta(minutes=15)
#: How often a pass looks for broken promises.
WATCH_EVERY = timedelta(minutes=1)
#: How long nobody may know about a message before it counts as broken.
UNKNOWN_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class Broken:
    """A promise in no honest state; ``notice`` is None when it was never made."""

    notice: int | None
    why: str


def broken_promises(now: datetime | None = None) -> list[Broken]:
    """Return every promise that nobody is keeping and nobody has taken over.

    Recomputes what should have been promised, too. A number of queries that does not
    grow with the data; only what is open is looked at.
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
            "planned, due and never opened",
            Notice.objects.filter(state=Notice.State.PLANNED, not_before__lt=late),
        ),
        (
            "past its deadline, neither reached nor with a person",
            Notice.objects.filter(
                state__in=[Notice.State.PLANNED, Notice.State.OPEN], deadline__lt=late
            ),
        ),
        (
            "under way, but nothing is going and nothing is awaited",
            Notice.objects.filter(state=Notice.State.OPEN, deadline__gte=late).filter(
                Q(rung_until=None) & ~Exists(moving) | Q(rung_until__lt=late)
            ),
        ),
        (
            "with staff, but on nobody's list",
            Notice.objects.filter(~Exists(item), state=Notice.State.WITH_STAFF),
        ),
        (
            "its message waits without a reason",
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state=Message.State.QUEUED,
                messages__not_before__lt=late,
            ),
        ),
        (
            "a worker holds its message past the lease",
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state__in=[Message.State.CLAIMED, Message.State.SUBMITTING],
                messages__lease_until__lt=late,
            ),
        ),
        (
            "nobody knows whether its message went out",
            Notice.objects.filter(
                state=Notice.State.OPEN,
                messages__state=Message.State.UNKNOWN,
                messages__resent_as=None,
                messages__submitting_at__lt=now - UNKNOWN_FOR,
            ),
        ),
    ]
    broken: dict[int | None, Broken] = {}
    for why, notices in found:
        for pk in notices.values_list("pk", flat=True).distinct():
            broken.setdefault(pk, Broken(pk, why))
    unhandled = Message.objects.filter(
        direction=Message.Direction.IN, handled_at=None, at__lt=late
    )
    return [
        *broken.values(),
        *(
            Broken(None, f"reply {pk} was stored and never handled")
            for pk in unhandled.values_list("pk", flat=True)
        ),
        *(
            Broken(None, f"never promised: {key}")
            for _kind, cause in causes
            for key in cause.missing(late)
        ),
    ]


def watch() -> int:
    """Look for broken promises once a minute and keep the count for Today.

    Always returns 0: looking moves nothing on.
    """
    last = Heartbeat.objects.filter(key="promises", at__gt=timezone.now() - WATCH_EVERY)
    if not last.exists():
        beat("promises", len(broken_promises()))
    return 0


def counts() -> dict[str, dict[str, int]]:
    """Return how many notices and messages stand in each state; two queries."""

    def by_state(model: type[Notice] | type[Message]) -> dict[str, int]:
        rows = model._default_manager.values_list("state").annotate(n=Count("pk"))
        return dict(rows.order_by("state"))

    return {"notices": by_state(Notice), "messages": by_state(Message)}
