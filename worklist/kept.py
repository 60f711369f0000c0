"""What the worklist keeps about people, for their export and their erasing."""

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.models import User
from core.sayings import told
from patients.personal import Personal, Whose, personal
from patients.retention import Retention, retention
from worklist.models import WorkEvent, WorkItem
from worklist.services import close_by_rule

#: Why work about somebody is over.
WHY = gettext_noop("the patient's record was erased")


def _items(whose: Whose) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(patient__in=whose.ids)


def _settle(whose: Whose, by: User | None) -> None:
    """Close what is open about them; a red item is a person's to close."""
    open_items = _items(whose).open()  # type: ignore[attr-defined]
    if open_items.filter(severity=WorkItem.Severity.RED).exists():
        raise ValidationError(
            _("A red work item about them is open. Somebody has to close it first.")
        )
    for kind, subject in set(open_items.values_list("subject_kind", "subject_id")):
        close_by_rule(subject_kind=kind, subject_id=subject, rule=WHY, unclaimed=False)


def _forget(ids: list[int]) -> int:
    """Blank what closed items say, and the notes of those who worked on them."""
    WorkEvent.objects.filter(item__in=ids).update(note="")
    return WorkItem.objects.filter(pk__in=ids).update(reason="", reason_places={})


def register_retention() -> None:
    """Name how long what was said about work may be kept."""
    retention.add(
        "work_text",
        Retention(
            title=gettext_lazy("What closed work says"),
            goes=gettext_lazy(
                "The reason and the notes. What kind it was, who closed it and how "
                "stays."
            ),
            due=lambda cutoff: WorkItem.objects.filter(closed_at__lt=cutoff).exclude(
                reason=""
            ),
            apply=_forget,
            patient="patient",
            days=2557,
            least=2192,
            source=gettext_lazy(
                "Six years: 45 CFR 164.316(b)(2)(i), for reviews of emergency access "
                "are work, too."
            ),
        ),
    )


def _what(event: WorkEvent) -> str:
    """Return what was done, in words: "closed" may have an outcome behind it."""
    what, _colon, _outcome = event.what.partition(":")
    says = {"opened": _("opened"), "claimed": _("taken on"), "closed": _("closed")}
    return says.get(what) or told(what)


def register() -> None:
    """Name what our tables keep."""
    personal.add(
        "work_item",
        Personal(
            title=gettext_lazy("Work"),
            model=WorkItem,
            rows=_items,
            blanks={"reason": "", "reason_places": {}},
            keeps=frozenset(
                {"kind", "subject_kind", "dedupe_key", "outcome", "closed_by_rule"}
            ),
            hides=frozenset({"dedupe_key", "patient"}),
            reads={
                "kind": lambda item: item.title,
                "reason": lambda item: item.sentence,
                "outcome": lambda item: item.outcome and item.ending,
            },
            settle=_settle,
            drafts=("close",),
        ),
    )
    personal.add(
        "work_event",
        Personal(
            title=gettext_lazy("What was done about it"),
            model=WorkEvent,
            rows=lambda whose: WorkEvent.objects.filter(item__patient__in=whose.ids),
            blanks={"note": ""},
            keeps=frozenset({"what"}),
            reads={"what": _what},
        ),
    )
