"""What every story of the cast has at hand."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from clinic_crm.demo.clinic import ZONE, Clinic
from clinic_crm.demo.course import LAST_CALL, Course, plan
from clinic_crm.demo.diary import LAST_DAY, Diary, Slot, State, Visit
from clinic_crm.demo.ledger import Ledger
from clinic_crm.demo.store import Known
from core.sayings import in_english
from core.time import to_local, to_utc, zone
from messaging.handover import unreached_reason
from messaging.models import Notice
from worklist.models import WorkItem

#: What a story writes once its visits have numbers.
Telling = Callable[[Ledger], None]


class Stage:
    """Books visits for the cast, and knows the clock and the clinic."""

    def __init__(self, diary: Diary, known: list[Known], clinic: Clinic) -> None:
        self.diary, self.clinic, self.now = diary, clinic, diary.now
        self.femi, self.maya = clinic.staff["femi"], clinic.staff["maya"]
        self._known = known
        self._draw = random.Random(f"stage:{diary.seed}")  # noqa: S311 - a demo

    def __getitem__(self, number: int) -> Known:
        """Return one of the cast by number, from 1."""
        return self._known[number - 1]

    def slot(self, day: int, clinician: str = "") -> Slot:
        """Return a free slot at Pier St on a day, or on the next that has one."""
        for on in range(day, LAST_DAY + 1):
            fitting = [
                slot
                for slot in self.diary.free_on(on)
                if not slot.north and clinician in ("", slot.clinician)
            ]
            if fitting:
                return self._draw.choice(fitting)
        raise LookupError(f"no free slot from day {day} on")

    def book(
        self, number: int, day: int, *, ago: timedelta, clinician: str = ""
    ) -> Visit:
        """Book one of the cast, so long ago, for a day counted from today."""
        slot = self.slot(day, clinician)
        booked_at = _office_hour(self.now - ago)
        return self.diary.book(self[number], slot, booked_at, by=self.femi)

    def past(self, number: int, day: int, *, ago: timedelta) -> Course:
        """Book a visit which lies behind, and let it have gone well."""
        visit = self.book(number, day, ago=ago)
        return plan(
            visit, seed=self.diary.seed, now=self.now, clinic=self.clinic, calm=True
        )

    def take_place(self, visit: Visit) -> None:
        """Let a visit which lies behind have taken place."""
        row = visit.row
        row.state = State.ARRIVED
        visit.happen("arrived", row.starts_at - timedelta(minutes=5), by=self.femi)
        row.state = State.DONE
        visit.happen("done", row.ends_at, by=row.clinician.user or self.femi)

    def move(
        self,
        visit: Visit,
        day: int,
        at: datetime,
        *,
        clinician: str = "",
        told: bool = True,
    ) -> None:
        """Move a visit to a free slot; ``told`` when the text has passed the gate."""
        slot = self.diary.take(self.slot(day, clinician))
        visit.move(slot, at, by=self.femi, clinic=self.clinic)
        if told:
            visit.row.note_told()


def _office_hour(moment: datetime) -> datetime:
    """Return the instant of that day nearest to this one at which somebody books."""
    local = to_local(moment, zone(ZONE))
    if local.hour < 9:
        local = local.replace(hour=9)
    elif local.hour > 16:
        local = local.replace(hour=16)
    return to_utc(local.replace(tzinfo=None), zone(ZONE))


def changed(visit: Visit, ledger: Ledger, at: datetime, **fields: Any) -> Notice:
    """Owe the patient a word about the move of a visit."""
    return ledger.owe(
        visit,
        "visit_changed",
        "visit_changed",
        at=at,
        deadline=min(visit.row.starts_at - LAST_CALL, at + timedelta(hours=24)),
        **fields,
    )


def reminder(visit: Visit, ledger: Ledger, **fields: Any) -> Notice:
    """Owe the patient the reminder of a visit, the day before."""
    row, due = visit.row, visit.slot.due_at
    usual: dict[str, Any] = {
        "at": due,
        "deadline": row.starts_at - LAST_CALL,
        "together": f"visit_reminder:{row.patient_id}:{row.local_date}",
        "created_at": max(due - timedelta(hours=36), visit.booked_at),
    }
    return ledger.owe(
        visit, "visit_reminder", "visit_reminder", key="1d", **(usual | fields)
    )


def unreached(
    visit: Visit,
    notice: Notice,
    ledger: Ledger,
    opened: datetime,
    *whys: dict[str, Any],
) -> WorkItem:
    """Hand to the staff what did not arrive, as ``messaging.handover.give_up``."""
    notice.why = in_english(list(whys))
    return ledger.item(
        "unreached",
        unreached_reason(notice, *whys),
        subject=notice,
        opened=opened,
        due=max(opened, min(notice.deadline, opened + timedelta(hours=2))),
        patient=visit.known.patient,
        site=visit.row.site,
    )


def for_staff(
    visit: Visit, kind: str, reason: str, ledger: Ledger, at: datetime
) -> WorkItem:
    """Put what a patient answered before the staff, as ``appointments.replies``."""
    return ledger.item(
        kind,
        reason,
        subject=visit.row,
        opened=at,
        due=min(at + timedelta(hours=4), visit.row.starts_at - timedelta(hours=1)),
        patient=visit.known.patient,
        site=visit.row.site,
    )
