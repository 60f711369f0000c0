"""A whole record: taken out, held, erased; and how long what is kept stays."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.once import once, submission_key
from accounts.policies import policy, requires
from patients.access import get_patient
from patients.erasing import refuse_naming, set_legal_hold
from patients.exporting import untold
from patients.forms.record import EraseForm, HoldForm, RetentionForm
from patients.personal import values_of, whose
from patients.record_jobs import open_archive, start_erasing, start_export
from patients.retention import outlook, retention, rule_of, set_rule


@policy(requires("patients.export_patient"), "GET", "POST", fresh=True)
@once
def patient_record(request: StaffRequest, pk: int) -> HttpResponse:
    """Say what can be done with a whole record; POST starts to take it out."""
    patient = get_patient(request.user, pk, at_own_site=True)
    if request.method == "POST":
        job = start_export(
            patient=patient, user=request.user, client_key=submission_key(request)
        )
        return redirect("job_detail", pk=job.pk)
    return render(
        request,
        "patients/patient_record.html",
        {"patient": patient, "untold": untold(patient)},
    )


@policy(requires("patients.export_patient"), "GET", fresh=True)
def record_file(request: StaffRequest, pk: int) -> HttpResponse:
    """Hand out the archive that one's own job put together, for a day."""
    patient, archive = open_archive(job_id=pk, user=request.user)
    # A name would stay behind in the browser's list of files.
    return HttpResponse(
        archive,
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="patient-{patient.pk}.zip"'
        },
    )


@policy(requires("patients.export_patient"), "GET", "POST")
@once
def record_hold(request: StaffRequest, pk: int) -> HttpResponse:
    """Keep a record from being erased, or allow it again."""
    patient = get_patient(request.user, pk, at_own_site=True)
    form = HoldForm(request.POST or None, patient=patient)
    if request.method == "POST" and form.is_valid():
        try:
            set_legal_hold(patient_id=patient.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved"))
            return redirect("patients:patient_record", pk=patient.pk)
    return render(
        request, "patients/record_hold.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.export_patient"), "GET", "POST", fresh=True)
@once
def record_erase(request: StaffRequest, pk: int) -> HttpResponse:
    """Erase a record for good, as long work; what is in the way is said there."""
    patient = get_patient(request.user, pk, at_own_site=True)
    form = EraseForm(request.POST or None, patient=patient)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            if patient.legal_hold:
                raise ValidationError(_("They are under a legal hold."))
            refuse_naming(reason, values_of(whose(patient)))
        except ValidationError as error:
            form.refuse(error)
        else:
            job = start_erasing(
                patient=patient,
                reason=reason,
                user=request.user,
                client_key=submission_key(request),
            )
            return redirect("job_detail", pk=job.pk)
    return render(
        request, "patients/record_erase.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.change_retentionrule"), "GET")
def retention_list(request: StaffRequest) -> HttpResponse:
    """List what is kept for how long, and what each rule would take now."""
    return render(request, "patients/retention_list.html", {"rules": outlook()})


@policy(requires("patients.change_retentionrule"), "GET", "POST")
@once
def retention_edit(request: StaffRequest, kind: str) -> HttpResponse:
    """Say how long one kind is kept."""
    if kind not in retention:
        raise Http404
    rule = rule_of(kind)
    form = RetentionForm(request.POST or None, rule=rule)
    if request.method == "POST" and form.is_valid():
        try:
            set_rule(kind=kind, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved"))
            return redirect("patients:retention_list")
    return render(
        request,
        "patients/retention_edit.html",
        {"form": form, "rule": rule, "kept": retention[kind]},
    )
