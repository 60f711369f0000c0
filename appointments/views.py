"""The day, one visit, and what may be done with it."""

from datetime import date, timedelta

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.models import Clinician
from accounts.once import once
from accounts.policies import policy, requires
from appointments.before_visit import sheet_for
from appointments.forms import (
    FARTHEST,
    BookForm,
    CancelForm,
    MarkForm,
    MoveForm,
    WhenForm,
)
from appointments.links import make_visit_link
from appointments.models import Appointment
from appointments.queries import (
    day_of,
    get_visit,
    may_change,
    to_ask_for_consent,
    visits_of,
)
from appointments.services import (
    book_appointment,
    cancel_appointment,
    mark_appointment,
    move_appointment,
)
from messaging.reach import Receives, who_receives
from patients.access import get_patient
from patients.chips import load_warnings
from patients.consents import last_refusals

#: Patients a page of the list without consent shows.
PAGE = 25


@policy(requires("appointments.view_appointment"), "GET")
def schedule(request: StaffRequest) -> HttpResponse:
    """Show one day's visits, of everybody or one clinician."""
    day = _day(request.GET.get("day", ""))
    clinicians = Clinician.objects.filter(active=True, sites__staff=request.user)
    chosen = request.GET.get("clinician", "")
    clinician = clinicians.filter(pk=chosen).first() if chosen.isdecimal() else None
    return render(
        request,
        "appointments/schedule.html",
        {
            "day": day,
            "before": day - timedelta(days=1),
            "after": day + timedelta(days=1),
            "today": timezone.localdate(),
            "clinicians": clinicians.distinct(),
            "clinician": clinician,
            "visits": day_of(request.user, day, clinician),
        },
    )


def _day(text: str) -> date:
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    today = timezone.localdate()
    return day if day and abs(day - today) <= FARTHEST else today


