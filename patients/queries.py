"""Reads about patients that cross tables."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.audit.trail import current_view
from accounts.models import AuditedPatient, AuditEvent, Site, User
from accounts.roles import roles_with
from patients.models import AccessGrant, Consent, ContactPoint, Patient
from patients.registry import barred


def names_of(user: User, ids: Collection[int]) -> dict[int, str]:
    """Return {id: name} of those of these patients the user may open; one query."""
    if not user.has_perm("patients.view_patient"):
        return {}
    found = Patient.objects.visible_to(user).filter(pk__in=ids)
    return {patient.pk: patient.full_name for patient in found}


def speaking_site(patient: Patient | None) -> Site:
    """Return the site that writes to somebody: the patient's, else the first there is.

    At most two queries; ``IndexError`` where no site is set up yet.
    """
    site = patient.sites.first() if patient else None
    return site or Site.objects.order_by("id")[0]


def consents_of(patient_ids: Iterable[int]) -> dict[tuple[int, str, str], bool]:
    """Return {(patient id, channel, purpose): given} by the latest rows; one query."""
    latest: dict[tuple[int, str, str], bool] = {}
    rows = Consent.objects.filter(patient__in=patient_ids).order_by("at", "id")
    for patient_id, channel, purpose, given in rows.values_list(
        "patient_id", "channel", "purpose", "given"
    ):
        latest[patient_id, channel, purpose] = given
    return latest


def latest_consent(purpose: str, patient: Any = None) -> Subquery:
    """Return the latest word on a channel, as an expression over a contact point.

    Of its own patient, or of ``patient``: a number, or a reference to an outer row,
    where the address is that of somebody who answers for them. None for never asked.
    """
    rows = Consent.objects.filter(
        patient=OuterRef("patient") if patient is None else patient,
        channel=OuterRef("channel"),
        purpose=purpose,
    )
    return Subquery(rows.order_by("-at", "-id").values("given")[:1])


def points_with_facts() -> QuerySet[ContactPoint]:
    """Return addresses with ``agreed`` and what stands in the way (``bar_<key>``)."""
    return ContactPoint.objects.annotate(
        agreed=latest_consent(Consent.Purpose.CARE),
        **{f"bar_{key}": bar.fact for key, bar in barred},
    )


def why_barred(point: Any) -> str:
    """Return why nothing may go to an address of ``points_with_facts`` now, or ""."""
    facts = ((bar, getattr(point, f"bar_{key}")) for key, bar in barred)
    return next((bar.says(fact) for bar, fact in facts if fact), "")


def has_consent(patient: Patient, channel: str, purpose: str) -> bool:
    """Return whether the patient agreed to be reached so, for this; one query."""
    return consents_of([patient.pk]).get((patient.pk, channel, purpose), False)


def grants_of_page(user: User | AnonymousUser) -> QuerySet[AccessGrant]:
    """Return the emergency access by which the page being made shows its patient.

    None on a page of no patient, or for a role without emergency access.
    """
    view = current_view.get()
    if view is None or not view.opened or not user.has_perm("patients.break_glass"):
        return AccessGrant.objects.none()
    return (
        AccessGrant.objects.open()
        .filter(user=user.pk or 0, patient__in=view.opened)
        .select_related("patient")
    )


def reviewers_of(grant: AccessGrant) -> QuerySet[User]:
    """Return who reviews an emergency access: by role, at the patient's sites.

    Everybody of that role where the patient's sites have nobody: what nobody is told of
    nobody looks into. Two queries at most.
    """
    reviewers = _reviewers().exclude(pk=grant.user_id)
    there = reviewers.filter(sites__patients=grant.patient_id)
    return (there if there.exists() else reviewers).distinct()


def _reviewers() -> QuerySet[User]:
    roles = roles_with("patients.review_accessgrant")
    return User.objects.filter(is_active=True, groups__name__in=roles)


def grants_to_review(user: User | AnonymousUser) -> QuerySet[AccessGrant]:
    """Return the emergency access that the user looks into, latest first.

    To patients of their sites, and of sites that have nobody for it. Each with
    ``pages``: how often a page of the patient's own was opened meanwhile.
    """
    opened = AuditedPatient.objects.filter(
        event_id=OuterRef("pk"),
        patient_id=OuterRef(OuterRef("patient_id")),
        opened=True,
    )
    ours = Patient.objects.at_sites_of(user).filter(pk=OuterRef("patient"))
    reach = Q(Exists(ours))
    if user.has_perm("patients.review_accessgrant"):
        there = _reviewers().filter(sites__patients=OuterRef("patient"))
        reach |= Q(~Exists(there.exclude(pk=OuterRef("user"))))
    pages = (
        AuditEvent.objects.filter(
            Exists(opened),
            actor_id=OuterRef("user_id"),
            at__gte=OuterRef("at"),
            at__lte=Coalesce(OuterRef("ended_at"), OuterRef("expires_at")),
        )
        .order_by()
        .values("actor_id")
        .annotate(n=Count("pk"))
        .values("n")
    )
    return (
        AccessGrant.objects.filter(reach)
        .select_related("user", "patient", "reviewed_by")
        .annotate(pages=Coalesce(Subquery(pages), 0))
        .order_by("-at", "-id")
    )


def deeds_under(grant: AccessGrant, limit: int = 200) -> list[AuditEvent]:
    """Return what was seen and done of the patient meanwhile; one query."""
    # What was opened before two records became one stands under the other number.
    merged = Patient.objects.filter(merged_into=grant.patient_id).values("pk")
    about = AuditedPatient.objects.filter(
        Q(patient_id=grant.patient_id) | Q(patient_id__in=merged)
    )
    return list(
        AuditEvent.objects.filter(
            pk__in=about.values("event_id"),
            actor_id=grant.user_id,
            at__gte=grant.at,
            at__lte=grant.over_at,
        ).order_by("at", "id")[:limit]
    )
