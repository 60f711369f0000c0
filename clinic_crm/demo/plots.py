"""What the cast is living through: something in every state the product knows.

Each story is told to the point that lies behind it; what comes next, the product's own
machinery does. A story books visits at once and returns what is to be written of them
when they have numbers.
"""

from datetime import timedelta

from clinic_crm.demo.course import (
    LAST_CALL,
    by_channel,
    settle,
    tell,
    tell_of_booking,
)
from clinic_crm.demo.diary import State
from clinic_crm.demo.ledger import Ledger
from clinic_crm.demo.people import STRANGER
from clinic_crm.demo.stage import (
    Stage,
    Telling,
    changed,
    for_staff,
    reminder,
    unreached,
)
from core.sayings import say
from messaging.models import Message, Notice
from messaging.screening import red_flag_reason
from messaging.texts import render
from patients.models import Channel
from worklist.models import WorkItem

_NS, _MS = Notice.State, Message.State
_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def rosa_writes_of_danger(stage: Stage) -> Telling:
    """A red flag, six minutes old, that nobody has taken on yet."""
    seen = stage.past(1, -5, ago=20 * _DAY)
    stage.book(1, 2, ago=5 * _DAY, clinician="Nurse Maya")
    rosa, site = stage[1], stage.clinic.harbour

    def telling(ledger: Ledger) -> None:
        tell(seen, ledger, stage.clinic)
        at = stage.now - 6 * _MINUTE
        heard = ledger.hear(
            rosa.person.phone,
            at=at,
            patient=rosa.patient,
            body="Me falta el aire y tengo la pierna hinchada y caliente",
            waits=True,
        )
        ledger.item(
            "red_flag",
            red_flag_reason(["hard to breathe"], heard.message.body),
            subject=heard.message,
            severity=WorkItem.Severity.RED,
            opened=at,
            due=at + 15 * _MINUTE,
            patient=rosa.patient,
            site=site,
        )
        _subject, body = render(
            "emergency_reply", "es", clinic=site.name, emergency=site.emergency_number
        )
        ledger.emergency(heard, zone=site.zone, body=body)

    return telling


def amina_is_not_reached(stage: Stage) -> Telling:
    """Her visit was moved; the text failed, the email bounced, Femi is ringing her."""
    at = stage.now - 52 * _MINUTE
    visit = stage.book(2, 2, ago=9 * _DAY, clinician="Dr Lin")
    stage.move(visit, 3, at, clinician="Dr Lin")

    def telling(ledger: Ledger) -> None:
        whys = [by_channel(name, "bad address") for name in ("Text", "Email")]
        notice = changed(visit, ledger, at, state=_NS.WITH_STAFF, rung=1)
        for channel, address, code, after in (
            (Channel.SMS, visit.known.person.phone, "21614", 2),
            (Channel.EMAIL, visit.known.person.email, "550", 5),
        ):
            ledger.text(
                [notice],
                address,
                at=at + timedelta(seconds=after),
                channel=channel,
                state=_MS.FAILED,
                why="bad address",
                error_code=code,
            )
        item = unreached(visit, notice, ledger, at + timedelta(seconds=6), *whys)
        ledger.claim(item, stage.femi, stage.now - 4 * _MINUTE)

    return telling


def george_cannot_come(stage: Stage) -> Telling:
    """He answered 3 and was asked whether to cancel; he has not said yet."""
    visit = stage.book(3, 3, ago=26 * _HOUR)

    def telling(ledger: Ledger) -> None:
        asked = tell_of_booking(visit, visit.known.person.phone, ledger)
        at = stage.now - 95 * _MINUTE
        heard = ledger.hear(
            asked.message.address, at=at, answers=asked, meaning="cannot"
        )
        for_staff(
            visit,
            "visit_cancel",
            "Cannot come. Asked whether to cancel; no answer yet.",
            ledger,
            at,
        )
        ledger.echo(visit, "reply_cancel_ask", heard)

    return telling


def paul_wants_another_time(stage: Stage) -> Telling:
    """He answered 2: somebody has to call."""
    visit = stage.book(8, 4, ago=26 * _HOUR)

    def telling(ledger: Ledger) -> None:
        asked = tell_of_booking(visit, visit.known.person.phone, ledger)
        at = stage.now - 70 * _MINUTE
        heard = ledger.hear(asked.message.address, at=at, answers=asked, meaning="move")
        for_staff(visit, "visit_move", "Wants another time for the visit.", ledger, at)
        ledger.echo(visit, "reply_move", heard)

    return telling


