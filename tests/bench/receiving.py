"""Twilio's webhooks in, beside a bare view that writes one row."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.bench.measure import cost_of, show_cost

FEW = 1_000
FORM = "application/x-www-form-urlencoded"


def bare(request: HttpRequest, pk: int) -> HttpResponse:
    """Do the least: one UPDATE."""
    from messaging.models import Message  # noqa: PLC0415

    Message.objects.filter(pk=pk).update(why=request.POST["MessageSid"][:10])
    return HttpResponse("<Response/>")


urlpatterns = [path("bare/<int:pk>/", bare)]


def webhooks() -> None:
    """Print what a status report costs: signature, event, state, the ladder's move."""
    from django.conf import settings  # noqa: PLC0415
    from django.test import override_settings  # noqa: PLC0415
    from django.urls import reverse  # noqa: PLC0415

    from messaging.models import Message  # noqa: PLC0415
    from tests.fakes.twilio import sign  # noqa: PLC0415

    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKENS = "AC1", ["token"]
    settings.ALLOWED_HOSTS = ["*"]
    sent = list(
        Message.objects.filter(state="accepted", channel="sms").order_by("-id")[:FEW]
    )
    url = reverse("messaging:twilio_status")
    posts = []
    for message in sent:
        fields = {
            "AccountSid": "AC1",
            "MessageSid": message.provider_id,
            "MessageStatus": "delivered",
            "To": message.address,
            "From": message.sender,
            "ApiVersion": "2010-04-01",
        }
        address = f"{url}?ref={message.ref}"
        signed = sign("token", f"{settings.PUBLIC_BASE_URL}{address}", fields.items())
        posts.append((message.pk, address, urlencode(fields), signed))
    with override_settings(ROOT_URLCONF="tests.bench.receiving", MIDDLEWARE=[]):
        least = cost_of(
            len(posts),
            lambda: _post([(f"/bare/{pk}/", body, "") for pk, _a, body, _s in posts]),
        )
    ours = cost_of(len(posts), lambda: _post([post[1:] for post in posts]))
    assert not Message.objects.filter(
        pk__in=[message.pk for message in sent], state="accepted"
    ).exists()
    show_cost("a bare view with one UPDATE", least)
    show_cost("status webhook", ours, f"{ours.rate / least.rate:.0%} of the bare view")


def _post(posts: list[tuple[str, str, str]]) -> None:
    from django.test import Client  # noqa: PLC0415

    client: Callable[..., Any] = Client().post
    for address, body, signed in posts:
        answer = client(address, body, FORM, headers={"X-Twilio-Signature": signed})
        assert answer.status_code in (200, 204), answer
