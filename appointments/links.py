"""The link to one visit: what it shows, and the answers a patient may give there."""

from collections.abc import Callable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from appointments.answers import (
    WISHES,
    cannot_come,
    decide_to_cancel,
    decide_to_keep,
    wants_another_time,
    will_come,
)
from appointments.models import LINK_PURPOSE, Appointment
from core.http import SeeOther
from core.time import to_local, zone
from patients.links.services import make_link, revoke_links
from patients.models import Link
from patients.registry import LinkPurpose, links
from worklist.models import WorkItem

#: What each button does; a later wish is another one even if it is the same.
_ANSWERS: dict[str, Callable[[Appointment, str], object]] = {
    "come": lambda visit, said: will_come(visit=visit),
    "move": lambda visit, said: wants_another_time(visit=visit, said=said),
    "cannot": lambda visit, said: cannot_come(visit=visit, said=said),
    "cancel": lambda visit, said: decide_to_cancel(visit=visit),
    "keep": lambda visit, said: decide_to_keep(visit=visit),
}


@transaction.atomic
def make_visit_link(*, visit: Appointment, by: User) -> tuple[Link, str]:
    """Make the patient's link to a visit and close the older ones; locks the visit.

    Raises ``ValidationError`` where it could open nothing.
    """
    Appointment.objects.select_for_update().get(pk=visit.pk)
    if visit.patient.birth_date is None:
        raise ValidationError(
            _("A link opens with the date of birth, and there is none on file.")
        )
    if visit.patient.deceased_on or visit.link_until <= timezone.now():
        raise ValidationError(_("There is nobody to open a link to this visit."))
    revoke_links(purpose=LINK_PURPOSE, subject_id=visit.pk, by=by)
    return make_link(
        purpose=LINK_PURPOSE,
        subject_id=visit.pk,
        patient=visit.patient,
        expires_at=visit.link_until,
        by=by,
    )


def is_there(link: Link) -> bool:
    """Return whether the visit is there, and still this patient's; one query."""
    return Appointment.objects.filter(
        pk=link.subject_id or 0, patient=link.patient_id
    ).exists()


def show_visit(request: HttpRequest, link: Link) -> HttpResponse:
    """Show the visit as it now stands, or take an answer about it."""
    if request.method == "POST":
        return _take_answer(request, link)
    return _page(request, link, _visit(link))


@transaction.atomic
def _take_answer(request: HttpRequest, link: Link) -> HttpResponse:
    """Do what the pressed button says, as the same words in a text would.

    Only for the visit as the page showed it: whoever says yes to ten o'clock has not
    said so to three. Locks the visit.
    """
    Appointment.objects.select_for_update().get(pk=link.subject_id or 0)
    visit = _visit(link)
    do = _ANSWERS.get(request.POST.get("answer", ""))
    as_shown = request.POST.get("version") == str(visit.version)
    if do is None or not as_shown or not _can_answer(visit):
        return _page(request, link, visit, changed=True)
    do(visit, f"l{link.pk}:{timezone.now().isoformat()}")
    return SeeOther(request.path)


def _page(
    request: HttpRequest, link: Link, visit: Appointment, *, changed: bool = False
) -> HttpResponse:
    wishes = dict(
        WorkItem.objects.open()
        .filter(subject_kind="appointment", subject_id=visit.pk, kind__in=WISHES)
        .values_list("kind", "owner")
    )
    # Once a colleague has it they will call; asking as well would cross that.
    asks = "visit_cancel" in wishes and wishes["visit_cancel"] is None
    return render(
        request,
        "appointments/link_visit.html",
        {
            "visit": visit,
            "site": visit.site,
            "can_answer": _can_answer(visit),
            "asks": asks,
            "will_call": bool(wishes) and not asks,
            "was": _was(link, visit),
            "city": visit.zone.rpartition("/")[2].replace("_", " "),
            "changed": changed,
        },
        status=409 if changed else 200,
    )


def _visit(link: Link) -> Appointment:
    return Appointment.objects.select_related(
        "patient", "clinician", "site", "visit_type"
    ).get(pk=link.subject_id or 0)


def _can_answer(visit: Appointment) -> bool:
    return visit.is_ahead and visit.starts_at > timezone.now()


def _was(link: Link, visit: Appointment) -> datetime | None:
    """Return the naive wall time a visit had when its link was made, if it moved."""
    moved = visit.events.filter(what="moved", at__gt=link.created_at).first()
    if moved is None:
        return None
    start = datetime.fromisoformat(moved.before["start"])
    if start == visit.starts_at:
        return None
    return to_local(start, zone(visit.zone)).replace(tzinfo=None)


links.add(
    LINK_PURPOSE,
    LinkPurpose(title=gettext_lazy("Their visit"), alive=is_there, show=show_visit),
)