def ines_texts_cancel(stage: Stage) -> Telling:
    """CANCEL ends all texts, and may have been meant for the visit."""
    visit = stage.book(9, 5, ago=3 * _DAY, clinician="Dr Lin")

    def telling(ledger: Ledger) -> None:
        tell_of_booking(visit, visit.known.person.phone, ledger)
        at = stage.now - 40 * _MINUTE
        heard = ledger.hear(
            visit.known.person.phone,
            at=at,
            patient=visit.known.patient,
            body="Cancel",
            note="no more texts",
        )
        ledger.suppress(heard, "texted cancel")
        ledger.item(
            "cancel_word",
            "Texted CANCEL, which ends all texts: may want to cancel the visit. "
            "Call them.",
            subject=heard.message,
            opened=at,
            due=at + 2 * _HOUR,
            patient=visit.known.patient,
            site=visit.row.site,
        )

    return telling


def ana_answers_for_leo(stage: Stage) -> Telling:
    """She confirmed his visit and asked something besides; that waits for us."""
    visit = stage.book(7, 2, ago=20 * _HOUR, clinician="Dr Rao")
    at = stage.now - 110 * _MINUTE
    visit.row.state = State.CONFIRMED
    visit.happen("confirmed", at, by_patient=True)

    def telling(ledger: Ledger) -> None:
        asked = tell_of_booking(visit, visit.known.person.phone, ledger)
        heard = ledger.hear(
            asked.message.address,
            at=at,
            answers=asked,
            meaning="come",
            body="but Leo has a rash now, still come?",
            waits=True,
        )
        ledger.echo(visit, "reply_confirmed", heard)

    return telling


def diego_was_answered(stage: Stage) -> Telling:
    """A question of the day before yesterday, answered by Maya within minutes."""
    seen = stage.past(10, -6, ago=15 * _DAY)

    def telling(ledger: Ledger) -> None:
        tell(seen, ledger, stage.clinic)
        diego = stage[10]
        at = stage.now - 2 * _DAY
        ledger.hear(
            diego.person.phone,
            at=at,
            patient=diego.patient,
            body="¿Puedo ducharme con la venda?",
            waits=True,
        )
        ledger.text(
            [],
            diego.person.phone,
            at=at + 6 * _MINUTE,
            patient=diego.patient,
            body="Harbour Clinic: Sí, no pasa el agua. Séquela con cuidado. "
            "Maya, enfermera",
        )

    return telling


def kwame_may_have_been_told(stage: Stage) -> Telling:
    """Twice nobody knew whether the text went out: now a person decides."""
    at = stage.now - 80 * _MINUTE
    visit = stage.book(12, 3, ago=7 * _DAY)
    stage.move(visit, 4, at)

    def telling(ledger: Ledger) -> None:
        why = say("nobody knows whether the message went out")
        notice = changed(visit, ledger, at, state=_NS.WITH_STAFF)
        before = None
        for minutes in (0, 12):
            line = ledger.text(
                [notice],
                visit.known.person.phone,
                at=at + minutes * _MINUTE,
                state=_MS.UNKNOWN,
                why="unknown",
                looks=2,
                resend_of=before,
            )
            before = line.message
        unreached(visit, notice, ledger, at + 24 * _MINUTE, why)

    return telling


def calvin_stopped_us(stage: Stage) -> Telling:
    """STOP came just before his reminder left; Femi told him by telephone."""
    visit = stage.book(19, -2, ago=12 * _DAY)
    stage.take_place(visit)

    def telling(ledger: Ledger) -> None:
        tell_of_booking(visit, visit.known.person.phone, ledger)
        due = visit.slot.due_at
        heard = ledger.hear(
            visit.known.person.phone,
            at=due + timedelta(seconds=1),
            patient=visit.known.patient,
            body="STOP",
            note="no more texts",
        )
        ledger.suppress(heard, "texted stop")
        notice = reminder(visit, ledger)
        ledger.text(
            [notice],
            visit.known.person.phone,
            at=due + timedelta(seconds=2),
            state=_MS.WITHDRAWN,
            why="they asked us to stop",
        )
        why = by_channel("Text", "they asked us to stop")
        opened = due + timedelta(seconds=3)
        settle(visit, notice, ledger, stage.clinic, opened=opened, why=why)

    return telling


