"""Intake at the desk: a link to hand out, answers by phone or paper, going through."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from patients.access import get_patient, not_there
from patients.forms.intake import IntakeLinkForm, IntakeReviewForm, StaffIntakeForm
from patients.intake import review_intake, take_intake, told_in
from patients.links.intake import make_intake_link
from patients.models import ContactPerson, Intake, Patient
from patients.recipients import in_force


@policy(requires("patients.change_patient"), "GET", "POST")
def intake_link(request: StaffRequest, pk: int) -> HttpResponse:
    """Make a link to the questions and show its address, this once."""
    patient = get_patient(request.user, pk, at_own_site=True)
    persons = _persons(patient)
    form = IntakeLinkForm(request.POST or None, patient=patient, persons=persons)
    link, address = None, ""
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data["who"]
        person = next((one for one in persons if one.pk == chosen), None)
        try:
            link, address = make_intake_link(
                patient=patient, by=request.user, contact_person=person
            )
        except ValidationError as error:
            form.refuse(error)
    return render(
        request,
        "patients/intake_link.html",
        {"patient": patient, "form": form, "link": link, "address": address},
    )


def _persons(patient: Patient) -> list[ContactPerson]:
    """Return the contact persons a link may be for today; one query."""
    today = timezone.localdate()
    return [one for one in patient.contact_persons.all() if in_force(one, today)]


@policy(requires("patients.change_historyentry"), "GET", "POST")
@once
def intake_add(request: StaffRequest, pk: int) -> HttpResponse:
    """Write down what a patient tells by phone, at the desk, or on paper."""
    patient = get_patient(request.user, pk, at_own_site=True)
    form = StaffIntakeForm(request.POST or None, patient=patient, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            intake = take_intake(
                patient=patient,
                answers=form.answers(),
                source=form.cleaned_data["source"],
                method=form.cleaned_data["method"],
                by=request.user,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Saved"))
            return redirect(
                "patients:intake_review", patient_pk=patient.pk, pk=intake.pk
            )
    return render(
        request, "patients/intake_add.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.verify_historyentry"), "GET", "POST")
@once
def intake_review(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Go through what a patient told us, answer by answer, beside what is on file."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    intake = (
        patient.intakes.select_related("recorded_by", "reviewed_by")
        .filter(pk=pk)
        .first()
    )
    if intake is None:
        raise not_there("intake", Intake.objects.filter(pk=pk))
    told = told_in(intake)
    form = IntakeReviewForm(request.POST or None, intake=intake, told=told)
    if request.method == "POST" and form.is_valid():
        try:
            review_intake(
                intake_id=intake.pk, by=request.user, decisions=form.cleaned_data
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Gone through"))
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request,
        "patients/intake_review.html",
        {"patient": patient, "intake": intake, "told": told, "form": form},
    )
