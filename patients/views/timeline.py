"""The patient's stream, a page at a time."""

from django.http import HttpResponse
from django.shortcuts import render

from accounts.http import StaffRequest
from accounts.policies import policy, requires
from patients.access import get_patient
from patients.timeline import Place, groups_for, stream_of


@policy(requires("patients.view_patient"), "GET")
def patient_timeline(request: StaffRequest, pk: int) -> HttpResponse:
    """Show a page of all that happened and will, narrowed by ``show``.

    ``before`` or ``after`` is the place to go on from, ``show`` a kind of event: no
    address carries more than that. htmx gets the card of the patient's page, which
    keeps what is to come beside it.
    """
    patient = get_patient(request.user, pk)
    groups = groups_for(request.user)
    asked = request.GET.get("show", "")
    show = asked if asked in groups else ""
    before = Place.from_cursor(request.GET.get("before", ""))
    after = None if before else Place.from_cursor(request.GET.get("after", ""))
    stream = stream_of(patient, request.user, show=show, before=before, after=after)
    if after and not stream.past:
        # What stood there is gone: back to the beginning, not to an empty page.
        stream = stream_of(patient, request.user, show=show)
    context = {
        "patient": patient,
        "stream": stream,
        "show": show,
        "groups": groups,
        "as_card": bool(request.htmx),
    }
    whole, card = "patients/patient_timeline.html", "patients/timeline_card.html"
    return render(request, card if request.htmx else whole, context)
