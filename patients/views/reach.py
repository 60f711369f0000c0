"""How a patient may be reached: numbers, pinned alerts, a safe contact plan."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from core.versions import StaleError
from patients.access import get_patient, not_there
from patients.contact_points import (
    add_contact_point,
    change_contact_point,
    retire_contact_point,
)
from patients.flags import flags_for, live_flags, pin_flag, unpin_flag
from patients.forms.reach import ContactPointForm, FlagForm, PlanForm
from patients.models import ContactPoint, Flag, Patient, SafeContactPlan
from patients.queries import speaking_site
from patients.safe_contact import end_plan, make_plan


def _region(patient: Patient) -> str:
    return speaking_site(patient).region


def _get_point(patient: Patient, pk: int) -> ContactPoint:
    point = patient.contact_points.filter(pk=pk).first()
    if point is None:
        raise not_there("contact_point", ContactPoint.objects.filter(pk=pk))
    return point


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def point_add(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Give a patient one more number or address."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    form = ContactPointForm(request.POST or None, patient=patient)
    if request.method == "POST" and form.is_valid():
        try:
            point = add_contact_point(
                patient_id=patient.pk,
                region=_region(patient),
                by=request.user,
                **form.cleaned_data,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            _say_saved(request, point)
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request, "patients/point_edit.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def point_edit(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Change how a number or address of a patient may be used."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    point = _get_point(patient, pk)
    form = ContactPointForm(request.POST or None, patient=patient, point=point)
    if request.method == "POST" and form.is_valid():
        told = {"voicemail": point.voicemail, **form.cleaned_data}
        try:
            point = change_contact_point(
                point_id=point.pk, region=_region(patient), by=request.user, **told
            )
        except StaleError as error:
            form.refuse(error)
            form.show_clash(error.now)
        except ValidationError as error:
            form.refuse(error)
        else:
            _say_saved(request, point)
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request,
        "patients/point_edit.html",
        {"patient": patient, "form": form, "point": point},
    )


def _say_saved(request: StaffRequest, point: ContactPoint) -> None:
    if point.usable:
        messages.success(request, _("Saved"))
    else:
        messages.warning(request, _("Saved. Nothing is sent there for now."))


@policy(requires("patients.change_patient"), "POST")
@once
def point_retire(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Forget a number or address that is not the patient's."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    try:
        retire_contact_point(point_id=_get_point(patient, pk).pk, by=request.user)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, _("Removed"))
    return redirect("patients:patient_detail", pk=patient.pk)


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def flag_pin(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Pin an alert to a patient, beside those that stand."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    clinical = request.user.has_perm("patients.view_historyentry")
    form = FlagForm(request.POST or None, patient=patient, clinical=clinical)
    if request.method == "POST" and form.is_valid():
        try:
            pin_flag(patient_id=patient.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Pinned"))
            return redirect("patients:patient_detail", pk=patient.pk)
    flags = patient.flags.filter(live_flags(), flags_for(request.user))
    return render(
        request,
        "patients/flag_pin.html",
        {"patient": patient, "form": form, "flags": flags.select_related("author")},
    )


@policy(requires("patients.change_patient"), "POST")
@once
def flag_unpin(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Take a pinned alert off."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    flag = patient.flags.filter(flags_for(request.user), pk=pk).first()
    if flag is None:
        raise not_there("flag", Flag.objects.filter(pk=pk))
    unpin_flag(flag_id=flag.pk, by=request.user)
    messages.success(request, _("Taken off"))
    return redirect("patients:patient_detail", pk=patient.pk)


@policy(requires("patients.change_safecontactplan"), "GET", "POST")
@once
def safe_contact(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Show the safe contact plan and those before it; put one in force by POST."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    plans = list(
        patient.safe_contact_plans.select_related("made_by", "ended_by").order_by(
            "-made_at", "-pk"
        )
    )
    plan = next((one for one in plans if one.ended_at is None), None)
    form = PlanForm(request.POST or None, patient=patient, plan=plan)
    if request.method == "POST" and form.is_valid():
        try:
            make_plan(
                patient_id=patient.pk,
                region=_region(patient),
                by=request.user,
                **form.cleaned_data,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The plan is in force"))
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(
        request,
        "patients/safe_contact.html",
        {
            "patient": patient,
            "form": form,
            "plan": plan,
            "ended": [one for one in plans if one.ended_at],
        },
    )


@policy(requires("patients.change_safecontactplan"), "POST")
@once
def safe_contact_end(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """End a safe contact plan: what the rest of the record says holds again."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    plan = patient.safe_contact_plans.filter(pk=pk).first()
    if plan is None:
        raise not_there("safe_contact_plan", SafeContactPlan.objects.filter(pk=pk))
    end_plan(plan_id=plan.pk, by=request.user)
    messages.success(request, _("The plan has ended"))
    return redirect("patients:patient_detail", pk=patient.pk)
