"""The ladder: a promise is opened, tried rung by rung, and reached or handed over.

The message of a rung is written by ``writing.py``, what no rung reached goes to a
person by ``handover.py``. Sending itself is ``dispatch.py``; the last word before it
has ``gate.py``.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import models, transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.faults import logged
from core.sayings import say, say_label
from core.sql import skips_locked
from core.time import zone
from messaging import families
from messaging.handover import give_up
from messaging.models import Message, Notice
from messaging.purposes import PURPOSES, RANKS, Rung
from messaging.reach import UNSAFE, allows, by, obeys, reach_of
from messaging.services import withdraw_queued
from messaging.texts import remembered
from messaging.writing import write
from patients.models import Channel
from patients.recipients import Recipient
from worklist.services import close_by_rule

logger = logging.getLogger(__name__)

#: A message in one of these states brings nobody anything any more.
_ENDED = (Message.State.FAILED, Message.State.UNDELIVERED, Message.State.WITHDRAWN)
#: How many planned notices one pass opens.
OPEN_BATCH = 500


def open_due() -> int:
    """Give every notice that is due its first message; return how many were opened.

    Due notices of one recipient that go ``together`` become one text, and bring along
    those that would follow within a day; so do those about several children whom one
    adult answers for.
    """
    opened = 0
    with transaction.atomic():
        now = timezone.now()
        planned = Notice.objects.filter(state=Notice.State.PLANNED)
        due = list(
            planned.filter(not_before__lte=now)
            .order_by("not_before", "id")
            .select_for_update(skip_locked=skips_locked())[:OPEN_BATCH]
        )
        soon = planned.filter(not_before__lte=now + timedelta(days=1))
        bundles = {notice.together for notice in due if notice.together}
        if bundles:
            # Other causes only: a later reminder of the same visit has its own day.
            taken = {(notice.cause_kind, notice.cause_id) for notice in due}
            due += [
                notice
                for notice in soon.filter(together__in=bundles).select_for_update(
                    skip_locked=skips_locked()
                )
                if (notice.cause_kind, notice.cause_id) not in taken
            ]
        due += families.of_siblings(due, soon)
        due.sort(key=_bundle)
        bundled = [list(bundle) for _key, bundle in groupby(due, key=_bundle)]
        prefetch_related_objects(due, "patient", "about_patient", "contact_person")
        known = None
        with logged("who is to learn it, of all at once"), transaction.atomic():
            known = families.recipients_now(due)
        with remembered():
            for notices in families.merged(bundled):
                with logged(f"notice {notices[0].pk}: opening"), transaction.atomic():
                    start_rung(notices, 0, known=known)
                    opened += len(notices)
    return opened


def _bundle(notice: Notice) -> tuple[str, bool, int]:
    return (
        notice.together,
        notice.confidential,
        0 if notice.together else notice.pk,
    )


@dataclass(frozen=True)
class Again:
    """The same words once more: an address that failed, and when to try it anew."""

    address: str
    at: datetime


def start_rung(
    notices: Sequence[Notice],
    rung: int,
    again: Again | None = None,
    *,
    known: Mapping[int, Recipient | None] | None = None,
) -> Message | None:
    """Start the first rung from ``rung`` on that can be tried; else hand over.

    ``notices`` have one purpose; those whose recipients are no longer one person part
    here. A rung whose address failed is tried with the recipient's next one and, when
    there is none, with the address of ``again`` when its time has come. Returns the
    (first) queued message, or None when no rung was left. A few queries a call, fewer
    where it is ``known`` who is to learn each notice; runs in the caller's transaction.
    """
    messages = [
        _start(group, recipient, rung, again)
        for group, recipient in families.by_recipient(notices, known)
    ]
    return next((message for message in messages if message), None)


def _start(
    notices: Sequence[Notice],
    recipient: Recipient | None,
    rung: int,
    again: Again | None = None,
) -> Message | None:
    """Start a rung for notices to one person."""
    about = notices[0].about_patient
    if recipient is None and about is not None and about.merged_into_id:
        _wait_for_merge(notices)
        return None
    if recipient is None:
        for notice in notices:
            notice.state = Notice.State.SUPERSEDED
            notice.why = gettext_noop("nobody may be told")
            notice.save(update_fields=["state", "why"])
        return None
    first = notices[0]
    if _settle(notices, recipient):
        # Somebody who has not been tried yet starts at the first rung.
        rung = 0
    if first.user is not None:
        return _tell_colleague(notices, recipient, rung)
    if first.address or first.about_patient is None:
        return _answer(notices, recipient)
    reach = reach_of(
        recipient,
        about=first.about_patient,
        purpose=first.purpose,
        confidential=first.confidential,
    )
    ladder = reach.ladder
    whys = reach.wish
    deadline = min(notice.deadline for notice in notices)
    for number in range(rung, len(ladder)):
        channel = ladder[number].channel
        tried = _tried(first, channel)
        now = timezone.now()
        address, why_not = reach.address(ladder[number], tried)
        if not address and again is not None and number == rung:
            address, why_not = reach.address(ladder[number], tried - {again.address})
            now = again.at
        if not address:
            whys += [] if reach.wish else why_not
            continue
        moment = reach.moment(ladder[number], now, zone(first.zone), deadline)
        if moment is None:
            whys.append(by(channel, say(gettext_noop("no safe hour in time"))))
            continue
        message = _try(notices, channel, address, recipient, moment, whys)
        if message is None:
            continue
        Notice.objects.filter(pk__in=[n.pk for n in notices]).update(
            state=Notice.State.OPEN, rung=number, rung_until=None
        )
        return message
    _hand_over(notices, whys)
    return None


def _wait_for_merge(notices: Sequence[Notice]) -> None:
    """Leave notices to be started anew once they have followed their patient.

    They were written while the patient became part of another record; a tick carries
    them after it, and their deadline is still looked at.
    """
    Notice.objects.filter(
        pk__in=[notice.pk for notice in notices], state=Notice.State.OPEN
    ).update(rung_until=timezone.now())


def _settle(notices: Sequence[Notice], recipient: Recipient) -> bool:
    """Make somebody the recipient of these; return whether they were not before."""
    changed = False
    for notice in notices:
        person = families.counterpart(notice, recipient)
        if person != Recipient(notice.patient, notice.contact_person):
            notice.patient = person.patient
            notice.contact_person = person.contact_person
            notice.save(update_fields=["patient", "contact_person"])
            changed = True
    return changed


def _answer(notices: Sequence[Notice], recipient: Recipient) -> Message | None:
    """Write back to the address that wrote to us, and only there."""
    first, whys = notices[0], list[dict[str, Any]]()
    channel = Channel.EMAIL if "@" in first.address else Channel.SMS
    plan = recipient.plan
    if first.address in _tried(first, channel):
        pass
    elif plan and obeys(first.purpose) and not allows(plan, channel, first.address):
        whys.append(by(channel, say(UNSAFE)))
    else:
        now = timezone.now()
        message = _try(notices, channel, first.address, recipient, now, whys)
        if message is not None:
            Notice.objects.filter(pk__in=[n.pk for n in notices]).update(
                state=Notice.State.OPEN, rung=0, rung_until=None
            )
            return message
    _hand_over(notices, whys)
    return None


def _tell_colleague(
    notices: Sequence[Notice], recipient: Recipient, rung: int
) -> Message | None:
    """Write to a member of staff: to their mobile, then by email, at any hour."""
    first, whys = notices[0], list[dict[str, Any]]()
    ladder = PURPOSES[first.purpose].ladder
    for number in range(rung, len(ladder)):
        channel = ladder[number].channel
        address = address_of_colleague(first, channel)
        if not address or address in _tried(first, channel):
            continue
        now = timezone.now()
        message = _try(notices, channel, address, recipient, now, whys)
        if message is not None:
            Notice.objects.filter(pk__in=[n.pk for n in notices]).update(
                state=Notice.State.OPEN, rung=number, rung_until=None
            )
            return message
    _hand_over(notices, whys)
    return None


def address_of_colleague(notice: Notice, channel: str) -> str:
    """Return where a member of staff is written to now, blank for nowhere."""
    if notice.user is None or not notice.user.is_active:
        return ""
    return notice.user.phone if channel == Channel.SMS else notice.user.email


def _tried(notice: Notice, channel: str) -> set[str]:
    """Return the addresses that failed this notice; they are not tried again."""
    if notice.state == Notice.State.PLANNED:
        return set()
    ended = notice.messages.filter(state__in=_ENDED, channel=channel)
    return set(ended.values_list("address", flat=True))


def _try(
    notices: Sequence[Notice],
    channel: Channel,
    address: str,
    recipient: Recipient,
    not_before: datetime,
    whys: list[dict[str, Any]],
) -> Message | None:
    """Write the message; when it cannot be written say so in ``whys``."""
    neutral = recipient.plan is not None and recipient.plan.neutral_sender
    try:
        with transaction.atomic():
            return write(notices, channel, address, not_before, neutral=neutral)
    except Exception:
        # A text with a hole, a cause that is gone: others must not wait for it.
        logger.exception("notice %s: its text cannot be written", notices[0].pk)
        whys.append(say(gettext_noop("its text cannot be written")))
        return None


def _hand_over(notices: Sequence[Notice], whys: list[dict[str, Any]]) -> None:
    tried = list(Message.objects.filter(notices=notices[0]).order_by("at").distinct())
    whys = [
        by(m.channel, say(m.why) if m.why else say_label(m.get_state_display()))
        for m in tried
    ] + whys
    for notice in notices:
        give_up(notice, *(whys or [say(gettext_noop("no way to reach them"))]))


def note_progress(message: Message, *, again_at: datetime | None = None) -> None:
    """Let what is now known of a message move its notices on.

    Reached closes them, and closes an item nobody has claimed yet; a failure starts the
    next rung at once, or the same one anew at ``again_at``, an instant (UTC). Call it
    in the transaction that changed the message.
    """
    notices = list(
        message.notices.select_for_update()
        .filter(state__in=[Notice.State.OPEN, Notice.State.WITH_STAFF])
        .order_by("id")
    )
    if not notices:
        return
    rung = rung_of(notices[0].purpose, message)
    ended = message.state in _ENDED
    if not ended and message.rank >= RANKS[rung.reached_at] and not rung.settles_after:
        for notice in notices:
            _reach(notice)
        return
    under_way = [n for n in notices if n.state == Notice.State.OPEN]
    if not under_way:
        return
    if ended:
        # A late report about an earlier try must not start a rung a second time.
        stuck = [notice for notice in under_way if not _tried_since(notice, message)]
        if stuck:
            again = Again(message.address, again_at) if again_at else None
            start_rung(stuck, stuck[0].rung, again)
    elif message.rank:
        Notice.objects.filter(pk__in=[n.pk for n in under_way], rung_until=None).update(
            rung_until=timezone.now() + (rung.settles_after or rung.wait)
        )


def note_taken(messages: Sequence[Message]) -> None:
    """Do what ``note_progress`` does, for messages a provider has just taken.

    Three statements for all of them; more only for what a person has taken over.
    """
    by_pk = {message.pk: message for message in messages}
    reached: set[int] = set()
    awaited: dict[timedelta, set[int]] = {}
    with_staff: set[int] = set()
    for pk, state, purpose, message_id in (
        Notice.objects.select_for_update(of=("self",))
        .filter(
            noticemessage__message__in=by_pk,
            state__in=[Notice.State.OPEN, Notice.State.WITH_STAFF],
        )
        .order_by("id")
        .values_list("pk", "state", "purpose", "noticemessage__message")
    ):
        message = by_pk[message_id]
        rung = rung_of(purpose, message)
        if state == Notice.State.WITH_STAFF:
            with_staff.add(message_id)
        elif message.rank >= RANKS[rung.reached_at] and not rung.settles_after:
            reached.add(pk)
        else:
            awaited.setdefault(rung.settles_after or rung.wait, set()).add(pk)
    now = timezone.now()
    if reached:
        Notice.objects.filter(pk__in=reached).update(
            state=Notice.State.REACHED, reached_at=now, why=""
        )
    for wait, ids in awaited.items():
        Notice.objects.filter(pk__in=ids, rung_until=None).update(rung_until=now + wait)
    for message_id in sorted(with_staff):
        note_progress(by_pk[message_id])


def rung_of(purpose: str, message: Message | None) -> Rung:
    """Return the rung a message was, else the first: wishes change their order."""
    ladder = PURPOSES[purpose].ladder
    fitting = (
        r for r in ladder if message is not None and r.channel == message.channel
    )
    return next(fitting, ladder[0])


def _tried_since(notice: Notice, ended: Message) -> bool:
    later = notice.messages.filter(pk__gt=ended.pk)
    return later.exclude(state__in=_ENDED).exists()


def _reach(notice: Notice) -> None:
    if notice.state == Notice.State.WITH_STAFF:
        closed = close_by_rule(
            subject_kind="notice",
            subject_id=notice.pk,
            rule=gettext_noop("delivered after all"),
            unclaimed=True,
        )
        if not closed:
            return
    notice.state, notice.reached_at = Notice.State.REACHED, timezone.now()
    notice.why = ""
    notice.save(update_fields=["state", "reached_at", "why"])


@transaction.atomic
def answered(message: Message) -> None:
    """Count the notices of a message as reached: the patient has answered it."""
    for notice in (
        message.notices.select_for_update()
        .filter(state__in=[Notice.State.OPEN, Notice.State.WITH_STAFF])
        .order_by("id")
    ):
        _reach(notice)


def climb() -> int:
    """Start the next rung where one stayed silent past its wait; return how many.

    Also ends what is past its deadline, and what nobody even opened in time.
    """
    moved = 0
    now = timezone.now()
    silent = models.Q(state=Notice.State.OPEN, rung_until__lte=now)
    late = models.Q(
        state__in=[Notice.State.PLANNED, Notice.State.OPEN], deadline__lte=now
    )
    ids = list(
        Notice.objects.filter(silent | late).values_list("id", flat=True)[:OPEN_BATCH]
    )
    for notice_id in ids:
        with logged(f"notice {notice_id}: climbing"), transaction.atomic():
            notice = (
                Notice.objects.select_for_update(skip_locked=skips_locked())
                .filter(silent | late, pk=notice_id)
                .first()
            )
            if notice is not None and _climb_one(notice, now):
                moved += 1
    return moved


def _climb_one(notice: Notice, now: datetime) -> bool:
    latest = notice.messages.order_by("-id").first()
    rung = rung_of(notice.purpose, latest)
    heard_nothing_bad = (
        latest is not None
        and rung.settles_after is not None
        and RANKS[rung.reached_at] <= latest.rank < RANKS[Message.State.FAILED]
    )
    if heard_nothing_bad and notice.rung_until and notice.rung_until <= now:
        _reach(notice)
    elif notice.deadline > now:
        start_rung(_silent_with(notice, latest, now), notice.rung + 1)
    elif latest is not None and latest.state in _IN_FLIGHT:
        # It may still arrive, and the dispatcher knows more in a moment.
        return False
    else:
        withdraw_queued(
            Message.objects.filter(notices=notice), why=gettext_noop("too late")
        )
        give_up(notice, say(gettext_noop("not reached in time")))
    return True


def _silent_with(
    notice: Notice, message: Message | None, now: datetime
) -> list[Notice]:
    """Return the notice and those of the same text that stayed silent with it: what
    went out as one goes on as one.
    """
    if message is None:
        return [notice]
    others = message.notices.select_for_update(skip_locked=skips_locked()).filter(
        state=Notice.State.OPEN, rung=notice.rung, rung_until__lte=now
    )
    return [notice, *others.exclude(pk=notice.pk).order_by("id")]


_IN_FLIGHT = (Message.State.CLAIMED, Message.State.SUBMITTING)
