"""What is written of an answer: whom it showed, or that it was refused."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.urls import ResolverMatch

from accounts.audit.record import record, record_page
from accounts.audit.trail import View
from accounts.door.lock import LOCKED_STATUS
from accounts.models import AuditEvent

Verb = AuditEvent.Verb

#: Answers that are pages of the house's own, with nothing of anybody on them.
_BLANK = frozenset({400, 401, 403, 404, 405, LOCKED_STATUS, 429, 500, 503})


def record_answer(request: HttpRequest, response: HttpResponseBase, view: View) -> None:
    """Write an event of the answer to somebody signed in, before it leaves.

    * A page, whatever its method: whom it showed. One that leads elsewhere shows
      nobody; the page it leads to is written for itself, and so is what was changed.
    * Asked for by its number, and beyond reach: that it was, though the answer is the
      same as for a number that nothing has.
    * Refused (403): that it was, and what was asked for.
    * Django admin: every page, whoever is on it.

    A streamed answer loads its rows after this, so its view has to write them itself.
    Raises ``ImproperlyConfigured`` when it did not.
    """
    match = request.resolver_match
    for subject, patient_ids in view.refused.items():
        record(Verb.REFUSED, subject=subject, patient_ids=patient_ids)
    if response.status_code == 403:
        record(Verb.REFUSED, details=_asked_for(match))
    elif response.status_code in _BLANK or 300 <= response.status_code < 400:
        return
    elif match is not None and match.app_name == "admin":
        _record_admin(match, view)
    else:
        if response.streaming and not view.has_recorded:
            raise ImproperlyConfigured(f"{view.address} streams without an audit row")
        record_page(view)


def _asked_for(match: ResolverMatch | None) -> dict[str, Any]:
    """Return the numbers in the address: another part of it may be a secret."""
    told = match.kwargs.items() if match else ()
    return {name: value for name, value in told if isinstance(value, int)}


def _record_admin(match: ResolverMatch, view: View) -> None:
    name, _, page = (match.url_name or "").rpartition("_")
    if page == "jsi18n":
        return
    which = match.kwargs.get("object_id", "")
    record(
        Verb.LIST if page == "changelist" else Verb.READ,
        patient_ids=view.seen | view.opened,
        opened=view.opened,
        subject=":".join(["admin", *filter(None, [name or page, str(which)])])[:80],
    )
