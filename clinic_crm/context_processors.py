"""What every page shows around its content."""

from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts.language import other_languages
from accounts.models import User
from messaging.duty.banner import Line, duty_lines, urgent_for
from messaging.queries import waiting_for_us
from patients.models import AccessGrant
from patients.queries import grants_of_page, reviewers_of
from worklist.queries import items_of


def house(request: HttpRequest) -> dict[str, Any]:
    """Return the counts in the rail, urgent work this user must know of, the emergency
    access by which the page shows its patient, the languages to switch to, and whether
    to show the embedded run's banner.

    All that is counted is one query, run only when a template shows some of it, which
    fragments do not; two more under emergency access, and a few where urgent work
    waits.
    """
    user = getattr(request, "user", None)
    embedded = settings.EMBEDDED and settings.SMS_GATEWAY == "simulated"
    if user is None or not user.is_authenticated:
        return {"embedded": embedded, "other_languages": other_languages}

    @cache
    def counts() -> tuple[int, int, int, int]:
        waiting, work, grants, urgent = (
            User.objects.filter(pk=user.pk)
            .values_list(
                _count(waiting_for_us(user)),
                _count(items_of(user)),
                _count(grants_of_page(user)),
                _count(urgent_for(user)),
            )
            .get()
        )
        return waiting, work, grants, urgent

    def duty() -> list[Line]:
        return duty_lines(user) if counts()[3] else []

    def emergency_access() -> list[tuple[AccessGrant, QuerySet[User]]]:
        grants = grants_of_page(user) if counts()[2] else ()
        return [(grant, reviewers_of(grant)) for grant in grants]

    return {
        "embedded": embedded,
        "duty_lines": duty,
        "idle_lock_seconds": settings.IDLE_LOCK_SECONDS,
        "other_languages": other_languages,
        "emergency_access": emergency_access,
        "waiting_count": lambda: counts()[0],
        "work_count": lambda: counts()[1],
    }


def _count(rows: QuerySet[Any]) -> Coalesce:
    """Return how many rows there are as an expression."""
    one_group = rows.order_by().annotate(all=Value(1)).values("all")
    return Coalesce(Subquery(one_group.annotate(n=Count("pk")).values("n")), 0)
