"""Answers over HTTP that Django has no name for, and where an answer may lead."""

from collections.abc import Callable

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

#: What a middleware is given: the rest of the way to the view.
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class SeeOther(HttpResponseRedirect):
    """Send the browser on with GET, whatever it came with (RFC 9110, 15.4.4)."""

    status_code = 303


def lead_to(request: HttpRequest, url: str, *, anew: bool = False) -> HttpResponse:
    """Send somebody to an address instead of answering.

    htmx would put that page inside its part of this one: it is told to take the whole
    page there, or with ``anew`` to load this page again, which then leads there.
    """
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url)
    header = {"HX-Refresh": "true"} if anew else {"HX-Redirect": url}
    return HttpResponse(status=401, headers=header)


def is_ours(request: HttpRequest, url: str) -> bool:
    """Return whether an address somebody sent leads to a page of this very host."""
    return url_has_allowed_host_and_scheme(
        url, {request.get_host()}, require_https=request.is_secure()
    )


def next_page(request: HttpRequest) -> str:
    """Return the page of ours that somebody wants to be on, Today when none.

    From ``next`` in the form or the address; one that leads elsewhere is none.
    """
    wanted = request.POST.get("next", "") or request.GET.get("next", "")
    if is_ours(request, wanted):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)
