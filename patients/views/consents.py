"""Consent at the desk: asked by staff, or read and tapped by the patient."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from patients.access import get_patient
from patients.consents import (
    Method,
    asked_of,
    channels_of,
    points_of,
    take_consents,
)
from patients.forms.consents import ConsentForm, ScreenForm
from patients.models import Consent
from patients.wordings import freely, spoken_in


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def consent_edit(request: StaffRequest, pk: int) -> HttpResponse:
    """Show what a patient agreed to, and note what they say now, spoken or on paper."""
    patient = get_patient(request.user, pk, at_own_site=True)
    channels = channels_of(patient)
    form = ConsentForm(request.POST or None, patient=patient, channels=channels)
    if request.method == "POST" and form.is_valid():
        try:
            taken = take_consents(
                patient=patient,
                answers=form.answers(),
                method=Method(form.cleaned_data["method"]),
                by=request.user,
                language=patient.language,
                version=form.cleaned_data["version"],
                answered_by=form.cleaned_data["answered_by"],
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            said = _("Consent noted") if taken else _("This was noted before")
            messages.success(request, said)
            return redirect("patients:consent_edit", pk=patient.pk)
    asked = asked_of(patient)
    return render(
        request,
        "patients/consent_edit.html",
        {
            "patient": patient,
            "form": form,
            "channels": channels,
            "rows": [
                (label, [one for one in asked if one.purpose == purpose])
                for purpose, label in Consent.Purpose.choices
            ],
            "stopped": [(point, why) for point, why in points_of(patient) if why],
            "language": spoken_in(patient.language),
            "freely": freely(patient.language),
        },
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def consent_screen(request: StaffRequest, pk: int) -> HttpResponse:
    """Show the wording large for the patient to read and tap, in their language.

    The page shows nothing else of them, for the screen is in their hands, or in those
    of whoever came along. Afterwards it says thank you and asks for the screen back.
    """
    patient = get_patient(request.user, pk, at_own_site=True)
    channels = channels_of(patient)
    with translation.override(spoken_in(patient.language)):
        form = ScreenForm(request.POST or None, patient=patient, channels=channels)
        if request.method == "POST" and form.is_valid():
            try:
                take_consents(
                    patient=patient,
                    answers=form.answers(),
                    method=Method.SCREEN,
                    by=request.user,
                    language=patient.language,
                    version=form.cleaned_data["version"],
                )
            except ValidationError as error:
                form.refuse(error)
            else:
                here = reverse("patients:consent_screen", args=[patient.pk])
                return redirect(f"{here}?done=1")
        return render(
            request,
            "patients/consent_screen.html",
            {
                "patient": patient,
                "site": patient.sites.order_by("id").first(),
                "form": form,
                "channels": channels,
                "done": "done" in request.GET,
                "freely": freely(patient.language),
            },
        )
