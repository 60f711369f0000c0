"""Do here what a row says was done over there, or ask a person."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import User
from appointments.importing.lookups import SOURCE, Meant
from appointments.importing.rows import VisitRow
from appointments.models import Appointment
from appointments.planner import plan_reminders
from appointments.services import (
    book_appointment,
    cancel_appointment,
    confirm_appointment,
    mark_appointment,
    move_appointment,
)
from core.sayings import say, say_label, wall
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

State = Appointment.State


@dataclass(slots=True)
class DoubleBooked:
    """A visit that found somebody busy, and why."""

    appointment_id: int
    row: VisitRow
    why: str


@dataclass(slots=True)
class Batch:
    """Rows taken in one transaction, and what came of them."""

    by: User | None
    #: Whether changes of which patients would be told wait for a yes.
    holds: bool
    #: {name of a count of ``CalendarResult``: how many}
    counts: Counter[str] = field(default_factory=Counter)
    double_booked: list[DoubleBooked] = field(default_factory=list)
    _to_plan: list[int] = field(default_factory=list)

    def take(self, meant: Meant) -> None:
        """Do what a row asks for. Call it in a savepoint of its own."""
        before = len(self.double_booked)
        try:
            outcome = self._apply(meant)
        except Exception:
            del self.double_booked[before:]
            raise
        self.counts[outcome] += 1

    def plan(self) -> None:
        """Promise the reminders of all visits booked or moved."""
        if self._to_plan:
            plan_reminders(self._to_plan)

    def _apply(self, meant: Meant) -> str:
        visit = meant.visit
        if visit is None:
            return self._book(meant)
        if meant.said == meant.last:
            return "unchanged"
        if self.holds and tells(meant):
            return "waiting"
        if meant.was_touched_here:
            if _agrees(meant, visit):
                # They entered over there what was done here.
                _remember(meant, visit)
                close_by_rule(
                    subject_kind="imported_visit",
                    subject_id=visit.pk,
                    rule=gettext_noop("the calendars agree"),
                    unclaimed=True,
                )
                return "updated"
            return self._disagree(meant, visit)
        try:
            with transaction.atomic():
                return self._follow(meant, visit)
        except ValidationError:
            # Over there it was moved, cancelled or reopened after it ended here.
            return self._disagree(meant, visit)

    def _book(self, meant: Meant) -> str:
        state = State(meant.row.state)
        if state == State.CANCELLED:
            return "unchanged"
        self._fit_in(
            meant,
            book_appointment,
            {
                "patient": meant.patient,
                "visit_type": meant.visit_type,
                "tell": False,
                "source": SOURCE,
                "external_id": meant.row.external_id,
                "state": state,
            },
        )
        return "created"

    def _follow(self, meant: Meant, visit: Appointment) -> str:
        """Do here what was done over there."""
        state = State(meant.row.state)
        if state == State.CANCELLED:
            cancel_appointment(
                appointment_id=visit.pk, by=self.by, last_imported=meant.said
            )
            return "cancelled"
        what: dict[str, Any] = {
            "appointment_id": visit.pk,
            "visit_type": meant.visit_type,
        }
        if meant.is_elsewhere:
            self._fit_in(meant, move_appointment, what)
        elif visit.visit_type_id != meant.visit_type.pk:
            # Moved to where it is: only the type changes, whatever its state.
            move_appointment(**what, by=self.by, plan=False, last_imported=meant.said)
        if meant.row.state != meant.last.get("status"):
            self._set_state(visit, state)
        _remember(meant, visit)
        return "moved" if meant.is_elsewhere else "updated"

    def _set_state(self, visit: Appointment, state: Appointment.State) -> None:
        if state == State.CONFIRMED:
            confirm_appointment(appointment_id=visit.pk, by=self.by)
        elif state in (State.ARRIVED, State.DONE, State.NOSHOW):
            mark_appointment(appointment_id=visit.pk, state=state, by=self.by)
        elif visit.state not in Appointment.AHEAD:
            raise ValidationError(_("This visit cannot be opened again."))

    def _fit_in(
        self, meant: Meant, act: Callable[..., Appointment], more: dict[str, Any]
    ) -> None:
        """Book or move; where somebody is busy, the other calendar is right."""
        arguments = more | {
            "clinician": meant.clinician,
            "site": meant.site,
            "local_start": meant.local,
            "minutes": meant.row.minutes,
            "by": self.by,
            "plan": False,
            "last_imported": meant.said,
        }
        try:
            visit = act(**arguments, overbooked=False)
        except ValidationError as error:
            if "local_start" not in getattr(error, "error_dict", {}):
                raise
            visit = act(**arguments, overbooked=True)
            why = "; ".join(error.messages)
            self.double_booked.append(DoubleBooked(visit.pk, meant.row, why))
        self._to_plan.append(visit.pk)

    def _disagree(self, meant: Meant, visit: Appointment) -> str:
        """Leave our state, keep what the row says, and ask a person."""
        now = timezone.now()
        _remember(meant, visit)
        said = json.dumps(meant.said, sort_keys=True).encode()
        raise_item(
            kind="import_conflict",
            severity=WorkItem.Severity.AMBER,
            reason=gettext_noop(
                "The other calendar says %(theirs)s, ours says %(ours)s."
            ),
            reason_places={
                "theirs": _sentence(meant.local, meant.clinician.name, meant.row.state),
                "ours": _sentence(visit.local_start, visit.clinician.name, visit.state),
            },
            # Not "appointment": such items close when the visit is confirmed or moved,
            # and the calendars would still disagree.
            subject_kind="imported_visit",
            subject_id=visit.pk,
            dedupe_key=(
                f"import_conflict:{visit.pk}:v{visit.version}:"
                f"{hashlib.sha256(said).hexdigest()[:16]}"
            ),
            due_at=min(now + timedelta(hours=24), max(now, visit.starts_at)),
            patient=visit.patient,
            site=visit.site,
        )
        meant.row.warn("row", _("moved or ended here as well: a person decides"))
        self.counts["conflicts"] += 1
        return "unchanged"


def tells(meant: Meant) -> bool:
    """Tell whether a row moves or cancels a visit ahead of which the patient knows."""
    visit = meant.visit
    if (
        visit is None
        or not visit.is_ahead
        or visit.told_start is None
        or visit.starts_at <= timezone.now()
        or meant.said == meant.last
        or meant.was_touched_here
    ):
        return False
    return meant.is_elsewhere or meant.row.state == State.CANCELLED


def _agrees(meant: Meant, visit: Appointment) -> bool:
    """Tell whether the row says what our visit is already."""
    if State.CANCELLED in (visit.state, meant.row.state):
        return visit.state == meant.row.state
    return not meant.is_elsewhere and (
        visit.state == meant.row.state or meant.row.state in Appointment.AHEAD
    )


def _remember(meant: Meant, visit: Appointment) -> None:
    Appointment.objects.filter(pk=visit.pk).update(last_imported=meant.said)


def _sentence(when: datetime, clinician: str, state: str) -> dict[str, Any]:
    return say(
        gettext_noop("%(when)s, %(clinician)s, %(state)s"),
        when=wall(when),
        clinician=clinician,
        state=say_label(State(state).label),
    )
