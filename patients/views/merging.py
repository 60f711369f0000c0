"""Two records of one person: hints while typing, the list, merging and undoing it."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from core.phones import to_e164
from patients.access import get_patient, get_patients, not_there
from patients.duplicates import hints_for, likely_pairs
from patients.forms.merging import MergeForm
from patients.merging.registry import Belongs, Pair
from patients.merging.rules import TOLD_APART
from patients.merging.services import (
    consequences,
    forget_not_the_same,
    merge_patients,
    note_not_the_same,
    questions,
    refusals,
    rows_of,
    since_merge,
    undo_merge,
    undo_refusals,
)
from patients.models import Patient, PatientMerge
from patients.search import find_patients

#: Longer than this nothing typed into one field of a new patient is.
LONGEST = 254
#: More digits than this are no patient's number; databases refuse them.
LONGEST_NUMBER = 19


@policy(requires("patients.add_patient"), "POST")
def duplicate_hints(request: StaffRequest) -> HttpResponse:
    """Answer a form about a patient while somebody types: who that may be already.

    Takes what is there of given_name, family_name, birth_date, phone, email and
    identifier, as typed; what cannot be read yet is left out. ``but`` is the patient
    whose form it is, unless they are new.
    """
    but = request.POST.get("but", "")
    number = int(but) if but.isdecimal() and len(but) < LONGEST_NUMBER else None
    hints = hints_typed(request, number)
    return render(request, "patients/duplicate_hints.html", {"hints": hints})


def hints_typed(request: StaffRequest, but: int | None = None) -> list[Any]:
    """Return whom the form that was sent may be about already."""

    def said(name: str) -> str:
        return request.POST.get(name, "").strip()[:LONGEST]

    try:
        born = parse_date(said("birth_date"))
    except ValueError:
        born = None
    site = request.user.sites.first()
    return hints_for(
        request.user,
        given_name=said("given_name"),
        family_name=said("family_name"),
        birth_date=born,
        phone=to_e164(said("phone"), site.region if site else "US") or "",
        email=said("email"),
        identifier=said("identifier"),
        but=but,
    )


@policy(requires("patients.merge_patient"), "GET")
def duplicate_list(request: StaffRequest) -> HttpResponse:
    """List records of the user's sites that look alike, page by page."""
    after = request.GET.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < LONGEST_NUMBER else 0
    pairs, more = likely_pairs(request.user, after=start)
    return render(
        request, "patients/duplicate_list.html", {"pairs": pairs, "more": more}
    )


@policy(requires("patients.merge_patient"), "POST")
@once
def not_the_same(request: StaffRequest, pk: int, other_pk: int) -> HttpResponse:
    """Say that two records that look alike are two people, or take that back."""
    pair = _pair(request, pk, other_pk)
    if request.POST.get("same"):
        forget_not_the_same(
            patient_id=pair.kept.pk, other_id=pair.lost.pk, by=request.user
        )
        return redirect("patients:patient_merge", pk=pk, other_pk=other_pk)
    note_not_the_same(patient_id=pair.kept.pk, other_id=pair.lost.pk, by=request.user)
    messages.success(request, _("Noted: these are two people."))
    return redirect("patients:duplicate_list")


@policy(requires("patients.merge_patient"), "GET", "POST")
def merge_start(request: StaffRequest, pk: int) -> HttpResponse:
    """Show with which records this one may be merged, and those that were.

    Any other record of the user's sites is found by POST (``q``), as in the find box:
    the same person under another name looks like nobody.
    """
    patient = get_patient(request.user, pk, at_own_site=True)
    pairs, _more = likely_pairs(request.user, of=patient.pk)
    text = request.POST.get("q", "").strip()
    merges = PatientMerge.objects.filter(kept=patient).select_related("by", "lost")
    return render(
        request,
        "patients/merge_start.html",
        {
            "patient": patient,
            "alike": [(pair.second, pair.why) for pair in pairs],
            "merges": merges.order_by("-pk"),
            "q": text,
            "found": _others(request, patient, text) if text else [],
        },
    )


def _others(request: StaffRequest, patient: Patient, text: str) -> list[Patient]:
    """Return whom a search finds that could be merged with a patient."""
    site = request.user.sites.first()
    found = find_patients(
        request.user, text, month_first=site is None or site.region == "US"
    ).patients
    ours = Patient.objects.at_sites_of(request.user).filter(
        pk__in=[one.pk for one in found], erased_at=None
    )
    ids = set(ours.values_list("pk", flat=True)) - {patient.pk}
    return [one for one in found if one.pk in ids]


@policy(requires("patients.merge_patient"), "GET", "POST")
@once
def patient_merge(request: StaffRequest, pk: int, other_pk: int) -> HttpResponse:
    """Show two records side by side and make them one; the first is kept."""
    pair = _pair(request, pk, other_pk)
    whys = refusals(pair)
    form = None
    if not whys:
        asked = [one.for_reader(request.user) for one in questions(pair)]
        form = MergeForm(request.POST or None, pair=pair, questions=asked)
    if request.method == "POST" and form is not None and form.is_valid():
        try:
            merge_patients(
                kept_id=pair.kept.pk,
                lost_id=pair.lost.pk,
                answers=form.answers,
                seen=form.cleaned_data["seen"],
                by=request.user,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The two records are one now."))
            return redirect("patients:patient_detail", pk=pair.kept.pk)
    return render(
        request,
        "patients/patient_merge.html",
        {
            "pair": pair,
            "patient": pair.kept,
            "whys": whys,
            "form": form,
            "told": [] if whys else consequences(pair, request.user),
            "moves": _moves(request, pair),
            "told_apart": str(TOLD_APART) in whys,
        },
    )


@policy(requires("patients.merge_patient"), "GET", "POST")
@once
def patient_unmerge(request: StaffRequest, pk: int, merge_pk: int) -> HttpResponse:
    """Show what undoing a merge gives back and what stays, and do it."""
    patient = get_patient(request.user, pk, at_own_site=True)
    merges = PatientMerge.objects.select_related("kept", "lost", "by")
    merge = merges.filter(kept=patient, pk=merge_pk).first()
    if merge is None:
        raise not_there("patient", Patient.objects.filter(merges=merge_pk))
    whys = undo_refusals(merge)
    if request.method == "POST" and not whys:
        undone = undo_merge(merge_id=merge.pk, by=request.user)
        messages.success(request, _("They are two records again."))
        if undone.stayed:
            messages.info(
                request,
                ngettext(
                    "%(n)d thing was changed since and stays as it is now.",
                    "%(n)d things were changed since and stay as they are now.",
                    undone.stayed,
                )
                % {"n": undone.stayed},
            )
        return redirect("patients:patient_detail", pk=undone.lost.pk)
    return render(
        request,
        "patients/patient_unmerge.html",
        {
            "patient": patient,
            "merge": merge,
            "whys": whys,
            "since": [
                (table, count)
                for table, count in since_merge(merge)
                if request.user.has_perm(table.permission)
            ],
        },
    )


def _pair(request: StaffRequest, pk: int, other_pk: int) -> Pair:
    """Return both records, which must be of the user's own sites."""
    both = get_patients(request.user, [pk, other_pk], at_own_site=True)
    # Asked for by every rule: once.
    prefetch_related_objects(both, "contact_points", "consents", "usual_clinician")
    return Pair(*both)


def _moves(request: StaffRequest, pair: Pair) -> list[tuple[Belongs, list[int]]]:
    """Return what each record has, by table this user may see; one query."""
    return [
        (table, numbers)
        for table, numbers in rows_of(pair.ids)
        if any(numbers) and request.user.has_perm(table.permission)
    ]
