"""How long a session is open, when it locks, and what it still has to prove."""

import time
from collections.abc import Callable
from typing import Any, cast

from allauth.account.authentication import get_authentication_records
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.http import urlencode

from accounts.door.factors import has_factor
from accounts.door.lock import keep, locked_page
from accounts.door.sessions import LOCKED, OPENED
from accounts.models import User
from accounts.policies import policy_for
from core.http import GetResponse, lead_to

#: What the session keeps of its own life; instants in seconds since 1970.
SIGNED_IN = "signed_in_at"
SEEN = "seen_at"
HAS_FACTOR = "has_factor"
#: How often all sessions of its login had been ended when this one began.
ENDED = "sessions_ended"
#: A form that waits for a proof of who sent it, encrypted.
KEPT = "kept_form"
#: Somebody's presence is written at most so often, and so known to within it.
WRITTEN_EVERY = 60
#: What answers in a locked session: what locks, tells of it and unlocks.
OPEN_WHILE_LOCKED = frozenset({"account_lock", "account_unlock", "account_session"})
#: What answers before a required second factor is set up, beside the addresses for it.
OPEN_WITHOUT_FACTOR = OPEN_WHILE_LOCKED | {
    "account_active",
    "account_kept",
    "account_change_password",
    "account_reauthenticate",
}


class SessionGuardMiddleware:
    """Ends a session after a shift, locks it while nobody is there.

    The server decides: both are counted in the session, by requests somebody made.
    What a page asks by itself (a polled address, or the header ``X-Poll``) is answered
    and never counted. OWASP ASVS 5.0, 7.3.1 and 7.3.2.
    """

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
        """Let the request through, or answer that the page is locked."""
        match = request.resolver_match
        name = match.view_name if match else ""
        rule = policy_for(view, name)
        if rule is None or not request.user.is_authenticated:
            return None
        if is_over(request):
            logout(request)
            return None
        if rule.public or name in OPEN_WHILE_LOCKED:
            return None
        if is_locked(request):
            return locked_page(request)
        if not (rule.polled or "X-Poll" in request.headers):
            note_presence(request)
        if not (name.startswith("mfa_") or name in OPEN_WITHOUT_FACTOR):
            return _ask_for_factor(request)
        return None


def start(request: HttpRequest, user: User) -> None:
    """Note that the session's login has just signed in."""
    request.session[SIGNED_IN] = time.time()
    keep_open(request.session, user)
    unlock(request)


def keep_open(session: SessionBase, user: User) -> None:
    """Note that the session began, or stays, after all others of its login ended."""
    session[ENDED] = user.sessions_ended


def is_over(request: HttpRequest) -> bool:
    """Return whether the session was ended, or has lasted for a shift, however busy.

    All sessions of a login end at once by its count, those that stand in no list too;
    the user is loaded anyway: no query. One never seen signing in starts now.
    """
    user = cast(User, request.user)
    if request.session.get(ENDED, 0) != user.sessions_ended:
        return True
    if SIGNED_IN not in request.session:
        start(request, user)
    lasted: float = time.time() - request.session[SIGNED_IN]
    return lasted >= settings.SESSION_SECONDS


def seconds_left(request: HttpRequest) -> int:
    """Return in how many seconds the session locks when nobody does anything."""
    if request.session.get(LOCKED):
        return 0
    idle = time.time() - request.session.get(SEEN, time.time())
    return max(0, int(settings.IDLE_LOCK_SECONDS - idle))


def is_locked(request: HttpRequest) -> bool:
    """Return whether the session shows nothing until somebody unlocks it."""
    return seconds_left(request) == 0


def lock(request: HttpRequest) -> None:
    """Lock the session, in every tab."""
    request.session[LOCKED] = time.time()


def unlock(request: HttpRequest) -> None:
    """Open the session again for whoever has just proved to be its login."""
    request.session.pop(LOCKED, None)
    request.session[OPENED] = request.session[SEEN] = time.time()


def note_presence(request: HttpRequest) -> None:
    """Note that somebody is there; two writes, at most once a minute."""
    now = time.time()
    if now - request.session.get(SEEN, 0) >= WRITTEN_EVERY:
        request.session[SEEN] = now
        UserSession.objects.filter(session_key=request.session.session_key).update(
            last_seen_at=timezone.now()
        )


def is_fresh(request: HttpRequest) -> bool:
    """Return whether this login proved who they are in the last minutes.

    Signing in counts, and so does unlocking. OWASP ASVS 5.0, 7.5.1.
    """
    proofs = get_authentication_records(request, request.user)
    oldest = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(proof["at"] > oldest for proof in proofs)


def ask_again(request: HttpRequest) -> HttpResponse:
    """Send somebody to prove who they are; after that they are where they were.

    A form they sent is kept, encrypted, and shown to be sent again; no password and
    no file of it.
    """
    back = request.get_full_path()
    if request.method == "POST":
        request.session[KEPT] = keep(request)
        back = resolve_url("account_kept")
    url = f"{resolve_url('account_reauthenticate')}?{urlencode({'next': back})}"
    return lead_to(request, url)


def _ask_for_factor(request: HttpRequest) -> HttpResponse | None:
    """Send somebody without the second factor they must have to set one up."""
    if not settings.REQUIRE_MFA or request.session.get(HAS_FACTOR):
        return None
    if has_factor(request.user):  # type: ignore[arg-type]
        request.session[HAS_FACTOR] = True
        return None
    return lead_to(request, resolve_url("mfa_index"))
