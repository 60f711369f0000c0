"""Emergency access ("break-glass"): taken with a reason, over in an hour, looked into.

It lets one nurse or clinician read one patient of another site and do for them what
their role does with a patient: read the history, the visits and the messages, write to
them, take on and close their work. It opens no list of that site, and nothing that
would outlast it: no booking, because a visit makes somebody a patient of the site.

45 CFR 164.312(a)(2)(ii) asks for a way in, an emergency access procedure; the review
afterwards is what keeps it one.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from patients.models import AccessGrant, Patient
from patients.registry import granted, reviewed
from patients.search import find_exactly

#: How long it lasts.
LASTS = timedelta(minutes=60)
#: A reason shorter than this tells a reviewer nothing.
SHORTEST_REASON = 10


@transaction.atomic
def try_access(
    *, user: User, identifier: str, name: str, born: date | None, reason: str
) -> Patient | None:
    """Open the one patient of any site whom this names; None when there is none.

    A patient the user sees anyway is returned without emergency access. Every try is
    written to the audit trail, with the patient where there was one.
    """
    patient_id = find_exactly(identifier=identifier, name=name, born=born)
    if patient_id is None:
        record_refusal(user=user, reason=reason, why="no single match")
        return None
    patient = Patient.objects.get(pk=patient_id)
    if Patient.objects.at_sites_of(user).filter(pk=patient_id).exists():
        record_refusal(
            user=user, reason=reason, why="seen without", patient_ids=[patient_id]
        )
        return patient
    grant_access(user=user, patient=patient, reason=reason)
    return patient


def record_refusal(
    *, user: User, reason: str, why: str, patient_ids: Sequence[int] = ()
) -> None:
    """Write to the audit trail that somebody asked for emergency access in vain."""
    record(
        AuditEvent.Verb.REFUSED,
        patient_ids=patient_ids,
        subject="grant",
        reason=reason,
        details={"why": why},
        by=user,
    )


@transaction.atomic
def grant_access(*, user: User, patient: Patient, reason: str) -> AccessGrant:
    """Let a member of staff in to one patient for an hour, and tell who reviews it.

    Whoever is in already stays in as long as they were: nothing is extended. Locks the
    user's row, so that a second press waits for the first. Raises ``ValidationError``
    for a reason too short.
    """
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise ValidationError(
            {"reason": _("Say in at least %d characters why.") % SHORTEST_REASON}
        )
    User.objects.select_for_update().get(pk=user.pk)
    before = AccessGrant.objects.open().filter(user=user, patient=patient).first()
    if before is not None:
        return before
    now = timezone.now()
    grant = AccessGrant.objects.create(
        user=user, patient=patient, reason=reason, at=now, expires_at=now + LASTS
    )
    record(
        AuditEvent.Verb.GRANT,
        patient_ids=[patient.pk],
        subject=f"grant:{grant.pk}",
        reason=reason,
        by=user,
    )
    for _key, tell in granted:
        tell(grant)
    return grant


@transaction.atomic
def end_access(*, grant_id: int) -> AccessGrant:
    """End emergency access before its hour is over; locks it.

    What is over already stays as it ended.
    """
    grant = AccessGrant.objects.select_for_update().get(pk=grant_id)
    if grant.is_open:
        _end(grant)
    return grant


def end_expired() -> int:
    """Write down the end of what ran out, each in the audit trail; return how many.

    A step of every pass. Nobody is kept out by it: what has run out lets nobody in.
    """
    over = AccessGrant.objects.filter(ended_at=None, expires_at__lte=timezone.now())
    if not over.exists():
        return 0
    with transaction.atomic():
        grants = list(over.select_for_update())
        for grant in grants:
            _end(grant)
    return len(grants)


def _end(grant: AccessGrant) -> None:
    grant.ended_at = min(timezone.now(), grant.expires_at)
    grant.save(update_fields=["ended_at"])
    record(
        AuditEvent.Verb.GRANT_END,
        patient_ids=[grant.patient_id],
        subject=f"grant:{grant.pk}",
    )


@transaction.atomic
def review_access(*, grant_id: int, by: User, finding: str) -> AccessGrant:
    """Note what a manager found about an emergency access that is over; locks it.

    Never one's own, and once only. Raises ``ValidationError`` with what is in the way.
    """
    grant = AccessGrant.objects.select_for_update().get(pk=grant_id)
    if grant.user_id == by.pk:
        raise ValidationError(_("Nobody reviews their own emergency access."))
    if grant.is_open:
        raise ValidationError(_("It is still open; review it when it is over."))
    if grant.reviewed_at:
        raise ValidationError(
            _("%(name)s has reviewed this already.") % {"name": grant.reviewed_by}
        )
    if not finding.strip():
        raise ValidationError({"finding": _("Say what you found.")})
    grant.finding, grant.reviewed_by = finding.strip(), by
    grant.reviewed_at = timezone.now()
    grant.save(update_fields=["finding", "reviewed_by", "reviewed_at"])
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[grant.patient_id],
        subject=f"grant:{grant.pk}",
        details={"changed": ["finding", "reviewed_by", "reviewed_at"]},
        by=by,
    )
    for _key, tell in reviewed:
        tell(grant)
    return grant
