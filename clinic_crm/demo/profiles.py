"""What the clinic knows of a few of the cast beyond their names."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from clinic_crm.demo.clinic import Clinic
from clinic_crm.demo.store import Known
from patients.models import Channel, Flag, Patient
from patients.safe_contact import make_plan

#: By number in the cast.
_TOLD: dict[int, dict[str, Any]] = {
    1: {
        "pronouns": "she/her",
        "needs_interpreter": True,
        "reading_help": "sometimes",
        "what_matters": "I want to walk my granddaughter to school by January.",
        "top_worry": "The anaesthetic, if they have to operate again.",
        "wants_to_know": "all",
        "preferred_way": "sms",
        "best_from": time(16),
        "best_until": time(19),
    },
    3: {
        "pronouns": "he/him",
        "needs_interpreter": False,
        "reading_help": "often",
        "needs": ["large_print"],
        "what_matters": "To stay in my own flat.",
        "wants_to_know": "main",
    },
    6: {"pronouns": "she/her", "spoken_language": "pt", "needs_interpreter": False},
}
#: Alerts: (number in the cast, kind, text, reason).
_PINNED = (
    (1, "support", "Walks with a frame: allow time", "Knee replaced this month."),
    (3, "safety", "Falls easily: meet at the door", "Fell on our steps in spring."),
    (3, "communication", "Speak slowly, he lip-reads", "Told us himself."),
)


def write_profiles(known: Sequence[Known], clinic: Clinic, now: datetime) -> None:
    """Write what these told of themselves, and what is pinned to them."""
    by_number = {one.person.number: one.patient for one in known}
    for number, told in _TOLD.items():
        if number in by_number:
            Patient.objects.filter(pk=by_number[number].pk).update(**told)
    Flag.objects.bulk_create(
        Flag(
            patient=by_number[number],
            category=category,
            text=text,
            reason=reason,
            author=clinic.staff["maya"],
            at=now - timedelta(days=20),
            expires_on=_year_on(now.date()),
        )
        for number, category, text, reason in _PINNED
        if number in by_number
    )
    if 4 in by_number:
        _keep_safe(by_number[4], clinic)


def _keep_safe(patient: Patient, clinic: Clinic) -> None:
    """Let Hannah be reached on her phone alone, while she is at work."""
    make_plan(
        patient_id=patient.pk,
        reason="Her partner reads her mail and her phone in the evening.",
        by=clinic.staff["maya"],
        region=clinic.harbour.region,
        channel=Channel.SMS,
        address=patient.contact_points.get(channel=Channel.SMS).address,
        safe_from=time(9),
        safe_until=time(16),
        code_word="Lighthouse",
    )


def _year_on(today: date) -> date:
    return today + timedelta(days=345)