def elena_has_read(stage: Stage) -> Telling:
    """Her telephone says when she has read a text."""
    visit = stage.book(20, 7, ago=2 * _DAY)

    def telling(ledger: Ledger) -> None:
        line = tell_of_booking(visit, visit.known.person.phone, ledger)
        line.message.state, line.message.rank = _MS.READ, 6

    return telling


def suryani_hears_nothing_back(stage: Stage) -> Telling:
    """She confirmed; our thanks did not arrive, which harms nobody."""
    visit = stage.book(21, 8, ago=3 * _DAY)
    at = stage.now - 2 * _DAY
    visit.row.state = State.CONFIRMED
    visit.happen("confirmed", at, by_patient=True)

    def telling(ledger: Ledger) -> None:
        asked = tell_of_booking(visit, visit.known.person.phone, ledger)
        heard = ledger.hear(asked.message.address, at=at, answers=asked, meaning="come")
        line = ledger.echo(visit, "reply_confirmed", heard, sent=_MS.FAILED)
        line.message.why, line.message.error_code = "refused", "30007"
        notice = line.notices[0]
        notice.state, notice.why, notice.reached_at = _NS.EXPIRED, "Text: refused", None

    return telling


def mei_ling_keeps_her_time(stage: Stage) -> Telling:
    """She wanted another time; Femi rang, and the visit stays."""
    visit = stage.book(22, 9, ago=4 * _DAY)

    def telling(ledger: Ledger) -> None:
        asked = tell_of_booking(visit, visit.known.person.phone, ledger)
        at = stage.now - 3 * _DAY
        heard = ledger.hear(asked.message.address, at=at, answers=asked, meaning="move")
        ledger.echo(visit, "reply_move", heard)
        item = for_staff(
            visit, "visit_move", "Wants another time for the visit.", ledger, at
        )
        ledger.claim(item, stage.femi, at + 20 * _MINUTE)
        ledger.close(
            item, "kept", stage.femi, at + 24 * _MINUTE, note="Her sister drives her."
        )

    return telling


def karim_was_moved_and_asks(stage: Stage) -> Telling:
    """His reminder is no longer true; and a question of his waits for us."""
    at = stage.now - 26 * _HOUR
    visit = stage.book(23, 2, ago=9 * _DAY)
    old = visit.slot
    stage.move(visit, 10, at)

    def telling(ledger: Ledger) -> None:
        reminder(
            visit,
            ledger,
            at=old.due_at,
            deadline=old.starts_at - LAST_CALL,
            version=1,
            together=f"visit_reminder:{visit.row.patient_id}:{old.start.date()}",
            created_at=min(old.due_at - 36 * _HOUR, at - _HOUR),
            state=_NS.SUPERSEDED,
            why="the visit was moved",
        )
        reached = at + timedelta(seconds=6)
        notice = changed(visit, ledger, at, state=_NS.REACHED, reached_at=reached)
        ledger.text([notice], visit.known.person.phone, at=at + timedelta(seconds=3))
        ledger.hear(
            visit.known.person.phone,
            at=stage.now - 200 * _MINUTE,
            patient=visit.known.patient,
            body="Do I need to fast before the blood test?",
            waits=True,
        )

    return telling


def dolores_was_told_by_telephone(stage: Stage) -> Telling:
    """Her reminder was not delivered; Femi rang."""
    visit = stage.book(24, -1, ago=10 * _DAY)
    stage.take_place(visit)

    def telling(ledger: Ledger) -> None:
        notice = reminder(visit, ledger)
        due = visit.slot.due_at
        ledger.text(
            [notice],
            visit.known.person.phone,
            at=due + timedelta(seconds=2),
            state=_MS.UNDELIVERED,
            error_code="30003",
        )
        opened = due + timedelta(seconds=40)
        why = by_channel("Text", "Not delivered")
        settle(visit, notice, ledger, stage.clinic, opened=opened, why=why)

    return telling


def bruna_comes_alone(stage: Stage) -> Telling:
    """She is 16 and asked that her mother not be told; she was told at the desk."""
    stage.book(26, 3, ago=2 * _DAY, clinician="Dr Lin").row.confidential = True
    return lambda ledger: None


def a_stranger_writes(stage: Stage) -> Telling:
    """A number that nobody here has."""

    def telling(ledger: Ledger) -> None:
        at = stage.now - 26 * _HOUR
        ledger.hear(STRANGER, at=at, body="who is this", waits=True)

    return telling
