"""How one person may be reached: addresses, consent, wishes, and the safe contact plan.

The ladder chooses by it, the gate asks it once more, and pages show it beforehand. What
a safe contact plan says goes before everything else.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.sayings import say, say_label, told
from core.time import next_decent, to_local, zone
from messaging.models import CurrentSuppression, Notice, Question
from messaging.purposes import DAY_CLOSES, DAY_OPENS, PURPOSES, Purpose, Rung
from patients.models import Channel, ContactPoint, Patient, SafeContactPlan
from patients.queries import latest_consent
from patients.recipients import Recipient, resolve_recipients

#: Why nothing is sent to somebody under a safe contact plan.
UNSAFE = gettext_noop("a safe contact plan forbids it")
#: What staff read for those who want to be rung up or written a letter.
_PREFERS = {
    Patient.Way.CALL: gettext_noop("prefers a phone call"),
    Patient.Way.LETTER: gettext_noop("prefers a letter"),
}
_DAWN, _MIDNIGHT = time.min, time.max


def next_within(
    instant: datetime, zone: ZoneInfo, opens: time | None, closes: time | None
) -> datetime:
    """Return the first instant from ``instant`` on between two clocks, in UTC.

    ``opens`` is included, ``closes`` is not; None is midnight. A window that closes
    before it opens goes on past midnight; one of equal ends is the whole day.
    """
    opens, closes = opens or _DAWN, closes or _MIDNIGHT
    if opens < closes:
        return next_decent(instant, zone, opens, closes)
    here = instant.astimezone(zone).time()
    if opens == closes or here >= opens or here < closes:
        return instant
    return next_decent(instant, zone, opens, _MIDNIGHT)


def obeys(purpose: str) -> bool:
    """Return whether a reason to write yields to a safe contact plan.

    "Call 911 now" goes back to whoever has just written that they are in danger.
    """
    return purpose != "emergency_reply"


def allows(plan: SafeContactPlan, channel: str, address: str) -> bool:
    """Return whether a safe contact plan lets something go to an address."""
    return plan.channel == channel and plan.address in ("", address)


def may_answer(question: Question) -> bool:
    """Return whether what is answered from a question's address may still be done.

    Only if the question might go there now. A parent whose right was ended has the text
    of before, and so has whoever a patient under a safe contact plan is hidden from:
    neither cancels a visit, nor hears when it is. Some queries a notice.
    """
    notices = question.message.notices.select_related("about_patient")
    return all(_may_answer(notice, question) for notice in notices)


def _may_answer(notice: Notice, question: Question) -> bool:
    asked: Notice | None = notice
    if notice.address:
        # What a reply is asked in turn is owed to whoever was asked first.
        earlier = Notice.objects.filter(
            cause_kind=notice.cause_kind,
            cause_id=notice.cause_id,
            address="",
            messages__address=question.address,
        )
        asked = earlier.select_related("about_patient").order_by("-pk").first()
    if asked is None or asked.about_patient is None:
        return False
    today = to_local(timezone.now(), zone(asked.zone)).date()
    recipients = resolve_recipients(
        asked.about_patient, asked.purpose, today, confidential=asked.confidential
    )
    channel, address = question.message.channel, question.address
    return any(
        (one.plan is None or allows(one.plan, channel, address))
        and ContactPoint.objects.filter(
            patient=one.patient,
            contact_person=one.contact_person,
            channel=channel,
            address=address,
            safe_to_text=True,
        ).exists()
        for one in recipients
    )


def safe_from(plan: SafeContactPlan, now: datetime, zone: ZoneInfo) -> datetime:
    """Return from when on it is safe to write, in UTC; ``now`` when it is."""
    return next_within(now, zone, plan.safe_from, plan.safe_until)


def has_hours(plan: SafeContactPlan) -> bool:
    """Return whether a plan names hours.

    They are the patient's own and so go before decent hours (47 CFR 64.1200(c)(1)
    guards those who were not asked).
    """
    return plan.safe_from is not None or plan.safe_until is not None


def ladder_of(purpose: str, recipient: Recipient) -> tuple[Rung, ...]:
    """Return the rungs for somebody: what they like best first.

    None for somebody who wants to be called or written a letter: a person does that.
    Under a safe contact plan wishes do not count.
    """
    ladder = PURPOSES[purpose].ladder
    if recipient.patient is None or recipient.plan is not None:
        return ladder
    way = recipient.patient.preferred_way
    if way in _PREFERS:
        return ()
    return tuple(sorted(ladder, key=lambda rung: rung.channel != way))


@dataclass(frozen=True)
class Reach:
    """One recipient with all that is known of the ways to them."""

    recipient: Recipient
    purpose: str
    confidential: bool
    #: With ``agreed``, ``suppressed`` and ``shared``.
    points: list[Any]
    #: The same of a safe address that is among nobody's contact points.
    safe_point: Any = None

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """The rungs to try, in order."""
        return ladder_of(self.purpose, self.recipient)

    @property
    def wish(self) -> list[dict[str, Any]]:
        """Why there is no rung at all, as ``say``: they want a person."""
        plan, patient = self.recipient.plan, self.recipient.patient
        if plan is not None and not plan.channel:
            return [say(gettext_noop("safe contact plan: nothing is sent, call them"))]
        if plan is None and patient and patient.preferred_way in _PREFERS:
            return [say(_PREFERS[Patient.Way(patient.preferred_way)])]
        return []

    def address(
        self, rung: Rung, tried: Collection[str]
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return (address, why there is none) for one rung, each as ``say``.

        ``tried`` are the addresses that failed before; they are not tried again.
        """
        points, reason = self._usable(rung.channel)
        if not points and not tried:
            return "", [by(rung.channel, say(reason))] if reason else []
        asks = PURPOSES[self.purpose].consent is not None
        if asks and points and not any(point.agreed for point in points):
            return "", [by(rung.channel, say(gettext_noop("not agreed to")))]
        for point in points:
            if not point.suppressed and point.address not in tried:
                return point.address, []
        # What became of the addresses tried is told with their messages.
        stopped = say(gettext_noop("they asked us to stop"))
        return "", [] if tried else [by(rung.channel, stopped)]

    def _usable(self, channel: str) -> tuple[list[Any], str]:
        """Return the points that may be used, and why there are none."""
        points = [point for point in self.points if point.channel == channel]
        plan = self.recipient.plan
        if plan is not None:
            if plan.channel != channel:
                # Said once, for the plan as a whole.
                return [], UNSAFE if plan.channel else ""
            if plan.address:
                points = [p for p in points if p.address == plan.address]
                points = points or ([self.safe_point] if self.safe_point else [])
        usable = [point for point in points if point.usable and point.safe_to_text]
        if self.confidential and usable:
            alone = [point for point in usable if not point.shared]
            return alone, gettext_noop("confidential, and others have this address")
        reason = next((p.why_not for p in points if p.why_not), "")
        if not reason and any(not point.safe_to_text for point in points):
            reason = gettext_noop("not safe to text")
        return usable, reason or gettext_noop("no address")

    def moment(
        self, rung: Rung, now: datetime, zone: ZoneInfo, deadline: datetime
    ) -> datetime | None:
        """Return when to write, in UTC; None when no safe hour is left before then.

        Somebody's best hours are kept where that leaves a day's decent hours and the
        time to try another way; a message is never lost for them.
        """
        plan, purpose = self.recipient.plan, PURPOSES[self.purpose]
        if plan is not None:
            if not has_hours(plan):
                return now
            safe = safe_from(plan, now, zone)
            return safe if safe < deadline else None
        patient = self.recipient.patient
        # What they arrange with us this minute they expect this minute.
        if patient is None or not purpose.quiet_hours:
            return now
        best = _best_from(patient, purpose, now, zone)
        return best if best + rung.wait <= deadline else now


