"""Intake: what patients tell of themselves in one go, by link, by phone or on paper.

It stands as "patient told us" until a member of staff went through it, and overwrites
nothing that was known before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.text import clean, fold
from patients.fields import in_words
from patients.history.kinds import KINDS
from patients.history.services import (
    add_entry,
    review_kind,
    take_back_entry,
    verify_entry,
)
from patients.models import HistoryEntry, HistoryReview, Intake, Patient
from patients.profile import change_profile, lock_patient, raise_version
from patients.registry import intake_reviewed, intake_taken

Kind, Source = HistoryEntry.Kind, HistoryEntry.Source
Outcome = HistoryReview.Outcome

#: Questions about the person, by the field of the profile that each is for.
PROFILE = (
    "what_matters",
    "top_worry",
    "wants_to_know",
    "spoken_language",
    "needs_interpreter",
    "reading_help",
    "needs",
    "preferred_way",
    "best_from",
    "best_until",
)
_CLOCKS = ("best_from", "best_until")
#: Questions about health, in the order they are asked: what endangers first.
HISTORY = (
    Kind.ALLERGY,
    Kind.MEDICINE,
    Kind.CONDITION,
    Kind.PROCEDURE,
    Kind.FAMILY,
    Kind.SOCIAL,
)
#: Where an entry that came with an intake says which one it was.
SYSTEM = "intake"
#: Lines and letters an answer about health may have.
MOST_LINES, LONGEST_LINE = 40, 240


def outcome_key(kind: str) -> str:
    """Return the name of the question whether there is any history of a kind."""
    return f"{kind}_none"


def lines_of(text: str) -> list[str]:
    """Return what stands on the lines of an answer, each thing once; pure."""
    found: dict[str, str] = {}
    for line in clean(text).splitlines():
        bare = line.strip(" \t-–•*·,;")
        if bare:
            found.setdefault(fold(bare), bare)
    return list(found.values())


@transaction.atomic
def take_intake(
    *,
    patient: Patient,
    answers: Mapping[str, Any],
    source: str,
    method: str,
    by: User | None = None,
) -> Intake:
    """Store what somebody told, as given, and what follows from it; locks the patient.

    ``answers`` are by question (``PROFILE``, ``HISTORY`` and ``outcome_key``); blank
    ones are left out. Each line about health becomes an entry nobody has verified,
    unless the same is on file; "none" is noted where there is nothing on file; a field
    of the profile is filled where it is empty. The same answers twice are one intake.
    Raises ``ValidationError`` when nothing is told, or there is nobody to tell of.
    """
    patient = lock_patient(patient.pk)
    if patient.deceased_on or patient.merged_into_id:
        raise ValidationError(_("Nothing can be told for this record any more."))
    said = _as_stored(answers)
    if not said:
        raise ValidationError(_("Nothing is filled in yet."))
    last = patient.intakes.order_by("-at", "-pk").first()
    if (
        last is not None
        and last.reviewed_at is None
        and (last.answers, last.source, last.method) == (said, source, method)
    ):
        return last
    intake = Intake.objects.create(
        patient=patient,
        answers=said,
        source=source,
        method=method,
        recorded_by=by,
        at=timezone.now(),
    )
    filled = _fill(patient, said)
    record(
        AuditEvent.Verb.CREATE,
        patient_ids=[patient.pk],
        subject=f"intake:{intake.pk}",
        details={"changed": filled},
        by=by,
    )
    for kind in HISTORY:
        _write_history(intake, patient, kind, by)
    for _key, tell in intake_taken:
        tell(intake)
    return intake


def _as_stored(answers: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, value in answers.items():
        if isinstance(value, str):
            value = clean(value).strip()
        elif isinstance(value, time):
            value = value.isoformat("minutes")
        if value not in (None, "", []):
            said[key] = value
    return said


def _fill(patient: Patient, said: Mapping[str, Any]) -> list[str]:
    """Put what was told into the empty fields of the profile; return which."""
    filled = [
        name
        for name in PROFILE
        if name in said and getattr(patient, name) in (None, "", [])
    ]
    for name in filled:
        setattr(patient, name, _value(name, said[name]))
    if filled:
        patient.save(update_fields=filled)
        raise_version(patient)
    return filled


def _value(name: str, stored: Any) -> Any:
    return time.fromisoformat(stored) if name in _CLOCKS else stored


def _write_history(
    intake: Intake, patient: Patient, kind: str, by: User | None
) -> None:
    on_file = HistoryEntry.objects.standing().filter(patient=patient, kind=kind)
    known = {fold(label) for label in on_file.values_list("label", flat=True)}
    for number, line in enumerate(lines_of(intake.answers.get(kind, ""))):
        if fold(line) in known:
            continue
        entry = add_entry(
            patient=patient,
            kind=kind,
            facts={"label": line, "source": intake.source},
            by=by,
        )
        HistoryEntry.objects.filter(pk=entry.pk).update(
            external_system=SYSTEM, external_id=f"{intake.pk}:{kind}:{number}"
        )
    outcome = intake.answers.get(outcome_key(kind))
    if outcome and not known:
        review_kind(
            patient=patient, kind=kind, outcome=outcome, source=intake.source, by=by
        )


@dataclass(frozen=True)
class Told:
    """One answer as its review shows it, and what may be done with it.

    ``choices`` is empty where there is nothing to decide; what is not chosen stays as
    it is. ``is_new`` says that it differs from what is on file.
    """

    key: str
    question: str | Promise
    said: str
    on_file: str = ""
    choices: tuple[tuple[str, str | Promise], ...] = ()


_TAKE = ("take", gettext_lazy("Take over what they told us"))
_RIGHT = ("right", gettext_lazy("Confirmed with them"))
_WRONG = ("wrong", gettext_lazy("A mistake: take it out"))


def told_in(intake: Intake) -> list[Told]:
    """Return the answers of an intake, each beside what is on file.

    Three queries at most.
    """
    patient = intake.patient
    return [*_told_of_person(intake, patient), *_told_of_health(intake, patient)]


def _told_of_person(intake: Intake, patient: Patient) -> Iterable[Told]:
    for name in PROFILE:
        if name not in intake.answers:
            continue
        value = _value(name, intake.answers[name])
        stored = getattr(patient, name)
        differs = stored != value
        yield Told(
            key=name,
            question=Patient._meta.get_field(name).verbose_name.capitalize(),  # type: ignore[union-attr]
            said=in_words(name, value),
            on_file=(in_words(name, stored) or "—") if differs else "",
            choices=(_TAKE,) if differs else (),
        )


def _told_of_health(intake: Intake, patient: Patient) -> Iterable[Told]:
    prefix = f"{intake.pk}:"
    entries = list(HistoryEntry.objects.filter(patient=patient))
    theirs = {
        (entry.kind, fold(entry.label)): entry
        for entry in entries
        if entry.external_system == SYSTEM and entry.external_id.startswith(prefix)
    }
    live = [entry for entry in entries if not entry.is_taken_back]
    for kind in HISTORY:
        title = KINDS[kind].title
        for line in lines_of(intake.answers.get(kind, "")):
            entry = theirs.get((kind, fold(line)))
            waits = (
                entry is not None
                and entry.verified_at is None
                and not entry.is_taken_back
            )
            yield Told(
                key=f"entry_{entry.pk}" if entry and waits else "",
                question=title,
                said=line,
                on_file="" if waits else _("On file"),
                choices=(_RIGHT, _WRONG) if waits else (),
            )
        if outcome := intake.answers.get(outcome_key(kind)):
            on_file = "; ".join(e.label for e in live if e.kind == kind)
            asks = outcome == Outcome.NONE_KNOWN and not on_file
            yield Told(
                key=outcome_key(kind),
                question=title,
                said=none_in_words(kind, outcome),
                on_file=on_file,
                choices=(_RIGHT,) if asks else (),
            )


def none_in_words(kind: str, outcome: str) -> str:
    """Return what "none" or "I would rather not say" is called for a kind."""
    if outcome == Outcome.NONE_KNOWN:
        return str(KINDS[kind].none)
    return str(Outcome(outcome).label)


@transaction.atomic
def review_intake(*, intake_id: int, by: User, decisions: Mapping[str, str]) -> Intake:
    """Do what somebody decided of an intake, and note that they went through it.

    ``decisions`` are by ``Told.key``: one of its choices; what is left out stays as it
    is, entries as "patient told us". Locks the patient, then the intake. Raises
    ``ValidationError`` where a colleague has gone through it before.
    """
    whose = Intake.objects.values_list("patient_id", flat=True).get(pk=intake_id)
    patient = lock_patient(whose)
    intake = (
        Intake.objects.select_for_update(of=("self",))
        .select_related("patient", "reviewed_by")
        .get(pk=intake_id)
    )
    if intake.reviewed_at is not None:
        raise ValidationError(
            _("%(name)s has gone through this before; nothing was changed.")
            % {"name": intake.reviewed_by or ""}
        )
    taken = {}
    for told in told_in(intake):
        decision = decisions.get(told.key, "")
        if decision not in dict(told.choices):
            continue
        if told.key in PROFILE:
            taken[told.key] = _value(told.key, intake.answers[told.key])
        elif told.key.startswith("entry_"):
            entry_id = int(told.key.removeprefix("entry_"))
            if decision == "right":
                verify_entry(entry_id=entry_id, by=by)
            else:
                take_back_entry(entry_id=entry_id, by=by)
        else:
            review_kind(
                patient=patient,
                kind=told.key.removesuffix("_none"),
                outcome=intake.answers[told.key],
                source=Source.STAFF,
                by=by,
            )
    if taken:
        change_profile(patient_id=patient.pk, version=patient.version, by=by, **taken)
    intake.reviewed_by, intake.reviewed_at = by, timezone.now()
    intake.save(update_fields=["reviewed_by", "reviewed_at"])
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=f"intake:{intake.pk}",
        details={"changed": ["reviewed_by", *sorted(taken)]},
        by=by,
    )
    for _key, tell in intake_reviewed:
        tell(intake)
    return intake
