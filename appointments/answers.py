"""What a patient's answer about a visit does, by text or through a link."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from appointments.models import Appointment
from appointments.services import cancel_appointment, confirm_appointment
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: The kinds of work that a patient's own wish raises, and their own answer ends.
WISHES = ("visit_cancel", "visit_move")


@transaction.atomic
def will_come(*, visit: Appointment) -> bool:
    """Confirm the visit for the patient; return whether that changed anything."""
    changed = confirm_appointment(appointment_id=visit.pk, by_patient=True)
    _settle(visit, gettext_noop("the patient will come"))
    return changed


def wants_another_time(*, visit: Appointment, said: str) -> None:
    """Put it before the staff; ``said`` tells one wish from a later one."""
    reason = gettext_noop("Wants another time for the visit.")
    _ask_staff(visit, "visit_move", reason, said)


def cannot_come(*, visit: Appointment, said: str) -> None:
    """Put it before the staff until the patient, asked once more, has decided.

    Nobody is forgotten: the item stands until the patient settles it or we call.
    """
    reason = gettext_noop("Cannot come. Asked whether to cancel; no answer yet.")
    _ask_staff(visit, "visit_cancel", reason, said)


@transaction.atomic
def decide_to_cancel(*, visit: Appointment) -> Appointment:
    """Cancel the visit for the patient, who was asked a second time."""
    _settle(visit, gettext_noop("the patient has decided"))
    return cancel_appointment(appointment_id=visit.pk, by=None, by_patient=True)


def decide_to_keep(*, visit: Appointment) -> None:
    """Leave the visit as it is: the patient, asked a second time, did not cancel."""
    _settle(visit, gettext_noop("the patient has decided"))


@transaction.atomic
def _ask_staff(visit: Appointment, kind: str, reason: str, said: str) -> None:
    """Put a wish before the staff, unless the same one waits there already."""
    waiting = WorkItem.objects.open().filter(
        kind=kind, subject_kind="appointment", subject_id=visit.pk
    )
    if waiting.exists():
        return
    raise_item(
        kind=kind,
        severity=WorkItem.Severity.AMBER,
        reason=reason,
        subject_kind="appointment",
        subject_id=visit.pk,
        dedupe_key=f"{kind}:{visit.pk}:{said}",
        due_at=min(
            timezone.now() + timedelta(hours=4),
            max(timezone.now(), visit.starts_at - timedelta(hours=1)),
        ),
        patient=visit.patient,
        site=visit.site,
    )


def _settle(visit: Appointment, rule: str) -> None:
    for kind in WISHES:
        close_by_rule(
            subject_kind="appointment",
            subject_id=visit.pk,
            kind=kind,
            rule=rule,
            unclaimed=True,
        )
