"""What patients write to us: stored first, then its effects, then routed once.

Effects run on every text, whatever else it does: words about getting texts
(``opting.py``), the red-flag screen (``screening.py``), and words that hold an address
or a patient (``holds.py``). Then the text goes to the question it answers. What fits
nothing goes to the inbox; nobody ever gets "invalid response".
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged, persistently
from core.sql import skips_locked
from core.text import clean
from messaging import questions, segments
from messaging.holds import hold_bereavement, hold_wrong_number
from messaging.ladder import answered
from messaging.models import Conversation, Message, Question
from messaging.opting import help_out, is_out, obey
from messaging.queries import owners_of
from messaging.quoting import words_of
from messaging.reach import may_answer
from messaging.registry import replies
from messaging.reply_work import QUOTED, raise_about
from messaging.screening import screen
from messaging.services import conversation_with
from messaging.tasks import wake
from messaging.words import OPT_IN_WHEN_OUT, chosen_digit, is_yes, normalise
from patients.models import Channel, Patient
from worklist.models import WorkItem

#: The longest text that is kept; a carrier joins at most ten parts of 160.
LONGEST_BODY = 10_000
#: One pass handles replies for so long; what is left is the next one's.
HANDLE_FOR = timedelta(seconds=20)
#: A reply whose handling broke so often goes to a person as it is.
MOST_TRIES = 3
#: Whoever could not be screened by rule is read within so long: it may be an emergency
#: (clinical.md §2.3).
UNHANDLED_WITHIN = timedelta(minutes=15)
#: So many answers by rule go to an address in an hour; then a machine writes there, and
#: Twilio would end it at 15 to 20 (its error 14107).
MOST_ANSWERS, ANSWERS_PER = 10, timedelta(hours=1)
#: What we answer by rule.
_ANSWERS = ("reply", "opted_out")


def receive(
    *,
    provider: str,
    provider_id: str,
    channel: Channel,
    from_address: str,
    to_address: str,
    body: str,
    media_count: int = 0,
    media: Sequence[dict[str, str]] = (),
    note: str = "",
    at: datetime | None = None,
    subject: str = "",
    in_reply_to: Message | None = None,
    set_aside: bool = False,
) -> bool:
    """Keep one inbound message; return False when it was here already.

    ``media`` says where its pictures lie, ``{"url": …, "type": …}`` each; nothing
    fetches them. ``note`` is what the provider itself took it for; ``at`` when it was
    written (UTC), where that is long ago. ``in_reply_to`` is the message of ours that
    a mail was found to answer: its conversation takes it. What is ``set_aside`` is kept
    and never handled: a machine wrote it. Two inserts and nothing else, so that no
    error in handling can lose it.
    """
    text = clean(body)[:LONGEST_BODY]
    mail = channel == Channel.EMAIL
    counted = segments.count("" if mail else text)
    message = Message(
        direction=Message.Direction.IN,
        channel=channel,
        address=clean(from_address)[:254],
        sender=clean(to_address)[:254],
        subject=clean(subject)[:200],
        body=text,
        conversation=in_reply_to.conversation if in_reply_to else None,
        patient=in_reply_to.patient if in_reply_to else None,
        encoding=Message.Encoding.UTF8 if mail else counted.encoding,
        segments=counted.segments,
        media_count=media_count,
        media=list(media),
        note=note,
        handled_at=timezone.now() if set_aside else None,
        state=Message.State.RECEIVED,
        not_before=timezone.now(),
        provider=provider,
        provider_id=provider_id,
        at=at or timezone.now(),
    )
    with transaction.atomic():
        Message.objects.bulk_create([message], ignore_conflicts=True)
        stored = Message.objects.get(provider=provider, provider_id=provider_id)
        wake()
    return stored.ref == message.ref


def handle_received() -> int:
    """Act on and route every reply not handled yet, oldest first; return how many.

    Each in its own transaction, so that one that fails holds up no other: it is tried
    again after those that have not failed yet, and goes to a person as it is when it
    has failed ``MOST_TRIES`` times. What is left when the time is over is handed to the
    next pass at once.
    """
    waiting = _unhandled().order_by("attempts", "id").values_list("pk", flat=True)
    until = time.monotonic() + HANDLE_FOR.total_seconds()
    handled, late = 0, False
    for pk in list(waiting):
        if time.monotonic() >= until:
            late = True
            break
        done = None
        with logged(f"reply {pk}: handling"):
            done = persistently(partial(_handle_one, pk), f"reply {pk}")
        if done is None:
            with logged(f"reply {pk}: noting that it failed"):
                _note_failure(pk)
        handled += bool(done)
    # Or another worker left what came after one that was in hand here.
    if (late or handled) and _unhandled().filter(attempts=0).exists():
        wake()
    return handled


def _unhandled() -> QuerySet[Message]:
    return Message.objects.filter(direction=Message.Direction.IN, handled_at=None)


def _handle_one(pk: int) -> bool:
    """Handle one reply, unless another worker is at it or was.

    Nor before an earlier one from the same address: START after STOP is not STOP after
    START. One that has failed holds up none.
    """
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(skip_locked=skips_locked())
            .filter(pk=pk, handled_at=None)
            .first()
        )
        if message is None:
            return False
        earlier = _unhandled().filter(address=message.address, pk__lt=pk, attempts=0)
        if earlier.exists():
            return False
        _handle(message)
        return True


@transaction.atomic
def _note_failure(pk: int) -> None:
    """Count that a reply could not be handled; the last time, let a person read it."""
    message = Message.objects.select_for_update().get(pk=pk)
    message.attempts += 1
    if message.attempts >= MOST_TRIES and message.handled_at is None:
        message.handled_at = timezone.now()
        owners = list(owners_of([message.address])[:2])
        message.patient = message.patient or _whose(message, None, owners)
        raise_about(
            message,
            kind="unhandled_reply",
            severity=WorkItem.Severity.AMBER,
            reason=gettext_noop(
                "Could not be read by rule, nor screened for danger. Read it now: "
                "“%(words)s”"
            ),
            reason_places={"words": message.body[:QUOTED]},
            within=UNHANDLED_WITHIN,
        )
        _put_in_conversation(message, needs_a_person=True)
    message.save()


def _handle(message: Message) -> None:
    owners = list(owners_of([message.address]).order_by("pk"))
    words = words_of(message)
    digit, rest = chosen_digit(words)
    question, meaning = _question_answered(message, words, digit)
    # A mail may be known by what it answers, whoever it says it is from.
    message.patient = message.patient or _whose(message, question, owners)
    message.handled_at = timezone.now()
    settled = obey(message, words, asked=_is_asked(message, words))
    help_out(message, words)
    flagged = screen(message)
    wrong = hold_wrong_number(message, words, owners)
    held = hold_bereavement(message, words, owners) or wrong
    acted = not (settled or wrong) and _answer(question, meaning, rest, message)
    message.note = meaning if acted else message.note
    settled = settled or (acted and not (digit and rest))
    # Last in everybody's order of locks.
    _put_in_conversation(
        message,
        needs_a_person=flagged or held or not settled or message.media_count > 0,
    )
    message.save()


def _whose(
    message: Message, question: Question | None, owners: Sequence[Patient]
) -> Patient | None:
    """Return whom a reply is about; None of several who share an address.

    From puts no words into anybody's mouth: a mail that answers none of ours stays with
    its address, where those who may see its owners read it.
    """
    if question is not None:
        return question.message.patient
    known = message.channel == Channel.SMS and len(owners) == 1
    return owners[0] if known else None


def _is_asked(message: Message, words: str) -> bool:
    """Return whether a carrier's YES may answer a question of ours instead.

    One query for such a YES, none for anything else.
    """
    return (
        normalise(words) in OPT_IN_WHEN_OUT
        and questions.answerable(message.address).filter(answer="").exists()
    )


def _question_answered(
    message: Message, words: str, digit: str
) -> tuple[Question | None, str]:
    """Return the question a text answers, and what its answer means.

    An email answers none: From proves nobody's wish. A YES from a number that had opted
    out may be meant for the carrier, who takes it as START, and confirms nothing.
    """
    if message.channel != Channel.SMS:
        return None, ""
    answerable = list(
        questions.answerable(message.address).select_related("message__patient")
    )
    if digit:
        for question in answerable:
            if digit in question.options:
                return question, question.options[digit]
        return None, ""
    unanswered = [q for q in answerable if not q.answer and q.yes_means]
    if len(unanswered) != 1 or not is_yes(words):
        return None, ""
    if normalise(words) in OPT_IN_WHEN_OUT and is_out(message):
        return None, ""
    return unanswered[0], unanswered[0].yes_means


def _answer(
    question: Question | None, meaning: str, rest: str, message: Message
) -> bool:
    """Let the question's handler act; return whether it did.

    Not where the question would no longer go there, nor where a machine seems to answer
    our answers: then a person reads it. The handler comes first: it locks what the
    notices are about before the notices.
    """
    if question is None or not may_answer(question) or _goes_round(message):
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


def _goes_round(message: Message) -> bool:
    """Return whether an address got too many answers by rule, and say so; one query."""
    lately = Message.objects.filter(
        address=message.address,
        direction=Message.Direction.OUT,
        at__gt=timezone.now() - ANSWERS_PER,
        notices__purpose__in=_ANSWERS,
    )
    if lately.distinct().count() < MOST_ANSWERS:
        return False
    raise_about(
        message,
        kind="reply_loop",
        severity=WorkItem.Severity.REVIEW,
        reason=gettext_noop(
            "Too many texts to and fro in an hour: no more are answered by rule. A "
            "machine may be answering."
        ),
        within=timedelta(hours=8),
        once=True,
    )
    return True


def _put_in_conversation(message: Message, *, needs_a_person: bool) -> None:
    """Give a reply its place in a conversation, which waits for us if it must."""
    message.conversation = message.conversation or conversation_with(
        patient=message.patient, address=message.address
    )
    changes: dict[str, Any] = {"last_message_at": message.at}
    if needs_a_person:
        changes["state"] = Conversation.State.WAITING
        changes["waiting_since"] = Coalesce(F("waiting_since"), Value(message.at))
    # In the database, not on a copy: another text may be handled this very moment.
    Conversation.objects.filter(pk=message.conversation.pk).update(**changes)
