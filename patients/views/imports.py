"""Bringing in a patient list."""

from pathlib import Path

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.http import StaffRequest
from accounts.models import AuditEvent
from accounts.once import submission_key
from accounts.policies import policy, requires
from patients.forms.imports import ColumnsForm, ImportForm
from patients.importing.jobs import (
    CHECK,
    columns_seen,
    rejects_of,
    start_check,
    start_check_again,
    start_import,
)


@policy(requires("patients.import_patient"), "GET", "POST")
def patient_import(request: StaffRequest) -> HttpResponse:
    """Bring in a patient list: first a job that only looks, then one for real.

    ``checked`` names the job that looked, whose text is then taken over: what was shown
    is what is taken.
    """
    if "checked" in request.POST:
        return _take_over(request)
    form = ImportForm(request.POST or None, request.FILES or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        job = start_check(
            name=form.cleaned_data["file"].name,
            text=form.cleaned_data["text"],
            site=form.cleaned_data["site"],
            user=request.user,
            client_key=submission_key(request),
        )
        return redirect("job_detail", pk=job.pk)
    return render(request, "patients/patient_import.html", {"form": form})


def _take_over(request: StaffRequest) -> HttpResponse:
    checked = request.POST["checked"]
    job = start_import(
        checked_id=int(checked) if checked.isdecimal() and len(checked) < 19 else 0,
        user=request.user,
        client_key=submission_key(request),
    )
    return redirect("job_detail", pk=job.pk) if job else _gone(request)


@policy(requires("patients.import_patient"), "GET", "POST")
def import_columns(request: StaffRequest, pk: int) -> HttpResponse:
    """Let somebody say which column of a list is what; then it is looked at again."""
    get_object_or_404(request.user.jobs.filter(kind=CHECK).only("pk"), pk=pk)
    columns = columns_seen(checked_id=pk, user=request.user)
    if columns is None:
        return _gone(request)
    form = ColumnsForm(request.POST or None, columns=columns)
    if request.method == "POST" and form.is_valid():
        job = start_check_again(
            checked_id=pk,
            columns=form.chosen(),
            user=request.user,
            client_key=submission_key(request),
        )
        return redirect("job_detail", pk=job.pk) if job else _gone(request)
    return render(
        request, "patients/patient_import_columns.html", {"form": form, "job_pk": pk}
    )


@policy(requires("patients.import_patient"), "GET")
def import_rejects(request: StaffRequest, pk: int) -> HttpResponse:
    """Give the rows that were left out, to be put right and brought back."""
    kept = rejects_of(job_id=pk, user=request.user)
    if kept is None:
        raise Http404
    name, table = kept
    record(AuditEvent.Verb.EXPORT, subject=f"import:{pk}")
    # With the mark by which spreadsheets know UTF-8.
    response = HttpResponse("\ufeff" + table, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = content_disposition_header(
        True, f"{Path(name).stem}.rejects.csv"
    )
    return response


def _gone(request: StaffRequest) -> HttpResponse:
    messages.error(
        request, _("The checked list is no longer here. Choose the file again.")
    )
    return redirect("patients:patient_import")
