"""What patients write to us: stored first, then two effects, then routed once.

Effects run on every text, whatever else it does: opt-out words and the red-flag screen.
Then the text goes to the question it answers. What fits nothing goes to the inbox;
nobody ever gets "invalid response".
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import Site
from core.faults import logged, persistently
from core.sayings import Places, say
from core.sql import skips_locked
from core.text import clean
from messaging import questions, segments
from messaging.ladder import answered
from messaging.models import Conversation, Message, Notice, Question
from messaging.queries import owners_of
from messaging.reach import may_answer
from messaging.registry import replies
from messaging.services import conversation_with, lift_suppression, promise, suppress
from messaging.tasks import wake
from messaging.words import (
    MAY_MEAN_THE_VISIT,
    OPT_IN,
    OPT_OUT,
    is_yes,
    leading_digit,
    normalise,
    red_flag,
)
from patients.models import Channel
from patients.queries import speaking_site
from worklist.models import WorkItem
from worklist.services import raise_item

#: The longest text that is kept; a carrier joins at most ten parts of 160.
LONGEST_BODY = 10_000
#: One emergency answer to a number in so long (architecture.md, the gate).
EMERGENCY_ANSWER_EVERY = timedelta(minutes=30)
#: A red flag is looked at within so long (clinical.md §2.3: acknowledge in 15 min).
RED_WITHIN = timedelta(minutes=15)
HANDLE_BATCH = 200


def receive(
    *,
    provider: str,
    provider_id: str,
    channel: Channel,
    from_address: str,
    to_address: str,
    body: str,
    media_count: int = 0,
) -> bool:
    """Keep one inbound message; return False when it was here already.

    Two inserts and nothing else, so that no error in handling can lose it.
    """
    text = clean(body)[:LONGEST_BODY]
    counted = segments.count(text)
    message = Message(
        direction=Message.Direction.IN,
        channel=channel,
        address=from_address,
        sender=to_address,
        body=text,
        encoding=counted.encoding,
        segments=counted.segments,
        media_count=media_count,
        state=Message.State.RECEIVED,
        not_before=timezone.now(),
        provider=provider,
        provider_id=provider_id,
        at=timezone.now(),
    )
    with transaction.atomic():
        Message.objects.bulk_create([message], ignore_conflicts=True)
        stored = Message.objects.get(provider=provider, provider_id=provider_id)
        wake()
    return stored.ref == message.ref


def handle_received() -> int:
    """Act on and route every reply not handled yet, oldest first; return how many.

    Each in its own transaction, so that one that fails holds up no other.
    """
    waiting = Message.objects.filter(
        direction=Message.Direction.IN, handled_at=None
    ).order_by("id")
    handled = 0
    for pk in waiting.values_list("pk", flat=True)[:HANDLE_BATCH]:
        with logged(f"reply {pk}: handling"):
            handled += persistently(partial(_handle_one, pk), f"reply {pk}")
    return handled


def _handle_one(pk: int) -> bool:
    """Handle one reply, unless another worker is at it or was."""
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(skip_locked=skips_locked())
            .filter(pk=pk, handled_at=None)
            .first()
        )
        if message is not None:
            _handle(message)
        return message is not None


def _handle(message: Message) -> None:
    candidates = list(owners_of([message.address])[:2])
    digit, rest = leading_digit(message.body)
    question, meaning = _question_answered(message, digit)
    asked_about = question.message.patient if question else None
    message.patient = asked_about or (candidates[0] if len(candidates) == 1 else None)
    message.handled_at = timezone.now()
    opted = _opt_out_or_in(message)
    flagged = _screen(message)
    acted = bool(question) and not opted and _answer(question, meaning, rest, message)
    message.note = meaning if acted else message.note
    answers_all = acted and (not rest or not digit)
    needs_a_person = flagged or not (opted or answers_all) or message.media_count > 0
    # Last in everybody's order of locks.
    message.conversation = conversation_with(
        patient=message.patient, address=message.address
    )
    message.save()
    _note_in_conversation(message, needs_a_person)


def _question_answered(message: Message, digit: str) -> tuple[Question | None, str]:
    """Return the question a text answers, and what its answer means."""
    answerable = list(
        questions.answerable(message.address).select_related("message__patient")
    )
    if digit:
        for question in answerable:
            if digit in question.options:
                return question, question.options[digit]
        return None, ""
    unanswered = [q for q in answerable if not q.answer and q.yes_means]
    if len(unanswered) == 1 and is_yes(message.body):
        return unanswered[0], unanswered[0].yes_means
    return None, ""


def _answer(
    question: Question | None, meaning: str, rest: str, message: Message
) -> bool:
    """Let the question's handler act; return whether it did.

    Not where the question would no longer go there: then a person reads the answer.
    The handler comes first: it locks what the notices are about before the notices.
    """
    if question is None or not may_answer(question):
        return False
    if not replies[question.handler](
        question=question, meaning=meaning, rest=rest, message=message
    ):
        return False
    Question.objects.filter(pk=question.pk).update(
        closed_at=timezone.now(), answer=meaning
    )
    answered(question.message)
    return True


def _opt_out_or_in(message: Message) -> bool:
    """Obey exact opt-out and opt-in words; return whether the text was one."""
    said = normalise(message.body)
    channel = Channel(message.channel)
    if said in OPT_OUT:
        suppress(
            address=message.address,
            channel=channel,
            cause=f"texted {said}",
            message=message,
        )
        message.note = "no more texts"
        if said in MAY_MEAN_THE_VISIT:
            _raise(
                message,
                kind="cancel_word",
                severity=WorkItem.Severity.AMBER,
                reason=gettext_noop(
                    "Texted CANCEL, which ends all texts: may want to cancel the "
                    "visit. Call them."
                ),
                within=timedelta(hours=2),
            )
        return True
    if said in OPT_IN:
        lift_suppression(
            address=message.address,
            channel=channel,
            cause=f"texted {said}",
            message=message,
        )
        message.note = "texts again"
        return True
    return False


def red_flag_reason(danger: str, body: str) -> dict[str, Any]:
    """Return why a text is put before a person, in the sender's own words.

    As ``raise_item`` takes it.
    """
    return {
        "reason": gettext_noop(
            "Text may speak of an emergency (%(danger)s): “%(words)s”"
        ),
        "reason_places": {"danger": say(danger), "words": body[:160]},
    }


def _screen(message: Message) -> bool:
    """Put what may be an emergency before a person, and say whom to call."""
    danger, plainly = red_flag(message.body)
    if not danger:
        return False
    _raise(
        message,
        kind="red_flag",
        severity=WorkItem.Severity.RED if plainly else WorkItem.Severity.REVIEW,
        within=RED_WITHIN if plainly else timedelta(hours=24),
        **red_flag_reason(danger, message.body),
    )
    recently = Notice.objects.filter(
        purpose="emergency_reply",
        address=message.address,
        created_at__gt=timezone.now() - EMERGENCY_ANSWER_EVERY,
    )
    if plainly and message.channel == Channel.SMS and not recently.exists():
        promise(
            purpose="emergency_reply",
            template_key="emergency_reply",
            cause_kind="message",
            cause_id=message.pk,
            dedupe_key=f"emergency_reply:{message.pk}",
            deadline=timezone.now() + timedelta(hours=1),
            zone=speaking_site(message.patient).zone,
            address=message.address,
            about_patient=message.patient,
        )
    return True


def _raise(
    message: Message,
    *,
    kind: str,
    severity: WorkItem.Severity,
    reason: str,
    reason_places: Places | None = None,
    within: timedelta,
) -> None:
    sites = _sites_of(message)
    for site in sites:
        key = f"{kind}:{message.pk}"
        raise_item(
            kind=kind,
            severity=severity,
            reason=reason,
            reason_places=reason_places,
            subject_kind="message",
            subject_id=message.pk,
            dedupe_key=f"{key}:{site.pk}" if site and len(sites) > 1 else key,
            due_at=timezone.now() + within,
            patient=message.patient,
            site=site,
        )


def _sites_of(message: Message) -> Sequence[Site | None]:
    """Return the sites that must hear of a message: the patient's, or, of several who
    share the address, one of each.

    None stands for all sites: nobody knows whose it is.
    """
    if message.patient:
        return [message.patient.sites.first()]
    owners = owners_of([message.address])
    return list(Site.objects.filter(patients__in=owners).distinct()) or [None]


def _note_in_conversation(message: Message, needs_a_person: bool) -> None:
    conversation = message.conversation
    if conversation is None:
        return
    changes: dict[str, Any] = {"last_message_at": message.at}
    if needs_a_person:
        changes["state"] = Conversation.State.WAITING
        changes["waiting_since"] = Coalesce(F("waiting_since"), Value(message.at))
    # In the database, not on a copy: another text may be handled this very moment.
    Conversation.objects.filter(pk=conversation.pk).update(**changes)
