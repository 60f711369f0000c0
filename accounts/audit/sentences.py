"""The trail in words: who did what, on which page."""

from typing import Any

from django.apps import apps
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.audit.vocabulary import ACTORS, CODES, FACTS, SUBJECTS, page_title
from accounts.models import AuditEvent

Verb = AuditEvent.Verb

_SAYS: dict[str, Promise] = {
    Verb.READ: gettext_lazy("%(who)s opened %(what)s"),
    Verb.LIST: gettext_lazy("%(who)s saw %(what)s in a list"),
    Verb.CREATE: gettext_lazy("%(who)s added %(what)s"),
    Verb.CHANGE: gettext_lazy("%(who)s changed %(what)s"),
    Verb.DELETE: gettext_lazy("%(who)s removed %(what)s"),
    Verb.EXPORT: gettext_lazy("%(who)s took out %(what)s"),
    Verb.SIGN_IN: gettext_lazy("%(who)s signed in"),
    Verb.SIGN_OUT: gettext_lazy("%(who)s signed out"),
    Verb.REFUSED: gettext_lazy("%(who)s was refused: %(what)s"),
    Verb.GRANT: gettext_lazy("%(who)s took emergency access to %(what)s"),
    Verb.GRANT_END: gettext_lazy("%(who)s ended emergency access to %(what)s"),
    Verb.SECURITY: gettext_lazy("%(who)s changed a login: %(what)s"),
}
#: What these say leaves only whom to be told.
_SAY_IT_ALL = (Verb.GRANT, Verb.GRANT_END)


def actor_name(event: AuditEvent, staff: dict[int, str]) -> str:
    """Return who acted: a colleague by name, a patient, nobody known, the system."""
    if event.actor_id in staff:
        return staff[event.actor_id]
    return str(ACTORS.get(event.actor, event.actor))


def sentence(event: AuditEvent, who: str) -> str:
    """Return one event as a sentence; patients stand in it as numbers."""
    says = _SAYS.get(event.verb, gettext_lazy("%(who)s: %(what)s"))
    return str(says) % {"who": who, "what": _what(event)}


def _what(event: AuditEvent) -> str:
    thing, whom = _thing(event), _whom(event.patient_ids)
    if thing and whom:
        return _("%(thing)s of %(whom)s") % {"thing": thing, "whom": whom}
    return thing or whom or page_title(event.address) or "—"


def _thing(event: AuditEvent) -> str:
    kind, _colon, which = event.subject.partition(":")
    if kind in ("", "patient") or event.verb in _SAY_IT_ALL:
        return ""
    return f"{SUBJECTS.get(kind) or _model(kind)} {which}".strip()


def _model(kind: str) -> str:
    """Return what a row that Django admin names by its model ("accounts_user") is."""
    app, _sign, model = kind.partition("_")
    try:
        return str(apps.get_model(app, model)._meta.verbose_name)
    except LookupError:
        return kind


def _whom(patient_ids: list[int]) -> str:
    if len(patient_ids) == 1:
        return _("patient %(id)d") % {"id": patient_ids[0]}
    if patient_ids:
        count = len(patient_ids)
        return ngettext("%(n)d patient", "%(n)d patients", count) % {"n": count}
    return ""


def details_in_words(details: dict[str, Any]) -> str:
    """Return what an event says beside: names of fields, states and counts."""
    told = []
    for key, value in details.items():
        if key == "opened" or value in ("", None, [], {}):
            continue
        values = value if isinstance(value, list) else [value]
        words = ", ".join(_word(key, str(one)) for one in values)
        told.append(f"{FACTS.get(key, key)}: {words}")
    return "; ".join(told)


def _word(key: str, code: str) -> str:
    if key == "address":
        return page_title(code)
    if key == "verb":
        return str(dict(Verb.choices).get(code, code))
    return str(CODES.get(code, code))
