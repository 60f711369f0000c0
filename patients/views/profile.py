"""A new patient, and their profile, section by section."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from core.versions import StaleError
from patients.access import get_patient
from patients.forms.new_patient import NewPatientForm
from patients.forms.profile import SECTIONS
from patients.forms.reach import DeathCorrectionForm, DeathForm
from patients.models import Patient
from patients.profile import (
    add_patient,
    change_profile,
    correct_death,
    record_death,
)
from patients.views.merging import hints_typed


@policy(requires("patients.add_patient"), "GET", "POST")
@once
def patient_add(request: StaffRequest) -> HttpResponse:
    """Take on somebody new."""
    form = NewPatientForm(request.POST or None, user=request.user)
    is_ready = request.method == "POST" and form.is_valid()
    strong = (
        [hint for hint in hints_typed(request) if hint.is_strong] if is_ready else []
    )
    if strong and not request.POST.get("somebody_else"):
        form.ask_again(strong)
    elif is_ready:
        try:
            patient = add_patient(by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(
                request, _("Patient added. Ask them now whether we may write to them.")
            )
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(request, "patients/patient_add.html", {"form": form})


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def patient_edit(request: StaffRequest, pk: int, section: str) -> HttpResponse:
    """Change one section of a profile; htmx gets the form alone, to edit in place.

    What somebody else saved meanwhile is shown beside what was typed, which stays.
    """
    patient = get_patient(request.user, pk, at_own_site=True)
    if section not in SECTIONS:
        raise Http404
    if not request.user.has_perm(SECTIONS[section].permission):
        raise PermissionDenied
    form = SECTIONS[section](request.POST or None, patient=patient, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            change_profile(
                patient_id=patient.pk,
                version=form.cleaned_data["version"],
                by=request.user,
                **form.changes(),
            )
        except StaleError as error:
            form.refuse(error)
            form.show_clash(error.now)
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Saved"))
            if Patient.objects.visible_to(request.user).filter(pk=pk).exists():
                return redirect("patients:patient_detail", pk=patient.pk)
            return redirect("patients:patient_list")
    template = "patient_edit_form" if request.htmx else "patient_edit"
    return render(
        request, f"patients/{template}.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def patient_died(request: StaffRequest, pk: int) -> HttpResponse:
    """Note a death: everything outgoing stops with it."""
    patient = get_patient(request.user, pk, at_own_site=True)
    if patient.deceased_on:
        return redirect("patients:patient_detail", pk=patient.pk)
    form = DeathForm(request.POST or None, patient=patient)
    if request.method == "POST" and form.is_valid():
        try:
            record_death(
                patient_id=patient.pk,
                died_on=form.cleaned_data["died_on"],
                told_by=form.cleaned_data["told_by"],
                by=request.user,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Noted. Nothing is sent any more."))
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request, "patients/patient_died.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def death_correct(request: StaffRequest, pk: int) -> HttpResponse:
    """Take back a death that was noted by mistake."""
    patient = get_patient(request.user, pk, at_own_site=True)
    if not patient.deceased_on:
        return redirect("patients:patient_detail", pk=patient.pk)
    form = DeathCorrectionForm(request.POST or None, patient=patient)
    if request.method == "POST" and form.is_valid():
        correct_death(
            patient_id=patient.pk, by=request.user, reason=form.cleaned_data["reason"]
        )
        messages.success(request, _("Corrected. They can be written to again."))
        return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request, "patients/death_correct.html", {"patient": patient, "form": form}
    )
