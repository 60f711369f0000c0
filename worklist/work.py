"""The kinds of work that stand below every other app."""

from collections.abc import Sequence
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext

from accounts.models import Site, User
from patients.models import AccessGrant, Link, Patient
from patients.queries import grants_to_review, speaking_site
from patients.registry import granted, import_refused, link_closed, reviewed
from worklist.models import WorkItem
from worklist.registry import WorkKind, work_kinds
from worklist.services import close_item, give_back_items, raise_item

#: Emergency access is looked into within so long.
REVIEW_WITHIN = timedelta(hours=24)

work_kinds.add(
    "link_closed",
    WorkKind(
        title=_("Patient link closed"),
        outcomes={
            "helped": _("Helped the patient another way"),
            "new_link": _("Made a new link"),
            "stranger": _("It had reached somebody else"),
        },
    ),
)


@link_closed.register("worklist")
def tell_of_closed_link(link: Link) -> None:
    """Put it before the staff: the patient stands outside, or somebody else tried."""
    raise_item(
        kind="link_closed",
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "Ten wrong dates of birth closed a link. Call the patient: is the date we "
            "have right, and did the link reach them?"
        ),
        subject_kind="link",
        subject_id=link.pk,
        dedupe_key=f"link_closed:{link.pk}",
        due_at=timezone.now() + timedelta(hours=4),
        patient=link.patient,
        site=speaking_site(link.patient),
    )


def _review_page(item: WorkItem) -> str:
    return reverse("patients:access_review", args=[item.subject_id])


work_kinds.add(
    "emergency_access",
    WorkKind(
        title=_("Emergency access to review"),
        outcomes={"reviewed": _("Reviewed")},
        permission="patients.review_accessgrant",
        page=_review_page,
        subjects_of=grants_to_review,
    ),
)


@granted.register("worklist")
def ask_for_review(grant: AccessGrant) -> None:
    """Put emergency access before those who review it."""
    raise_item(
        kind="emergency_access",
        severity=WorkItem.Severity.REVIEW,
        reason=gettext_noop("%(name)s took emergency access: %(why)s"),
        reason_places={"name": str(grant.user), "why": grant.reason},
        subject_kind="grant",
        subject_id=grant.pk,
        dedupe_key=f"emergency_access:{grant.pk}",
        due_at=grant.at + REVIEW_WITHIN,
        patient=grant.patient,
        site=grant.patient.sites.order_by("id").first(),
    )


@reviewed.register("worklist")
def close_review(grant: AccessGrant) -> None:
    """Close the item of an emergency access with what its review found."""
    item = WorkItem.objects.get(dedupe_key=f"emergency_access:{grant.pk}")
    if grant.reviewed_by:
        close_item(
            item_id=item.pk,
            outcome="reviewed",
            by=grant.reviewed_by,
            note=grant.finding,
        )


work_kinds.add(
    "import_refused",
    WorkKind(
        title=_("Number in a list of another site"),
        outcomes={
            "settled": _("Settled with the other site"),
            "mistake": _("A mistake in their list"),
            "misuse": _("Told the manager"),
        },
    ),
)


@import_refused.register("worklist")
def tell_of_refused_rows(patient_ids: Sequence[int], site: Site, by: User) -> None:
    """Put each patient before the staff of their own site, once however often it comes.

    Two queries for those it was raised for before, some more for each other one.
    """
    key = "import_refused:{}".format
    known = set(
        WorkItem.objects.filter(dedupe_key__in=map(key, patient_ids)).values_list(
            "dedupe_key", flat=True
        )
    )
    new = [pk for pk in patient_ids if key(pk) not in known]
    for patient in Patient.objects.filter(pk__in=new).prefetch_related("sites"):
        raise_item(
            kind="import_refused",
            severity=WorkItem.Severity.REVIEW,
            reason=gettext_noop(
                "%(name)s brought a list to %(site)s with a number of this patient; "
                "nothing of it was taken. Ask them whether the patient is theirs, too."
            ),
            reason_places={"name": str(by), "site": str(site)},
            subject_kind="patient",
            subject_id=patient.pk,
            dedupe_key=key(patient.pk),
            due_at=timezone.now() + timedelta(hours=24),
            patient=patient,
            site=min(patient.sites.all(), key=lambda one: one.pk, default=None),
        )


def give_back(leaver: User, by: User) -> str:
    """Put what somebody who left had taken on back before everybody; say how much."""
    count = give_back_items(owner=leaver, by=by)
    if not count:
        return ""
    told = ngettext(
        "%(n)d thing that %(name)s had taken on waits for somebody else.",
        "%(n)d things that %(name)s had taken on wait for somebody else.",
        count,
    )
    return told % {"n": count, "name": leaver}
