"""Which digit means what, at which address.

One open digit question an address; a later one never reuses the digits of an earlier
one that could still be answered, so a late "1" means what it meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    for digits. Two queries.
    """
    if message.channel != Channel.SMS:
        return None
    taken = [0]
    for question in answerable(message.address).prefetch_related("message__notices"):
        if _about(question.message.notices.all()) != _about(notices):
            taken += [int(digit) for digit in question.options]
    first = max(taken) + 1
    return first if first + MOST_OPTIONS - 1 <= HIGHEST_DIGIT else None


def _about(notices: Sequence[Notice] | QuerySet[Notice]) -> set[tuple[str, int, bool]]:
    """Return what a question is about; what answers a reply asks something else."""
    return {(n.cause_kind, n.cause_id, n.purpose == "reply") for n in notices}


def answerable(address: str) -> QuerySet[Question]:
    """Return the questions a reply from this address may answer, the latest first.

    A question that was answered stays answerable until it expires: people change their
    minds, and "3" after "1" must not be lost.
    """
    return Question.objects.filter(
        address=address,
        form=Question.Form.DIGITS,
        opened_at__isnull=False,
        expires_at__gt=timezone.now(),
    ).order_by("-opened_at", "-id")


def attach(message: Message, asked: Asked | None) -> None:
    """Make the message's question what its text now asks; it opens at the gate."""
    if asked is None:
        Question.objects.filter(message=message, opened_at=None).delete()
        return
    Question.objects.update_or_create(
        message=message,
        defaults={
            "handler": asked.ask.handler,
            "address": message.address,
            "form": Question.Form.DIGITS,
            "options": asked.options,
            "yes_means": asked.ask.yes_means,
            "expires_at": asked.ask.expires_at,
        },
    )


def open_question(question: Question, notices: Sequence[Notice]) -> bool:
    """Make this the one open question of its address; False when another worker has
    opened one there this very moment.

    An earlier one that asked the very same thing is over.
    """
    now = timezone.now()
    earlier = _locked(answerable(question.address))
    same = [
        one.pk
        for one in earlier.prefetch_related("message__notices")
        if _about(one.message.notices.all()) == _about(notices)
    ]
    try:
        with transaction.atomic():
            Question.objects.filter(pk__in=same).update(closed_at=now, expires_at=now)
            Question.objects.filter(
                address=question.address, opened_at__isnull=False, closed_at=None
            ).update(closed_at=now)
            Question.objects.filter(pk=question.pk).update(opened_at=now)
    except IntegrityError:
        return False
    return True


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
