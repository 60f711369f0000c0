"""Twilio's way in: what patients answer, and what became of our messages.

Signed over the public address; stored before anything else; answered with an empty
document, because Twilio texts any other answer to the patient.
"""

import logging
import uuid
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseForbidden,
)
from django.views.decorators.csrf import csrf_exempt
from twilio.request_validator import RequestValidator

from accounts.policies import policy, public
from messaging.inbound import receive
from messaging.status import receive_status
from patients.models import Channel

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]

_SIGNED = public("Twilio's signature proves the caller")


def _signed_by_twilio(view: View) -> View:
    """Refuse with 403 what Twilio did not sign for our account."""

    @wraps(view)
    def check(request: HttpRequest) -> HttpResponse:
        signature = request.headers.get("X-Twilio-Signature", "")
        url = settings.PUBLIC_BASE_URL + request.get_full_path()
        genuine = bool(signature) and any(
            RequestValidator(token).validate(url, request.POST, signature)
            for token in settings.TWILIO_AUTH_TOKENS
        )
        if not genuine:
            logger.warning("webhook without a valid signature")
            return HttpResponseForbidden()
        if request.POST.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:
            logger.warning("webhook of another account")
            return HttpResponseForbidden()
        if not request.POST.get("MessageSid"):
            logger.warning("webhook without a message")
            return HttpResponseBadRequest()
        return view(request)

    return check


def _as_ref(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _nothing_to_say() -> HttpResponse:
    return HttpResponse("<Response/>", content_type="text/xml")


@policy(_SIGNED, "POST")
@csrf_exempt
@_signed_by_twilio
def twilio_inbound(request: HttpRequest) -> HttpResponse:
    """Keep a patient's text; the same one twice is one."""
    post = request.POST
    media = post.get("NumMedia", "0")
    receive(
        provider="twilio",
        provider_id=post.get("MessageSid", "")[:120],
        channel=Channel.SMS,
        from_address=post.get("From", "")[:254],
        to_address=post.get("To", "")[:254],
        body=post.get("Body", ""),
        media_count=int(media) if media.isdecimal() and len(media) < 4 else 0,
    )
    return _nothing_to_say()


@policy(_SIGNED, "POST")
@csrf_exempt
@_signed_by_twilio
def twilio_status(request: HttpRequest) -> HttpResponse:
    """Keep what became of a message; our reference stands in the address."""
    post = request.POST
    receive_status(
        provider="twilio",
        provider_id=post.get("MessageSid", "")[:120],
        ref=_as_ref(request.GET.get("ref", "")),
        status=post.get("MessageStatus", "")[:24],
        code=post.get("ErrorCode", "")[:20],
    )
    return _nothing_to_say()
