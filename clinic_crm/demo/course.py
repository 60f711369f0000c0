"""How an ordinary visit goes: booked, reminded of, answered, and what came of it."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appointments.models import Appointment
from clinic_crm.demo.clinic import Clinic
from clinic_crm.demo.diary import Visit
from clinic_crm.demo.ledger import Ledger
from clinic_crm.demo.scribe import Line
from clinic_crm.demo.store import Known
from core.sayings import say
from messaging.handover import unreached_reason
from messaging.models import Message, Notice
from patients.models import Channel

State = Appointment.State
_MS = Message.State
#: A reminder so soon after the booking is left out (appointments.planner.JUST_TOLD).
JUST_TOLD = timedelta(hours=6)
#: Useful until the patient sets out.
LAST_CALL = timedelta(hours=1)
#: An email counts when nothing bad was heard of it for so long.
BOUNCE_WINDOW = timedelta(hours=1)
#: What takes this long to come to an end cannot have ended in a story of just now.
SETTLED_AFTER = timedelta(hours=3)


def route(known: Known) -> dict[Channel, str]:
    """Return where this person may be written to, by channel."""
    person = known.person
    contact = person.contacts[0] if known.guardian and person.contacts else None
    phone = contact.phone if contact else person.phone
    usable = phone and not person.phone_fault and person.safe_to_text
    ways = {}
    if usable and person.sms == "yes":
        ways[Channel.SMS] = phone
    if person.email and person.mail == "yes" and not contact:
        ways[Channel.EMAIL] = person.email
    return ways


@dataclass
class Course:
    """What is to be written about one visit once it has a number."""

    visit: Visit
    ways: dict[Channel, str]
    #: Whether a text told of the booking.
    by_text: bool = False
    #: How the reminder went, blank when there was none.
    reminder: str = ""
    answer: str = ""
    answered_at: datetime | None = None


def plan(
    visit: Visit, *, seed: int, now: datetime, clinic: Clinic, calm: bool = False
) -> Course:
    """Decide how a visit went so far, and set its state; ``calm`` lets nothing fail."""
    draw = random.Random(f"course:{seed}:{visit.known.key}:{visit.slot.start}")  # noqa: S311
    luck = [draw.random() for _ in range(9)]
    course = Course(visit, route(visit.known))
    course.by_text = Channel.SMS in course.ways and luck[0] < 0.25
    due = visit.slot.due_at
    until = min(due, now)
    if luck[1] < 0.05 and not calm and until - visit.booked_at > timedelta(days=1):
        # They rang: nobody has to tell them.
        visit.cancel(
            visit.booked_at + (until - visit.booked_at) * (0.2 + luck[2] * 0.7),
            by=clinic.staff["femi"],
        )
        return course
    if visit.row.version_at + JUST_TOLD <= due <= now:
        settled = now - due > SETTLED_AFTER and not calm
        course.reminder = _outcome(course.ways, luck[3] if settled else 0)
    if course.reminder in ("delivered", "read"):
        _answer(course, luck[4], luck[5], now, calm)
    elif luck[4] < 0.15:
        _confirm(visit, visit.booked_at + (until - visit.booked_at) * 0.6, clinic)
    _take_place(visit, 1 if calm else luck[6], now, clinic)
    return course


def _outcome(ways: dict[Channel, str], luck: float) -> str:
    if Channel.SMS in ways:
        if luck < 0.85:
            return "delivered"
        return "read" if luck < 0.93 else "undelivered" if luck < 0.97 else "silent"
    return "mail" if Channel.EMAIL in ways else "staff"


def _answer(
    course: Course, luck: float, speed: float, now: datetime, calm: bool
) -> None:
    visit = course.visit
    at = visit.slot.due_at + timedelta(minutes=3) + speed * speed * timedelta(hours=5)
    if luck > 0.7 or at > now - timedelta(minutes=4):
        return
    if at > visit.row.starts_at - timedelta(hours=2):
        return
    course.answered_at = at
    if luck > 0.66 and not calm:
        course.answer = "cannot"
        visit.cancel(at + timedelta(minutes=2), by_patient=True)
    else:
        course.answer = "come"
        visit.row.state = State.CONFIRMED
        visit.happen("confirmed", at + timedelta(seconds=2), by_patient=True)


def _confirm(visit: Visit, at: datetime, clinic: Clinic) -> None:
    visit.row.state = State.CONFIRMED
    visit.happen("confirmed", at, by=clinic.staff["femi"])


def _take_place(visit: Visit, luck: float, now: datetime, clinic: Clinic) -> None:
    """Let the visit be what it is by now; front desk and clinician note it."""
    row = visit.row
    if row.state == State.CANCELLED:
        return
    femi = clinic.staff["femi"]
    stays_away = luck < (0.04 if row.state == State.CONFIRMED else 0.12)
    early = row.starts_at - timedelta(minutes=6)
    if stays_away:
        if row.ends_at + timedelta(minutes=15) <= now:
            row.state = State.NOSHOW
            visit.happen("noshow", row.ends_at + timedelta(minutes=15), by=femi)
        return
    if row.starts_at <= now or (luck > 0.5 and early <= now):
        row.state = State.ARRIVED
        visit.happen("arrived", early, by=femi)
    if row.ends_at <= now:
        row.state = State.DONE
        visit.happen("done", row.ends_at, by=row.clinician.user or femi)


def tell(course: Course, ledger: Ledger, clinic: Clinic) -> Line | None:
    """Write what was said about the visit; return the reminder's last message."""
    visit = course.visit
    ledger.answers_end(visit)
    # What was said of the visit before its last change was said of an earlier version.
    version = 1 if visit.ended_at else visit.row.version
    if course.by_text:
        tell_of_booking(visit, course.ways[Channel.SMS], ledger)
    if not course.reminder:
        return None
    due = visit.slot.due_at
    notice = ledger.owe(
        visit,
        "visit_reminder",
        "visit_reminder",
        at=due,
        deadline=visit.row.starts_at - LAST_CALL,
        key="1d",
        version=version,
        together=f"visit_reminder:{visit.row.patient_id}:{visit.row.local_date}",
        created_at=max(due - timedelta(hours=36), visit.row.version_at)
        if not visit.ended_at
        else visit.booked_at,
    )
    line = _remind(course, notice, ledger, clinic)
    if line and course.answered_at:
        heard = ledger.hear(
            line.message.address,
            at=course.answered_at,
            answers=line,
            meaning=course.answer,
        )
        if course.answer == "come":
            ledger.echo(visit, "reply_confirmed", heard)
        else:
            asked = ledger.echo(visit, "reply_cancel_ask", heard, version=version)
            again = ledger.hear(
                line.message.address,
                at=course.answered_at + timedelta(minutes=2),
                answers=asked,
                meaning="cancel",
            )
            ledger.echo(visit, "reply_cancelled", again)
    return line