def _best_from(
    patient: Patient, purpose: Purpose, now: datetime, zone: ZoneInfo
) -> datetime:
    if patient.best_from is None and patient.best_until is None:
        return now
    opens = max(patient.best_from or _DAWN, DAY_OPENS)
    closes = min(patient.best_until or _MIDNIGHT, DAY_CLOSES)
    # Best hours in the middle of the night, or past midnight, are for calls.
    return next_decent(now, zone, opens, closes) if opens < closes else now


def by(channel: str, why: dict[str, Any]) -> dict[str, Any]:
    """Return why one way to reach somebody did not work, as ``say``."""
    label = say_label(Channel(channel).label)
    return say(gettext_noop("%(channel)s: %(why)s"), channel=label, why=why)


def reach_of(
    recipient: Recipient, *, about: Patient, purpose: str, confidential: bool = False
) -> Reach:
    """Return the ways to a recipient of news about somebody.

    One query; one more for a safe address that is nobody's contact point.
    """
    facts = {
        "agreed": latest_consent(PURPOSES[purpose].consent or "", about.pk),
        "suppressed": Exists(
            CurrentSuppression.objects.filter(
                channel=OuterRef("channel"), address=OuterRef("address")
            )
        ),
    }
    points = list(
        ContactPoint.objects.filter(
            patient=recipient.patient, contact_person=recipient.contact_person
        ).annotate(shared=_shared(about), **facts)
    )
    plan = recipient.plan
    safe_point = None
    if plan and plan.address and plan.address not in {p.address for p in points}:
        plans = SafeContactPlan.objects.filter(pk=plan.pk).annotate(**facts)
        safe_point = plans.first()
        if safe_point is not None:
            safe_point.usable = safe_point.safe_to_text = True  # type: ignore[attr-defined]
            safe_point.shared, safe_point.why_not = False, ""  # type: ignore[attr-defined]
    return Reach(recipient, purpose, confidential, points, safe_point)


