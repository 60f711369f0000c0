"""Reminders promised by the cadence: one statement a rule, whatever the number.

A reminder goes out at the same wall time some days before the visit. The statement
works on UTC instants only; where a clock change lies between, ``core.time`` says by how
much to shift. It runs on every tick, and for one visit when that is booked.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    CharField,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Concat, NullIf
from django.utils import timezone

from appointments.models import Appointment, CadenceStep
from core.sql import insert_select
from core.time import wall_shift, zone
from messaging.models import Notice
from messaging.purposes import PURPOSES

#: Reminders become notices so long before they are due.
HORIZON = timedelta(hours=36)
#: No reminder later than this before the visit: they are on their way.
LAST_CALL = timedelta(hours=1)
#: Who was just told needs no reminder of it so soon after.
JUST_TOLD = timedelta(hours=6)


def plan_reminders(appointment_ids: list[int] | None = None) -> int:
    """Promise every reminder due within the horizon; return how many were new.

    One statement for each number of days some cadence names. Running it again adds
    nothing: the key holds the visit's version.
    """
    now = timezone.now()
    return sum(
        insert_select(Notice, visits, **_columns(days, now))
        for days, visits in _due(now, appointment_ids)
    )


def missing_reminders(now: datetime) -> list[str]:
    """Return the keys of reminders that should have been promised and were not."""
    missing = []
    for days, visits in _due(now, None):
        # What came to be only since then is the next pass's to promise.
        known = visits.filter(version_at__lte=now)
        keys = known.annotate(key=_columns(days, now)["dedupe_key"]).filter(
            ~Exists(Notice.objects.filter(dedupe_key=OuterRef("key")))
        )
        missing += list(keys.values_list("key", flat=True))
    return missing


def _due(
    now: datetime, appointment_ids: list[int] | None
) -> list[tuple[int, QuerySet[Appointment]]]:
    """Return (days before, visits whose reminder is due within the horizon)."""
    days_in_use = (
        CadenceStep.objects.order_by("days_before")
        .values_list("days_before", flat=True)
        .distinct()
    )
    ahead = Appointment.objects.filter(
        state__in=Appointment.AHEAD, starts_at__gt=now + LAST_CALL
    )
    if appointment_ids is not None:
        ahead = ahead.filter(pk__in=appointment_ids)
    plans = []
    for days in days_in_use:
        until = now + HORIZON + timedelta(days=days, hours=2)
        visits = ahead.filter(
            starts_at__lte=until, visit_type__cadence__days_before=days
        )
        zones = visits.values_list("zone", flat=True).distinct()
        due_at = _days_earlier(days, list(zones), now, until)
        plans.append(
            (days, _worth_reminding(visits.annotate(due_at=due_at), days, now))
        )
    return plans


def _days_earlier(
    days: int, zones: list[str], since: datetime, until: datetime
) -> ExpressionWrapper:
    """Return the expression for "same wall time, so many days before the start"."""
    shifts = [
        When(
            zone=name,
            starts_at__gte=shift.starts_from,
            starts_at__lt=shift.starts_until,
            then=Value(shift.shift),
        )
        for name in zones
        for shift in wall_shift(zone(name), days, since, until)
    ]
    expression: Any = F("starts_at") - Value(timedelta(days=days))
    if shifts:
        expression = ExpressionWrapper(expression, output_field=DateTimeField()) + Case(
            *shifts, default=Value(timedelta(0)), output_field=DurationField()
        )
    return ExpressionWrapper(expression, output_field=DateTimeField())


def _worth_reminding(
    visits: QuerySet[Appointment], days: int, now: datetime
) -> QuerySet[Appointment]:
    """Leave out reminders already past when the visit came to be as it is.

    With one exception: the last step before a visit of which the patient has heard
    nothing goes out late rather than not at all.
    """
    told = Exists(
        Notice.objects.filter(
            cause_kind="appointment",
            cause_id=OuterRef("pk"),
            cause_version=OuterRef("version"),
            purpose__in=["visit_booked", "visit_changed"],
        )
    ) | Q(told_start=F("starts_at"))
    last_step = Subquery(
        CadenceStep.objects.filter(visit_type=OuterRef("visit_type"))
        .values("visit_type")
        .annotate(last=Min("days_before"))
        .values("last")
    )
    return visits.annotate(last_step=last_step).filter(
        Q(due_at__lte=now + HORIZON)
        & (
            Q(due_at__gte=F("version_at") + Value(JUST_TOLD))
            | (Q(due_at__gte=F("version_at")) & ~Q(told))
            | (Q(last_step=days) & ~Q(told))
        )
    )


def _columns(days: int, now: datetime) -> dict[str, Any]:
    text: CharField[str, str] = CharField()

    def key(*parts: Any) -> Concat:
        return Concat(*parts, output_field=text)

    def as_text(name: str) -> Cast:
        return Cast(name, text)

    return {
        "purpose": Value("visit_reminder", text),
        "template_key": Value("visit_reminder", text),
        "patient": F("patient_id"),
        "address": Value("", text),
        "about_patient": F("patient_id"),
        "cause_kind": Value("appointment", text),
        "cause_id": F("id"),
        "cause_version": F("version"),
        "dedupe_key": key(
            Value("visit:"),
            as_text("id"),
            Value(":v"),
            as_text("version"),
            Value(f":{days}d"),
        ),
        "together": key(
            Value("visit_reminder:"),
            as_text("patient_id"),
            Value(":"),
            as_text("local_date"),
            Value(":"),
            as_text("site_id"),
            # A parent's text of the other visits that day does not carry it along.
            Case(When(confidential=True, then=Value(":alone")), default=Value("")),
        ),
        "zone": Coalesce(NullIf(F("patient__zone"), Value("")), F("zone")),
        "not_before": F("due_at"),
        "deadline": ExpressionWrapper(
            F("starts_at") - Value(LAST_CALL), output_field=DateTimeField()
        ),
        "matters": Value(PURPOSES["visit_reminder"].matters),
        "confidential": F("confidential"),
        "rung": Value(0),
        "state": Value(Notice.State.PLANNED.value, text),
        "why": Value("", text),
        "created_at": Value(now, DateTimeField()),
    }
