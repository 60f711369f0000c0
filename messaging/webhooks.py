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
    QueryDict,
    UnreadablePostError,
)
from django.views.decorators.csrf import csrf_exempt
from twilio.request_validator import RequestValidator

from accounts.policies import policy, public
from core.text import clean
from messaging.inbound import receive
from messaging.status import receive_status
from messaging.tally import UNSIGNED, tally
from patients.models import Channel

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]

#: Twilio's most for one message; further ones are counted and not kept.
MOST_MEDIA = 10
#: No honest address of a picture is longer.
LONGEST_URL = 500

_SIGNED = public("Twilio's signature proves the caller")


def _signed_by_twilio(view: View) -> View:
    """Refuse with 403 what Twilio did not sign for our account, and count it.

    What cannot be read at all is a 400: Django refuses too many fields, a body too big
    or of another encoding before there is anything to check.
    """

    @wraps(view)
    def check(request: HttpRequest) -> HttpResponse:
        try:
            post = request.POST
        except UnreadablePostError:
            return HttpResponseBadRequest()
        if not _is_genuine(request, post):
            logger.warning("webhook without a valid signature")
            tally(UNSIGNED)
            return HttpResponseForbidden()
        if post.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:
            logger.warning("webhook of another account")
            return HttpResponseForbidden()
        sid = post.get("MessageSid", "")
        if not sid or len(sid) > 120 or clean(sid) != sid:
            logger.warning("webhook without a message")
            return HttpResponseBadRequest()
        return view(request)

    return check


def _is_genuine(request: HttpRequest, post: QueryDict) -> bool:
    """Return whether one of our tokens made the signature of this request.

    Over the address that is public, whatever a proxy made of it, and every field, even
    those that are empty or that we do not know. A body that is no form has no fields
    here, and what Twilio signs then is its hash: we ask for no such webhook, so it is
    never genuine.
    """
    signature = request.headers.get("X-Twilio-Signature", "")
    url = settings.PUBLIC_BASE_URL + request.get_full_path()
    return bool(signature and post) and any(
        RequestValidator(token).validate(url, post, signature)
        for token in settings.TWILIO_AUTH_TOKENS
    )


def _as_ref(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _media(post: QueryDict) -> list[dict[str, str]]:
    """Return where a text's pictures lie, and of what kind.

    Nothing goes there by itself: whoever could forge an address would have us fetch it.
    """
    found = []
    for number in range(MOST_MEDIA):
        url = clean(post.get(f"MediaUrl{number}", ""))
        if url and len(url) <= LONGEST_URL:
            kind = clean(post.get(f"MediaContentType{number}", ""))[:100]
            found.append({"url": url, "type": kind})
    return found


def _taken_for(post: QueryDict) -> str:
    """Return what Twilio itself took a text for: it has obeyed it already."""
    said = post.get("OptOutType", "").upper()
    return f"provider: {said.lower()}" if said in ("STOP", "START", "HELP") else ""


def _nothing_to_say() -> HttpResponse:
    return HttpResponse("<Response/>", content_type="text/xml")


@policy(_SIGNED, "POST")
@csrf_exempt
@_signed_by_twilio
def twilio_inbound(request: HttpRequest) -> HttpResponse:
    """Keep a patient's text; the same one twice is one."""
    post = request.POST
    media = _media(post)
    counted = post.get("NumMedia", "0")
    receive(
        provider="twilio",
        provider_id=post["MessageSid"],
        channel=Channel.SMS,
        from_address=post.get("From", ""),
        to_address=post.get("To", ""),
        body=post.get("Body", ""),
        media_count=(
            int(counted) if counted.isdecimal() and len(counted) < 4 else len(media)
        ),
        media=media,
        note=_taken_for(post),
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
        provider_id=post["MessageSid"],
        ref=_as_ref(request.GET.get("ref", "")),
        status=clean(post.get("MessageStatus", ""))[:24],
        code=clean(post.get("ErrorCode", ""))[:20],
    )
    return _nothing_to_say()
