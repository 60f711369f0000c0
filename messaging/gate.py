"""The gate: the last and only place that lets a message go.

Asked just before the provider is called, in one short transaction for a chunk of
messages. A refusal withdraws the message, and the ladder goes on or a person is told.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F, prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.sayings import say
from messaging import buckets, questions
from messaging.gateways import begin_probe, gateway_of
from messaging.handover import give_up
from messaging.judging import CLOSED, Facts, Go, Verdict, Wait, Withdraw, judge
from messaging.ladder import note_progress, start_rung
from messaging.models import (
    Message,
    Notice,
    NoticeMessage,
    Question,
)
from messaging.registry import causes
from messaging.services import conversation_with
from messaging.writing import fill
from patients.models import Patient

logger = logging.getLogger(__name__)

#: How long a worker may hold a message. Longer than the slowest call to a provider:
#: eight exchanges with a mail server of EMAIL_TIMEOUT each, or connect and read of an
#: HTTP call.
LEASE = timedelta(seconds=settings.DISPATCH_LEASE_SECONDS)
#: How long a message waits when another one to the same address is going right now.
A_MOMENT = timedelta(seconds=5)
#: Why a message waits for the sender's bucket to fill.
FULL = gettext_noop("as many as the sender may send")
UNWRITABLE = gettext_noop("its text cannot be written")


def pass_gate(messages: Sequence[Message]) -> list[Message]:
    """Judge claimed messages; return those to submit, marked ``submitting``.

    Runs in the caller's transaction, which holds the messages' rows; locks their
    causes, notices and questions. The number of queries does not grow with the chunk
    but for texts that must be made anew and for refusals.
    """
    now = timezone.now()
    carried = _lock(messages)
    untrue = _untrue([n for ns in carried.values() for n in ns])
    facts = Facts(messages, carried)
    alive: dict[int, list[Notice]] = {}
    verdicts: dict[int, Verdict] = {}
    # In the order of the claim, so that what is urgent comes first into caps, buckets.
    turns = sorted(messages, key=lambda m: (m.urgency, m.not_before, m.pk))
    for message in turns:
        alive[message.pk], verdicts[message.pk] = _judge_one(
            message, carried[message.pk], untrue, facts, now
        )

    def going() -> list[Message]:
        return [m for m in turns if isinstance(verdicts[m.pk], Go)]

    verdicts |= _probe(going(), facts, now)
    fits_at = buckets.take(going(), now)
    verdicts |= {pk: Wait(until, FULL) for pk, until in fits_at.items()}
    verdicts |= _ask(going(), alive, now)
    passed = going()
    _tell_causes([notice for message in passed for notice in alive[message.pk]])
    _submit(passed, now)
    for message in turns:
        verdict = verdicts[message.pk]
        if isinstance(verdict, Withdraw):
            _withdraw(message, verdict, alive[message.pk])
    _keep_waiting([(m, verdicts[m.pk]) for m in turns])
    return passed


def _judge_one(
    message: Message,
    notices: list[Notice],
    untrue: dict[int, str],
    facts: Facts,
    now: datetime,
) -> tuple[list[Notice], Verdict]:
    """Judge one message; make its text anew where only a part of it may go.

    Returns what it still carries, and the verdict. No query where nothing changed.
    """
    alive = [n for n in notices if n.pk not in untrue]
    if len(alive) < len(notices):
        _end_untrue([n for n in notices if n.pk in untrue], untrue)
    alive, strays = _parted(message, alive, facts)
    try:
        if strays:
            with transaction.atomic():
                _part(message, alive, strays)
                message.save()
        verdict = judge(message, alive, facts, now)
        plan = facts.plan_of(message, alive[0]) if alive else None
        unsafe_words = plan is not None and plan.neutral_sender and not message.neutral
        fewer = len(alive) + len(strays) < len(notices)
        if isinstance(verdict, Go) and (fewer or unsafe_words):
            with transaction.atomic():
                message.neutral = message.neutral or unsafe_words
                _write_anew(message, alive)
                message.save()
    except OperationalError:
        # A deadlock or a lost connection: the whole chunk is judged again.
        raise
    except Exception:
        # Its text cannot be made anew; the chunk must not stand still for it.
        logger.exception("message %s: judging broke", message.pk)
        return alive, Withdraw(UNWRITABLE)
    if isinstance(verdict, Go):
        facts.count(message, alive)
    return alive, verdict


def _parted(
    message: Message, notices: list[Notice], facts: Facts
) -> tuple[list[Notice], list[Notice]]:
    """Return the notices that still go as one text, and those that no longer may.

    Only where they are about several children: what stops the news of one must not
    stop that of the others.
    """
    about = {notice.about_patient_id: notice for notice in notices}
    if len(about) < 2:
        return notices, []
    fit = {pk for pk, one in about.items() if facts.may_still_know(message, one)}
    going = [n for n in notices if n.about_patient_id in fit]
    if not going:
        # Then the rules say why for all of them.
        return notices, []
    return going, [n for n in notices if n.about_patient_id not in fit]


def _part(message: Message, going: Sequence[Notice], strays: Sequence[Notice]) -> None:
    """Take from a message what may no longer go with it, and start that anew."""
    if message.patient_id not in {n.about_patient_id for n in going}:
        message.patient = going[0].about_patient
        message.conversation = conversation_with(patient=message.patient)
    # Now, and not when it goes: until then it may be held, and nobody would know why.
    _write_anew(message, going)
    start_rung(strays, 0)


def _probe(going: Sequence[Message], facts: Facts, now: datetime) -> dict[int, Verdict]:
    """Let one message try a gateway that was closed; the others wait for what it says.

    One query a gateway that is tried.
    """
    waiting: dict[int, Verdict] = {}
    tried: set[str] = set()
    for message in going:
        gateway = gateway_of(message)
        breaker = facts.half_open.get(gateway)
        if breaker is None:
            continue
        if gateway not in tried:
            tried.add(gateway)
            if begin_probe(breaker, now):
                continue
        waiting[message.pk] = Wait(breaker.until or now, CLOSED)
    return waiting


def _submit(messages: Sequence[Message], now: datetime) -> None:
    """Mark what goes; from here the provider has its time; one query."""
    if not messages:
        return
    for message in messages:
        message.state, message.submitting_at = Message.State.SUBMITTING, now
        message.lease_until = now + LEASE
        message.attempts += 1
    Message.objects.filter(pk__in=[message.pk for message in messages]).update(
        state=Message.State.SUBMITTING,
        submitting_at=now,
        lease_until=now + LEASE,
        attempts=F("attempts") + 1,
        why="",
    )


def _withdraw(message: Message, verdict: Withdraw, alive: Sequence[Notice]) -> None:
    """Take a message back and let its notices go on.

    Should that break, its lease runs out and it is judged again; others go on.
    """
    try:
        with transaction.atomic():
            _take_back(message, verdict, alive)
    except OperationalError:
        raise
    except Exception:
        logger.exception("message %s: withdrawing broke", message.pk)


def _take_back(message: Message, verdict: Withdraw, alive: Sequence[Notice]) -> None:
    message.state, message.why = Message.State.WITHDRAWN, verdict.why
    message.lease_token = message.lease_until = None
    message.save()
    if verdict.superseded:
        _end_untrue(alive, {n.pk: verdict.why for n in alive})
    if verdict.to_person:
        for notice in alive:
            give_up(notice, say(verdict.why))
    note_progress(message)


def _keep_waiting(judged: Iterable[tuple[Message, Verdict]]) -> None:
    """Put back what may go later; a query for each instant and reason."""
    later: dict[Wait, list[int]] = defaultdict(list)
    for message, verdict in judged:
        if isinstance(verdict, Wait):
            message.state, message.why = Message.State.QUEUED, verdict.why
            later[verdict].append(message.pk)
    for verdict, ids in later.items():
        Message.objects.filter(pk__in=ids).update(
            state=Message.State.QUEUED,
            not_before=verdict.until,
            why=verdict.why,
            lease_token=None,
            lease_until=None,
        )


def _lock(messages: Sequence[Message]) -> dict[int, list[Notice]]:
    """Return {message id: its notices}, with the people as they are now.

    Locks what the notices are about, then the notices: everybody's order.
    """
    carried: dict[int, list[Notice]] = {message.pk: [] for message in messages}
    pairs = []
    about = defaultdict(set)
    for message_id, notice_id, kind, cause_id in (
        NoticeMessage.objects.filter(message__in=carried)
        .order_by("id")
        .values_list(
            "message_id", "notice_id", "notice__cause_kind", "notice__cause_id"
        )
    ):
        pairs.append((message_id, notice_id))
        about[kind].add(cause_id)
    for kind in sorted(about):
        causes[kind].lock(about[kind])
    locked = list(
        Notice.objects.select_for_update()
        .filter(pk__in={notice_id for _m, notice_id in pairs})
        .order_by("id")
    )
    # Not joined: that would show the people of before the wait for the lock.
    patients = Patient.objects.in_bulk(
        {m.patient_id for m in messages if m.patient_id}
        | {n.patient_id for n in locked if n.patient_id}
        | {n.about_patient_id for n in locked if n.about_patient_id}
    )
    for message in messages:
        message.patient = patients.get(message.patient_id or 0)
    for notice in locked:
        notice.patient = patients.get(notice.patient_id or 0)
        notice.about_patient = patients.get(notice.about_patient_id or 0)
    prefetch_related_objects(
        [n for n in locked if n.contact_person_id or n.user_id],
        "contact_person",
        "user",
    )
    notices = {notice.pk: notice for notice in locked}
    for message_id, notice_id in pairs:
        carried[message_id].append(notices[notice_id])
    return carried


def _untrue(notices: Sequence[Notice]) -> dict[int, str]:
    """Return {notice id: why} of those that are no longer open or true."""
    by_kind = defaultdict(list)
    why = {}
    for notice in notices:
        if notice.state == Notice.State.OPEN:
            by_kind[notice.cause_kind].append(notice)
        else:
            why[notice.pk] = gettext_noop("no longer needed")
    for kind, group in by_kind.items():
        why |= causes[kind].untrue(group)
    return why


def _end_untrue(notices: Sequence[Notice], why: dict[int, str]) -> None:
    for notice in notices:
        if notice.state == Notice.State.OPEN:
            notice.state, notice.why = Notice.State.SUPERSEDED, why[notice.pk]
            notice.save(update_fields=["state", "why"])


def _ask(
    messages: Sequence[Message], alive: dict[int, list[Notice]], now: datetime
) -> dict[int, Verdict]:
    """Open what these messages ask; return the verdicts on those that may not go now.

    A text is made anew when its digits are taken. A few queries for all that need not.
    """
    asked = {
        question.message_id: question
        for question in Question.objects.filter(message__in=messages)
    }
    if not asked:
        return {}
    stopped: dict[int, Verdict] = {}
    board = questions.Board({question.address for question in asked.values()})
    for message in messages:
        question = asked.get(message.pk)
        if question is None:
            continue
        notices = alive[message.pk]
        digit = board.next_digit(message, notices)
        if digit is None or str(digit) != min(question.options):
            try:
                with transaction.atomic():
                    questions.attach(message, fill(message, notices, digits_from=digit))
                    message.save()
            except OperationalError:
                raise
            except Exception:
                logger.exception("message %s: asking broke", message.pk)
                stopped[message.pk] = Withdraw(UNWRITABLE)
                continue
            question = Question.objects.filter(message=message).first()
        if question is not None:
            board.put(question, notices)
    going_there = Wait(now + A_MOMENT, gettext_noop("another question is going there"))
    stopped |= {question.message_id: going_there for question in board.open_all()}
    return stopped


def _write_anew(message: Message, notices: Sequence[Notice]) -> None:
    """Make the text without the parts that died."""
    NoticeMessage.objects.filter(message=message).exclude(notice__in=notices).delete()
    message.deadline = min(notice.deadline for notice in notices)
    digit = questions.next_digit(message, notices)
    questions.attach(message, fill(message, notices, digits_from=digit))


def _tell_causes(notices: Sequence[Notice]) -> None:
    by_kind = defaultdict(list)
    for notice in notices:
        by_kind[notice.cause_kind].append(notice)
    for kind, group in by_kind.items():
        causes[kind].telling(group)
