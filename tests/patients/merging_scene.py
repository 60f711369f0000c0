"""People taken in twice: with some of everything, and what is stored of them."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.links import make_visit_link
from appointments.planner import plan_reminders
from messaging.ladder import open_due
from messaging.models import Conversation, Message
from patients.grants import grant_access
from patients.merging.ledger import profile_of
from patients.merging.registry import Pair
from patients.merging.services import merge_patients, note_not_the_same, questions
from patients.models import (
    Consent,
    ContactPerson,
    ContactPoint,
    Flag,
    HistoryEntry,
    HistoryReview,
    Identifier,
    Intake,
    Note,
    Patient,
    PatientTerm,
    SafeContactPlan,
)
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    clinician,
    patient,
)
from worklist.models import WorkItem
from worklist.services import raise_item

#: Another number of the same person.
OTHER_PHONE = "+16175550188"


def merge(kept: Patient, lost: Patient, by: Any, **answers: str):
    """Merge as the page would: defaults, and these answers over them."""
    pair = Pair(Patient.objects.get(pk=kept.pk), Patient.objects.get(pk=lost.pk))
    given = {q.key: q.default for q in questions(pair)} | answers
    return merge_patients(
        kept_id=kept.pk,
        lost_id=lost.pk,
        answers=given,
        seen=(pair.kept.version, pair.lost.version),
        by=by,
    )


def keys_to_patients() -> Iterator[tuple[str, Any]]:
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields(include_hidden=True):
            is_key = getattr(field, "concrete", False) and field.remote_field
            if is_key and field.remote_field.model is Patient:
                yield f"{model._meta.label}.{field.name}", field


def at(hour: int, minute: int = 0, day: int = 25) -> datetime:
    return datetime(2026, 11, day, hour, minute)


def crowded(chance: random.Random, name: str) -> Patient:
    """Return somebody with some of everything."""
    staff = UserFactory()
    who = patient(
        name,
        "Okafor",
        phone=chance.choice([GRACE, OTHER_PHONE]),
        email=chance.choice(["", f"{name}@example.org", "both@example.org"]),
        consent=chance.random() < 0.7,
        birth_date=chance.choice([None, date(1959, 3, 14)]),
        needs=chance.choice([[], ["large_print"]]),
        best_from=chance.choice([None, "09:00:00"]),
        needs_interpreter=chance.choice([None, True, False]),
        usual_clinician=chance.choice([None, clinician()]),
        legal_hold=chance.choice(["", "Court order"]),
    )
    if chance.random() < 0.5:
        who.sites.add(SiteFactory(name=f"Site {chance.randrange(3)}"))
    for point in who.contact_points.all():
        point.safe_to_text = chance.random() < 0.8
        point.rank = chance.randrange(3)
        point.save()
    for _n in range(chance.randrange(4)):
        monday_later = timezone.now() + timedelta(minutes=chance.randrange(500))
        Consent.objects.create(
            patient=who,
            channel=chance.choice(["sms", "email"]),
            purpose=chance.choice(["care", "education"]),
            given=chance.random() < 0.5,
            method="spoken",
            at=monday_later,
        )
    for n in range(chance.randrange(4)):
        Flag.objects.create(**flag(who, staff, f"Alert {n}"))
    for n in range(chance.randrange(3)):
        Identifier.objects.create(patient=who, system=f"mrn{n}", value=name)
    if chance.random() < 0.6:
        SafeContactPlan.objects.create(**plan(who, staff))
    SafeContactPlan.objects.create(**plan(who, staff), ended_at=MONDAY, ended_by=staff)
    if chance.random() < 0.6:
        HistoryEntry.objects.create(**allergy(who))
    if chance.random() < 0.6:
        HistoryReview.objects.create(
            patient=who, kind="allergy", outcome="none_known", source="staff", at=MONDAY
        )
    Intake.objects.create(
        patient=who, answers={}, source="patient", method="paper", at=MONDAY
    )
    Note.objects.create(
        patient=who,
        author=staff,
        type="call",
        body="Rang back.",
        happened_at=MONDAY,
        signed_at=MONDAY,
        hash="0" * 64,
    )
    grant_access(user=staff, patient=who, reason="Brought in unconscious.")
    if chance.random() < 0.7:
        person = ContactPerson.objects.create(patient=who, name="Ada", relation="aunt")
        ContactPoint.objects.create(contact_person=person, channel="sms", address=GRACE)
    ContactPerson.objects.create(
        patient=patient("Leo", f"Of {name}", phone=""),
        person=who,
        name=name,
        relation="parent",
    )
    stranger = patient("Somebody", "Else", phone="")
    if chance.random() < 0.7:
        note_not_the_same(patient_id=who.pk, other_id=stranger.pk, by=staff)
    visit = booked(
        who,
        at=at(chance.choice([10, 11]), chance.choice([0, 10])),
        clinician=clinician(f"Dr {name}"),
        tell=chance.random() < 0.5,
    )
    if who.birth_date:
        make_visit_link(visit=visit, by=staff)
    if chance.random() < 0.7:
        reply(who)
        Conversation.objects.filter(patient=who).update(
            owner=chance.choice([None, staff]),
            state=chance.choice(["quiet", "waiting"]),
        )
    for kind in ("patient", "scene"):
        raise_item(
            kind="cancel_word",
            severity=WorkItem.Severity.AMBER,
            reason="Somebody has to look at this.",
            subject_kind=kind,
            subject_id=who.pk,
            dedupe_key=f"{kind}:{who.pk}",
            due_at=MONDAY,
            patient=who,
        )
    return who


def dump() -> dict[str, Any]:
    """Return every row there is, but for the audit, the merges, what is made from
    others and the number of a profile's version, which only rises.
    """
    left_out = {"patients.PatientMerge", "patients.PatientTerm", "patients.NameToken"}
    rows: dict[str, Any] = {}
    for model in apps.get_models(include_auto_created=True):
        label = model._meta.label
        ours = label.split(".")[0] in (
            "patients",
            "messaging",
            "appointments",
            "worklist",
        )
        if ours and label not in left_out:
            for row in model._base_manager.all():
                rows[f"{label} {row.pk}"] = profile_of(row)
                if model is Patient:
                    del rows[f"{label} {row.pk}"]["version"]
    terms = PatientTerm.objects.values_list("patient_id", "kind", "term")
    rows["terms"] = sorted(terms)
    return rows


def plan(who: Patient, by: Any) -> dict[str, Any]:
    return {
        "patient": who,
        "channel": "sms",
        "reason": "Not safe at home.",
        "made_by": by,
        "made_at": MONDAY,
    }


def flag(who: Patient, by: Any, text: str) -> dict[str, Any]:
    return {
        "patient": who,
        "category": "safety",
        "text": text,
        "reason": "Seen in clinic.",
        "author": by,
        "at": MONDAY,
        "expires_on": date(2027, 11, 23),
    }


def allergy(who: Patient) -> dict[str, Any]:
    return {
        "patient": who,
        "kind": "allergy",
        "label": "Penicillin",
        "status": "active",
        "source": "staff",
        "recorded_at": MONDAY,
    }


def reply(who: Patient) -> Message:
    thread, _new = Conversation.objects.get_or_create(
        patient=who, defaults={"last_message_at": MONDAY}
    )
    return Message.objects.create(
        direction="in",
        conversation=thread,
        patient=who,
        channel="sms",
        address=OTHER_PHONE,
        body="Thank you",
        encoding="GSM-7",
        state="received",
        provider="simulated",
        not_before=MONDAY,
        handled_at=MONDAY,
        at=MONDAY,
    )


def run_opening() -> None:
    """Open what is due, and send nothing."""
    plan_reminders()
    open_due()


def go(clock: Any) -> None:
    """Let the machinery run for a while."""
    for _n in range(4):
        run_pass()
        clock.shift(timedelta(minutes=2))
