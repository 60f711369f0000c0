"""Reads of visits that cross tables."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.audit.trail import note_opened
from accounts.models import Clinician, User
from appointments.models import Appointment
from patients.access import at_own_sites, not_there, of_visible
from patients.consents import has_agreed

#: How many days, today among them, are looked through for whom to ask for consent.
DAYS_AHEAD = 7

#: The clinic deals with a patient so long before a visit and after it.
SIGHT_BEFORE, SIGHT_AFTER = timedelta(days=14), timedelta(days=30)


def has_visit_in_sight(now: datetime) -> Exists:
    """Return the condition that a row's patient comes soon, or was here lately."""
    return Exists(
        Appointment.objects.exclude(state=Appointment.State.CANCELLED).filter(
            patient=OuterRef("patient"),
            starts_at__gt=now - SIGHT_AFTER,
            starts_at__lt=now + SIGHT_BEFORE,
        )
    )


def visits_of(user: User | AnonymousUser) -> QuerySet[Appointment]:
    """Return the visits at the user's sites of patients they may see, for a day's list.

    With what a row shows.
    """
    return _visible_to(user).filter(site__staff=user.pk or 0)


def _visible_to(user: User | AnonymousUser) -> QuerySet[Appointment]:
    """Return every visit of the patients this user may see, at whatever site."""
    return Appointment.objects.filter(of_visible(user)).select_related(
        "patient", "clinician", "site", "visit_type"
    )


def get_visit(
    user: User | AnonymousUser, pk: int, *, to_change: bool = False
) -> Appointment:
    """Return one visit; 404 out of scope. One query; one more on the way out.

    Whoever may see the patient may see all their visits, wherever they are: half a
    history misleads. Changed is a visit by the staff of its site only, whose day it is,
    and not under emergency access: moved, it would make them a patient here for good.
    """
    visits = (
        visits_of(user).filter(at_own_sites(user)) if to_change else _visible_to(user)
    )
    visit = visits.filter(pk=pk).first()
    if visit is None:
        raise not_there("appointment", Appointment.objects.filter(pk=pk))
    note_opened(visit.patient_id)
    return visit


def may_change(user: User | AnonymousUser, visit: Appointment) -> bool:
    """Return whether ``get_visit`` would let the user change this visit; one query."""
    found = visits_of(user).filter(at_own_sites(user), pk=visit.pk)
    return found.exists()


def day_of(
    user: User | AnonymousUser, day: date, clinician: Clinician | None = None
) -> list[Appointment]:
    """Return the visits of a local day in order, without cancelled ones; one query."""
    visits = (
        visits_of(user)
        .filter(local_date=day)
        .exclude(state=Appointment.State.CANCELLED)
        .order_by("starts_at", "clinician__name", "id")
    )
    return list(visits.filter(clinician=clinician) if clinician else visits)


def to_ask_for_consent(
    user: User | AnonymousUser, today: date, after: Appointment | None = None
) -> QuerySet[Appointment]:
    """Return this week's patients nobody may write to: each by their next visit.

    Of the seven local days from ``today``, at the user's sites; those who agreed to be
    written to about their care on no channel they have, because they were never asked,
    said no, or gave no address. Soonest first, those behind ``after`` only.
    """
    week = [today + timedelta(days=n) for n in range(DAYS_AHEAD)]
    coming = visits_of(user).filter(
        at_own_sites(user),
        local_date__in=week,
        state__in=Appointment.LIVE,
        patient__deceased_on=None,
    )
    sooner = Appointment.objects.filter(
        patient=OuterRef("patient"),
        site__staff=user.pk or 0,
        local_date__in=week,
        state__in=Appointment.LIVE,
    ).filter(_before(OuterRef("starts_at"), OuterRef("pk")))
    found = coming.filter(~has_agreed(), ~Exists(sooner))
    if after is not None:
        found = found.exclude(_before(after.starts_at, after.pk)).exclude(pk=after.pk)
    return found.prefetch_related("patient__contact_points").order_by("starts_at", "pk")


def _before(starts_at: Any, pk: Any) -> Q:
    """Return the condition that a visit stands before another in order of time."""
    return Q(starts_at__lt=starts_at) | Q(starts_at=starts_at, pk__lt=pk)


def unconfirmed(
    user: User | AnonymousUser, days: Sequence[date]
) -> list[tuple[int, int]]:
    """Return (not confirmed, all still to come) of each local day; one query."""
    ahead = (
        visits_of(user)
        .filter(local_date__in=days, state__in=Appointment.AHEAD)
        .values_list("local_date", "state")
    )
    by_day: dict[date, list[str]] = {day: [] for day in days}
    for day, state in ahead:
        by_day[day].append(state)
    return [
        (states.count(Appointment.State.BOOKED), len(states))
        for states in by_day.values()
    ]
