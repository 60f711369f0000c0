"""Every write to a patient's history.

The patient's row is locked first: an entry and "none known" must not both be written.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.text import clean, fold
from core.versions import StaleError
from patients.codes import risk_class_of
from patients.history.kinds import DECLINED, KINDS, Field, value_of
from patients.models import HistoryEntry, HistoryReview, Patient

Kind, Source = HistoryEntry.Kind, HistoryEntry.Source
Verification, Outcome = HistoryEntry.Verification, HistoryReview.Outcome
#: Columns of an entry that are not asked by kind.
_ALWAYS = ("label", "clinical_name", "code_system", "code", "status", "source")
#: In ``details``: who else told the patient, where nobody of ours did.
TOLD_ELSEWHERE = "told_elsewhere"


@transaction.atomic
def add_entry(
    *, patient: Patient, kind: str, facts: Mapping[str, Any], by: User | None
) -> HistoryEntry:
    """Write down one thing of a patient's history.

    ``facts`` are the fields of its kind (``kinds.KINDS``) by name, with ``label`` and
    ``source``; what is left out is blank. Whatever the patient told us themselves, they
    know: such a condition counts as told on the day it is written down. Raises
    ``ValidationError`` by field. Locks the patient.
    """
    _lock(patient.pk)
    now = timezone.now()
    entry = HistoryEntry(
        patient=patient, kind=kind, recorded_by=by, recorded_at=now, details={}
    )
    entry.status = KINDS[kind].first_status
    _take(entry, facts)
    if entry.kind == Kind.CONDITION and entry.source == Source.PATIENT:
        entry.told_on = timezone.localdate(now)
    entry.save(force_insert=True)
    _record(AuditEvent.Verb.CREATE, entry, by)
    return entry


@transaction.atomic
def change_entry(
    *, entry_id: int, version: int, facts: Mapping[str, Any], by: User
) -> HistoryEntry:
    """Change what an entry says; ``version`` is the one the caller read.

    What was verified was something else, so it has to be verified anew; and when it is
    another condition now (its code, or without one its name), the patient has not been
    told of it. Raises ``StaleError`` when somebody was faster, and
    ``ValidationError`` by field. Locks the patient, then the entry.
    """
    entry = _locked(entry_id)
    if entry.version != version:
        raise StaleError(entry)
    was = meaning_of(entry)
    before = _snapshot(entry)
    _take(entry, facts)
    changed = sorted(k for k, v in _snapshot(entry).items() if before.get(k) != v)
    if not changed:
        return entry
    if changed != ["source"]:
        entry.verified_by = entry.verified_at = None
        entry.reviewed_at = None
    if meaning_of(entry) != was:
        entry.told_on = entry.told_by = None
        entry.details.pop(TOLD_ELSEWHERE, None)
        if entry.kind == Kind.CONDITION and entry.source == Source.PATIENT:
            entry.told_on = timezone.localdate()
    _save(entry)
    _record(AuditEvent.Verb.CHANGE, entry, by, changed=["facts"])
    return entry


@transaction.atomic
def verify_entry(*, entry_id: int, by: User) -> HistoryEntry:
    """Note that a nurse or clinician stands for an entry; locks patient and entry.

    What was only not confirmed is confirmed by it; "provisional" and "one of several
    possible" are findings of their own and stay.
    """
    entry = _locked(entry_id)
    _not_taken_back(entry)
    entry.verified_by, entry.verified_at = by, timezone.now()
    entry.reviewed_at = entry.verified_at
    if entry.verification == Verification.UNCONFIRMED:
        entry.verification = Verification.CONFIRMED
    _save(entry)
    _record(AuditEvent.Verb.CHANGE, entry, by, changed=["verified"])
    return entry


@transaction.atomic
def end_entry(*, entry_id: int, by: User, on: date | None = None) -> HistoryEntry:
    """Note that a condition or allergy is over, or a medicine stopped, since ``on``.

    ``on`` is a day at the clinic, today by default. Raises ``ValidationError`` for a
    kind that does not end, and for what is over already. Locks patient and entry.
    """
    entry = _locked(entry_id)
    kind = KINDS[entry.kind]
    _not_taken_back(entry)
    if not kind.ends_as or kind.is_past(entry):
        raise ValidationError(_("This is over already."))
    entry.status, entry.ended_on = kind.ends_as, on or timezone.localdate()
    _save(entry)
    _record(AuditEvent.Verb.CHANGE, entry, by, changed=["ended"])
    return entry


@transaction.atomic
def take_back_entry(*, entry_id: int, by: User, why: str = "") -> HistoryEntry:
    """Mark an entry as an error; it stays in the record, and tells nothing any more.

    ``why`` is up to 240 characters. Once is enough. Locks patient and entry.
    """
    entry = _locked(entry_id)
    if entry.status == Verification.ERROR:
        return entry
    entry.status = entry.verification = Verification.ERROR
    if why:
        entry.details["why_error"] = clean(why)[:240]
    _save(entry)
    _record(AuditEvent.Verb.CHANGE, entry, by, changed=["error"])
    return entry


@transaction.atomic
def review_kind(
    *, patient: Patient, kind: str, outcome: str, source: str, by: User | None
) -> HistoryReview:
    """Note that somebody asked about a kind; append-only, the latest row wins.

    "None known" and "prefers not to say" are refused while there are live entries, and
    "looked through" where there is nothing to look through: ``ValidationError``. Looked
    through, every live entry says so. Locks the patient.
    """
    _lock(patient.pk)
    table = KINDS[kind]
    entries = HistoryEntry.objects.standing().filter(patient=patient, kind=kind)
    live = entries.exclude(status__in=table.past)
    there = live.exists()
    if outcome == Outcome.REVIEWED and not entries.exists():
        raise ValidationError(_("There is nothing to look through yet."))
    if outcome != Outcome.REVIEWED and there:
        raise ValidationError(
            _("There are entries. End them, or mark them as errors, first.")
        )
    now = timezone.now()
    if outcome == Outcome.REVIEWED:
        live.update(reviewed_at=now)
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=f"patient:{patient.pk}",
        details={"changed": ["history"], "what": kind, "state": outcome},
        by=by,
    )
    return HistoryReview.objects.create(
        patient=patient, kind=kind, outcome=outcome, source=source, by=by, at=now
    )


def _lock(patient_id: int) -> None:
    Patient.objects.select_for_update().only("pk").get(pk=patient_id)


def _locked(entry_id: int) -> HistoryEntry:
    found = HistoryEntry.objects.values_list("patient_id", flat=True).get(pk=entry_id)
    _lock(found)
    return HistoryEntry.objects.select_for_update().get(pk=entry_id)


def _save(entry: HistoryEntry) -> None:
    entry.version += 1
    entry.save()


def _not_taken_back(entry: HistoryEntry) -> None:
    if entry.is_taken_back:
        raise ValidationError(_("This was taken back."))


def _record(
    verb: AuditEvent.Verb,
    entry: HistoryEntry,
    by: User | None,
    changed: list[str] | None = None,
) -> None:
    details = {"changed": changed} if changed else {"what": entry.kind}
    record(
        verb,
        patient_ids=[entry.patient_id],
        subject=f"history:{entry.pk}",
        details=details,
        by=by,
    )


def meaning_of(entry: HistoryEntry) -> tuple[str, str, str]:
    """Return what makes a condition this one: its code, or without one its name."""
    name = "" if entry.code else fold(entry.label)
    return entry.code_system, entry.code, name


def _snapshot(entry: HistoryEntry) -> dict[str, Any]:
    kind = KINDS[entry.kind]
    told = {name: getattr(entry, name) for name in _ALWAYS}
    return told | {one.name: value_of(entry, one) for one in kind.fields}


def _take(entry: HistoryEntry, facts: Mapping[str, Any]) -> None:
    """Put facts into an entry and look whether it makes sense."""
    kind = KINDS[entry.kind]
    # A file may have brought a status that no form offers.
    statuses = {*kind.statuses, entry.status, *entry.TAKEN_BACK}
    faults: dict[str, str] = {}
    for name in _ALWAYS:
        if name in facts:
            setattr(entry, name, clean(str(facts[name] or "")).strip())
    for one in kind.fields:
        if one.name in facts:
            _put(entry, one, facts[one.name], faults)
    if entry.kind == Kind.SOCIAL and entry.details.get("declined"):
        # What they do not want to say is not kept beside it.
        entry.label = DECLINED
        entry.details.pop("audit_c", None)
    if not entry.label:
        faults["label"] = _("Say what it is.")
    if entry.source not in Source.values:
        faults["source"] = _("Say where it is known from.")
    if entry.status not in statuses:
        faults["status"] = _("Choose one of these.")
    if not entry.code:
        entry.code_system = ""
    _look_at_days(entry, faults)
    _look_at_the_rest(entry, faults)
    if entry.kind == Kind.MEDICINE and not entry.risk_class:
        entry.risk_class = risk_class_of(
            f"{entry.label} {entry.clinical_name}", entry.code
        )
    if faults:
        raise ValidationError(faults)


def _put(entry: HistoryEntry, one: Field, value: Any, faults: dict[str, str]) -> None:
    if isinstance(value, str):
        value = clean(value).strip()
        if len(value) > one.longest:
            faults[one.name] = _("Too long: at most %(n)d letters.") % {
                "n": one.longest
            }
            return
    if one.type == "choice" and value and value not in one.choices:
        faults[one.name] = _("Choose one of these.")
    elif (
        one.type == "number"
        and value is not None
        and not one.least <= value <= one.most
    ):
        faults[one.name] = _("Between %(least)d and %(most)d.") % {
            "least": one.least,
            "most": one.most,
        }
    if one.is_column:
        empty = None if one.type == "day" else ""
        setattr(entry, one.name, value or empty)
        if one.name == "verification" and not value:
            entry.verification = Verification.UNCONFIRMED
    elif value is None or value is False or value == "":
        entry.details.pop(one.name, None)
    else:
        entry.details[one.name] = value


def _look_at_days(entry: HistoryEntry, faults: dict[str, str]) -> None:
    # A procedure may be planned; everything else has happened.
    planned = entry.kind == Kind.PROCEDURE and entry.status == "preparation"
    today = timezone.localdate()
    if entry.happened_on and entry.happened_on > today and not planned:
        faults["happened_on"] = _("This day is still to come.")
    born = entry.patient.birth_date
    if entry.happened_on and born and entry.happened_on < born:
        faults["happened_on"] = _("This is before the patient was born.")
    if entry.ended_on and entry.happened_on and entry.ended_on < entry.happened_on:
        faults["ended_on"] = _("This is before it began.")


def _look_at_the_rest(entry: HistoryEntry, faults: dict[str, str]) -> None:
    details = entry.details
    if details.get("why_not") and details.get("taking") not in ("partly", "no"):
        faults["why_not"] = _("Say first that it is not taken as told.")
    if details.get("audit_c") is not None and details.get("topic") != "alcohol":
        faults["audit_c"] = _("This score is about alcohol.")
    if details.get("declined") and not details.get("topic"):
        faults["topic"] = _("Choose what they do not want to speak of.")
    if entry.code and not entry.label:
        faults["label"] = _("A code needs a name with it.")
