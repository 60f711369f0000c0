"""Hold what phones truly got against what the database says of it.

``lost``: something that matters in no honest state, or called reached without a text
that went out. ``doubled``: one notice's words twice at one address, other than by the
two rules that allow it. ``wrong``: at an address that was not, or no longer, the
recipient's, or words that were no longer true, or past a "stop".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from appointments.models import Appointment
from messaging.models import Message, Notice, NoticeMessage, Suppression
from messaging.promises import broken_promises
from patients.models import Channel
from tests.fakes.twilio import Accepted
from worklist.models import WorkItem

#: What was true from an instant on: addresses by patient, versions by visit.
History = Mapping[int, Sequence[tuple[datetime, str | int]]]
ENDED = (Message.State.FAILED, Message.State.UNDELIVERED)
HONEST = {
    Notice.State.REACHED,
    Notice.State.SUPERSEDED,
    Notice.State.WITH_STAFF,
    Notice.State.SETTLED,
}


@dataclass(frozen=True)
class Text:
    """One text that a phone truly got; ``ref`` is ours, from the callback's address."""

    sid: str
    to: str
    ref: UUID
    at: datetime

    @classmethod
    def of(cls, accepted: Accepted) -> "Text":
        """Return what the fake took, as the ledger counts it."""
        ref = UUID((accepted.status_callback or "").partition("ref=")[2])
        return cls(accepted.sid, accepted.to, ref, accepted.at)


@dataclass
class Verdict:
    """What was found; each line names rows by their ids."""

    texts: int = 0
    notices: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    #: Twice, as the rules have it: once for an unknown, and after a passing failure.
    resent: int = 0
    again: int = 0
    #: Messages that nobody knows about, and how many of them nobody was told of.
    unknown: int = 0
    unsettled: int = 0

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        return [*self.lost, *self.doubled, *self.wrong]

    @property
    def unknown_share(self) -> float:
        """How many of a hundred texts ended unknown."""
        return 100 * self.unknown / max(self.texts, 1)


def examine(
    texts: Iterable[Text],
    *,
    addresses: History,
    versions: History,
    grace: timedelta = timedelta(0),
) -> Verdict:
    """Compare; call it when nothing moves any more.

    ``grace`` is how long a text may have been on its way between the gate, which is the
    last to look, and the provider.
    """
    texts = sorted(texts, key=lambda text: text.at)
    by_ref = {m.ref: m for m in Message.objects.filter(direction="out")}
    carried: dict[int, list[Notice]] = defaultdict(list)
    for pair in NoticeMessage.objects.select_related("notice").order_by("id"):
        carried[pair.message_id].append(pair.notice)
    verdict = Verdict(texts=len(texts))
    sent: dict[tuple[int, str], list[Message]] = defaultdict(list)
    for text in texts:
        message = by_ref.get(text.ref)
        if message is None or message.address != text.to:
            verdict.wrong.append(f"text {text.sid}: no message of ours")
            continue
        for notice in carried[message.pk]:
            sent[notice.pk, text.to].append(message)
            if why := _misdirected(text, notice, addresses, versions, grace):
                verdict.wrong.append(f"notice {notice.pk}, message {message.pk}: {why}")
    _suppressed(texts, verdict, grace)
    for (notice_id, _address), messages in sent.items():
        _count_twice(notice_id, messages, verdict)
    _look_for_lost({pk for pk, _address in sent}, verdict)
    _count_unknown(verdict)
    return verdict


def _at(
    history: Sequence[tuple[datetime, str | int]], since: datetime
) -> set[str | int]:
    """Return what was true at some time from ``since`` on, and before it last."""
    before = [value for at, value in history if at <= since]
    return {*before[-1:], *(value for at, value in history if at > since)}


def _misdirected(
    text: Text,
    notice: Notice,
    addresses: History,
    versions: History,
    grace: timedelta,
) -> str:
    def then(history: Sequence[tuple[datetime, str | int]]) -> set[str | int]:
        known = [(at, value) for at, value in history if at <= text.at]
        return _at(known, text.at - grace)

    theirs = then(addresses.get(notice.patient_id or 0, ()))
    if notice.patient_id in addresses and text.to not in theirs:
        return "to an address that was not theirs"
    about = (
        versions.get(notice.cause_id, ()) if notice.cause_kind == "appointment" else ()
    )
    if about and notice.cause_version not in then(about):
        return "of a visit that had changed"
    return ""


def _suppressed(texts: Sequence[Text], verdict: Verdict, grace: timedelta) -> None:
    stops = defaultdict(list)
    for row in Suppression.objects.filter(channel=Channel.SMS).order_by("at", "id"):
        stops[row.address].append((row.at, row.on))
    for text in texts:
        before = [on for at, on in stops[text.to] if at + grace < text.at]
        if before and before[-1]:
            verdict.wrong.append(f"text {text.sid}: after they asked us to stop")


def _count_twice(notice_id: int, messages: Sequence[Message], verdict: Verdict) -> None:
    """Count one notice's words at one address: once, or as the rules allow."""
    for earlier, later in pairwise(messages):
        if earlier.pk == later.pk:
            verdict.doubled.append(f"notice {notice_id}: message {later.pk} twice")
        elif later.resend_of_id == earlier.pk:
            verdict.resent += 1
        elif earlier.state in ENDED:
            verdict.again += 1
        else:
            verdict.doubled.append(
                f"notice {notice_id}: messages {earlier.pk} ({earlier.state}) "
                f"and {later.pk} ({later.state})"
            )


def _look_for_lost(sent: set[int], verdict: Verdict) -> None:
    mail = set(
        NoticeMessage.objects.filter(
            message__channel=Channel.EMAIL, message__accepted_at__isnull=False
        ).values_list("notice", flat=True)
    )
    items = set(
        WorkItem.objects.open()
        .filter(subject_kind="notice")
        .values_list("subject_id", flat=True)
    )
    visits = dict(Appointment.objects.values_list("pk", "version"))
    for notice in Notice.objects.order_by("pk"):
        verdict.notices += 1
        state = notice.state
        name = f"notice {notice.pk} ({notice.purpose})"
        if state in (Notice.State.PLANNED, Notice.State.OPEN):
            verdict.lost.append(f"{name}: still {state}")
        elif notice.matters and state not in HONEST:
            verdict.lost.append(f"{name}: {state}")
        elif state == Notice.State.REACHED and notice.pk not in sent | mail:
            verdict.lost.append(f"{name}: reached, and nothing went out")
        elif state == Notice.State.WITH_STAFF and notice.pk not in items:
            verdict.lost.append(f"{name}: with staff, on nobody's list")
        elif (
            state == Notice.State.SUPERSEDED
            and notice.cause_kind == "appointment"
            and notice.cause_version == visits.get(notice.cause_id)
        ):
            verdict.lost.append(f"{name}: no longer true? {notice.why}")
    verdict.lost += [f"broken promise: {one.why}" for one in broken_promises()]


def _count_unknown(verdict: Verdict) -> None:
    unknown = Message.objects.filter(state=Message.State.UNKNOWN)
    verdict.unknown = unknown.filter(resent_as=None).count()
    verdict.unsettled = (
        unknown.filter(resent_as=None, notices__state=Notice.State.OPEN)
        .distinct()
        .count()
    )
