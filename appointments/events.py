"""How a visit has changed, as its own history and the audit tell it."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from appointments.models import Appointment, AppointmentEvent


def snapshot(appointment: Appointment) -> dict[str, Any]:
    """Return what may change about a visit, to be compared and kept."""
    return {
        "start": appointment.starts_at.isoformat(),
        "end": appointment.ends_at.isoformat(),
        "clinician": appointment.clinician_id,
        "site": appointment.site_id,
        "state": appointment.state,
    }


def note_event(
    appointment: Appointment,
    what: str,
    *,
    by: User | None,
    before: dict[str, Any] | None = None,
    by_patient: bool = False,
) -> None:
    """Write what happened to a visit, ``before`` as ``snapshot`` had it.

    Into its history and into the audit, both in the caller's transaction.
    """
    after = snapshot(appointment)
    AppointmentEvent.objects.create(
        appointment=appointment,
        version=appointment.version,
        what=what,
        before=before or {},
        after=after,
        by=by,
        by_patient=by_patient,
        at=timezone.now(),
    )
    changed = [name for name in after if before and before[name] != after[name]]
    record_change(appointment, what, changed, by=by, by_patient=by_patient)


def record_change(
    appointment: Appointment,
    what: str,
    changed: Sequence[str] = (),
    *,
    by: User | None = None,
    by_patient: bool = False,
) -> None:
    """Write into the audit alone which fields of a visit changed, not their values."""
    record(
        AuditEvent.Verb.CREATE if what == "booked" else AuditEvent.Verb.CHANGE,
        patient_ids=[appointment.patient_id],
        subject=f"appointment:{appointment.pk}",
        details={"what": what, "changed": changed, "state": appointment.state},
        by=by,
        actor="patient" if by_patient else "system",
    )
