"""The operations pages: how sending stands, and what a manager does about it."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from messaging.by_hand import give_up_try, mark_sent, send_again, switch_gateway
from messaging.lately import lately
from messaging.models import Breaker, Message, Notice
from messaging.operations import gateways, now_of, purpose_title
from messaging.operations_forms import OwnAddressForm, SettleForm, SwitchForm
from messaging.promises import broken_promises
from messaging.tryout import TRIES, preview, send_test, tries_of
from patients.access import not_there, of_visible

#: Broken promises the page lists; it says how many there are.
SHOWN = 100

MAY_LOOK = requires("messaging.view_breaker")
MAY_ACT = requires("messaging.change_breaker")

DEEDS = {"sent": mark_sent, "again": send_again, "give_up": give_up_try}


@policy(MAY_LOOK, "GET")
def operations(request: StaffRequest) -> HttpResponse:
    """Show how sending stands this moment; the page asks again by itself."""
    return render(request, "messaging/operations.html", _now(request))


@policy(MAY_LOOK, "GET", polled=True)
def operations_now(request: StaffRequest) -> HttpResponse:
    """Return the moving part of that page."""
    return render(request, "messaging/operations_now.html", _now(request))


@policy(MAY_LOOK, "GET")
def operations_lately(request: StaffRequest) -> HttpResponse:
    """Show what went wrong in the last days, and what the month's texts cost."""
    return render(request, "messaging/operations_lately.html", lately(timezone.now()))


@policy(MAY_LOOK, "GET")
def operations_promises(request: StaffRequest) -> HttpResponse:
    """List the promises in no honest state, computed now."""
    broken = broken_promises()
    notices = Notice.objects.filter(
        of_visible(request.user, "about_patient"),
        pk__in=[one.notice for one in broken[:SHOWN] if one.notice],
    ).select_related("about_patient")
    known = notices.in_bulk()
    rows = [(one, known.get(one.notice or 0)) for one in broken[:SHOWN]]
    return render(
        request,
        "messaging/operations_promises.html",
        {"rows": rows, "count": len(broken), "now": timezone.now()},
    )


@policy(MAY_ACT, "GET", "POST")
@once
def gateway_switch(request: StaffRequest, gateway: str) -> HttpResponse:
    """Ask why a gateway is switched off or on, and do it."""
    found = next((one for one in gateways() if one.name == gateway), None)
    if found is None:
        raise Http404
    on = found.breaker.state != Breaker.State.CLOSED
    wanted = {"on": True, "off": False}.get(request.POST.get("to", ""), on)
    form = SwitchForm(
        request.POST or None, on=wanted, back=reverse("messaging:operations")
    )
    if request.method == "POST" and form.is_valid():
        switch_gateway(
            gateway=gateway,
            on=wanted,
            reason=form.cleaned_data["reason"],
            by=request.user,
        )
        messages.success(request, _("Switched on.") if wanted else _("Switched off."))
        return redirect("messaging:operations")
    return render(
        request,
        "messaging/gateway_switch.html",
        {"form": form, "gateway": found, "on": wanted},
    )


@policy(MAY_ACT, "GET", "POST")
@once
def unknown_message(request: StaffRequest, pk: int) -> HttpResponse:
    """Show what is known of a message nobody knows about, and settle it by hand."""
    message = _message_of(request, pk)
    form = SettleForm(request.POST or None, back=reverse("messaging:operations"))
    if request.method == "POST" and form.is_valid():
        deed = DEEDS[form.cleaned_data["deed"]]
        try:
            deed(
                message_id=message.pk,
                reason=form.cleaned_data["reason"],
                by=request.user,
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Done"))
            return redirect("messaging:operations")
    notices = list(message.notices.order_by("pk"))
    return render(
        request,
        "messaging/unknown_message.html",
        {
            "form": form,
            "message": message,
            "purpose": purpose_title(notices[0].purpose) if notices else "",
            "deadline": min((n.deadline for n in notices), default=None),
            "with_staff": any(n.state == Notice.State.WITH_STAFF for n in notices),
            "is_unknown": message.state == Message.State.UNKNOWN,
        },
    )


@policy(MAY_ACT, "GET", "POST")
@once
def operations_test(request: StaffRequest) -> HttpResponse:
    """Show what a test to one's own phone or mailbox says, then send it."""
    user = request.user
    site = user.sites.order_by("name").first()
    form = OwnAddressForm(
        request.POST or None,
        region=site.region if site else "US",
        initial={"address": user.phone or user.email},
    )
    shown = None
    if request.method == "POST" and form.is_valid():
        address = form.cleaned_data["address"]
        shown = preview(user=user, address=address)
        if "send" in request.POST:
            try:
                send_test(user=user, address=address)
            except ValidationError as error:
                form.refuse(error)
            else:
                return redirect("messaging:operations_test")
    return render(
        request,
        "messaging/operations_test.html",
        {"form": form, "shown": shown, "limit": TRIES.limit, **_tries(request)},
    )


@policy(MAY_ACT, "GET", polled=True)
def operations_test_state(request: StaffRequest) -> HttpResponse:
    """Return how far one's own tests came, for htmx to refresh."""
    return render(request, "messaging/operations_test_state.html", _tries(request))


def _now(request: StaffRequest) -> dict[str, Any]:
    found = now_of(request.user, timezone.now())
    for message in found["unknown_shown"]:
        message.about = purpose_title(message.purpose or "")
    return found


def _tries(request: StaffRequest) -> dict[str, Any]:
    tries = tries_of(request.user)
    return {"tries": tries, "is_live": any(one.is_under_way for one in tries)}


def _message_of(request: StaffRequest, pk: int) -> Message:
    """Return an outgoing message this user may see, else 404; one query, or two."""
    messages_out = Message.objects.filter(direction=Message.Direction.OUT, pk=pk)
    ours = messages_out.filter(of_visible(request.user) | Q(patient=None))
    message = ours.select_related("patient").first()
    if message is None:
        raise not_there("message", messages_out)
    return message
