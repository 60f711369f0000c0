"""Reads about what patients have been told of, and what nobody has told them yet."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from accounts.models import User
from core.text import fold
from patients.access import at_own_sites
from patients.codes import as_known, covers
from patients.models import HistoryEntry, Patient
from patients.registry import in_sight

#: So long a condition may wait before somebody is asked to tell the patient: product.md
#: section 1, "untold for 14 days becomes a work item".
UNTOLD_FOR = timedelta(days=14)


def may_name(patient: Patient, codes: Iterable[str]) -> bool:
    """Return whether what speaks of these conditions may go to the patient.

    False while any condition that stands, active or over, is one of them and the
    patient has not been told: asked when something is given and again at the gate.
    ``codes`` are of any system; a condition is one of them by its code, a narrower one
    of ICD-10-CM, the same line of the shipped list, or, without a known code, by name.
    One query.
    """
    mine, names = as_known(tuple(codes))
    untold = HistoryEntry.objects.untold().filter(patient=patient)
    return not any(
        any(covers(code, own) or covers(own, code) for code in mine)
        if own
        else bool({fold(label), fold(clinical)} & names)
        for own, label, clinical in untold.values_list("code", "label", "clinical_name")
    )


def untold_of(
    user: User | AnonymousUser, *, mine: bool = False
) -> QuerySet[HistoryEntry]:
    """Return the active conditions that patients of the user's sites were not told of.

    The longest waiting first. Of several rows that say the same of a patient only the
    first, for they are told together. ``mine``: only of those whose usual clinician
    the user is. Nothing of the dead.
    """
    found = (
        HistoryEntry.objects.untold()
        .active()
        .filter(at_own_sites(user), ~_said_before(), patient__deceased_on=None)
        .select_related("patient", "recorded_by")
        .order_by("recorded_at", "pk")
    )
    if mine:
        found = found.filter(patient__usual_clinician__user=user.pk or 0)
    return found


def untold_of_patient(patient: Patient) -> QuerySet[HistoryEntry]:
    """Return what this patient was not told of, active or over, each once."""
    return (
        HistoryEntry.objects.untold()
        .filter(~_said_before(), patient=patient)
        .select_related("patient", "recorded_by")
        .order_by("recorded_at", "pk")
    )


def after(
    rows: QuerySet[HistoryEntry], last: HistoryEntry | None
) -> QuerySet[HistoryEntry]:
    """Return what follows a row of the lists above; all of it without one."""
    if last is None:
        return rows
    # Both sides of the OR stand under one bound, by which the index is entered.
    return rows.filter(
        Q(recorded_at__gt=last.recorded_at) | Q(pk__gt=last.pk),
        recorded_at__gte=last.recorded_at,
    )


def _said_before() -> Exists:
    """Whether an earlier row of the patient says the same, and is untold, too."""
    return Exists(
        HistoryEntry.objects.untold().filter(
            Q(recorded_at__lt=OuterRef("recorded_at")) | Q(pk__lt=OuterRef("pk")),
            ~Q(code="") | Q(label=OuterRef("label")),
            patient=OuterRef("patient"),
            code=OuterRef("code"),
            code_system=OuterRef("code_system"),
            recorded_at__lte=OuterRef("recorded_at"),
        )
    )


def overdue(now: datetime) -> QuerySet[HistoryEntry]:
    """Return the active conditions that have waited too long for somebody to tell.

    Not of the dead nor of merged records. What an import brought counts only for
    patients the clinic deals with now (``registry.in_sight``): a list of 100,000 must
    not put 100,000 things before the staff, and nobody can tell those who do not come.
    What was written down here always counts.
    """
    seen = Q(pk__in=[])
    for _key, condition in in_sight:
        seen |= Q(condition(now))
    return (
        HistoryEntry.objects.untold()
        .active()
        .filter(
            ~Q(source=HistoryEntry.Source.IMPORTED) | seen,
            recorded_at__lte=now - UNTOLD_FOR,
            patient__deceased_on=None,
            patient__merged_into=None,
        )
    )


def waits_for_telling(patient_ids: Collection[int]) -> set[int]:
    """Return those of these patients who still have an active untold condition.

    The dead have none; one query.
    """
    rows = HistoryEntry.objects.untold().active()
    waiting = rows.filter(patient__in=patient_ids, patient__deceased_on=None)
    return set(waiting.values_list("patient_id", flat=True))


def longest_waiting(now: datetime, leave_out: Exists, limit: int) -> list[int]:
    """Return the ids of patients with something overdue, the oldest first; one query.

    ``leave_out`` is a condition over an entry.
    """
    rows = (
        overdue(now)
        .filter(~leave_out)
        .values("patient")
        .annotate(oldest=Min("recorded_at"))
        .order_by("oldest", "patient")
    )
    return [row["patient"] for row in rows[:limit]]
