"""Which digit means what, at which address.

One open digit question an address; a later one never reuses the digits of an earlier
one that could still be answered, so a late "1" means what it meant.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from messaging.models import Message, Notice, Question
from messaging.registry import Ask
from patients.models import Channel

HIGHEST_DIGIT = 9
#: Digits kept free for a question before it is known what it will ask.
MOST_OPTIONS = 3


@dataclass(frozen=True)
class Asked:
    """A question with its digits."""

    ask: Ask
    digits_from: int

    @property
    def options(self) -> dict[str, str]:
        """What each digit means."""
        return {
            str(self.digits_from + place): meaning
            for place, meaning in enumerate(self.ask.meanings)
        }


def next_digit(message: Message, notices: Sequence[Notice]) -> int | None:
    """Return the first digit a question of these notices may use at an address.

    Earlier questions that can still be answered keep theirs, unless they ask the very
    same thing. None when too few digits are left, or by email, where nobody listens
    for digits. One query.
    """
    if message.channel != Channel.SMS:
        return None
    return Board([message.address]).next_digit(message, notices)


def _about(notices: Iterable[Notice]) -> set[tuple[str, int, bool]]:
    """Return what a question is about."""
    return {_subject(n.cause_kind, n.cause_id, n.purpose) for n in notices}


def _subject(kind: str, cause_id: int, purpose: str) -> tuple[str, int, bool]:
    # What answers a reply asks something else.
    return kind, cause_id, purpose == "reply"


def answerable(*addresses: str) -> QuerySet[Question]:
    """Return the questions a reply from an address may answer, the latest first.

    A question that was answered stays answerable until it expires: people change their
    minds, and "3" after "1" must not be lost. One of which nobody knows whether it went
    out is not: a "1" may have been meant for something else, and a person reads it.
    """
    asked = _standing(addresses).exclude(message__state__in=_NOT_KNOWN_TO_BE_OUT)
    return asked.order_by("-opened_at", "-id")


def _standing(addresses: Collection[str]) -> QuerySet[Question]:
    """Return the questions whose digits nobody else may have yet."""
    return Question.objects.filter(
        address__in=addresses,
        form=Question.Form.DIGITS,
        opened_at__isnull=False,
        expires_at__gt=timezone.now(),
    )


_NOT_KNOWN_TO_BE_OUT = (
    Message.State.SUBMITTING,
    Message.State.UNKNOWN,
    Message.State.FAILED,
    Message.State.WITHDRAWN,
)


def attach(message: Message, asked: Asked | None) -> None:
    """Make the message's question what its text now asks; it opens at the gate."""
    if asked is None:
        Question.objects.filter(message=message, opened_at=None).delete()
        return
    now_asks: dict[str, Any] = {
        "handler": asked.ask.handler,
        "address": message.address,
        "form": Question.Form.DIGITS,
        "options": asked.options,
        "yes_means": asked.ask.yes_means,
        "expires_at": asked.ask.expires_at,
    }
    # Whoever writes the text holds the message's row, or has just made it.
    if not Question.objects.filter(message=message).update(**now_asks):
        Question.objects.create(message=message, **now_asks)


class Board:
    """What can still be answered at some addresses, and what is to be asked there next.

    One query; the addresses of many messages at once.
    """

    def __init__(self, addresses: Collection[str]) -> None:
        self._standing: dict[str, list[_Standing]] = {}
        self._opening: list[tuple[Question, set[int]]] = []
        by_pk: dict[int, _Standing] = {}
        for pk, address, options, kind, cause_id, purpose in (
            _standing(addresses)
            .order_by("opened_at", "id")
            .values_list(
                "pk",
                "address",
                "options",
                "message__notices__cause_kind",
                "message__notices__cause_id",
                "message__notices__purpose",
            )
        ):
            if pk not in by_pk:
                by_pk[pk] = _Standing(pk, set(options), set())
                self._standing.setdefault(address, []).append(by_pk[pk])
            by_pk[pk].about.add(_subject(kind, cause_id, purpose))

    def next_digit(self, message: Message, notices: Sequence[Notice]) -> int | None:
        """Return the first digit for a question, as the function of this name; pure."""
        if message.channel != Channel.SMS:
            return None
        taken = [0]
        for other in self._standing.get(message.address, ()):
            if other.about != _about(notices):
                taken += [int(digit) for digit in other.options]
        first = max(taken) + 1
        return first if first + MOST_OPTIONS - 1 <= HIGHEST_DIGIT else None

    def put(self, question: Question, notices: Sequence[Notice]) -> None:
        """Have this be the one open question of its address, from ``open_all`` on.

        An earlier one that asked the very same thing is over.
        """
        here = self._standing.setdefault(question.address, [])
        about = _about(notices)
        same = {one.pk for one in here if one.about == about and one.pk != question.pk}
        here[:] = [one for one in here if one.pk not in same | {question.pk}]
        here.append(_Standing(question.pk, set(question.options), about))
        self._opening.append((question, same))

    def open_all(self) -> list[Question]:
        """Open what was put; return those for which another worker has opened one at
        their address this very moment. A few queries, and as many locks as questions.
        """
        if not self._opening:
            return []
        known = [pk for _question, same in self._opening for pk in same]
        if known:
            list(_locked(Question.objects.filter(pk__in=known)).values_list("pk"))
        try:
            with transaction.atomic():
                _open(self._opening)
        except IntegrityError:
            return [one for one, same in self._opening if not _opened(one, same)]
        return []


@dataclass
class _Standing:
    """A question that can still be answered, by what makes another one differ."""

    pk: int
    options: set[str]
    about: set[tuple[str, int, bool]]


def _opened(question: Question, same: set[int]) -> bool:
    try:
        with transaction.atomic():
            _open([(question, same)])
    except IntegrityError:
        return False
    return True


def _open(opening: Sequence[tuple[Question, set[int]]]) -> None:
    """Open questions in their order; a later one at an address closes the earlier."""
    now = timezone.now()
    last = {question.address: question.pk for question, _same in opening}
    over = {pk for _question, same in opening for pk in same}
    others = Question.objects.exclude(pk__in=last.values())
    others.filter(address__in=last, opened_at__isnull=False, closed_at=None).update(
        closed_at=now
    )
    between = {q.pk for q, _same in opening if last[q.address] != q.pk}
    if between:
        Question.objects.filter(pk__in=between).update(opened_at=now, closed_at=now)
    if over:
        Question.objects.filter(pk__in=over).update(closed_at=now, expires_at=now)
    Question.objects.filter(pk__in=last.values()).update(opened_at=now, closed_at=None)


def take_back(message: Message) -> None:
    """Have the message ask nothing as long as it has not gone after all."""
    Question.objects.filter(message=message).update(opened_at=None)


def close_about(*, cause_kind: str, cause_id: int) -> None:
    """End every question about a cause that changed: its answers mean nothing now."""
    now = timezone.now()
    about = Question.objects.filter(
        message__notices__cause_kind=cause_kind,
        message__notices__cause_id=cause_id,
        expires_at__gt=now,
        opened_at__isnull=False,
    )
    # Made a list: SQL keeps no order within an UPDATE.
    asked = [question.pk for question in _locked(about)]
    Question.objects.filter(pk__in=asked).update(closed_at=now, expires_at=now)


def _locked(asked: QuerySet[Question]) -> QuerySet[Question]:
    """Lock questions in everybody's order: by address, then by age."""
    return asked.select_for_update(of=("self",)).order_by("address", "id")
