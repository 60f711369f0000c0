"""The rules of the gate: what is to become of one message, and what they are asked of.

``gate.py`` locks, asks here, and writes what was decided.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.time import next_decent, zone
from messaging.families import recipients_now
from messaging.gateways import breakers_of, closed_among, gateway_of
from messaging.handover import TAKE_OVER_WITHIN
from messaging.ladder import address_of_colleague, rung_of
from messaging.models import Breaker, CurrentSuppression, Hold, Message, Notice
from messaging.purposes import DAILY_CAP, DAY_CLOSES, DAY_OPENS, PURPOSES, Purpose
from messaging.reach import UNSAFE, allows, has_hours, obeys, safe_from
from patients.models import Channel, ContactPoint, SafeContactPlan
from patients.queries import consents_of
from patients.recipients import Recipient

#: A pass carries what came to a merged record after the other one within so long.
UNTIL_FOLLOWED = timedelta(minutes=1)
#: How often a message looks whether a person has ended the hold it waits for.
HOLD_LOOK = timedelta(minutes=5)
#: Why nothing goes while a person has to look first.
HELD = {
    Hold.Kind.WRONG_NUMBER: gettext_noop("may be a wrong number"),
    Hold.Kind.BEREAVEMENT: gettext_noop("may have died"),
}
CLOSED = gettext_noop("the gateway is closed")
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
    """It must not be sent.

    ``superseded`` when its cause is gone, so that no other way is tried either;
    ``to_person`` when a person is to go on, and no other way of the patient's.
    """

    why: str
    superseded: bool = False
    to_person: bool = False


@dataclass(frozen=True)
class Wait:
    """Not now, but from this instant on."""

    until: datetime
    why: str


Verdict = Go | Withdraw | Wait


class Facts:
    """What the gate reads about people and addresses, a batch at once.

    Six queries, three more where somebody answers for a patient.
    """

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
        #: {closed address: the message whose words closed it, if any did}.
        self.suppressed = {
            (address, channel): message_id
            for address, channel, message_id in CurrentSuppression.objects.filter(
                address__in=addresses
            ).values_list("address", "channel", "suppression__message")
        }
        self.points = defaultdict(list)
        # What stayed with a record that was merged into another is nobody else's.
        for point in ContactPoint.objects.filter(
            address__in=addresses,
            patient__merged_into=None,
            contact_person__patient__merged_into=None,
        ):
            self.points[point.channel, point.address].append(point)
        self._holds = [
            (hold.address, hold.patient_id, Hold.Kind(hold.kind))
            for hold in Hold.objects.filter(
                Q(address__in=addresses) | Q(patient__in=[pk for pk in about if pk]),
                ended_at=None,
            )
        ]
        told = [n for n in notices if n.contact_person_id]
        self.recipients = recipients_now(told) if told else {}
        breakers = breakers_of(map(gateway_of, messages))
        self.closed = closed_among(breakers, timezone.now())
        #: Those that wait for one message to try them.
        self.half_open = {
            breaker.provider: breaker
            for breaker in breakers
            if breaker.state == Breaker.State.OPEN
            and breaker.provider not in self.closed
        }
        self.sent_today: dict[str, int] = defaultdict(int)
        capped = [key for key, purpose in PURPOSES.items() if purpose.capped]
        if any(notice.purpose in capped for notice in notices):
            recent = Message.objects.filter(
                address__in=addresses,
                direction=Message.Direction.OUT,
                submitting_at__gte=timezone.now() - timedelta(days=1),
                notices__purpose__in=capped,
            )
            # The join makes a row of each notice: the cap counts those, not texts.
            for address in recent.values_list("address", flat=True):
                self.sent_today[address] += 1

    def plan_of(self, message: Message, notice: Notice) -> SafeContactPlan | None:
        """Return the safe contact plan of whoever reads a message."""
        if notice.contact_person:
            return self._plans.get(notice.contact_person.person_id or 0)
        return self._plans.get(notice.patient_id or message.patient_id or 0)

    def hold_on(self, message: Message, notices: Sequence[Notice]) -> Hold.Kind | None:
        """Return why nothing may go there before a person has looked, if so.

        A bereavement goes before a wrong number: it stops every way to the patient.
        """
        about = {message.patient_id, *(n.about_patient_id for n in notices)} - {None}
        kinds = {
            kind
            for address, patient_id, kind in self._holds
            if address == message.address or patient_id in about
        }
        if Hold.Kind.BEREAVEMENT in kinds:
            return Hold.Kind.BEREAVEMENT
        return kinds.pop() if kinds else None

    def may_still_know(self, message: Message, notice: Notice) -> bool:
        """Return whether the reader of a text about several may hear of this one;
        pure.
        """
        agreed = PURPOSES[notice.purpose].consent
        if not self.is_theirs(notice):
            return False
        about = notice.about_patient_id or 0
        return agreed is None or bool(
            self.consents.get((about, message.channel, agreed))
        )

    def is_theirs(self, notice: Notice) -> bool:
        """Return whether its contact person, if any, is still the one to tell; pure."""
        if notice.contact_person_id is None:
            return True
        told = Recipient(contact_person=notice.contact_person)
        return self.recipients[notice.pk] == told

    def count(self, message: Message, notices: Sequence[Notice]) -> None:
        """Count what goes now, for the rest of this batch."""
        if PURPOSES[notices[0].purpose].capped:
            self.sent_today[message.address] += len(notices)


def _judge_merged(notices: Sequence[Notice], now: datetime) -> Verdict:
    """Let a text wait that was written while its patient became part of another record.

    A tick carries it after that one (``patients.merging.services.follow_merges``), and
    then it is judged by what holds there.
    """
    if now >= min(notice.deadline for notice in notices):
        return Withdraw(gettext_noop("too late"))
    return Wait(now + UNTIL_FOLLOWED, gettext_noop("the patient was merged"))


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
    if not facts.is_theirs(first):
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
    if _is_closed_to(message, first, facts):
        return Withdraw(gettext_noop("they asked us to stop"))
    deadline = min(notice.deadline for notice in notices)
    if now >= deadline:
        return Withdraw(gettext_noop("too late"))
    held = facts.hold_on(message, notices)
    if held is not None and obeys(first.purpose) and first.user_id is None:
        return _judge_held(message, held, now, deadline)
    again = facts.closed.get(gateway_of(message))
    if again is not None:
        # As long as this rung would wait for a receipt; then another way is tried.
        patience = rung_of(first.purpose, message).wait
        if now >= message.at + patience:
            return Withdraw(CLOSED)
        return Wait(again, CLOSED)
    return _judge_hour(message, first, purpose, facts, now, deadline)


def _is_closed_to(message: Message, notice: Notice, facts: Facts) -> bool:
    """Return whether its address is suppressed; to the one word about just that not."""
    place = message.address, message.channel
    if place not in facts.suppressed:
        return False
    about_that = facts.suppressed[place] == notice.cause_id
    return notice.purpose != "opted_out" or not about_that


def _judge_held(
    message: Message, held: Hold.Kind, now: datetime, deadline: datetime
) -> Verdict:
    """Let it wait for the person who looks at the hold; not too long.

    As long as that work may take, and no longer than leaves a person the same time.
    Then a wrong number is passed over for another way; a bereavement is not.
    """
    patience = min(message.at + TAKE_OVER_WITHIN, deadline - TAKE_OVER_WITHIN)
    if now >= patience:
        return Withdraw(HELD[held], to_person=held == Hold.Kind.BEREAVEMENT)
    return Wait(now + HOLD_LOOK, HELD[held])


def _is_own(message: Message, facts: Facts) -> bool:
    points = facts.points[message.channel, message.address]
    return any(point.patient_id == message.patient_id for point in points)


def _is_shared(message: Message, facts: Facts) -> bool:
    return any(
        point.contact_person_id or point.patient_id != message.patient_id
        for point in facts.points[message.channel, message.address]
    )


def _is_current(message: Message, notice: Notice, facts: Facts) -> bool:
    if notice.user is not None:
        return message.address == address_of_colleague(notice, message.channel)
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
    return Wait(until, why)
