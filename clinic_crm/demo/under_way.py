"""Stories of this minute: messages on every step between us and a telephone.

Dr Lin's day next week was rearranged just now, and the texts about it are on their way.
Each stands as it would in the middle of the work, so the next tick goes on with it.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from clinic_crm.demo.diary import Visit
from clinic_crm.demo.ledger import Ledger
from clinic_crm.demo.stage import Stage, Telling, changed
from core.time import next_decent, zone
from messaging.models import Message, Notice
from messaging.purposes import DAY_CLOSES, DAY_OPENS

_MS = Message.State
#: The day Dr Lin's visits were moved from.
_DAY = 6
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
#: No longer held by a worker after this (messaging.dispatch.LEASE).
_LEASE = timedelta(seconds=90)
#: A text that stays silent so long is followed by the next rung.
_WAIT = timedelta(minutes=30)
#: Where somebody may be staying; at any hour it is night in one of them.
_FAR_AWAY = (
    "America/Los_Angeles",
    "Pacific/Honolulu",
    "Asia/Manila",
    "Asia/Kolkata",
    "Africa/Lagos",
    "Europe/Madrid",
)


def layla_sleeps(stage: Stage) -> Telling:
    """She is abroad, where it is night: her text waits for the morning there."""
    at = stage.now - 4 * _MINUTE
    waits = {
        name: next_decent(stage.now, zone(name), DAY_OPENS, DAY_CLOSES)
        for name in _FAR_AWAY
    }
    place = next(
        name for name, until in waits.items() if until > stage.now + 30 * _MINUTE
    )
    patient = stage[13].patient
    patient.zone = place
    patient.save(update_fields=["zone"])
    visit = _moved(stage, 13, at, told=False)

    def telling(ledger: Ledger) -> None:
        _send(
            visit,
            ledger,
            at,
            state=_MS.QUEUED,
            why="not at this hour",
            not_before=waits[place],
        )

    return telling


def li_hua_is_next(stage: Stage) -> Telling:
    """A worker has just taken her text."""
    at = stage.now - 2 * _SECOND
    visit = _moved(stage, 14, at, told=False)

    def telling(ledger: Ledger) -> None:
        _send(visit, ledger, at, state=_MS.CLAIMED, **_lease(stage.now, 14))

    return telling


def priya_is_being_written_to(stage: Stage) -> Telling:
    """Her text is being handed over this second."""
    at = stage.now - 3 * _SECOND
    visit = _moved(stage, 15, at)

    def telling(ledger: Ledger) -> None:
        _send(visit, ledger, at, state=_MS.SUBMITTING, **_lease(stage.now, 15))

    return telling


def nobody_knows_of_yusuf(stage: Stage) -> Telling:
    """His text was cut off on the way; it will be looked for, and sent once more."""
    at = stage.now - 70 * _SECOND
    visit = _moved(stage, 16, at)

    def telling(ledger: Ledger) -> None:
        _send(visit, ledger, at, state=_MS.UNKNOWN, why="unknown")

    return telling


def sean_is_awaited(stage: Stage) -> Telling:
    """The provider has his text; whether it arrived is not known yet."""
    at = stage.now - 9 * _MINUTE
    visit = _moved(stage, 17, at)

    def telling(ledger: Ledger) -> None:
        _send(visit, ledger, at, rung_until=at + _WAIT, state=_MS.ACCEPTED)

    return telling


def fatou_is_awaited(stage: Stage) -> Telling:
    """The network has her text."""
    at = stage.now - 6 * _MINUTE
    visit = _moved(stage, 18, at)

    def telling(ledger: Ledger) -> None:
        _send(visit, ledger, at, rung_until=at + _WAIT, state=_MS.SENT)

    return telling


def _moved(stage: Stage, number: int, at: datetime, told: bool = True) -> Visit:
    visit = stage.book(number, _DAY, ago=timedelta(days=8), clinician="Dr Lin")
    stage.move(visit, _DAY + 1, at, clinician="Dr Lin", told=told)
    return visit


def _send(
    visit: Visit,
    ledger: Ledger,
    at: datetime,
    *,
    rung_until: datetime | None = None,
    **fields: Any,
) -> None:
    notice = changed(visit, ledger, at, state=Notice.State.OPEN, rung_until=rung_until)
    ledger.text([notice], visit.known.person.phone, at=at, **fields)


def _lease(now: datetime, number: int) -> dict[str, Any]:
    return {"lease_token": uuid.UUID(int=number), "lease_until": now + _LEASE}
