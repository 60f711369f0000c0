"""What waits for a person about a patient, before their visit."""

from django.urls import reverse
from django.utils.translation import gettext as _

from patients.registry import BeforeVisit, Line, VisitAhead, before_visit
from worklist.models import WorkItem
from worklist.queries import items_of

#: More would hide the rest of the page; the worklist has them all.
SHOWN = 8


def open_work(about: VisitAhead) -> list[Line]:
    """Return the open items about the patient, worst first; one query."""
    items = items_of(about.user).filter(patient=about.patient)
    return [
        Line(
            _("%(kind)s: %(why)s") % {"kind": item.title, "why": item.sentence},
            at=item.opened_at,
            page=reverse("worklist:item_close", args=[item.pk]),
            warn=item.severity != WorkItem.Severity.REVIEW,
        )
        for item in items.in_order()[:SHOWN]  # type: ignore[attr-defined]
    ]


before_visit.add(
    "worklist.open",
    BeforeVisit(question="owed", lines=open_work, permission="worklist.view_workitem"),
)
