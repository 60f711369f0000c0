"""Visits on a patient's timeline: those still to come, and what became of each."""

import json
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Clinician, Site, User
from appointments.models import Appointment, AppointmentEvent, VisitType
from patients.models import Patient
from patients.registry import TimelineSource, timeline


def _ahead(patient: Patient, user: User | AnonymousUser) -> QuerySet[Any]:
    return Appointment.objects.live().filter(
        patient=patient, starts_at__gt=timezone.now()
    )


def _visit(facts: dict[str, Any]) -> Appointment:
    """Return the visit with what its line shows, and nothing else."""
    return Appointment(
        pk=facts["pk"],
        state=facts["state"],
        visit_type=VisitType(name=facts["name"], discreet_name=facts["discreet_name"]),
        clinician=Clinician(name=facts["clinician"]),
        site=Site(name=facts["site"]),
    )


def _change(facts: dict[str, Any]) -> AppointmentEvent:
    """Return the change of a visit with what its line shows, and nothing else."""
    visit = Appointment(
        pk=facts["visit"],
        zone=facts["zone"],
        visit_type=VisitType(name=facts["name"], discreet_name=facts["discreet_name"]),
        clinician=Clinician(name=facts["clinician"]),
    )
    username = facts["by_username"]
    return AppointmentEvent(
        pk=facts["pk"],
        appointment=visit,
        what=facts["what"],
        before=_as_json(facts["before"]),
        after=_as_json(facts["after"]),
        by=User(name=facts["by_name"], username=username) if username else None,
        by_patient=facts["by_patient"],
    )


def _as_json(told: Any) -> Any:
    """Return what a JSON field holds; SQLite brings it as text within JSON."""
    return json.loads(told) if isinstance(told, str) else told


timeline.add(
    "visits",
    TimelineSource(
        rows=_ahead,
        facts={
            "state": "state",
            "name": "visit_type__name",
            "discreet_name": "visit_type__discreet_name",
            "clinician": "clinician__name",
            "site": "site__name",
        },
        build=_visit,
        at="starts_at",
        template="appointments/event_visit.html",
        permission="appointments.view_appointment",
        group="visits",
        upcoming=True,
    ),
)
timeline.add(
    "visit_changes",
    TimelineSource(
        rows=lambda patient, user: AppointmentEvent.objects.filter(
            appointment__patient=patient
        ),
        facts={
            "what": "what",
            "before": "before",
            "after": "after",
            "by_patient": "by_patient",
            "by_name": "by__name",
            "by_username": "by__username",
            "visit": "appointment_id",
            "zone": "appointment__zone",
            "name": "appointment__visit_type__name",
            "discreet_name": "appointment__visit_type__discreet_name",
            "clinician": "appointment__clinician__name",
        },
        build=_change,
        at="at",
        template="appointments/event_change.html",
        permission="appointments.view_appointment",
        group="visits",
    ),
)
