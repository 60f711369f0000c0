"""Whose right to know of a patient somebody should look at again."""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import User
from core.faults import logged
from patients.household import note_looked_at
from patients.models import ContactPerson
from worklist.models import WorkItem
from worklist.registry import WorkKind, work_kinds
from worklist.services import close_by_rule, raise_item

KIND = "contact_review"
#: Somebody asks the patient within so long.
LOOK_WITHIN = timedelta(days=7)
#: At most so many at a time.
MOST = 200


def _looked_at(item: WorkItem, outcome: str, by: User) -> None:
    """Take the day away that brought it up: somebody has asked."""
    note_looked_at(contact_person_id=item.subject_id, by=by)


work_kinds.add(
    KIND,
    WorkKind(
        title=_("Contact person to look at again"),
        outcomes={
            "stays": _("Stays as it is"),
            "changed": _("Changed"),
            "ended": _("Ended"),
        },
        on_close=_looked_at,
    ),
)


def look_again() -> int:
    """Put rights whose day has come before the staff; return how many items that moved.

    One item a contact person and day, however often it runs. One whose right was ended
    or put off meanwhile closes by itself. Two queries where nothing is due.
    """
    return _raise_due() + _close_settled()


def _raise_due() -> int:
    asked = WorkItem.objects.open().filter(
        kind=KIND, subject_kind="contact_person", subject_id=OuterRef("pk")
    )
    due = (
        ContactPerson.objects.filter(
            ~Exists(asked),
            review_on__lte=timezone.localdate(),
            ended_at=None,
            patient__deceased_on=None,
            patient__merged_into=None,
        )
        .select_related("patient")
        .order_by("review_on", "pk")
    )
    raised = 0
    for person in due[:MOST]:
        with logged(f"contact person {person.pk}: to look at again"):
            raise_item(
                kind=KIND,
                severity=WorkItem.Severity.REVIEW,
                reason=gettext_noop(
                    "May %(name)s (%(relation)s) still be told of the patient? Ask, "
                    "and set it right under “People around them”."
                ),
                reason_places={"name": person.name, "relation": person.relation},
                subject_kind="contact_person",
                subject_id=person.pk,
                dedupe_key=f"{KIND}:{person.pk}:{person.review_on}",
                due_at=timezone.now() + LOOK_WITHIN,
                patient=person.patient,
                site=person.patient.sites.order_by("id").first(),
            )
            raised += 1
    return raised


def _close_settled() -> int:
    open_items = WorkItem.objects.open().filter(kind=KIND)
    settled = ContactPerson.objects.filter(
        Q(review_on=None)
        | Q(review_on__gt=timezone.localdate())
        | Q(ended_at__isnull=False),
        pk__in=open_items.values("subject_id"),
    )
    return sum(
        close_by_rule(
            subject_kind="contact_person",
            subject_id=pk,
            rule=gettext_noop("somebody has set it right"),
            kind=KIND,
            unclaimed=False,
        )
        for pk in settled.values_list("pk", flat=True)
    )
