"""Promises are made and taken back here; addresses are closed and opened.

How a promise is carried out is ``ladder.py``; the life of a notice is drawn in
``models.Notice``.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.sql import skips_locked
from messaging import questions
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Message,
    Notice,
    Suppression,
)
from messaging.purposes import PURPOSES
from messaging.tasks import wake
from patients.models import Channel, ContactPoint, Patient
from worklist.services import close_by_rule


def promise(
    *,
    purpose: str,
    template_key: str,
    cause_kind: str,
    cause_id: int,
    cause_version: int = 1,
    dedupe_key: str,
    deadline: datetime,
    zone: str,
    not_before: datetime | None = None,
    patient: Patient | None = None,
    address: str = "",
    user: User | None = None,
    about_patient: Patient | None = None,
    confidential: bool = False,
) -> Notice:
    """Promise that somebody learns something; call it in its cause's transaction.

    What is ``confidential`` nobody learns but the patient, whoever answers for them.
    The same ``dedupe_key`` twice is one notice. Wakes the dispatcher on commit.
    """
    with transaction.atomic():
        notice, _created = Notice.objects.get_or_create(
            dedupe_key=dedupe_key,
            defaults={
                "purpose": purpose,
                "template_key": template_key,
                "patient": patient,
                "address": address,
                "user": user,
                "about_patient": about_patient or patient,
                "cause_kind": cause_kind,
                "cause_id": cause_id,
                "cause_version": cause_version,
                "zone": zone,
                "not_before": not_before or timezone.now(),
                "deadline": deadline,
                "matters": PURPOSES[purpose].matters,
                "confidential": confidential,
                "created_at": timezone.now(),
            },
        )
        wake()
    return notice


@transaction.atomic
def supersede(
    *, cause_kind: str, cause_id: int, below_version: int, why: str
) -> list[Notice]:
    """Take back what was promised for versions of a cause that no longer hold.

    Returns the notices as they stood, so that the caller knows what nobody has heard.

    What is on its way to the provider this second is the gate's to stop. Answers we owe
    to a reply ("reply") are about what was said, not about a version, and stay.
    """
    stale = Notice.objects.filter(
        cause_kind=cause_kind,
        cause_id=cause_id,
        cause_version__lt=below_version,
        state__in=[Notice.State.PLANNED, Notice.State.OPEN, Notice.State.WITH_STAFF],
    ).exclude(purpose="reply")
    taken_back = list(stale.select_for_update().order_by("id"))
    ids = [notice.pk for notice in taken_back]
    for notice_id in ids:
        close_by_rule(
            subject_kind="notice", subject_id=notice_id, rule=why, unclaimed=False
        )
    Notice.objects.filter(pk__in=ids).update(state=Notice.State.SUPERSEDED, why=why)
    queued = Message.objects.filter(notices__in=ids).exclude(
        notices__state__in=[Notice.State.OPEN]
    )
    withdraw_queued(queued, why=why)
    questions.close_about(cause_kind=cause_kind, cause_id=cause_id)
    return taken_back


def withdraw_queued(messages: QuerySet[Message], *, why: str) -> None:
    """Take back those messages that still wait.

    One that a worker holds this moment is left to the gate, which will ask; waiting for
    it here, with its notices locked, would be waiting for each other.
    """
    waiting = messages.filter(state=Message.State.QUEUED).select_for_update(
        of=("self",), skip_locked=skips_locked()
    )
    ids = list(waiting.values_list("pk", flat=True))
    Message.objects.filter(pk__in=ids).update(state=Message.State.WITHDRAWN, why=why)


def conversation_with(
    *, patient: Patient | None = None, address: str = ""
) -> Conversation:
    """Return the conversation with a patient or, nobody being known, an address."""
    who = {"patient": patient} if patient else {"address": address}
    conversation, _created = Conversation.objects.get_or_create(**who)
    return conversation


@transaction.atomic
def suppress(
    *,
    address: str,
    channel: Channel,
    cause: str,
    message: Message | None = None,
    by: User | None = None,
) -> None:
    """Let nothing go to an address any more, whoever's it is.

    ``message`` holds the words or the refusal that did it, ``by`` is the colleague who
    decided it, if one did.
    """
    fact = Suppression.objects.create(
        address=address,
        channel=channel,
        on=True,
        cause=cause,
        message=message,
        by=by,
        at=timezone.now(),
    )
    CurrentSuppression.objects.get_or_create(
        address=address, channel=channel, defaults={"suppression": fact}
    )
    _record_of_owners(address, channel, "suppressed", message, by)


@transaction.atomic
def lift_suppression(
    *,
    address: str,
    channel: Channel,
    cause: str,
    message: Message | None = None,
    by: User | None = None,
) -> bool:
    """Let an address be used again, and return whether it was off.

    Lifts a suppression only; it creates no consent.
    """
    removed, _rows = CurrentSuppression.objects.filter(
        address=address, channel=channel
    ).delete()
    if removed:
        Suppression.objects.create(
            address=address,
            channel=channel,
            on=False,
            cause=cause,
            message=message,
            by=by,
            at=timezone.now(),
        )
        _record_of_owners(address, channel, "in use again", message, by)
    return bool(removed)


@transaction.atomic
def mark_unusable(*, channel: Channel, address: str, why: str) -> None:
    """Note that an address cannot be reached, on everybody who has it."""
    points = ContactPoint.objects.filter(channel=channel, address=address, usable=True)
    if points.update(usable=False, why_not=why):
        _record_of_owners(address, channel, "not reachable")


def _record_of_owners(
    address: str,
    channel: Channel,
    state: str,
    message: Message | None = None,
    by: User | None = None,
) -> None:
    """Write that an address changed, for every patient it reaches; three queries."""
    owners = ContactPoint.objects.filter(address=address, channel=channel)
    by_patient = message and message.direction == Message.Direction.IN
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=owners.annotate(
            whose=Coalesce("patient_id", "contact_person__patient_id")
        ).values_list("whose", flat=True),
        subject="contact_point",
        details={"changed": ["address"], "channel": channel, "state": state},
        by=by,
        actor="patient" if by_patient else "system",
    )


@transaction.atomic
def finish_conversation(*, conversation_id: int, seen: int) -> bool:
    """Say that nothing waits for us in a conversation any more; locks it.

    ``seen`` is the id of the latest reply that was on the page: when another has come
    in since, nothing is changed and False returned.
    """
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    newer = conversation.messages.filter(
        direction=Message.Direction.IN, pk__gt=seen
    ).exists()
    if newer:
        return False
    conversation.state, conversation.waiting_since = Conversation.State.DONE, None
    conversation.save(update_fields=["state", "waiting_since"])
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[conversation.patient_id] if conversation.patient_id else [],
        subject=f"conversation:{conversation.pk}",
        details={"changed": ["state"], "state": conversation.state},
    )
    return True
