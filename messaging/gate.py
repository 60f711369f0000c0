"""The gate: the last and only place that lets a message go.

Asked just before the provider is called, in one short transaction. A refusal withdraws
the message, and the ladder goes on or a person is told.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext_noop

from messaging import questions
from messaging.judging import (
    Facts,
    Go,
    Hold,
    Verdict,
    Withdraw,
    judge,
    may_still_know,
)
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

logger = logging.getLogger(__name__)

#: How long a worker may hold a message. Longer than the slowest call to a provider:
#: eight exchanges with a mail server of EMAIL_TIMEOUT each, or connect and read of an
#: HTTP call.
LEASE = timedelta(seconds=90)
#: How long a message waits when another one to the same address is going right now.
A_MOMENT = timedelta(seconds=5)


def pass_gate(messages: Sequence[Message]) -> list[Message]:
    """Judge claimed messages; return those to submit, marked ``submitting``.

    Runs in the caller's transaction, which holds the messages' rows; locks their
    notices. The number of queries does not grow with the batch but for texts that must
    be made anew and for refusals.
    """
    now = timezone.now()
    _lock_causes(messages)
    carried = _lock_notices(messages)
    untrue = _untrue([n for ns in carried.values() for n in ns])
    facts = Facts(messages, carried)
    going = []
    # By address: two workers that open questions at the same ones never cross.
    for message in sorted(messages, key=lambda message: (message.address, message.pk)):
        notices = carried[message.pk]
        alive = [n for n in notices if n.pk not in untrue]
        _end_untrue([n for n in notices if n.pk in untrue], untrue)
        alive, strays = _parted(message, alive, facts)
        try:
            with transaction.atomic():
                if strays:
                    _part(message, alive, strays)
                    notices = alive
                verdict = _let(message, notices, alive, facts, now)
        except OperationalError:
            # A deadlock or a lost connection: the whole batch is judged again.
            raise
        except Exception:
            # Its text cannot be made anew; the batch must not stand still for it.
            logger.exception("message %s: judging broke", message.pk)
            verdict = Withdraw(gettext_noop("its text cannot be written"))
        _carry_out(verdict, message, alive, now)
        if isinstance(verdict, Go):
            facts.count(message, alive)
            going.append(message)
    return going


def _let(
    message: Message,
    notices: Sequence[Notice],
    alive: Sequence[Notice],
    facts: Facts,
    now: datetime,
) -> Verdict:
    """Judge one message; make its text anew and open its question where it may go."""
    verdict = judge(message, alive, facts, now)
    plan = facts.plan_of(message, alive[0]) if alive else None
    unsafe_words = plan is not None and plan.neutral_sender and not message.neutral
    if isinstance(verdict, Go) and (len(alive) < len(notices) or unsafe_words):
        message.neutral = message.neutral or unsafe_words
        _write_anew(message, alive)
    if isinstance(verdict, Go):
        verdict = _ask(message, alive, now)
    if isinstance(verdict, Go):
        _tell_causes(alive)
    return verdict


def _parted(
    message: Message, notices: list[Notice], facts: Facts
) -> tuple[list[Notice], list[Notice]]:
    """Return the notices that still go as one text, and those that no longer may.

    Only where they are about several children: what stops the news of one must not
    stop that of the others. Two queries a child then.
    """
    about = {notice.about_patient_id: notice for notice in notices}
    if len(about) < 2:
        return notices, []
    fit = {pk for pk, notice in about.items() if may_still_know(message, notice, facts)}
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


def _carry_out(
    verdict: Verdict, message: Message, alive: Sequence[Notice], now: datetime
) -> None:
    """Write what the gate decided."""
    if isinstance(verdict, Go):
        message.state, message.submitting_at = Message.State.SUBMITTING, now
        # From here the provider has its time, whatever waiting at the gate took.
        message.lease_until = now + LEASE
        message.attempts += 1
        message.save()
        return
    message.why = verdict.why
    message.lease_token = message.lease_until = None
    if isinstance(verdict, Hold):
        message.state, message.not_before = Message.State.QUEUED, verdict.until
        message.save()
        return
    message.state = Message.State.WITHDRAWN
    message.save()
    if verdict.superseded:
        _end_untrue(alive, {n.pk: verdict.why for n in alive})
    note_progress(message)


def _lock_causes(messages: Sequence[Message]) -> None:
    """Lock what the notices are about, before the notices: everybody's order."""
    about = defaultdict(set)
    for kind, cause_id in Notice.objects.filter(messages__in=messages).values_list(
        "cause_kind", "cause_id"
    ):
        about[kind].add(cause_id)
    for kind in sorted(about):
        causes[kind].lock(about[kind])


def _lock_notices(messages: Sequence[Message]) -> dict[int, list[Notice]]:
    carried: dict[int, list[Notice]] = {message.pk: [] for message in messages}
    links = NoticeMessage.objects.filter(message__in=carried).order_by("id")
    pairs = list(links.values_list("message_id", "notice_id"))
    locked = list(
        Notice.objects.select_for_update()
        .filter(pk__in={notice_id for _m, notice_id in pairs})
        .order_by("id")
    )
    # Not joined: that would show the people of before the wait for the lock.
    prefetch_related_objects(locked, "patient", "contact_person", "about_patient")
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


def _ask(message: Message, notices: Sequence[Notice], now: datetime) -> Verdict:
    """Open the message's question; make the text anew when its digits are taken."""
    question = Question.objects.filter(message=message).first()
    if question is None:
        return Go()
    digit = questions.next_digit(message, notices)
    if digit is None or str(digit) != min(question.options):
        questions.attach(message, fill(message, notices, digits_from=digit))
        question = Question.objects.filter(message=message).first()
    if question is None or questions.open_question(question, notices):
        return Go()
    return Hold(now + A_MOMENT, gettext_noop("another question is going there"))


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
