"""Safe contact plans: how to reach somebody without putting them at risk."""

from datetime import time

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from patients.contact_points import checked_address
from patients.models import Channel, ContactPoint, Patient, SafeContactPlan


@transaction.atomic
def make_plan(
    *,
    patient_id: int,
    reason: str,
    by: User,
    region: str,
    channel: str = "",
    address: str = "",
    safe_from: time | None = None,
    safe_until: time | None = None,
    code_word: str = "",
    neutral_sender: bool = True,
    hidden: bool = True,
) -> SafeContactPlan:
    """Put a safe contact plan in force and return it; locks the patient.

    One that was in force ends with it. Without a ``channel`` nothing is sent and a
    person calls, ``address`` being the number to call. Hours are wall time of whoever
    is called, and may reach over midnight. Raises ``ValidationError`` for half a span
    of hours, for what cannot be reached, and for an address that texts or emails would
    never find because it is not the patient's.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    if (safe_from is None) != (safe_until is None) or (
        safe_from is not None and safe_from == safe_until
    ):
        raise ValidationError(
            {"safe_until": _("Say from when and until when, or leave both empty.")}
        )
    if address:
        address = checked_address(channel or Channel.SMS, address, region=region)
    if address and channel:
        theirs = ContactPoint.objects.filter(
            patient=patient, channel=channel, address=address, usable=True
        )
        if not theirs.exists():
            raise ValidationError(
                {
                    "address": _(
                        "This is not among what they can be reached on. Add it there "
                        "first, with their consent."
                    )
                }
            )
    before = SafeContactPlan.objects.in_force().filter(patient=patient)
    for plan in before.select_for_update():
        _end(plan, by)
    plan = SafeContactPlan.objects.create(
        patient=patient,
        channel=channel,
        address=address,
        safe_from=safe_from,
        safe_until=safe_until,
        code_word=code_word,
        neutral_sender=neutral_sender,
        hidden=hidden,
        reason=reason,
        made_by=by,
        made_at=timezone.now(),
    )
    _note(AuditEvent.Verb.CREATE, plan, by)
    return plan


@transaction.atomic
def end_plan(*, plan_id: int, by: User) -> SafeContactPlan:
    """End a safe contact plan; ending one that ended changes nothing.

    Locks its patient, so that no other one begins meanwhile.
    """
    plan = SafeContactPlan.objects.get(pk=plan_id)
    Patient.objects.select_for_update().get(pk=plan.patient_id)
    plan.refresh_from_db()
    if plan.ended_at is None:
        _end(plan, by)
    return plan


def _end(plan: SafeContactPlan, by: User) -> None:
    plan.ended_at, plan.ended_by = timezone.now(), by
    plan.save(update_fields=["ended_at", "ended_by"])
    _note(AuditEvent.Verb.DELETE, plan, by)


def _note(verb: AuditEvent.Verb, plan: SafeContactPlan, by: User) -> None:
    record(
        verb,
        patient_ids=[plan.patient_id],
        subject=f"safe_contact_plan:{plan.pk}",
        by=by,
    )
