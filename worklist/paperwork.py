"""Work that comes of what is written about patients: unsigned notes, and intakes."""

from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.drafts import spared
from accounts.models import Draft, User
from patients.intake import lines_of
from patients.models import HistoryEntry, Intake, Patient
from patients.notes import forgotten_drafts, is_note_draft, patients_of_drafts
from patients.queries import speaking_site
from patients.registry import alarms, intake_reviewed, intake_taken
from worklist.models import WorkItem
from worklist.registry import WorkKind, work_kinds
from worklist.services import close_by_rule, close_item, raise_item

#: Somebody finishes a note they have forgotten within a working day.
SIGN_WITHIN = timedelta(hours=24)
#: Before a draft may be swept, its author has been told of it for so long.
TOLD_FOR = timedelta(days=14)
#: An intake is gone through on the day it comes, or the next.
GO_THROUGH_WITHIN = timedelta(hours=24)
#: One that names an allergy or a danger, while the clinic is open.
SOON = timedelta(hours=4)
#: Forgotten drafts that one pass puts before their authors.
A_PASS = 200


def _own_drafts(user: User | AnonymousUser) -> QuerySet[Draft]:
    """Return the drafts whose items a user sees: their own, nobody else's."""
    return Draft.objects.filter(user=user.pk or 0)


work_kinds.add(
    "draft_note",
    WorkKind(
        title=_("Note not signed yet"),
        # It ends by itself: the note is signed, or the draft dropped.
        outcomes={},
        permission="patients.add_note",
        page=lambda item: reverse("patients:note_draft_list"),
        subjects_of=_own_drafts,
    ),
)


def _items_of_drafts() -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(
        kind="draft_note", subject_kind="draft", subject_id=OuterRef("pk")
    )


def remind_of_drafts() -> int:
    """Put forgotten drafts of notes before their authors, and close what is settled.

    Once a draft, the oldest first; a pass takes 200, the next one goes on. Return how
    many items were raised or closed.
    """
    waiting = [
        draft
        for draft in forgotten_drafts()
        .filter(~Exists(_items_of_drafts()))
        .select_related("user")[:A_PASS]
        if draft.text.get("body", "").strip()
    ]
    about = patients_of_drafts(waiting)
    moved = 0
    for draft in waiting:
        # A draft says whom it is about, whoever typed that; the item must not name
        # somebody of another site, nor one whom emergency access showed for an hour.
        theirs = Patient.objects.visible_to(draft.user)
        patient = theirs.filter(pk=about.get(draft.pk, 0)).first()
        raise_item(
            kind="draft_note",
            severity=WorkItem.Severity.REVIEW,
            reason=gettext_noop(
                "You began a note a week ago and have not signed it. Sign it, or drop "
                "the draft: nobody else can see it."
            ),
            subject_kind="draft",
            subject_id=draft.pk,
            dedupe_key=f"draft_note:{draft.pk}",
            due_at=timezone.now() + SIGN_WITHIN,
            patient=patient,
            site=speaking_site(patient) if patient else None,
        )
        moved += 1
    return moved + _close_settled()


def _close_settled() -> int:
    """Close the items of drafts that are signed, dropped or swept."""
    there = Draft.objects.filter(pk=OuterRef("subject_id"))
    settled = WorkItem.objects.open().filter(~Exists(there), kind="draft_note")
    return sum(
        close_by_rule(
            subject_kind="draft",
            subject_id=subject_id,
            rule=gettext_noop("The draft is no longer there."),
            kind="draft_note",
            unclaimed=False,
        )
        for subject_id in settled.values_list("subject_id", flat=True)[:A_PASS]
    )


@spared.register("notes")
def told_too_late() -> Q:
    """Return the drafts of notes whose authors have not been told for long enough.

    What somebody who works here wrote of a patient is never swept behind their back.
    """
    told = _items_of_drafts().filter(opened_at__lte=timezone.now() - TOLD_FOR)
    return is_note_draft() & Q(user__is_active=True) & ~Q(Exists(told))


def _review_page(item: WorkItem) -> str:
    return reverse("patients:intake_review", args=[item.patient_id, item.subject_id])


work_kinds.add(
    "intake",
    WorkKind(
        title=_("Patient told us"),
        outcomes={"reviewed": _("Gone through")},
        permission="patients.verify_historyentry",
        page=_review_page,
    ),
)


@intake_taken.register("worklist")
def ask_to_go_through(intake: Intake) -> None:
    """Put an intake before those who go through it; sooner when it cannot wait."""
    patient = Patient.objects.get(pk=intake.patient_id)
    allergies = lines_of(intake.answers.get(HistoryEntry.Kind.ALLERGY, ""))
    words = "\n".join(
        value for value in intake.answers.values() if isinstance(value, str)
    )
    danger = any(is_alarming(words) for _key, is_alarming in alarms)
    if danger:
        reason = gettext_noop(
            "Told us of themselves, in words that may speak of a danger. Read it now."
        )
    elif allergies:
        reason = gettext_noop("Told us of an allergy. Confirm it with them.")
    else:
        reason = gettext_noop("Told us about health, needs and goals. Go through it.")
    urgent = danger or bool(allergies)
    severity = WorkItem.Severity.AMBER if urgent else WorkItem.Severity.REVIEW
    raise_item(
        kind="intake",
        severity=severity,
        reason=reason,
        subject_kind="intake",
        subject_id=intake.pk,
        dedupe_key=f"intake:{intake.pk}",
        due_at=timezone.now() + (SOON if urgent else GO_THROUGH_WITHIN),
        patient=patient,
        site=speaking_site(patient),
    )


@intake_reviewed.register("worklist")
def close_gone_through(intake: Intake) -> None:
    """Close the item of an intake that somebody has gone through."""
    item = WorkItem.objects.filter(dedupe_key=f"intake:{intake.pk}").first()
    if item is not None and intake.reviewed_by:
        close_item(item_id=item.pk, outcome="reviewed", by=intake.reviewed_by)
