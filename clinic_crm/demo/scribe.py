"""Write the words of the demo's messages, one after the other as they went.

In that order, so that an opt-out footer stands in the first text to a number, and a
question gets the digits which the ones before it left free.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from messaging import segments
from messaging.models import Message, Notice, Question
from messaging.questions import HIGHEST_DIGIT, MOST_OPTIONS, Asked
from messaging.registry import causes
from messaging.texts import render
from patients.models import Channel

_NEVER_LEFT = (Message.State.QUEUED, Message.State.CLAIMED, Message.State.WITHDRAWN)
#: These leave no trace on the phone, so the next text is still its first.
_NOT_SEEN = (Message.State.WITHDRAWN, Message.State.FAILED)
#: What somebody writes when the text they answer offered no digit.
_IN_WORDS = {
    "come": "OK",
    "move": "Can I have another time?",
    "cannot": "I can't come",
    "cancel": "Please cancel it",
    "keep": "Keep it please",
}


@dataclass(eq=False)
class Line:
    """One message of a thread: what it carries, or which question it answers."""

    message: Message
    notices: list[Notice] = field(default_factory=list)
    question: Question | None = None
    answers: "Line | None" = None
    meaning: str = ""
    waits: bool = False


class Scribe:
    """Composes messages; ``ended`` says from when on answers to a visit are void."""

    def __init__(self, ended: Mapping[int, datetime]) -> None:
        self._ended = ended
        self._written_to: set[str] = set()
        self._questions: dict[str, list[tuple[Question, set[tuple[int, bool]]]]] = (
            defaultdict(list)
        )

    def write(self, lines: Iterable[Line]) -> None:
        """Fill in the text of every line; they come in the order in which they went."""
        for line in lines:
            if line.message.direction == Message.Direction.IN:
                self._hear(line)
            else:
                self._say(line)
            message = line.message
            if message.channel == Channel.EMAIL:
                message.encoding = Message.Encoding.UTF8
            else:
                message.body = segments.normalise(message.body)
                counted = segments.count(message.body)
                message.encoding = counted.encoding
                message.segments = counted.segments

    def _hear(self, line: Line) -> None:
        question = line.answers.question if line.answers else None
        if not line.meaning:
            return
        digit = _IN_WORDS[line.meaning]
        if question:
            digit = next(d for d, m in question.options.items() if m == line.meaning)
            question.closed_at = _sooner(question.closed_at, line.message.at)
            question.answer = line.meaning
        line.message.body = f"{digit} {line.message.body}".strip()

    def _say(self, line: Line) -> None:
        message = line.message
        is_text = message.channel == Channel.SMS
        if not message.body:
            self._compose(line, self._next_digit(line) if is_text else None)
        if is_text and message.address not in self._written_to:
            language = message.patient.language if message.patient else "en"
            message.body += render("first_text_footer", language)[1]
        if is_text and message.state not in _NOT_SEEN:
            self._written_to.add(message.address)

    def _compose(self, line: Line, digits_from: int | None) -> None:
        message = line.message
        draft = causes[line.notices[0].cause_kind].compose(
            line.notices,
            channel=Channel(message.channel),
            digits_from=digits_from,
            neutral=False,
        )
        message.body, message.subject = draft.body, draft.subject
        if draft.ask is None or digits_from is None:
            return
        expires = draft.ask.expires_at
        ended = self._ended.get(line.notices[0].cause_id)
        left = message.state not in _NEVER_LEFT
        line.question = Question(
            message=message,
            handler=draft.ask.handler,
            address=message.address,
            form=Question.Form.DIGITS,
            options=Asked(draft.ask, digits_from).options,
            yes_means=draft.ask.yes_means,
            opened_at=message.at if left else None,
            expires_at=min(ended, expires) if ended else expires,
            closed_at=ended,
        )
        if left:
            self._open(line.question, _about(line))

    def _open(self, question: Question, about: set[tuple[int, bool]]) -> None:
        """Make this the one open question of its address."""
        for earlier, _about_what in self._questions[question.address]:
            earlier.closed_at = _sooner(earlier.closed_at, question.opened_at)
        self._questions[question.address].append((question, about))

    def _next_digit(self, line: Line) -> int | None:
        """Return the first digit free at the address, as ``questions.next_digit``."""
        taken = [0]
        for question, about in self._questions[line.message.address]:
            if question.expires_at > line.message.at and about != _about(line):
                taken += [int(digit) for digit in question.options]
        first = max(taken) + 1
        return first if first + MOST_OPTIONS - 1 <= HIGHEST_DIGIT else None


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at), default=None)


def _about(line: Line) -> set[tuple[int, bool]]:
    return {(n.cause_id, n.purpose == "reply") for n in line.notices}
