"""What patients itself knows of somebody's time here: history, consent, alerts."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, F, Func, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf, TruncDate

from accounts.models import User
from patients.flags import flags_for
from patients.models import (
    Consent,
    ContactPerson,
    Flag,
    HistoryEntry,
    HistoryReview,
    Intake,
    Patient,
    PatientMerge,
    SafeContactPlan,
)
from patients.registry import TimelineSource, timeline

#: Who may read of health, and who of the rest.
_HEALTH, _REST = "patients.view_historyentry", "patients.view_patient"


def name_by(path: str) -> Func:
    """Return the name of a member of staff as an expression, "" for nobody.

    Their own, else their login; ``path`` is the row's key to them.
    """
    name = NullIf(F(f"{path}__name"), Value(""))
    return Coalesce(name, F(f"{path}__username"), Value(""))


def _recorded(patient: Patient, user: User | AnonymousUser) -> QuerySet[Any]:
    """Return entries somebody made, and of what was brought in one for each source and
    day: three hundred lines of one file would hide everything else.
    """
    entries = HistoryEntry.objects.filter(patient=patient)
    imported = entries.filter(source=HistoryEntry.Source.IMPORTED).order_by()
    by_day = imported.annotate(day=TruncDate("recorded_at"))
    last = by_day.values("external_system", "day").annotate(last=Max("pk"))
    return entries.alias(day=TruncDate("recorded_at")).filter(
        ~Q(source=HistoryEntry.Source.IMPORTED) | Q(pk__in=last.values("last"))
    )


def _brought_in_with_it() -> Subquery:
    """Return how many entries came from the same source on the same day."""
    same = (
        HistoryEntry.objects.alias(same_day=TruncDate("recorded_at"))
        .filter(
            patient=OuterRef("patient"),
            external_system=OuterRef("external_system"),
            source=HistoryEntry.Source.IMPORTED,
            same_day=OuterRef("day"),
        )
        .order_by()
        .values("patient")
        .annotate(n=Count("pk"))
    )
    return Subquery(same.values("n"))


timeline.add(
    "history",
    TimelineSource(
        rows=_recorded,
        at="recorded_at",
        template="patients/event_history.html",
        permission=_HEALTH,
        group="record",
        facts={
            "kind": "kind",
            "label": "label",
            "source": "source",
            "taken_back": "verification",
            "by": name_by("recorded_by"),
            "n": _brought_in_with_it(),
        },
    ),
)
timeline.add(
    "verified",
    TimelineSource(
        rows=lambda patient, user: (
            HistoryEntry.objects.filter(
                patient=patient, verified_at__isnull=False, verified_by__isnull=False
            )
            # Written and verified in one go is one event: the first.
            .exclude(verified_at=F("recorded_at"))
        ),
        at="verified_at",
        template="patients/event_verified.html",
        permission=_HEALTH,
        group="record",
        facts={"label": "label", "by": name_by("verified_by")},
    ),
)
timeline.add(
    "looked_through",
    TimelineSource(
        rows=lambda patient, user: HistoryReview.objects.filter(patient=patient),
        at="at",
        template="patients/event_review.html",
        permission=_HEALTH,
        group="record",
        facts={"kind": "kind", "outcome": "outcome", "by": name_by("by")},
    ),
)
timeline.add(
    "intakes",
    TimelineSource(
        rows=lambda patient, user: Intake.objects.filter(patient=patient),
        at="at",
        template="patients/event_intake.html",
        permission=_HEALTH,
        group="record",
        facts={
            "method": "method",
            "source": "source",
            "reviewed_at": "reviewed_at",
            "by": name_by("recorded_by"),
        },
    ),
)
timeline.add(
    "consents",
    TimelineSource(
        rows=lambda patient, user: Consent.objects.filter(patient=patient),
        at="at",
        template="patients/event_consent.html",
        permission=_REST,
        group="record",
        facts={
            "channel": "channel",
            "purpose": "purpose",
            "given": "given",
            "method": "method",
            "by": name_by("recorded_by"),
        },
    ),
)
timeline.add(
    "alerts",
    TimelineSource(
        rows=lambda patient, user: Flag.objects.filter(
            flags_for(user), patient=patient
        ),
        at="at",
        template="patients/event_alert.html",
        permission=_REST,
        group="record",
        facts={"text": "text", "by": name_by("author")},
    ),
)
timeline.add(
    "alerts_ended",
    TimelineSource(
        rows=lambda patient, user: Flag.objects.filter(
            flags_for(user), patient=patient, ended_at__isnull=False
        ),
        at="ended_at",
        template="patients/event_alert.html",
        permission=_REST,
        group="record",
        facts={"text": "text", "by": name_by("ended_by"), "ended_at": "ended_at"},
    ),
)
timeline.add(
    "plans",
    TimelineSource(
        rows=lambda patient, user: SafeContactPlan.objects.filter(patient=patient),
        at="made_at",
        template="patients/event_plan.html",
        permission=_REST,
        group="record",
        facts={"by": name_by("made_by")},
    ),
)
timeline.add(
    "plans_ended",
    TimelineSource(
        rows=lambda patient, user: SafeContactPlan.objects.filter(
            patient=patient, ended_at__isnull=False
        ),
        at="ended_at",
        template="patients/event_plan.html",
        permission=_REST,
        group="record",
        facts={"by": name_by("ended_by"), "ended_at": "ended_at"},
    ),
)
timeline.add(
    "contact_persons_ended",
    TimelineSource(
        rows=lambda patient, user: ContactPerson.objects.filter(
            patient=patient, ended_at__isnull=False
        ),
        at="ended_at",
        template="patients/event_contact_person.html",
        permission=_REST,
        group="record",
        facts={"name": "name", "relation": "relation", "by": name_by("ended_by")},
    ),
)
timeline.add(
    "merges",
    TimelineSource(
        rows=lambda patient, user: PatientMerge.objects.filter(kept=patient),
        at="at",
        template="patients/event_merge.html",
        permission=_REST,
        group="record",
        facts={"by": name_by("by"), "undone_at": "undone_at"},
    ),
)
