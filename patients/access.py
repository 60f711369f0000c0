"""The only way a view gets at a patient, or at what tells of one."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404

from accounts.audit.trail import note_opened, note_refused
from accounts.models import User
from patients.models import Patient


def at_own_sites(user: User | AnonymousUser, path: str = "patient") -> Exists:
    """Return the condition that the patient of a row is one of the user's sites.

    For what lasts: emergency access adds nobody.
    """
    return Exists(Patient.objects.at_sites_of(user).filter(pk=OuterRef(path)))


def of_visible(user: User | AnonymousUser, path: str = "patient") -> Exists:
    """Return the condition that the patient of a row is one this user may see.

    For what tells of patients: visits, messages, work. ``path`` is the row's key.
    """
    return Exists(Patient.objects.visible_to(user).filter(pk=OuterRef(path)))


def not_there(kind: str, rows: QuerySet[Any]) -> Http404:
    """Return the answer to a number that is not this user's; one query.

    It is the same whether ``rows`` holds one or not. That somebody asked for one that
    is there goes to the audit trail, as a refusal of ``kind:id``.
    """
    for pk, patient_id in rows.values_list("pk", rows.model.about):
        note_refused(f"{kind}:{pk}", [patient_id])
    return Http404()


class WasMergedError(Http404):
    """The record became part of another one that this user may see."""

    def __init__(self, kept_id: int) -> None:
        super().__init__()
        self.kept_id = kept_id


def get_patient(user: User, pk: int, *, at_own_site: bool = False) -> Patient:
    """Return the patient if this user may see them.

    Out of scope answers as not there (404): the difference would tell that somebody is
    a patient here. ``at_own_site`` leaves out those opened by emergency access: for
    what would make them a patient of the user's site. The patient's ``at_own_site``
    says whether they are one. A record that was merged is not there either; the error
    says into which, to those who may see that one. One query; two more on the way out.
    """
    return get_patients(user, [pk], at_own_site=at_own_site)[0]


def get_patients(
    user: User, pks: Sequence[int], *, at_own_site: bool = False
) -> list[Patient]:
    """Return several patients in this order, each as ``get_patient`` would; one query.

    One who is not there, is not there for all.
    """
    ours = Patient.objects.at_sites_of(user).filter(pk=OuterRef("pk"))
    visible = Patient.objects.visible_to(user).annotate(at_own_site=Exists(ours))
    found = {patient.pk: patient for patient in visible.filter(pk__in=pks)}
    for pk in pks:
        patient: Any = found.get(pk)
        if patient is None:
            into = Patient.objects.filter(pk=pk).values("merged_into")
            kept = Patient.objects.visible_to(user).filter(pk__in=into)
            for (kept_id,) in kept.values_list("pk"):
                raise WasMergedError(kept_id)
        if patient is None or (at_own_site and not patient.at_own_site):
            raise not_there("patient", Patient.objects.filter(pk=pk))
        note_opened(patient.pk)
    return [found[pk] for pk in pks]
