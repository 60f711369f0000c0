"""Trouble with sending becomes work for a manager, and ends by itself when it is over.

That a gateway refuses is told by ``gateways.py``. That no pass is run nobody can raise
while none runs: Today says so, and ``/readyz`` fails; what waited meanwhile is told
here, as soon as a pass runs again and does not get through.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from core.sayings import Places
from messaging.models import Message, Notice, Tally
from messaging.operations import LATE_AFTER, unknown_messages
from messaging.queries import oldest_sendable
from messaging.tally import UNSIGNED
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: How long nobody may know about a message before a manager is asked to look.
UNKNOWN_FOR = timedelta(minutes=30)
#: So many webhooks a day that nobody signed are a wrong address or token, or somebody
#: at the door. Some scanners find every address.
MOST_UNSIGNED = 20
#: A manager looks within so long.
LOOK_WITHIN = timedelta(minutes=30)
KIND = "sending"


@dataclass(frozen=True)
class Trouble:
    """What is wrong now. ``once_in`` is a strftime: one item for each of these."""

    what: str
    reason: str
    places: Places
    once_in: str


def look(now: datetime) -> int:
    """Raise what is wrong, close what is over; return how many items that were.

    Four queries or five while all is well. What a colleague has taken on, they close.
    """
    wrong = {one.what: one for one in troubles(now)}
    known = set(
        WorkItem.objects.open().filter(kind=KIND).values_list("subject_kind", flat=True)
    )
    moved = 0
    for what in wrong.keys() - known:
        moved += _raise(wrong[what], now)
    for what in known - wrong.keys():
        moved += close_by_rule(
            subject_kind=what,
            subject_id=0,
            rule=gettext_noop("it is over"),
            unclaimed=True,
        )
    return moved


def troubles(now: datetime) -> list[Trouble]:
    """Return what is wrong with sending now; four queries."""
    found = []
    oldest = oldest_sendable(now)
    if oldest is not None and now - oldest > LATE_AFTER:
        found.append(
            Trouble(
                "sending.late",
                gettext_noop(
                    "Messages that could go have waited for more than %(minutes)d "
                    "minutes."
                ),
                {"minutes": int(LATE_AFTER.total_seconds() // 60)},
                "%Y-%m-%dT%H",
            )
        )
    unknown = unknown_nobody_has(now).count()
    if unknown:
        found.append(
            Trouble(
                "sending.unknown",
                gettext_noop(
                    "Nobody knows whether %(count)d messages went out, for more than "
                    "%(minutes)d minutes. Settle them on the page Operations."
                ),
                {
                    "count": unknown,
                    "minutes": int(UNKNOWN_FOR.total_seconds() // 60),
                },
                "%Y-%m-%dT%H",
            )
        )
    unsigned = Tally.objects.filter(key=UNSIGNED, day=now.date()).first()
    if unsigned is not None and unsigned.count > MOST_UNSIGNED:
        found.append(
            Trouble(
                "sending.unsigned",
                gettext_noop(
                    "%(count)d webhooks today had no valid signature: a wrong public "
                    "address or token, or a stranger. Replies may be missing."
                ),
                {"count": unsigned.count},
                "%Y-%m-%d",
            )
        )
    return found


def unknown_nobody_has(now: datetime) -> QuerySet[Message]:
    """Return the unknown messages that are too old and that no person has."""
    old = unknown_messages().filter(submitting_at__lt=now - UNKNOWN_FOR)
    return old.filter(notices__state=Notice.State.OPEN).distinct()


def _raise(trouble: Trouble, now: datetime) -> int:
    item = raise_item(
        kind=KIND,
        severity=WorkItem.Severity.AMBER,
        reason=trouble.reason,
        reason_places=trouble.places,
        subject_kind=trouble.what,
        subject_id=0,
        # Closed by hand and not mended, it comes back; not at once.
        dedupe_key=f"{trouble.what}:{now:{trouble.once_in}}",
        due_at=now + LOOK_WITHIN,
    )
    return int(item.closed_at is None)
