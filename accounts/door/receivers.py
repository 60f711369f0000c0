"""What happens at the door, written to the audit trail.

Of a login that nobody here has, nothing is written of what was typed: people type
passwords there. Refusals for too many tries are not written either, or anybody could
fill the trail; those before them are.
"""

from typing import Any

from allauth.account.signals import (
    authentication_step_completed,
    password_changed,
    user_logged_in,
)
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from allauth.usersessions.models import UserSession
from django.contrib.auth import signals
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.audit.record import record
from accounts.audit.trail import current_view
from accounts.door import guard
from accounts.door.factors import has_factor
from accounts.door.services import end_sessions
from accounts.models import AuditEvent, User

Verb = AuditEvent.Verb

#: Who acts before anybody is signed in, as the audit names them.
NOBODY = "nobody"


@receiver(signals.user_logged_in)
def start_session(request: HttpRequest, user: User, **_: Any) -> None:
    """Begin to count how long the session lasts."""
    guard.start(request, user)


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Write who signed in."""
    record(Verb.SIGN_IN, subject=_name(user), by=user)


@receiver(authentication_step_completed)
def record_proof(request: HttpRequest, user: User, method: str, **details: Any) -> None:
    """Write who proved once more who they are."""
    if details.get("reauthenticated"):
        record(Verb.SIGN_IN, subject=_name(user), details={"again": method}, by=user)


@receiver(signals.user_logged_out)
def record_sign_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    """Write who signed out, or whose shift was over; their session leaves the list."""
    if user is not None and current_view.get() is not None:
        UserSession.objects.filter(session_key=request.session.session_key).delete()
        record(Verb.SIGN_OUT, subject=_name(user), by=user)


@receiver(signals.user_login_failed)
def record_wrong_password(credentials: dict[str, Any], **_: Any) -> None:
    """Write that a password was wrong, and for whom when that login exists.

    Not that they did it: before somebody is in, it may be anybody.
    """
    username = str(credentials.get("username", ""))
    user = User.objects.filter(username__iexact=username).first()
    record(
        Verb.REFUSED,
        subject=_name(user) if user else "",
        details={"wrong": "password"},
        actor=NOBODY,
    )


@receiver(authentication_failed)
def record_wrong_code(user: User, **_: Any) -> None:
    """Write that a second factor was wrong, and for whom; who it was is not known."""
    record(Verb.REFUSED, subject=_name(user), details={"wrong": "code"}, actor=NOBODY)


@receiver(authenticator_added)
def record_factor_added(user: User, authenticator: Authenticator, **_: Any) -> None:
    """Write that a second factor was added."""
    _record_factor(user, "added", authenticator)


@receiver(authenticator_reset)
def record_factor_renewed(user: User, authenticator: Authenticator, **_: Any) -> None:
    """Write that recovery codes were made anew."""
    _record_factor(user, "renewed", authenticator)


@receiver(authenticator_removed)
def record_factor_removed(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    """Write that a second factor was removed; without one the guard asks again."""
    _record_factor(user, "removed", authenticator)
    if not has_factor(user):
        request.session.pop(guard.HAS_FACTOR, None)


@receiver(password_changed)
def end_other_sessions(request: HttpRequest, user: User, **_: Any) -> None:
    """Write that a password was changed, and end what the old one had opened."""
    record(Verb.SECURITY, subject=_name(user), details={"changed": "password"}, by=user)
    end_sessions(user=user, by=user, keep=request.session)


def _record_factor(user: User, did: str, authenticator: Authenticator) -> None:
    record(
        Verb.SECURITY, subject=_name(user), details={did: authenticator.type}, by=user
    )


def _name(user: User) -> str:
    return f"user:{user.pk}"
