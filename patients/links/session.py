"""The short session of a patient who gave the right birth date.

It lies under a cookie of its own: it can never become a login, and a member of staff
who opens a link in the same browser keeps theirs as it is. It holds ids of links and
until when, nothing of a patient.
"""

from datetime import datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from patients.models import Link

#: From the right birth date on, however busy the patient is.
LASTS = timedelta(minutes=30)
_OPEN = "open_links"


def cookie_name() -> str:
    """Return the cookie's name; over TLS it is bound to this very host."""
    return "__Host-patient" if settings.SESSION_COOKIE_SECURE else "patient"


def open_in(request: HttpRequest, link_id: int) -> bool:
    """Return whether this browser opened the link in the last half hour."""
    return str(link_id) in _open_links(_session(request))


def let_in(request: HttpRequest, response: HttpResponse, link: Link) -> None:
    """Open the link in this browser for half an hour.

    Under a new key, so that nobody can have set it before (session fixation; OWASP ASVS
    5.0, 7.2.4). Other links that are open here stay so, each for its own time.
    """
    before = _session(request)
    until = timezone.now() + LASTS
    opened = _open_links(before) | {str(link.pk): until.isoformat()}
    before.flush()
    session = _store()
    session[_OPEN] = opened
    session.set_expiry(int(LASTS.total_seconds()))
    session.create()
    response.set_cookie(
        cookie_name(),
        session.session_key or "",
        max_age=LASTS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def leave(request: HttpRequest, response: HttpResponse) -> None:
    """Close every link that is open in this browser, here and there."""
    _session(request).flush()
    response.delete_cookie(cookie_name(), samesite="Strict")


def _store(key: str | None = None) -> SessionBase:
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return store(key)


def _session(request: HttpRequest) -> SessionBase:
    return _store(request.COOKIES.get(cookie_name()))


def _open_links(session: SessionBase) -> dict[str, str]:
    """Return {id of a link: until} of what is open still."""
    now = timezone.now()
    opened: dict[str, str] = session.get(_OPEN, {})
    return {pk: until for pk, until in opened.items() if _instant(until) > now}


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
