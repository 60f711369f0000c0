"""Holds: nothing goes to an address, or about a patient, until a person has looked.

Somebody wrote that a number is not theirs, or that a patient has died. The gate reads
the holds (``judging.py``); here they begin, and end as a person decides. A digit never
begins one.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from messaging.models import Hold, Message
from messaging.queries import owners_of
from messaging.reply_work import QUOTED, is_before_somebody, raise_about
from messaging.services import mark_unusable
from messaging.tasks import wake
from messaging.words import says_death, says_wrong_number
from patients.models import Channel, Patient, SafeContactPlan
from worklist.models import WorkItem
from worklist.services import close_by_rule

#: A person looks within so long; the gate waits about as long (clinical.md, rule 6).
LOOK_WITHIN = timedelta(hours=2)
WRONG_NUMBER, BEREAVEMENT = Hold.Kind.WRONG_NUMBER.value, Hold.Kind.BEREAVEMENT.value


def hold_wrong_number(message: Message, words: str, owners: Sequence[Patient]) -> bool:
    """Hold the address where its sender says it is not the one we mean.

    ``owners``: whom texts there are about. Of an address that is nobody's there is
    nothing to hold. While one hold stands, further words raise no second item.
    """
    names = [
        name
        for patient in owners
        for name in (patient.given_name, patient.preferred_name, patient.family_name)
    ]
    if not owners or not says_wrong_number(words, names):
        return False
    standing = Hold.objects.filter(
        kind=WRONG_NUMBER, address=message.address, ended_at=None
    )
    if standing.exists():
        return True
    Hold.objects.create(
        kind=WRONG_NUMBER, address=message.address, message=message, at=timezone.now()
    )
    _record(owners, "held", actor="patient")
    raise_about(
        message,
        kind=WRONG_NUMBER,
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "May not be their number: “%(words)s”. Nothing goes there until somebody "
            "has looked. Ask the patient another way."
        ),
        reason_places={"words": message.body[:QUOTED]},
        within=LOOK_WITHIN,
    )
    return True


def hold_bereavement(message: Message, words: str, owners: Sequence[Patient]) -> bool:
    """Hold all about those who may have died, where a text speaks of a death.

    Those are the one the answered question was about (``message.patient``), else
    everybody the address may speak of. "My mother died, can I move my visit?" holds,
    too: whose death it is a person finds out. Of a sender nobody knows by, a person
    still reads it in time.
    """
    if not says_death(words):
        return False
    about = [message.patient] if message.patient else owners
    held = Hold.objects.filter(kind=BEREAVEMENT, ended_at=None, patient__in=about)
    known = set(held.values_list("patient", flat=True))
    alive = [patient for patient in about if patient.deceased_on is None]
    new = [patient for patient in alive if patient.pk not in known]
    if owners and not new:
        # Under a hold already, or known to be dead: the conversation waits for us.
        return True
    if not owners and is_before_somebody(BEREAVEMENT, message.address):
        return True
    now = timezone.now()
    Hold.objects.bulk_create(
        Hold(kind=BEREAVEMENT, patient=patient, message=message, at=now)
        for patient in new
    )
    _record(new, "held", actor="patient")
    raise_about(
        message,
        kind=BEREAVEMENT,
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "Speaks of a death: “%(words)s”. Nothing goes by itself until somebody has "
            "looked. Call, gently, and find out who has died."
        ),
        reason_places={"words": message.body[:QUOTED]},
        within=LOOK_WITHIN,
    )
    return True


def lock_holds(item: WorkItem) -> None:
    """Lock the holds an item is about, before the item."""
    list(_of(item).select_for_update(of=("self",)).order_by("pk"))


def close_wrong_number(item: WorkItem, outcome: str, by: User) -> None:
    """End the hold; where the number is not theirs, nobody is written to there again.

    What waits goes another way, or to a person. Raises ``ValidationError`` where a safe
    contact plan names the number, for only a person can choose another one.
    """
    message = Message.objects.get(pk=item.subject_id)
    if outcome == "not theirs":
        plans = SafeContactPlan.objects.in_force().filter(
            channel=message.channel, address=message.address
        )
        if plans.exists():
            raise ValidationError(
                _("A safe contact plan names this number. Change the plan first.")
            )
        mark_unusable(
            channel=Channel(message.channel),
            address=message.address,
            why=gettext_noop("wrong number"),
        )
    _end(item, by, owners_of([message.address]))


def close_bereavement(item: WorkItem, outcome: str, by: User) -> None:
    """End the holds once somebody knows who has died.

    A death itself is noted on the patient's page, where its day belongs: raises
    ``ValidationError`` until it is.
    """
    held = Patient.objects.filter(holds__in=_of(item)).distinct()
    if (
        outcome == "died"
        and held.exists()
        and not held.filter(deceased_on__isnull=False).exists()
    ):
        raise ValidationError(
            _(
                "Note the death on the patient’s own page first: that stops everything "
                "for good."
            )
        )
    _end(item, by, list(held))


def _of(item: WorkItem) -> QuerySet[Hold]:
    return Hold.objects.filter(message=item.subject_id, kind=item.kind, ended_at=None)


def _end(item: WorkItem, by: User, about: Iterable[Patient]) -> None:
    """End the holds of an item, and the items of other sites about the same text."""
    _record(about, "released", by=by)
    _of(item).update(ended_at=timezone.now(), ended_by=by)
    close_by_rule(
        subject_kind="message",
        subject_id=item.subject_id,
        rule=gettext_noop("somebody has looked"),
        kind=item.kind,
        unclaimed=False,
    )
    wake()


def _record(
    about: Iterable[Patient], state: str, *, by: User | None = None, actor: str = ""
) -> None:
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk for patient in about],
        subject="contact_point",
        details={"changed": ["address"], "state": state},
        by=by,
        actor=actor or "system",
    )