def tell_of_booking(visit: Visit, address: str, ledger: Ledger) -> Line:
    """Write the text that told of a booking."""
    at = visit.booked_at + timedelta(seconds=3)
    notice = ledger.owe(
        visit,
        "visit_booked",
        "visit_booked",
        at=at,
        deadline=min(visit.row.starts_at - LAST_CALL, at + timedelta(days=1)),
        version=1,
        reached_at=at + timedelta(seconds=4),
    )
    return ledger.text([notice], address, at=at)


def _remind(
    course: Course, notice: Notice, ledger: Ledger, clinic: Clinic
) -> Line | None:
    due = course.visit.slot.due_at
    at = due + timedelta(seconds=2)
    if course.reminder in ("delivered", "read"):
        notice.reached_at = at + timedelta(seconds=5)
        state = _MS.READ if course.reminder == "read" else _MS.DELIVERED
        return ledger.text([notice], course.ways[Channel.SMS], at=at, state=state)
    why = by_channel("Text", "not agreed to")
    if course.reminder in ("undelivered", "silent"):
        lost = course.reminder == "undelivered"
        ledger.text(
            [notice],
            course.ways[Channel.SMS],
            at=at,
            state=_MS.UNDELIVERED if lost else _MS.SENT,
            error_code="30005" if lost else "",
        )
        at += timedelta(seconds=20) if lost else timedelta(minutes=30)
        why = by_channel("Text", "Not delivered" if lost else "Sent")
    if Channel.EMAIL in course.ways:
        return _mail(notice, course.ways[Channel.EMAIL], at, ledger)
    settle(course.visit, notice, ledger, clinic, opened=at, why=why)
    return None


def _mail(notice: Notice, address: str, at: datetime, ledger: Ledger) -> Line:
    notice.rung, settles = 1, at + BOUNCE_WINDOW
    if settles <= ledger.now:
        notice.reached_at = settles
    else:
        notice.state, notice.rung_until = Notice.State.OPEN, settles
    return ledger.text(
        [notice], address, at=at, channel=Channel.EMAIL, state=_MS.ACCEPTED
    )


def by_channel(channel: str, why: str) -> dict[str, Any]:
    """Return why a way to reach somebody did not work, as ``messaging.ladder`` does."""
    return say("%(channel)s: %(why)s", channel=say(channel), why=say(why))


def settle(
    visit: Visit,
    notice: Notice,
    ledger: Ledger,
    clinic: Clinic,
    *,
    opened: datetime,
    why: dict[str, Any],
) -> None:
    """Let Femi take over what did not arrive, and tell the patient by telephone."""
    femi = clinic.staff["femi"]
    done = min(
        opened + timedelta(minutes=10 + visit.known.person.number % 50), ledger.now
    )
    notice.state, notice.why, notice.rung = Notice.State.SETTLED, "told", 1
    item = ledger.item(
        "unreached",
        unreached_reason(notice, why),
        subject=notice,
        opened=opened,
        due=opened + timedelta(hours=2),
        patient=visit.known.patient,
        site=visit.row.site,
    )
    ledger.claim(item, femi, opened + (done - opened) / 2)
    ledger.close(item, "told", femi, done, note="Rang, will come.")
