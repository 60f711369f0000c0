"""What is done to a login: its sessions ended, its second factors taken away."""

from importlib import import_module

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.audit.record import record
from accounts.door.guard import keep_open
from accounts.models import AuditEvent, User
from core.sql import delete_found


@transaction.atomic
def end_sessions(
    *, user: User, by: User | None = None, keep: SessionBase | None = None
) -> int:
    """End every session of a login, now; return how many of those listed were ended.

    Those that stand in no list end too. ``keep`` is one that stays. Whoever uses an
    ended one is asked to sign in at their next click. ``by`` is who ended them; nobody
    named means the login itself.
    """
    User.objects.filter(pk=user.pk).update(sessions_ended=F("sessions_ended") + 1)
    user.refresh_from_db(fields=["sessions_ended"])
    sessions = UserSession.objects.filter(user=user)
    if keep is not None:
        sessions = sessions.exclude(session_key=keep.session_key)
        keep_open(keep, user)
        keep.save()
    return _end(list(sessions), user, by)


@transaction.atomic
def end_session(*, user: User, session_id: int, keep: str | None) -> int:
    """End one of a login's own sessions but the one in use; return how many, 1 or 0."""
    sessions = UserSession.objects.filter(user=user, pk=session_id)
    return _end(list(sessions.exclude(session_key=keep or "")), user, user)


@transaction.atomic
def reset_factors(*, user: User, by: User) -> int:
    """Take away all second factors of a colleague who lost theirs; return how many.

    Their sessions end too. Where a factor is required they set up a new one when they
    next sign in.
    """
    removed = list(Authenticator.objects.filter(user=user))
    Authenticator.objects.filter(pk__in=[factor.pk for factor in removed]).delete()
    record(
        AuditEvent.Verb.SECURITY,
        subject=f"user:{user.pk}",
        details={"removed": [factor.type for factor in removed]},
        by=by,
    )
    end_sessions(user=user, by=by)
    return len(removed)


def sweep_sessions() -> int:
    """Delete the sessions that ran out; return how many. One query when none did."""
    over = delete_found(Session.objects.filter(expire_date__lt=timezone.now()))
    if over:
        open_ones = Session.objects.values("session_key")
        UserSession.objects.exclude(session_key__in=open_ones).delete()
    return over


def _end(sessions: list[UserSession], user: User, by: User | None) -> int:
    """Delete sessions and note that they were ended."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore()
    for session in sessions:
        store.delete(session.session_key)
        session.delete()
    if sessions:
        record(
            AuditEvent.Verb.SIGN_OUT,
            subject=f"user:{user.pk}",
            details={"sessions": len(sessions)},
            by=by or user,
        )
    return len(sessions)
