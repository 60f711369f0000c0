"""What is done about a text that may speak of a danger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import Site
from core.faults import logged
from core.sayings import say
from messaging.duty import alert_now
from messaging.models import CurrentSuppression, Message, Notice
from messaging.quoting import words_of
from messaging.reach import allows
from messaging.red_flags import NAMES, Danger, dangers
from messaging.reply_work import QUOTED, sites_of
from messaging.services import promise
from patients.models import Channel, SafeContactPlan
from patients.queries import speaking_site
from worklist.models import WorkItem
from worklist.services import press_item, raise_item

#: One emergency answer to a number in so long (architecture.md, the gate).
EMERGENCY_ANSWER_EVERY = timedelta(minutes=30)
#: By when the answer helps; later it would only frighten.
EMERGENCY_ANSWER_WITHIN = timedelta(hours=1)
#: A red flag is looked at within so long (clinical.md §2.3: acknowledge in 15 min).
RED_WITHIN = timedelta(minutes=15)
#: One that is denied is read within a day (clinical.md §2.3 lowers it to review).
DENIED_WITHIN = timedelta(hours=24)
#: Somebody who writes of a danger so long after a red item was due, and it is open
#: still, writes of a new one: a forgotten item must not swallow it.
EPISODE = timedelta(hours=4)
#: A text handled this late was answered as late; its answer still counts.
_LATELY = timedelta(days=1)

#: Why a text is put before a person, the last one outweighing those before.
_REASONS: Final = (
    gettext_noop("Text may speak of an emergency (%(danger)s): “%(words)s”"),
    gettext_noop(
        "Text may speak of an emergency (%(danger)s), and they have opted out: no text "
        "can tell them whom to call. Call them now: “%(words)s”"
    ),
    gettext_noop(
        "Text may speak of an emergency (%(danger)s). Do not text back, somebody else "
        "may be reading their phone: “%(words)s”"
    ),
)
_PLAIN, _OPTED_OUT, _READ_BY_OTHERS = range(3)


def red_flag_reason(
    names: Sequence[str], body: str, *, which: int = _PLAIN
) -> dict[str, Any]:
    """Return why a text is put before a person, in the sender's own words.

    ``names`` are those of dangers, in English. As ``raise_item`` takes it.
    """
    return {
        "reason": _REASONS[which],
        "reason_places": {"danger": [say(name) for name in names], "words": body},
    }


@dataclass(frozen=True)
class _Screened:
    """What a text was found to speak of."""

    message: Message
    #: Those said without a "no", else those denied.
    found: Sequence[Danger]
    which: int

    @property
    def plain(self) -> bool:
        """Whether it speaks of a danger without a "no"."""
        return self.found[0].plain

    @property
    def severity(self) -> WorkItem.Severity:
        """How pressing it is."""
        return WorkItem.Severity.RED if self.plain else WorkItem.Severity.REVIEW

    @property
    def within(self) -> timedelta:
        """How soon somebody must deal with it."""
        if not self.plain:
            return DENIED_WITHIN
        return timedelta(0) if self.which == _OPTED_OUT else RED_WITHIN

    def says(self, danger: str) -> bool:
        """Return whether a danger, by its key, is among those found."""
        return any(one.key == danger for one in self.found)


def screen(message: Message) -> bool:
    """Put what may be an emergency before a person, and say whom to call.

    One item an episode for each site that must hear of it: what is written while it is
    open goes to it. Where no text can or may answer, whoever is on duty is told before
    anything else is done about the message.
    """
    found = dangers(words_of(message))
    if not found:
        return False
    kept = [danger for danger in found if danger.plain] or found
    which = _which(message, kept) if kept[0].plain else _PLAIN
    screened = _Screened(message, kept, which)
    for site in sites_of(message):
        item = _put_before_staff(screened, site)
        if screened.plain and screened.which != _PLAIN:
            # The pass tells of it too; an error here must not hold up the message.
            with logged(f"work item {item.pk}: duty"):
                alert_now(item)
    if screened.plain and message.channel == Channel.SMS:
        _say_whom_to_call(screened)
    return True


def _which(message: Message, found: Sequence[Danger]) -> int:
    """Return which of the reasons holds: what whoever deals with it must know first.

    Two queries at most.
    """
    plans = SafeContactPlan.objects.in_force().filter(patient=message.patient_id or 0)
    if any(danger.key == "violence" for danger in found) or not all(
        allows(plan, message.channel, message.address) for plan in plans
    ):
        return _READ_BY_OTHERS
    off = CurrentSuppression.objects.filter(
        address=message.address, channel=message.channel
    )
    return _OPTED_OUT if off.exists() else _PLAIN


def _put_before_staff(screened: _Screened, site: Site | None) -> WorkItem:
    """Press the item that this episode has already, or raise one."""
    message = screened.message
    earlier = _items_of(message, site)
    item = _of_this_episode(earlier, screened)
    if item is None:
        # Two workers with two texts of one person make one item of them.
        last = max((one.pk for one in earlier), default=0)
        item = _raise(screened, site, f"{_whose(message)}:{last}")
        if item.subject_id == message.pk:
            return item
    pressed = press_item(
        item_id=item.pk,
        what=gettext_noop("wrote again"),
        note=message.body[:QUOTED],
        severity=screened.severity,
        due_at=timezone.now() + screened.within,
        **_reason(screened, item),
    )
    # Closed this very moment: what they write now is a new episode.
    return pressed or _raise(screened, site, str(message.pk))


def _raise(screened: _Screened, site: Site | None, key: str) -> WorkItem:
    message = screened.message
    return raise_item(
        kind="red_flag",
        severity=screened.severity,
        subject_kind="message",
        subject_id=message.pk,
        dedupe_key=f"red_flag:{key}:{site.pk if site else 0}",
        due_at=timezone.now() + screened.within,
        patient=message.patient,
        site=site,
        **_reason(screened),
    )


def _items_of(message: Message, site: Site | None) -> list[WorkItem]:
    """Return the latest red flags of whoever wrote, open or not; one query.

    Of nobody we know: those of their address. Two people on one phone are not one.
    """
    items = WorkItem.objects.filter(kind="red_flag").order_by("-pk")
    if message.patient_id:
        return list(items.filter(patient=message.patient_id)[:20])
    texts = _texts_from(message.address)
    return list(
        items.filter(
            patient=None,
            site=site,
            subject_kind="message",
            subject_id__in=texts.values("pk"),
        )[:20]
    )


def _texts_from(address: str) -> QuerySet[Message]:
    return Message.objects.filter(address=address, direction=Message.Direction.IN)


def _whose(message: Message) -> str:
    """Return who wrote, by a number and never by an address: a key outlives erasing."""
    if message.patient_id:
        return f"p{message.patient_id}"
    first = _texts_from(message.address).order_by("pk").values_list("pk", flat=True)
    return f"m{first[0]}"


def _of_this_episode(
    earlier: Sequence[WorkItem], screened: _Screened
) -> WorkItem | None:
    """Return the open item that a text belongs to, the most pressing of several."""
    now = timezone.now()
    episode = [
        item
        for item in earlier
        if item.closed_at is None
        and (
            not screened.plain
            or item.severity != WorkItem.Severity.RED
            or now < item.due_at + EPISODE
        )
    ]
    return min(episode, key=lambda item: (item.severity, -item.pk), default=None)


def _reason(screened: _Screened, item: WorkItem | None = None) -> dict[str, Any]:
    """Return the reason of an item, for one that is there with what is new."""
    names, which = [danger.name for danger in screened.found], screened.which
    words = screened.message.body[:QUOTED]
    if item is not None and item.severity <= screened.severity:
        # What was said before still holds; of the same or less it is not all.
        before = [place["text"] for place in item.reason_places.get("danger", ())]
        known = _REASONS.index(item.reason) if item.reason in _REASONS else _PLAIN
        lower = item.severity < screened.severity
        if lower or (which <= known and set(names) <= set(before)):
            return {"reason": item.reason, "reason_places": item.reason_places}
        names = [name for name in NAMES.values() if name in {*before, *names}]
        which = max(which, known)
    return red_flag_reason(names, words, which=which)


def _say_whom_to_call(screened: _Screened) -> None:
    """Answer the number that wrote, once in a while, and never whom others read.

    Somebody who may hurt themselves is told of a crisis line, too: the next text does
    that even when the one before was answered with the emergency number alone.
    """
    message = screened.message
    if screened.says("violence"):
        return
    key = "crisis_reply" if screened.says("self_harm") else "emergency_reply"
    lately = _texts_from(message.address).filter(at__gt=timezone.now() - _LATELY)
    answered = Notice.objects.filter(
        cause_kind="message",
        cause_id__in=lately.values("pk"),
        purpose="emergency_reply",
        template_key=key,
        created_at__gt=timezone.now() - EMERGENCY_ANSWER_EVERY,
    )
    if answered.exists():
        return
    promise(
        purpose="emergency_reply",
        template_key=key,
        cause_kind="message",
        cause_id=message.pk,
        dedupe_key=f"emergency_reply:{message.pk}",
        deadline=timezone.now() + EMERGENCY_ANSWER_WITHIN,
        zone=speaking_site(message.patient).zone,
        address=message.address,
        about_patient=message.patient,
    )
