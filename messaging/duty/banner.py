"""What Today and the worklist say of urgent work: whose it is to take note."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, Exists, OuterRef, QuerySet, When
from django.utils import timezone

from accounts.models import User
from accounts.roster import on_duty
from messaging.duty.links import LINK_LASTS
from messaging.models import DutyAlert
from worklist.models import WorkItem
from worklist.queries import items_of


@dataclass(frozen=True)
class Line:
    """Urgent work that waits, seen by one user.

    ``alert`` asks them to take note; without one nobody is on duty at the ``place``,
    which is blank where work is of no one site.
    """

    count: int
    place: str
    since: datetime
    alert: DutyAlert | None = None


def urgent_for(user: User | AnonymousUser) -> QuerySet[WorkItem]:
    """Return the red items of this user's sites that nobody has taken on."""
    return items_of(user).filter(severity=WorkItem.Severity.RED, owner=None)


def duty_lines(user: User | AnonymousUser) -> list[Line]:
    """Return what this user is to see over Today and the worklist.

    One query; another one when this user was told of something lately.
    """
    if not user.has_perm("worklist.view_workitem"):
        return []
    now = timezone.now()
    told = DutyAlert.objects.filter(
        user=user.pk, acknowledged_at=None, at__gt=now - LINK_LASTS
    )
    duties = on_duty(now).order_by()
    rows = urgent_for(user).annotate(
        is_covered=Case(
            When(site=None, then=Exists(duties)),
            default=Exists(duties.filter(site=OuterRef("site"))),
        ),
        was_told=Exists(told),
    )
    reds = {
        pk: (place or "", opened, is_covered, was_told)
        for pk, place, opened, is_covered, was_told in rows.values_list(
            "pk", "site__name", "opened_at", "is_covered", "was_told"
        )
    }
    lines: dict[str, Line] = {}
    if any(was_told for *_rest, was_told in reds.values()):
        for alert in told.select_related("site").order_by("-pk"):
            place = alert.site.name if alert.site else ""
            theirs = [reds[pk][1] for pk in alert.items if pk in reds]
            if theirs and place not in lines:
                lines[place] = Line(len(theirs), place, min(theirs), alert)
    nobodys: dict[str, list[datetime]] = {}
    for place, opened, is_covered, _told in reds.values():
        if not is_covered:
            nobodys.setdefault(place, []).append(opened)
    return [
        *lines.values(),
        *(Line(len(times), place, min(times)) for place, times in nobodys.items()),
    ]
