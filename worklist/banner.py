"""What needs somebody about a patient, over the patient's page."""

from collections.abc import Sequence

from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from patients.models import Patient
from patients.registry import Banner, banners
from worklist.models import WorkItem
from worklist.queries import items_of

#: More would push the page down; the worklist has them all.
SHOWN = 2


def pressing(patient: Patient, user: User | AnonymousUser) -> Sequence[WorkItem]:
    """Return what is open about the patient and cannot wait, worst first; one query."""
    items = items_of(user).filter(patient=patient)
    return list(
        items.exclude(severity=WorkItem.Severity.REVIEW)
        .select_related("owner")
        .in_order()[:SHOWN]  # type: ignore[attr-defined]
    )


banners.add(
    "worklist.pressing",
    Banner(
        template="worklist/banner.html",
        lines=pressing,
        permission="worklist.view_workitem",
    ),
)
