"""What the apps above tell messaging: why a notice is true, and who takes an answer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from core.registry import Registry
from patients.models import Channel

if TYPE_CHECKING:
    from accounts.models import Site
    from messaging.models import Message, Notice, Question


@dataclass(frozen=True)
class Ask:
    """The question a text puts: each option's meaning gets one digit, in this order."""

    handler: str
    meanings: tuple[str, ...]
    expires_at: datetime
    #: What "ok" or a thumb stands for; blank where only a digit is safe.
    yes_means: str = ""


@dataclass(frozen=True)
class Draft:
    """What a message is going to say, and what it asks."""

    body: str
    subject: str = ""
    ask: Ask | None = None
    #: What it is written in.
    language: str = "en"


class Cause:
    """What notices of one kind are about. Methods take notices in batches.

    Register an instance under the notices' ``cause_kind``.
    """

    def lock(self, ids: "Collection[int]") -> None:
        """Lock what notices are about, in the order of the ids.

        Everybody locks cause, then notices, then work items; the other way round two of
        them may wait for each other for ever.
        """

    def untrue(self, notices: "Sequence[Notice]") -> "dict[int, str]":
        """Return {notice id: why} for those whose cause is no longer true."""
        raise NotImplementedError

    def compose(
        self,
        notices: "Sequence[Notice]",
        *,
        channel: Channel,
        digits_from: int | None,
        neutral: bool,
    ) -> Draft:
        """Return one text for these notices of one recipient.

        One that is ``neutral`` names no clinic and nobody who works there: whoever
        looks over the patient's shoulder must not learn who writes.

        ``digits_from`` is the first digit it may use for a question; None means that
        it must ask nothing and name the phone instead.
        """
        raise NotImplementedError

    def telling(self, notices: "Sequence[Notice]") -> None:
        """Note, in the gate's transaction, that these are about to be told."""

    def sentence(self, notice: "Notice") -> dict[str, Any]:
        """Return what this is about, for a colleague who takes it over, as ``say``."""
        raise NotImplementedError

    def site(self, notice: "Notice") -> "Site":
        """Return the site that speaks."""
        raise NotImplementedError

    def useful_until(self, notice: "Notice") -> datetime:
        """Return until when it still helps to learn this, however it is learnt.

        The deadline says how soon somebody must know; a letter may take longer.
        """
        return notice.deadline

    def missing(self, now: datetime) -> list[str]:
        """Return what should have been promised by now and was not."""
        return []


class ReplyHandler(Protocol):
    """Takes the answer to a question, in the transaction that routes the reply.

    ``rest`` is what stood beside the digit. Returns whether it acted; what it leaves
    goes to the inbox.
    """

    def __call__(
        self, *, question: "Question", meaning: str, rest: str, message: "Message"
    ) -> bool: ...


causes: Registry[Cause] = Registry("causes")
replies: Registry[ReplyHandler] = Registry("replies")