@policy(requires("appointments.change_appointment"), "GET", "POST")
@once
def appointment_book(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Book a visit for a patient."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    form = BookForm(request.POST or None, user=request.user, patient=patient)
    if request.method == "POST" and form.is_valid():
        try:
            book_appointment(patient=patient, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Visit booked"))
            _warn_outside_hours(request, form)
            return redirect("patients:patient_detail", pk=patient.pk)
    load_warnings(request.user, [patient])
    return render(
        request,
        "appointments/appointment_book.html",
        {
            "patient": patient,
            "form": form,
            "receives": who_receives(patient, "visit_booked"),
            "receives_alone": "confidential" in form.fields
            and who_receives(patient, "visit_booked", confidential=True),
        },
    )


def _warn_outside_hours(request: StaffRequest, form: WhenForm) -> None:
    """Say that nobody is usually there then; the desk may have its reasons."""
    if form.outside_hours:
        messages.warning(
            request,
            _("This is outside the hours of %(clinician)s.")
            % {"clinician": form.cleaned_data["clinician"]},
        )


@policy(requires("appointments.view_appointment"), "GET")
def appointment_detail(request: StaffRequest, pk: int) -> HttpResponse:
    """Show one visit and how it has changed."""
    visit = get_visit(request.user, pk)
    may = request.user.has_perm("appointments.change_appointment") and may_change(
        request.user, visit
    )
    load_warnings(request.user, [visit.patient])
    return render(
        request,
        "appointments/appointment_detail.html",
        {
            "visit": visit,
            "events": visit.events.select_related("by"),
            "cancel_form": CancelForm(visit=visit),
            "may_change": may,
            # A patient who was told nothing is not told that it is off.
            "receives": may
            and visit.is_ahead
            and visit.told_start
            and _who_hears_of(visit, "visit_changed"),
        },
    )


@policy(requires("appointments.view_appointment"), "GET")
def before_visit(request: StaffRequest, pk: int) -> HttpResponse:
    """Show on one screen what to know before a visit, as far as this user may."""
    visit = get_visit(request.user, pk)
    load_warnings(request.user, [visit.patient])
    return render(
        request,
        "appointments/before_visit.html",
        {"visit": visit, "sheet": sheet_for(visit, request.user)},
    )


@policy(requires("patients.change_patient"), "GET")
def consent_list(request: StaffRequest) -> HttpResponse:
    """List this week's patients nobody may write to, page by page, without counting.

    A page goes on behind the visit ``after``, so that the last one costs what the first
    does.
    """
    today = timezone.localdate()
    asked = request.GET.get("after", "")
    after = None
    if asked.isdecimal():
        after = visits_of(request.user).filter(pk=asked[:18]).first()
    rows = list(to_ask_for_consent(request.user, today, after)[: PAGE + 1])
    refused = last_refusals(visit.patient_id for visit in rows)
    return render(
        request,
        "appointments/consent_list.html",
        {
            "rows": [(visit, refused.get(visit.patient_id)) for visit in rows[:PAGE]],
            "more": rows[PAGE - 1].pk if len(rows) > PAGE else None,
            "after": after,
            "today": today,
        },
    )


@policy(requires("appointments.change_appointment"), "POST")
def appointment_link(request: StaffRequest, pk: int) -> HttpResponse:
    """Make the patient's link to a visit and show it, this once.

    Not ``once``: the token is kept nowhere, so nobody could be led to it again. A
    second press makes another link, which is then the one that works.
    """
    visit = get_visit(request.user, pk, to_change=True)
    try:
        link, address = make_visit_link(visit=visit, by=request.user)
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect("appointments:appointment_detail", pk=visit.pk)
    return render(
        request,
        "appointments/appointment_link.html",
        {
            "visit": visit,
            "link": link,
            "address": address,
            "receives": _who_hears_of(visit, "visit_booked"),
        },
    )


@policy(requires("appointments.change_appointment"), "GET", "POST")
@once
def appointment_move(request: StaffRequest, pk: int) -> HttpResponse:
    """Move a visit; a patient who was told of it is told of the change."""
    visit = get_visit(request.user, pk, to_change=True)
    form = MoveForm(request.POST or None, user=request.user, visit=visit)
    if request.method == "POST" and form.is_valid():
        try:
            move_appointment(
                appointment_id=visit.pk, by=request.user, **form.cleaned_data
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Visit moved"))
            _warn_outside_hours(request, form)
            return redirect("appointments:appointment_detail", pk=visit.pk)
    load_warnings(request.user, [visit.patient])
    return render(
        request,
        "appointments/appointment_move.html",
        {
            "visit": visit,
            "form": form,
            "receives": visit.told_start and _who_hears_of(visit, "visit_changed"),
        },
    )


def _who_hears_of(visit: Appointment, purpose: str) -> Receives:
    return who_receives(visit.patient, purpose, confidential=visit.confidential)


@policy(requires("appointments.change_appointment"), "POST")
@once
def appointment_cancel(request: StaffRequest, pk: int) -> HttpResponse:
    """Cancel a visit."""
    visit = get_visit(request.user, pk, to_change=True)
    form = CancelForm(request.POST, visit=visit)
    form.is_valid()
    try:
        cancel_appointment(
            appointment_id=visit.pk, by=request.user, tell=form.cleaned_data["tell"]
        )
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, _("Visit cancelled"))
    return redirect("appointments:appointment_detail", pk=visit.pk)


@policy(requires("appointments.change_appointment"), "POST")
@once
def appointment_mark(request: StaffRequest, pk: int) -> HttpResponse:
    """Note in one tap that the patient arrived, was seen, or did not come."""
    visit = get_visit(request.user, pk, to_change=True)
    form = MarkForm(request.POST)
    if form.is_valid():
        try:
            mark_appointment(
                appointment_id=visit.pk,
                state=form.cleaned_data["state"],
                by=request.user,
            )
        except ValidationError as error:
            messages.error(request, error.messages[0])
    else:
        messages.error(request, _("Choose what became of the visit."))
    back = form.cleaned_data.get("next")
    if back == "today":
        return redirect("today")
    if back == "schedule":
        return redirect(f"{reverse('appointments:schedule')}?day={visit.local_date}")
    return redirect("appointments:appointment_detail", pk=visit.pk)
