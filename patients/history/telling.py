"""Noting that patients were told of their conditions, or that it has to wait."""

from collections.abc import Collection
from datetime import date

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.text import clean
from patients.history.services import TOLD_ELSEWHERE, meaning_of
from patients.models import HistoryEntry, Patient
from patients.registry import put_off, told


@transaction.atomic
def note_told(*, entry_ids: Collection[int], by: User, on: date | None = None) -> int:
    """Note that patients were told of conditions; return how many rows that were.

    By ``by`` on the day ``on``; without a day, by somebody else before it came here:
    then the day it was written down here stands, the latest by which they knew. Rows of
    the same patient that say the same are told together. What was told before stays as
    it is. Raises ``ValidationError`` for a day still to come, or before the birth.
    Locks the patients in the order of their ids, then the entries.
    """
    if on and on > timezone.localdate():
        raise ValidationError({"told_on": _("This day is still to come.")})
    asked = HistoryEntry.objects.untold().filter(pk__in=entry_ids)
    patients = Patient.objects.select_for_update().filter(
        pk__in=set(asked.values_list("patient_id", flat=True))
    )
    born = dict(patients.order_by("pk").values_list("pk", "birth_date"))
    if on and any(day and on < day for day in born.values()):
        raise ValidationError({"told_on": _("This is before the patient was born.")})
    rows = HistoryEntry.objects.untold().filter(patient__in=born).order_by("pk")
    untold = list(rows.select_for_update())
    wanted = set(entry_ids)
    same = {(e.patient_id, meaning_of(e)) for e in untold if e.pk in wanted}
    entries = [e for e in untold if (e.patient_id, meaning_of(e)) in same]
    for entry in entries:
        entry.version += 1
        if on:
            entry.told_on, entry.told_by = on, by
        else:
            entry.told_on = timezone.localdate(entry.recorded_at)
            entry.details[TOLD_ELSEWHERE] = True
    HistoryEntry.objects.bulk_update(
        entries, ["told_on", "told_by", "details", "version"]
    )
    if entries:
        whom = sorted({entry.patient_id for entry in entries})
        record(
            AuditEvent.Verb.CHANGE,
            patient_ids=whom,
            subject="history",
            details={
                "changed": ["told"],
                "updated": len(entries),
                "why": "" if on else "told elsewhere",
            },
            by=by,
        )
        for _key, hear in told:
            hear(whom)
    return len(entries)


@transaction.atomic
def put_off_telling(*, patient: Patient, by: User, why: str) -> None:
    """Note that a patient is rightly not told yet; whoever asks is asked again later.

    ``why`` is up to 300 characters, for colleagues. Nothing may name the conditions
    meanwhile, as before.
    """
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=f"patient:{patient.pk}",
        details={"changed": ["told"], "state": "put off"},
        by=by,
    )
    for _key, hear in put_off:
        hear(patient, by, clean(why)[:300])
