"""The rules of the gate: what is to become of one message, and what they are asked of.

``gate.py`` locks, asks here, and writes what was decided.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext_noop

from core.time import next_decent, zone
from messaging.families import recipient_now
from messaging.gateways import closed_gateways, gateway_of
from messaging.ladder import rung_of
from messaging.models import CurrentSuppression, Message, Notice
from messaging.purposes import DAILY_CAP, DAY_CLOSES, DAY_OPENS, PURPOSES, Purpose
from messaging.reach import UNSAFE, allows, has_hours, obeys, safe_from
from patients.models import Channel, ContactPoint, SafeContactPlan
from patients.queries import consents_of
from patients.recipients import Recipient

#: A pass carries what came to a merged record after the other one within so long.
UNTIL_FOLLOWED = timedelta(minutes=1)
#: Why a message waits, and why it does not go at all when that would take too long.
ENOUGH = gettext_noop("enough texts for one day")
NOT_NOW = gettext_noop("not at this hour")
NOT_SAFE_NOW = gettext_noop("not a safe hour")
LATER_IS_TOO_LATE = {
    NOT_SAFE_NOW: gettext_noop("not a safe hour, and later is too late"),
    ENOUGH: gettext_noop("enough texts for one day, and later is too late"),
    NOT_NOW: gettext_noop("not at this hour, and later is too late"),
}


@dataclass(frozen=True)
class Go:
    """It may be sent now."""


@dataclass(frozen=True)
class Withdraw:
    """It must not be sent; ``superseded`` when its cause is gone, so that no other
    way is tried either.
    """

    why: str
    superseded: bool = False


@dataclass(frozen=True)
class Hold:
    """Not now, but from this instant on."""

    until: datetime
    why: str


Verdict = Go | Withdraw | Hold


class Facts:
    """What the gate reads about people and addresses, a batch at once: six queries."""

    def __init__(
        self, messages: Sequence[Message], carried: dict[int, list[Notice]]
    ) -> None:
        notices = [notice for group in carried.values() for notice in group]
        about = {m.patient_id for m in messages} | {n.about_patient_id for n in notices}
        persons = (n.contact_person for n in notices if n.contact_person)
        people = about | {person.person_id for person in persons}
        self.consents = consents_of({pk for pk in about if pk})
        plans = SafeContactPlan.objects.in_force().filter(
            patient__in=[pk for pk in people if pk]
        )
        self._plans = {plan.patient_id: plan for plan in plans}
        addresses = {message.address for message in messages}
        self.suppressed = set(
            CurrentSuppression.objects.filter(address__in=addresses).values_list(
                "address", "channel"
            )
        )
        self.points = defaultdict(list)
        # What stayed with a record that was merged into another is nobody else's.
        for point in ContactPoint.objects.filter(
            address__in=addresses,
            patient__merged_into=None,
            contact_person__patient__merged_into=None,
        ):
            self.points[point.channel, point.address].append(point)
        self.closed = closed_gateways(map(gateway_of, messages), timezone.now())
        self.sent_today: dict[str, int] = defaultdict(int)
        recent = Message.objects.filter(
            address__in=addresses,
            direction=Message.Direction.OUT,
            submitting_at__gte=timezone.now() - timedelta(days=1),
            notices__purpose__in=[k for k, p in PURPOSES.items() if p.capped],
        )
        for address in recent.values_list("address", flat=True):
            self.sent_today[address] += 1

    def plan_of(self, message: Message, notice: Notice) -> SafeContactPlan | None:
        """Return the safe contact plan of whoever reads a message."""
        if notice.contact_person:
            return self._plans.get(notice.contact_person.person_id or 0)
        return self._plans.get(notice.patient_id or message.patient_id or 0)

    def count(self, message: Message, notices: Sequence[Notice]) -> None:
        """Count what goes now, for the rest of this batch."""
        if PURPOSES[notices[0].purpose].capped:
            self.sent_today[message.address] += len(notices)


def may_still_know(message: Message, notice: Notice, facts: Facts) -> bool:
    """Return whether whoever a text about several goes to may hear of this one still.

    Two queries.
    """
    agreed = PURPOSES[notice.purpose].consent
    told = Recipient(contact_person=notice.contact_person)
    if recipient_now(notice) != told:
        return False
    about = notice.about_patient_id or 0
    return agreed is None or bool(facts.consents.get((about, message.channel, agreed)))


def _judge_merged(notices: Sequence[Notice], now: datetime) -> Verdict:
    """Let a text wait that was written while its patient became part of another record.

    A tick carries it after that one (``patients.merging.services.follow_merges``), and
    then it is judged by what holds there.
    """
    if now >= min(notice.deadline for notice in notices):
        return Withdraw(gettext_noop("too late"))
    return Hold(now + UNTIL_FOLLOWED, gettext_noop("the patient was merged"))


def judge(
    message: Message, notices: Sequence[Notice], facts: Facts, now: datetime
) -> Verdict:
    """Return what is to become of one message: the rules, in the order they matter."""
    if not notices:
        return Withdraw(gettext_noop("its cause changed"), superseded=True)
    first = notices[0]
    purpose = PURPOSES[first.purpose]
    patient = message.patient
    # A reply to an address answers whoever writes from it.
    if patient and patient.deceased_on and not first.address:
        return Withdraw(gettext_noop("the patient has died"), superseded=True)
    if patient and patient.merged_into_id:
        return _judge_merged(notices, now)
    if first.contact_person and recipient_now(first) != Recipient(
        contact_person=first.contact_person
    ):
        return Withdraw(gettext_noop("no longer the one to tell"))
    plan = facts.plan_of(message, first)
    if (
        plan
        and obeys(first.purpose)
        and not (
            allows(plan, message.channel, message.address)
            # "Any of theirs" is no phone of a relative who wrote to us.
            and (plan.address or not first.address or _is_own(message, facts))
        )
    ):
        return Withdraw(UNSAFE)
    if first.confidential and not first.address and _is_shared(message, facts):
        return Withdraw(gettext_noop("confidential, and others have this address"))
    if not first.address and not _is_current(message, first, facts):
        return Withdraw(gettext_noop("the address is no longer theirs or not usable"))
    if (
        purpose.consent
        and patient
        and not facts.consents.get((patient.pk, message.channel, purpose.consent))
    ):
        return Withdraw(gettext_noop("not agreed to"))
    if (message.address, message.channel) in facts.suppressed:
        return Withdraw(gettext_noop("they asked us to stop"))
    deadline = min(notice.deadline for notice in notices)
    if now >= deadline:
        return Withdraw(gettext_noop("too late"))
    again = facts.closed.get(gateway_of(message))
    if again is not None:
        # As long as this rung would wait for a receipt; then another way is tried.
        patience = rung_of(first.purpose, message).wait
        if now >= message.at + patience:
            return Withdraw(gettext_noop("the gateway is closed"))
        return Hold(again, gettext_noop("the gateway is closed"))
    return _judge_hour(message, first, purpose, facts, now, deadline)


def _is_own(message: Message, facts: Facts) -> bool:
    points = facts.points[message.channel, message.address]
    return any(point.patient_id == message.patient_id for point in points)


def _is_shared(message: Message, facts: Facts) -> bool:
    return any(
        point.contact_person_id or point.patient_id != message.patient_id
        for point in facts.points[message.channel, message.address]
    )


def _is_current(message: Message, notice: Notice, facts: Facts) -> bool:
    plan = facts.plan_of(message, notice)
    points = facts.points[message.channel, message.address]
    if plan and plan.address == message.address:
        # A safe address may be among nobody's contact points: a friend's, say.
        theirs = [p for p in points if p.patient_id == notice.patient_id]
        return all(point.usable and point.safe_to_text for point in theirs)
    return any(
        point.usable
        and point.safe_to_text
        and point.patient_id == notice.patient_id
        and point.contact_person_id == notice.contact_person_id
        for point in points
    )


def _judge_hour(
    message: Message,
    notice: Notice,
    purpose: Purpose,
    facts: Facts,
    now: datetime,
    deadline: datetime,
) -> Verdict:
    until = now
    why = ""
    if purpose.capped and facts.sent_today[message.address] >= DAILY_CAP:
        until, why = now + timedelta(hours=1), ENOUGH
    plan = facts.plan_of(message, notice)
    if plan and has_hours(plan) and obeys(notice.purpose):
        safe = safe_from(plan, until, zone(notice.zone))
        if safe > until:
            until, why = safe, NOT_SAFE_NOW
    elif purpose.quiet_hours and message.channel == Channel.SMS:
        decent = next_decent(until, zone(notice.zone), DAY_OPENS, DAY_CLOSES)
        if decent > until:
            until, why = decent, NOT_NOW
    if until == now:
        return Go()
    if until >= deadline:
        return Withdraw(LATER_IS_TOO_LATE[why])
    return Hold(until, why)
