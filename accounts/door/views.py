"""Signing out, locking and unlocking, one's own sessions and second factors."""

from allauth.account import views as account_views
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import views as webauthn_views
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.door import guard
from accounts.door.browsers import browser_of
from accounts.door.factors import FACTORS, is_last_factor
from accounts.door.forms import ReauthenticateForm
from accounts.door.lock import kept_form
from accounts.door.services import end_session, end_sessions
from accounts.http import StaffRequest
from accounts.policies import SIGNED_IN, policy, public
from core.http import next_page


@policy(public("leaving needs no proof"), "GET", "POST")
def logout(request: HttpRequest) -> HttpResponse:
    """Sign out, and have the browser forget what it kept of us.

    Not its cookies: over plain HTTP browsers refuse the whole header then, and the
    session is gone on our side.
    """
    response: HttpResponse = account_views.logout(request)
    if request.method == "POST":
        response["Clear-Site-Data"] = '"cache", "storage"'
    return response


@policy(SIGNED_IN, "GET", polled=True)
def session(request: StaffRequest) -> JsonResponse:
    """Tell a page whether it is locked, or in how many seconds it will be, and whose
    it is: another tab may have signed in as somebody else.
    """
    seconds = guard.seconds_left(request)
    return JsonResponse(
        {"locked": seconds == 0, "seconds": seconds, "user": request.user.pk}
    )


@policy(SIGNED_IN, "POST")
def active(request: StaffRequest) -> HttpResponse:
    """Take note that somebody types or points at a page that asks for nothing."""
    return HttpResponse(status=204)


@policy(SIGNED_IN, "POST")
def lock(request: StaffRequest) -> HttpResponse:
    """Lock the session in every tab, and stay where one is."""
    guard.lock(request)
    return redirect(next_page(request))


@policy(SIGNED_IN, "GET", "POST")
def unlock(request: StaffRequest) -> HttpResponse:
    """Ask for the password and open the session again.

    A page asks by a fetch and is told so in JSON; what a form had brought while the
    session was locked is shown to be sent again.
    """
    form = ReauthenticateForm(request.POST or None, user=request.user)
    by_fetch = request.headers.get("Accept") == "application/json"
    if request.method == "GET" and not guard.is_locked(request):
        return redirect(next_page(request))
    if form.is_valid():
        guard.unlock(request)
        reauthenticate_by_password(request)
        if by_fetch:
            return JsonResponse({"locked": False})
        return _send_again(request, request.POST.get("kept", ""))
    if by_fetch:
        return JsonResponse({"errors": form.errors.get("password", [])}, status=422)
    context = {
        "form": form,
        "next": next_page(request),
        "kept": request.POST.get("kept", ""),
    }
    return render(request, "account/lock.html", context)


@policy(SIGNED_IN, "GET", fresh=True)
def kept(request: StaffRequest) -> HttpResponse:
    """Show a form that waited for a proof, to be sent again; this once."""
    return _send_again(request, request.session.pop(guard.KEPT, ""))


@policy(SIGNED_IN, "GET")
def security(request: StaffRequest) -> HttpResponse:
    """Show one's password, second factors and sessions, each with what to do about it.

    Goes by allauth's name ``mfa_index``: that is where its own views lead.
    """
    factors = Authenticator.objects.filter(user=request.user).order_by("created_at")
    kinds = {factor.type for factor in factors}
    context = {
        "keys": [f for f in factors if f.type == Authenticator.Type.WEBAUTHN],
        "kinds": kinds,
        "has_factor": not kinds.isdisjoint(FACTORS),
        "required": settings.REQUIRE_MFA,
        "session_count": _open_sessions(request).count(),
    }
    return render(request, "account/security.html", context)


@policy(SIGNED_IN, "GET", "POST", fresh=True)
def remove_webauthn(request: StaffRequest, pk: int) -> HttpResponse:
    """Remove a passkey or key of one's own, unless it is the last factor required."""
    key = get_object_or_404(
        Authenticator, pk=pk, user=request.user, type=Authenticator.Type.WEBAUTHN
    )
    if is_last_factor(key):
        messages.error(request, _("Set up another second factor before you remove it."))
        return redirect("mfa_index")
    response: HttpResponse = webauthn_views.remove_webauthn(request, pk=pk)
    return response


@policy(SIGNED_IN, "GET", "POST")
def sessions(request: StaffRequest) -> HttpResponse:
    """List where this login is signed in; end one of them, or all others."""
    here = request.session.session_key
    if request.method == "POST":
        wanted = request.POST.get("session", "")
        if wanted:
            number = int(wanted) if wanted.isdecimal() and len(wanted) < 19 else 0
            ended = end_session(user=request.user, session_id=number, keep=here)
        else:
            ended = end_sessions(
                user=request.user, by=request.user, keep=request.session
            )
        messages.success(
            request,
            ngettext("%(n)d session ended.", "%(n)d sessions ended.", ended)
            % {"n": ended},
        )
        return redirect("account_sessions")
    listed = [
        {
            "session": entry,
            "browser": browser_of(entry.user_agent),
            "is_here": entry.session_key == here,
        }
        for entry in _open_sessions(request).order_by("-last_seen_at")
    ]
    return render(request, "account/sessions.html", {"listed": listed})


def _send_again(request: StaffRequest, text: str) -> HttpResponse:
    """Show a form that was kept, or lead to where somebody wanted to be."""
    form = kept_form(request, text)
    if form is None:
        return redirect(next_page(request))
    path, fields = form
    return render(request, "account/kept.html", {"path": path, "fields": fields})


def _open_sessions(request: StaffRequest) -> QuerySet[UserSession]:
    """Return the sessions of this login that can still be used."""
    alive = Session.objects.filter(expire_date__gt=timezone.now())
    found: QuerySet[UserSession] = UserSession.objects.filter(
        user=request.user, session_key__in=alive.values("session_key")
    )
    return found