def _shared(patient: Patient) -> Exists:
    """Return whether anybody else is reached at the address of a contact point."""
    others = ContactPoint.objects.filter(
        Q(contact_person__isnull=False) | ~Q(patient=patient),
        # What stayed with a record that was merged into another is nobody else's.
        patient__merged_into=None,
        contact_person__patient__merged_into=None,
        channel=OuterRef("channel"),
        address=OuterRef("address"),
    )
    return Exists(others)


@dataclass(frozen=True)
class Receives:
    """Who is going to get something, and how; or why nobody is written to."""

    recipient: Recipient | None
    #: In which language the text is: the patient's, whoever reads it.
    language: str
    channel: str = ""
    address: str = ""
    #: Why nobody is written to, each as ``say``.
    whys: tuple[dict[str, Any], ...] = ()
    #: A person takes over what reaches nobody.
    matters: bool = False

    @property
    def why(self) -> str:
        """Why nobody is written to, in the reader's language."""
        return "; ".join(told(why["text"], why["places"]) for why in self.whys)

    @property
    def channel_name(self) -> str:
        """The way it goes, as staff call it."""
        return str(Channel(self.channel).label) if self.channel else ""


def who_receives(
    patient: Patient, purpose: str, *, confidential: bool = False
) -> Receives:
    """Return who would get news of a patient now, by which way, or why nobody would.

    What the ladder would choose this minute; the gate asks again when it goes. Three
    queries, four under a safe contact plan with an address of its own.
    """
    where = zone(patient.zone) if patient.zone else timezone.get_current_timezone()
    today = timezone.now().astimezone(where).date()
    rules = PURPOSES[purpose]
    language = str(patient.get_language_display())
    recipients = resolve_recipients(patient, purpose, today, confidential=confidential)
    if not recipients:
        nobody = say(gettext_noop("nobody may be told"))
        return Receives(None, language, whys=(nobody,))
    reach = reach_of(
        recipients[0], about=patient, purpose=purpose, confidential=confidential
    )
    whys = reach.wish
    for rung in reach.ladder:
        address, why_not = reach.address(rung, ())
        if address:
            return Receives(recipients[0], language, rung.channel, address)
        whys += [] if reach.wish else why_not
    return Receives(recipients[0], language, whys=tuple(whys), matters=rules.matters)
