"""Work about a patient on their timeline, once somebody has ended it."""

import json
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import User
from patients.models import Patient
from patients.registry import TimelineSource, timeline
from worklist.models import WorkItem
from worklist.registry import work_kinds


def _closed(patient: Patient, user: User | AnonymousUser) -> QuerySet[Any]:
    """Return what was ended, of the kinds this user sees on the worklist."""
    hidden = [
        key
        for key, kind in work_kinds
        if kind.subjects_of or (kind.permission and not user.has_perm(kind.permission))
    ]
    return WorkItem.objects.filter(patient=patient, closed_at__isnull=False).exclude(
        kind__in=hidden
    )


def _item(facts: dict[str, Any]) -> WorkItem:
    """Return the item with what its line shows, and nothing else."""
    places, username = facts["reason_places"], facts["by_username"]
    return WorkItem(
        pk=facts["pk"],
        kind=facts["kind"],
        reason=facts["reason"],
        reason_places=json.loads(places) if isinstance(places, str) else places,
        outcome=facts["outcome"],
        closed_by=User(name=facts["by_name"], username=username) if username else None,
    )


timeline.add(
    "work",
    TimelineSource(
        rows=_closed,
        facts={
            "kind": "kind",
            "reason": "reason",
            "reason_places": "reason_places",
            "outcome": "outcome",
            "by_name": "closed_by__name",
            "by_username": "closed_by__username",
        },
        build=_item,
        at="closed_at",
        template="worklist/event_closed.html",
        permission="worklist.view_workitem",
        group="work",
    ),
)
