"""The inbox, plain as yet, and the simulated phone."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from messaging.forms import PhoneReplyForm, PickUpForm
from messaging.inbound import receive
from messaging.models import Conversation, Message
from messaging.queries import (
    busy_phones,
    get_conversation,
    inbox,
    texts_of_phone,
    thread,
)
from messaging.services import finish_conversation
from patients.access import get_patient
from patients.chips import load_warnings
from patients.models import Channel

FOLDERS = {"waiting": gettext_lazy("Waiting for us"), "all": gettext_lazy("All")}


@policy(requires("messaging.view_message"), "GET")
def inbox_list(request: StaffRequest) -> HttpResponse:
    """List conversations: those that wait for us, or all."""
    folder = request.GET.get("folder", "waiting")
    folder = folder if folder in FOLDERS else "waiting"
    return render(
        request,
        "messaging/inbox_list.html",
        {"folder": folder, "conversations": inbox(request.user, folder)},
    )


@policy(requires("messaging.view_message"), "GET")
def conversation_detail(request: StaffRequest, pk: int) -> HttpResponse:
    """Show one conversation, automatic messages too."""
    conversation = get_conversation(request.user, pk)
    shown = thread(conversation)
    load_warnings(request.user, [conversation.patient])
    return render(
        request,
        "messaging/conversation_detail.html",
        {"conversation": conversation, "thread": shown, "seen": _latest_reply(shown)},
    )


@policy(requires("messaging.change_message"), "POST")
@once
def conversation_done(request: StaffRequest, pk: int) -> HttpResponse:
    """Say that nothing waits for us here any more."""
    conversation = get_conversation(request.user, pk)
    seen = request.POST.get("seen", "")
    if finish_conversation(
        conversation_id=conversation.pk,
        seen=int(seen) if seen.isdecimal() and len(seen) < 19 else 0,
    ):
        messages.success(request, _("Done"))
        return redirect("messaging:inbox_list")
    messages.warning(request, _("A new text has come in meanwhile."))
    return redirect("messaging:conversation_detail", pk=conversation.pk)


@policy(requires("messaging.view_message"), "GET")
def patient_conversation(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Lead to a patient's conversation, or say that there is none yet."""
    patient = get_patient(request.user, patient_pk)
    conversation = Conversation.objects.filter(patient=patient).first()
    if conversation is None:
        messages.info(request, _("No messages yet."))
        return redirect("patients:patient_detail", pk=patient.pk)
    return redirect("messaging:conversation_detail", pk=conversation.pk)


def _latest_reply(shown: list[Message]) -> int:
    return max((m.pk for m in shown if m.direction == Message.Direction.IN), default=0)


@policy(requires("messaging.play_patient"), "GET", "POST")
@once
def phone(request: StaffRequest) -> HttpResponse:
    """Play the patient: read the texts of a phone, answer them; or read a mailbox.

    Of the embedded run only. The number stands in the session, not in the address.
    """
    _only_simulated()
    site = request.user.sites.first()
    region = site.region if site else "US"
    pick_up = PickUpForm(region=region)
    reply = PhoneReplyForm()
    if request.method == "POST" and "body" in request.POST:
        reply = PhoneReplyForm(request.POST)
        if reply.is_valid() and request.session.get("phone"):
            receive(
                provider="simulated",
                provider_id=f"SIM{uuid.uuid4()}",
                channel=Channel.SMS,
                from_address=request.session.get("phone", ""),
                to_address="",
                body=reply.cleaned_data["body"],
            )
            return redirect("messaging:phone")
    elif request.method == "POST":
        pick_up = PickUpForm(request.POST, region=region)
        if pick_up.is_valid():
            request.session["phone"] = pick_up.cleaned_data["number"]
            return redirect("messaging:phone")
    return render(
        request,
        "messaging/phone.html",
        {
            "pick_up": pick_up,
            "reply": reply,
            "number": request.session.get("phone", ""),
            "texts": _texts(request),
            "busy": busy_phones(request.user),
        },
    )


@policy(requires("messaging.play_patient"), "GET", polled=True)
def phone_messages(request: StaffRequest) -> HttpResponse:
    """Return the picked-up phone's texts, for htmx to refresh."""
    _only_simulated()
    return render(request, "messaging/phone_messages.html", {"texts": _texts(request)})


def _only_simulated() -> None:
    if not settings.EMBEDDED or settings.SMS_GATEWAY != "simulated":
        raise Http404


def _texts(request: StaffRequest) -> list[Message]:
    return texts_of_phone(request.user, request.session.get("phone", ""))
