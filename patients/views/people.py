"""Finding patients, and their page."""

from typing import Any

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.drafts import draft_of
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from patients.access import WasMergedError, get_patient, not_there
from patients.chips import load_chips
from patients.links.services import revoke_link
from patients.models import Link
from patients.notes import draft_key
from patients.registry import banners, panels
from patients.search import PAGE, find_patients, list_patients
from patients.timeline import groups_for, stream_of

#: How many patients drop down from the find box.
FOUND = 8
#: More digits than this are no patient's number; databases refuse them.
_LONGEST_ID = 19


@policy(requires("patients.view_patient"), "GET", "POST")
def patient_list(request: StaffRequest) -> HttpResponse:
    """List patients, or search them by POST; htmx gets the rows only.

    What is searched for is data of a patient and never stands in an address. Pages
    follow the last row shown (``after``), so that the last page costs what the first
    does.
    """
    text = request.POST.get("q", "").strip()
    after = request.POST.get("after") or request.GET.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < _LONGEST_ID else None
    whole = "patients/patient_list.html"
    rows_only = "patients/patient_results.html"
    return render(
        request,
        rows_only if request.htmx else whole,
        _found(request, text, after=start, limit=PAGE),
    )


@policy(requires("patients.view_patient"), "GET", "POST")
def patient_find(request: StaffRequest) -> HttpResponse:
    """Answer the find box while somebody types; without htmx, as the patient list."""
    if not request.htmx:
        return patient_list(request)
    text = request.POST.get("q", "").strip()
    context = _found(request, text, limit=FOUND) if text else {"q": text}
    return render(request, "patients/patient_find.html", context)


def _found(
    request: StaffRequest, text: str, *, limit: int, after: int | None = None
) -> dict[str, Any]:
    sites = list(request.user.sites.all())
    if text:
        month_first = not sites or sites[0].region == "US"
        results = find_patients(
            request.user, text, month_first=month_first, after=after, limit=limit
        )
    else:
        results = list_patients(request.user, after=after, limit=limit)
    if len(sites) > 1:
        prefetch_related_objects(results.patients, "sites")
    return {"results": results, "q": text, "shows_sites": len(sites) > 1}


@policy(requires("patients.view_patient"), "GET")
def patient_detail(request: StaffRequest, pk: int) -> HttpResponse:
    """Show a patient: panels from every app and one stream of all that happened.

    The old address of a record that was merged leads to the one that was kept.
    """
    try:
        patient = get_patient(request.user, pk)
    except WasMergedError as merged:
        return redirect("patients:patient_detail", pk=merged.kept_id)
    # Once, for the chips and for the panels.
    load_chips(request.user, [patient], whole=True)
    shown = [
        (key, panel, panel.context(patient))
        for key, panel in panels
        if request.user.has_perm(panel.permission)
    ]
    return render(
        request,
        "patients/patient_detail.html",
        {
            "patient": patient,
            "banners": [
                (banner.template, line)
                for _key, banner in banners
                if request.user.has_perm(banner.permission)
                for line in banner.lines(patient, request.user)
            ],
            "left": [entry for entry in shown if entry[1].side == "left"],
            "right": [entry for entry in shown if entry[1].side == "right"],
            "stream": stream_of(patient, request.user),
            "groups": groups_for(request.user),
            "as_card": True,
            "note_draft": request.user.has_perm("patients.add_note")
            and draft_of(request.user, draft_key(patient)),
        },
    )


@policy(requires("patients.change_patient"), "POST")
@once
def link_revoke(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Close a link of a patient; closing what is closed changes nothing."""
    patient = get_patient(request.user, patient_pk)
    link = patient.links.filter(pk=pk).first()
    if link is None:
        raise not_there("link", Link.objects.filter(pk=pk))
    revoke_link(link_id=link.pk, by=request.user)
    messages.success(request, _("The link no longer works"))
    return redirect("patients:patient_detail", pk=patient.pk)
