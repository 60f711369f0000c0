"""What the record itself has to say before a visit."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.audit.vocabulary import CODES
from accounts.models import AuditedPatient, AuditEvent
from core.dates import written
from core.templatetags.house import apart, in_words
from patients.consents import agreed_of
from patients.flags import flags_for, live_flags
from patients.languages import language_name
from patients.models import Flag, HistoryEntry, Intake, Patient
from patients.registry import BeforeVisit, Line, VisitAhead, before_visit

#: A pinned alert that ends so soon after the visit should be looked at there.
EXPIRES_SOON = timedelta(days=30)
#: Lines of one kind before "and n more".
SHOWN = 6
#: Subjects of changes that are no secret to the desk: who they are and how to reach
#: them. What is known of their health has lines of its own.
_PROFILE = ("patient:", "contact_point:", "contact_person:")


def _page(about: VisitAhead) -> str:
    return reverse("patients:patient_detail", args=[about.patient.pk])


def _history(about: VisitAhead) -> list[HistoryEntry]:
    return about.once(
        "history",
        lambda: list(
            about.patient.history.select_related("recorded_by", "verified_by").order_by(
                "-recorded_at", "-pk"
            )
        ),
    )


def _intake(about: VisitAhead) -> Intake | None:
    return about.once(
        "intake", lambda: about.patient.intakes.order_by("-at", "-pk").first()
    )


def history_changed(about: VisitAhead) -> list[Line]:
    """Return what was added to the history, or verified, since the last visit."""
    lines = []
    for entry in _history(about):
        if entry.is_taken_back:
            continue
        kind = entry.get_kind_display()
        what = {"kind": kind, "what": apart(entry.label)}
        if about.since is None or entry.recorded_at > about.since:
            lines.append(Line(_("%(kind)s: %(what)s") % what, at=entry.recorded_at))
        elif entry.verified_at and entry.verified_at > about.since:
            says = _("%(kind)s verified: %(what)s") % what
            lines.append(Line(says, at=entry.verified_at))
    return _shortened(lines, _page(about))


def _shortened(lines: list[Line], page: str) -> list[Line]:
    rest = len(lines) - SHOWN
    if rest <= 0:
        return lines
    more = ngettext("and %(n)s more", "and %(n)s more", rest) % {"n": rest}
    return [*lines[:SHOWN], Line(more, page=page)]


def profile_changed(about: VisitAhead) -> list[Line]:
    """Return what changed of profile, numbers and consent since the last visit.

    From the audit trail, which says which fields, by whom, and never what they hold.
    """
    if about.since is None:
        return []
    of_patient = AuditedPatient.objects.filter(patient_id=about.patient.pk)
    subjects = Q()
    for start in _PROFILE:
        subjects |= Q(subject__startswith=start)
    events = AuditEvent.objects.filter(
        subjects,
        pk__in=of_patient.values("event_id"),
        verb=AuditEvent.Verb.CHANGE,
        at__gt=about.since,
    ).order_by("-at", "-pk")[:SHOWN]
    return [_change(event) for event in events]


def _change(event: AuditEvent) -> Line:
    changed = event.details.get("changed") or event.details.get("added") or []
    fields = ", ".join(_field(name) for name in _each(changed)) or _("record")
    state, channel = event.details.get("state"), event.details.get("channel")
    beside = ", ".join(str(CODES[code]) for code in (channel, state) if code in CODES)
    if beside:
        fields = f"{fields} ({beside})"
    says = _("Changed: %(fields)s") % {"fields": fields}
    return Line(says, at=event.at)


def _each(names: Any) -> Iterable[str]:
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _field(name: str) -> str:
    if name in CODES:
        return str(CODES[name])
    known = {field.name: field for field in Patient._meta.get_fields()}
    label = getattr(known.get(name), "verbose_name", "")
    return str(label) if label else in_words(name)


def worries(about: VisitAhead) -> list[Line]:
    """Return what the patient fears most, and what matters to them."""
    patient, lines = about.patient, []
    if patient.top_worry:
        lines.append(Line(_("Top worry"), quote=patient.top_worry))
    intake = _intake(about)
    told = _told_worry(intake)
    if intake and told and told != patient.top_worry:
        lines.append(Line(_("In the latest intake"), at=intake.at, quote=told))
    if patient.what_matters:
        lines.append(Line(_("What matters to them"), quote=patient.what_matters))
    return lines


def _told_worry(intake: Intake | None) -> str:
    answers = intake.answers if intake and isinstance(intake.answers, dict) else {}
    told = answers.get("top_worry")
    return told if isinstance(told, str) else ""


def owed_of_health(about: VisitAhead) -> list[Line]:
    """Return what the clinic owes of the history: telling, verifying, looking."""
    lines = []
    page = _page(about)
    untold = [
        entry
        for entry in _history(about)
        if entry.kind == HistoryEntry.Kind.CONDITION
        and entry.told_on is None
        and not entry.is_taken_back
        and entry.status in HistoryEntry.ACTIVE
    ]
    lines += _shortened(
        [
            Line(
                _("Not told yet: %(what)s") % {"what": apart(entry.label)},
                at=entry.recorded_at,
                page=page,
                warn=True,
            )
            for entry in untold
        ],
        page,
    )
    unverified = sum(
        1
        for entry in _history(about)
        if entry.source in {HistoryEntry.Source.PATIENT, HistoryEntry.Source.PROXY}
        and entry.verified_at is None
        and not entry.is_taken_back
    )
    if unverified:
        says = ngettext(
            "%(n)s thing the patient told us is not verified",
            "%(n)s things the patient told us are not verified",
            unverified,
        )
        lines.append(Line(says % {"n": unverified}, page=page, warn=True))
    intake = _intake(about)
    if intake is not None and intake.reviewed_at is None:
        says = _("The latest intake was not looked through")
        lines.append(Line(says, at=intake.at, page=page, warn=True))
    return lines


def owed_of_the_rest(about: VisitAhead) -> list[Line]:
    """Return what is owed without speaking of health: an interpreter, what helps them,
    consent to be written to, alerts that end.
    """
    patient, lines = about.patient, []
    if patient.needs_interpreter:
        language = language_name(patient.spoken_language or patient.language)
        says = _("Needs an interpreter: %(language)s") % {"language": language}
        lines.append(Line(says, warn=True))
    named = dict(Patient.Need.choices)
    needs = ", ".join(str(named.get(need, need)) for need in patient.needs)
    if needs:
        lines.append(Line(_("Have ready: %(needs)s") % {"needs": needs}))
    if patient.needs_help_reading:
        lines.append(Line(_("Read papers together with them")))
    return [*lines, *_owed_consent(about), *_ending_alerts(about)]


def _owed_consent(about: VisitAhead) -> list[Line]:
    agreed = agreed_of(about.patient)
    if any(agreed.values()):
        return []
    page = ""
    if about.user.has_perm("patients.change_patient"):
        page = reverse("patients:consent_edit", args=[about.patient.pk])
    if not agreed:
        return [Line(_("No number and no email address"), page=_page(about), warn=True)]
    return [Line(_("No consent to write to them"), page=page, warn=True)]


def _ending_alerts(about: VisitAhead) -> list[Line]:
    soon = timezone.localdate(about.starts_at) + EXPIRES_SOON
    ending = Flag.objects.filter(
        live_flags(),
        flags_for(about.user),
        patient=about.patient,
        expires_on__lte=soon,
    )
    return [
        Line(
            _("Alert ends on %(day)s: %(text)s")
            % {"day": written(flag.expires_on, "day"), "text": apart(flag.text)},
            page=_page(about),
        )
        for flag in ending
    ]


for _key, _question, _lines, _permission in (
    ("history", "changed", history_changed, "patients.view_historyentry"),
    ("profile", "changed", profile_changed, "patients.view_patient"),
    ("worries", "worries", worries, "patients.view_historyentry"),
    ("health", "owed", owed_of_health, "patients.view_historyentry"),
    ("rest", "owed", owed_of_the_rest, "patients.view_patient"),
):
    before_visit.add(
        f"patients.{_key}",
        BeforeVisit(question=_question, lines=_lines, permission=_permission),
    )
