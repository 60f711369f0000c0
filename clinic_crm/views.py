"""Today, and the pages of errors."""

import sys
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.http import StaffRequest
from accounts.models import Heartbeat
from accounts.policies import SIGNED_IN, policy
from appointments.queries import day_of, unconfirmed
from clinic_crm.probes import ALIVE_WITHIN
from core.requests import plain_page, reference_of
from messaging.queries import kept_since, waiting_summary
from patients.models import Patient
from patients.notes import count_note_drafts
from worklist.queries import items_of, open_items

#: How many rows of each list Today shows; the rest is one click away.
SHOWN = 8
#: Seconds after which a database that was away is worth asking again.
BACK_WITHIN = 10
#: A text of so many words is shown again when its form came too late.
WORDS_WORTH_KEEPING = 4


@policy(SIGNED_IN, "GET")
def today(request: StaffRequest) -> HttpResponse:
    """Show what needs somebody now, today's visits, and whether promises are kept.

    Whether they are is what a pass found when it last looked; the page says when.
    """
    user = request.user
    now = timezone.localtime()
    context: dict[str, Any] = {"now": now, "day": now.date()}
    if user.has_perm("worklist.view_workitem"):
        items = open_items(user, SHOWN)
        context["items"] = items
        context["item_count"] = context["work_count"] = items_of(user).count()
        context["next_due"] = min((item.due_at for item in items), default=None)
    if user.has_perm("appointments.view_appointment"):
        context["visits"] = day_of(user, now.date())
        days = [now.date(), now.date() + timedelta(days=1)]
        (context["unconfirmed_today"], _all), tomorrow = unconfirmed(user, days)
        context["unconfirmed_tomorrow"], context["booked_tomorrow"] = tomorrow
    if user.has_perm("messaging.view_message"):
        waiting = waiting_summary(user)
        context["waiting"] = context["waiting_count"] = waiting["count"]
        context["waiting_oldest"] = waiting["oldest"]
        beats = Heartbeat.objects.in_bulk(["promises", "tick"], field_name="key")
        context["promises"] = beats.get("promises")
        context["last_pass"] = last = beats.get("tick")
        context["stands_still"] = last is None or now - last.at > ALIVE_WITHIN
        monday = (now - timedelta(days=now.weekday())).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        context["kept"] = kept_since(monday)
    if user.has_perm("patients.add_note"):
        context["note_drafts"] = count_note_drafts(user)
    context["may_import"] = (
        user.has_perm("patients.import_patient")
        # Asked only where nothing on the page tells that there are patients.
        and not (context.get("items") or context.get("visits"))
        and not Patient.objects.visible_to(user).exists()
    )
    return render(request, "clinic_crm/today.html", context)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that the request was not understood; not why, which may quote it."""
    return plain_page(request, "400.html", 400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that the page was open too long, and give back what was written on it.

    A browser does not keep the fields of a page it may not store. Only shown, never
    sent again from here: somebody else's page may have written it.
    """
    written = [
        text
        for name, texts in request.POST.lists()
        for text in texts
        if "password" not in name and len(text.split()) >= WORDS_WORTH_KEEPING
    ]
    return plain_page(request, "403_csrf.html", 403, written=written)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that this login may not do that."""
    context = {"reference": reference_of(request)}
    return render(request, "403.html", context, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is no such page, or none for this login."""
    context = {"reference": reference_of(request)}
    return render(request, "404.html", context, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that it is our fault, without a database, a user or a template of ours.

    A database that is away, or held for too long by somebody else, is a 503: it comes
    back by itself, and so may the person.
    """
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        page = plain_page(request, "503.html", 503)
        page["Retry-After"] = str(BACK_WITHIN)
        return page
    return plain_page(request, "500.html", 500)
