"""Erasing what is kept about somebody: their number stays, and what others need.

What becomes of each table its app says (``patients.personal``); here is the order, and
what no table of theirs holds: search terms, drafts and texts that jobs still keep. The
audit trail is not touched: it holds numbers, and who erased them stands in it.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, Draft, Job, User
from core.text import words
from patients.models import Patient, PatientTerm
from patients.personal import Personal, Whose, personal, values_of, whose
from patients.terms import forget_words

#: A reason is a sentence, not a sigh.
SHORTEST_REASON = 10
#: So many rows are changed by one statement.
CHUNK = 500
#: Under which kinds jobs take somebody's record out, and erase it.
EXPORT_JOB, ERASE_JOB = "export_patient", "erase_patient"


@transaction.atomic
def erase_patient(*, patient_id: int, reason: str, by: User | None) -> Patient:
    """Erase somebody for good and return the empty record that is left.

    Everything or nothing: one transaction. Locks the patient and all records merged
    into theirs, then what is under way about them. Somebody erased before stays as they
    are. ``reason`` stays in the audit trail for ever, so it must name nobody. Raises
    ``ValidationError`` while a legal hold, a merge, or something a person has to end
    stands in the way. A fixed number of queries, and one more for each 500 rows.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    if patient.erased_at:
        return patient
    if patient.merged_into_id:
        raise ValidationError(
            _("This record was made one with patient %(id)d. Erase that one.")
            % {"id": patient.merged_into_id}
        )
    somebody = whose(patient)
    records = Patient.objects.filter(pk__in=somebody.ids).order_by("pk")
    if any(one.legal_hold for one in records.select_for_update(of=("self",))):
        raise ValidationError(_("They are under a legal hold: nothing may be erased."))
    values = values_of(somebody)
    refuse_naming(reason, values)
    for _key, kept in personal:
        kept.settle(somebody, by)
    removed, blanked = _erase_tables(somebody)
    removed += _erase_terms(somebody)
    _erase_job_texts(somebody, values)
    Patient.sites.through.objects.filter(patient__in=somebody.ids).delete()
    records.update(erased_at=timezone.now(), version=F("version") + 1)
    record(
        AuditEvent.Verb.DELETE,
        patient_ids=somebody.ids,
        subject=f"patient:{patient.pk}",
        reason=reason.strip(),
        details={"what": "erased", "removed": removed, "changed": blanked},
        by=by,
    )
    patient.refresh_from_db()
    return patient


@transaction.atomic
def set_legal_hold(*, patient_id: int, reason: str, by: User | None) -> None:
    """Keep somebody's record from being erased, or with no reason allow it again.

    Locks the patient. Raises ``ValidationError`` for a reason that names them.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    reason = reason.strip()
    if reason:
        refuse_naming(reason, values_of(whose(patient)))
    if reason == patient.legal_hold:
        return
    patient.legal_hold = reason
    patient.save(update_fields=["legal_hold"])
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=f"patient:{patient.pk}",
        reason=reason,
        details={"changed": ["legal_hold"], "state": "held" if reason else "released"},
        by=by,
    )


def refuse_naming(reason: str, values: set[str]) -> None:
    """Refuse a reason that is none, or that names whom it is about. Pure."""
    if len(reason.strip()) < SHORTEST_REASON:
        raise ValidationError(
            {"reason": _("Say in at least %d characters why.") % SHORTEST_REASON}
        )
    said = f" {' '.join(words(reason))} "
    if any(f" {' '.join(words(value))} " in said for value in values):
        raise ValidationError(
            {"reason": _("This stays for ever: do not name the patient in it.")}
        )


def _erase_tables(somebody: Whose) -> tuple[int, int]:
    """Remove or blank what every table keeps; return how many rows of either.

    What is whose is asked for before the first row changes: it is found by addresses
    that then are gone.
    """
    found = [
        (kept, list(kept.rows(somebody).values_list("pk", flat=True)))
        for _key, kept in personal
    ]
    _drop_drafts(found)
    removed = blanked = 0
    for kept, pks in found:
        for rows in _chunks(kept.model, pks):
            if kept.deletes:
                removed += rows.delete()[0]
            elif kept.blanks:
                blanked += rows.update(**kept.blanks)
    return removed, blanked


def _chunks(model: type[Model], pks: Sequence[int]) -> list[QuerySet[Any]]:
    return [
        model._default_manager.filter(pk__in=pks[start : start + CHUNK])
        for start in range(0, len(pks), CHUNK)
    ]


def _drop_drafts(found: list[tuple[Personal, list[int]]]) -> None:
    """Forget what colleagues have begun to write about them and not sent."""
    for kept, pks in found:
        for word in kept.drafts:
            about = Draft.objects.filter(key__startswith=word)
            if word.endswith("_"):
                for pk in pks:
                    about.filter(key__endswith=f":{pk}").delete()
                continue
            for start in range(0, len(pks), CHUNK):
                keys = [f"{word}:{pk}" for pk in pks[start : start + CHUNK]]
                about.filter(key__in=keys).delete()


def _erase_terms(somebody: Whose) -> int:
    """Remove what they are found by, and words of names that nobody else bears."""
    terms = PatientTerm.objects.filter(patient__in=somebody.ids)
    known = list(
        terms.filter(kind=PatientTerm.Kind.WORD).values_list("term", flat=True)
    )
    removed = terms.delete()[0]
    forget_words(known)
    return removed


def _erase_job_texts(somebody: Whose, values: set[str]) -> None:
    """Empty ended jobs that still hold them: lists brought in, records taken out.

    Refuses while a list that names them is being brought in.
    """
    about = Q(kind=EXPORT_JOB, work__patient__in=somebody.ids)
    for text in {spelled for value in values for spelled in _spellings(value)}:
        about |= Q(work_text__icontains=text) | Q(result_text__icontains=text)
    jobs = Job.objects.alias(
        work_text=Cast("work", TextField()), result_text=Cast("result", TextField())
    ).filter(about)
    ended = jobs.filter(state__in=Job.ENDED)
    if jobs.exclude(state__in=Job.ENDED).exclude(kind=ERASE_JOB).exists():
        raise ValidationError(
            _("Long work that names them is under way. Try again when it has ended.")
        )
    pks = list(ended.values_list("pk", flat=True))
    Job.objects.filter(pk__in=pks).update(work={}, result={})


def _spellings(value: str) -> set[str]:
    """Return a value as JSON may hold it: as it is, or with its accents escaped."""
    return {json.dumps(value, ensure_ascii=escaped)[1:-1] for escaped in (True, False)}
