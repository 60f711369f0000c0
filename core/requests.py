"""What every request has: an id, one line in the log, and an answer people can read."""

import logging
import secrets
import time
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
)
from django.template.loader import render_to_string
from django.utils import translation
from structlog.contextvars import bound_contextvars, clear_contextvars

from core.http import GetResponse

logger = logging.getLogger(__name__)

#: What is easily read aloud: no 0 or o, no 1, i or l.
LETTERS = "abcdefghjkmnpqrstuvwxyz"
DIGITS = "23456789"
#: Methods that some page answers. TRACE would return a browser its own cookies.
METHODS = ("GET", "HEAD", "POST")
#: The page of an answer that came without one.
PAGES = {405: "405.html", 429: "429.html", 503: "503.html"}


def reference_of(request: HttpRequest) -> str:
    """Return the id by which this request is found in the logs."""
    return getattr(request, "id", "")


def plain_page(
    request: HttpRequest, template: str, status: int, **context: Any
) -> HttpResponse:
    """Return a page of an error, with the request's id, in the person's language.

    Asks neither database nor user: they may be what broke. No query.
    """
    # Until a language was chosen for this request, the thread has another one's.
    chosen = hasattr(request, "LANGUAGE_CODE")
    language = (
        translation.get_language()
        if chosen
        else translation.get_language_from_request(request)
    )
    with translation.override(language):
        context["reference"] = reference_of(request)
        return HttpResponse(render_to_string(template, context), status=status)


class RequestIdMiddleware:
    """Gives every request an id and writes one line about it.

    The id is made here, never taken from the client, who could forge lines with it. It
    stands on every line logged meanwhile, in ``X-Request-ID`` and on pages of errors.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.id = _new_id()  # type: ignore[attr-defined]
        # Threads are used again, and one that was killed in its work left its own.
        clear_contextvars()
        with bound_contextvars(request_id=request.id):  # type: ignore[attr-defined]
            began = time.perf_counter()
            response = self.get_response(request)
            response["X-Request-ID"] = request.id  # type: ignore[attr-defined]
            self._log(request, response, time.perf_counter() - began)
            return response

    def _log(
        self, request: HttpRequest, response: HttpResponseBase, seconds: float
    ) -> None:
        # Whatever the path held: a name without it says which page it was.
        match = request.resolver_match
        # Only if somebody asked for it already: this line costs no query.
        user = getattr(request, "_cached_user", None)
        logger.info(
            "request",
            extra={
                "method": request.method if request.method in METHODS else "other",
                "address": match.view_name if match else "none",
                "status": response.status_code,
                "ms": round(seconds * 1000),
                "user_id": getattr(user, "pk", None),
            },
        )


class ReadableErrorsMiddleware:
    """Refuses what no page answers, and gives an error without a page one.

    Only to a browser that shows pages: a machine or a part of a page wants none.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = (
            self.get_response(request)
            if request.method in METHODS
            else HttpResponseNotAllowed(METHODS)
        )
        if (
            response.status_code >= 400
            and isinstance(response, HttpResponse)
            and not response.content
            and "text/html" in request.headers.get("Accept", "")
            and "HX-Request" not in request.headers
        ):
            template = PAGES.get(response.status_code, "400.html")
            response.content = plain_page(request, template, 200).content
            response["Content-Type"] = "text/html; charset=utf-8"
        return response


def _new_id() -> str:
    """Return eight characters, the first a letter: enough to find a line by."""
    return secrets.choice(LETTERS) + "".join(
        secrets.choice(LETTERS + DIGITS) for _ in range(7)
    )
