"""No more mails of this kind, by one click in a mail program (RFC 8058).

The link stands in a header of mails that may be left; whoever has it may use it, and it
says nothing of anybody. It closes the address for email, as STOP closes a number: that
is more than the click asks for, never less, holds for relatives as well, and is a fact
about the address. What is promised there goes another way or to a person.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import wraps

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from accounts.language import browser_language
from accounts.models import Site
from accounts.policies import policy, public
from messaging.mail_tokens import Token, make_token, read_token
from messaging.models import CurrentSuppression, Message, NoticeMessage
from messaging.purposes import PURPOSES
from messaging.services import suppress
from patients.models import Channel
from patients.queries import speaking_site

#: What a mail program sends, and our own button.
FIELD, ONE_CLICK = "List-Unsubscribe", "One-Click"


def leave_links(messages: Sequence[Message]) -> dict[int, str]:
    """Return {message id: address} for the mails that may be left with one click.

    Only under https, as RFC 8058 asks, and never in a neutral mail, for our address
    says who writes. One query, where there is such a mail at all.
    """
    if not settings.PUBLIC_BASE_URL.startswith("https://"):
        return {}
    mails = {
        message.pk: message.ref
        for message in messages
        if message.channel == Channel.EMAIL and not message.neutral
    }
    if not mails:
        return {}
    leavable = [key for key, purpose in PURPOSES.items() if purpose.leavable]
    carried = NoticeMessage.objects.filter(
        message__in=mails, notice__purpose__in=leavable
    )
    return {
        pk: settings.PUBLIC_BASE_URL + leave_path(mails[pk])
        for pk in carried.values_list("message_id", flat=True)
    }


def leave_path(ref: uuid.UUID) -> str:
    """Return where the mails like this message are left."""
    return reverse("messaging:leave", args=[make_token(Token.LEAVE, ref)])


@transaction.atomic
def leave_mails(*, ref: uuid.UUID) -> bool:
    """Send no more mails to where a message went; return whether that is new.

    Twice is once. A message whose address was erased has nothing to close.
    """
    message = Message.objects.select_for_update(of=("self",)).filter(ref=ref).first()
    if message is None or not message.address:
        return False
    closed = CurrentSuppression.objects.filter(
        address=message.address, channel=message.channel
    )
    if closed.exists():
        return False
    suppress(
        address=message.address,
        channel=Channel(message.channel),
        cause="one-click leave",
        message=message,
    )
    return True


def _for_anybody(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Speak the browser's language; leave no trace in searches and other sites."""

    @wraps(view)
    def shown(request: HttpRequest, token: str) -> HttpResponse:
        with translation.override(browser_language(request)):
            response = view(request, token)
            response["Content-Language"] = translation.get_language()
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        response["Cache-Control"] = "no-store"
        return response

    return shown


@policy(
    public("signed token of one mail; shows nothing of anybody, can only end mails"),
    "GET",
    "POST",
)
@csrf_exempt
@_for_anybody
def leave(request: HttpRequest, token: str) -> HttpResponse:
    """Ask with GET, which scanners use too, and changes nothing; do it with POST.

    A mail program posts without cookies, reads no page and follows no redirect: 200
    and done, however often. A token that is not ours looks like an address that is not
    there.
    """
    ref = read_token(Token.LEAVE, token)
    left = False
    if ref is not None and request.method == "POST":
        left = request.POST.get(FIELD) == ONE_CLICK
        if left:
            leave_mails(ref=ref)
    # The site alone: whose mail it was is not even looked up.
    sites = Site.objects.filter(patients__messages__ref=ref) if ref else Site.objects
    return render(
        request,
        "messaging/leave.html",
        {
            "site": sites.order_by("id").first() or speaking_site(None),
            "known": ref is not None,
            "left": left,
            "field": FIELD,
            "one_click": ONE_CLICK,
        },
        status=200 if ref is not None else 404,
    )
