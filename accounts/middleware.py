"""What stands between every request and its view."""

import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotAllowed,
)
from django.shortcuts import resolve_url

from accounts.addresses import client_ip
from accounts.audit.pages import record_answer
from accounts.audit.trail import View, current_view
from accounts.door.guard import ask_again, is_fresh
from accounts.policies import Policy, policy_for
from core.http import GetResponse, lead_to


class PolicyMiddleware:
    """Asks the policy of every address before its view; without one nothing runs."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Let the request through, send it to the login, or refuse it."""
        match = request.resolver_match
        rule = policy_for(view, match.view_name if match else "")
        if rule is None:
            raise ImproperlyConfigured(f"no policy for {request.path}")
        if rule.public:
            return self._method(request, rule)
        if not request.user.is_authenticated:
            login = redirect_to_login(
                request.get_full_path(), resolve_url(settings.LOGIN_URL)
            )
            return lead_to(request, login.url, anew=True)
        if not rule.allows(request.user):
            raise PermissionDenied
        if rule.fresh and not is_fresh(request):
            return ask_again(request)
        return self._method(request, rule)

    def _method(self, request: HttpRequest, rule: Policy) -> HttpResponseBase | None:
        if rule.methods and request.method not in rule.methods:
            return HttpResponseNotAllowed(sorted(rule.methods))
        return None


class AuditMiddleware:
    """Writes whom a page shows before the page leaves: no audit row, no page.

    What a page changes is written by the service that changes it. Whoever is not signed
    in is shown nobody here; a patient's own page (``/p/``) writes its rows itself.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        page = _page_of(request)
        view = View(
            ip=client_ip(request),
            view_id=page or uuid.uuid4(),
            is_part=page is not None,
        )
        if request.user.is_authenticated:
            view.actor_id, view.actor = request.user.pk, request.user.username
        request.audit_view_id = view.view_id  # type: ignore[attr-defined]
        token = current_view.set(view)
        try:
            response = self.get_response(request)
            if request.user.is_authenticated:
                record_answer(request, response, view)
            return response
        finally:
            current_view.reset(token)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Note the page's name before anything on it is written down."""
        shown, match = current_view.get(), request.resolver_match
        if shown is not None and match is not None:
            shown.address = match.view_name
            rule = policy_for(view, match.view_name)
            shown.is_polled = rule is not None and rule.polled


def _page_of(request: HttpRequest) -> uuid.UUID | None:
    """Return the id of the page this is a later part of, as htmx sends it.

    A page of its own is a part of none, whatever it claims.
    """
    if not request.htmx:  # type: ignore[attr-defined]
        return None
    try:
        return uuid.UUID(request.headers.get("X-View", ""))
    except ValueError:
        return None
