"""What staff wrote about the people of the demo, and what some told of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from accounts.models import Draft
from clinic_crm.demo.clinic import Clinic
from clinic_crm.demo.store import Known
from core.time import to_local, to_utc, zone
from patients.intake import review_intake, take_intake
from patients.models import Note, Patient
from patients.notes import draft_key, hash_of

_Type, _Relation = Note.Type, Note.Relation


@dataclass(frozen=True)
class _Said:
    """A note about one of the cast: so many days ago, at which hour, by whom, what.

    ``to`` is the place of an earlier one in the list that it follows.
    """

    number: int
    by: str
    days: int
    hour: int
    type: str
    body: str
    sensitive: str = ""
    relation: str = ""
    reason: str = ""
    to: int | None = None
    #: Hours between what happened and its being signed.
    late: int = 0


_NOTES = (
    _Said(
        1,
        "rao",
        6,
        11,
        _Type.VISIT,
        "Uncomplicated right knee replacement. Discharge on apixaban, home exercise "
        "plan explained with Lucía present.",
    ),
    _Said(
        1,
        "maya",
        3,
        14,
        _Type.CALL,
        "Called, interpreter on the line. Slept well, pain 4 of 10, walks to the "
        "kitchen and back with one stick. Dressing dry.",
    ),
    _Said(
        1,
        "maya",
        3,
        15,
        _Type.CALL,
        "Lucía rang back: two tablets of paracetamol a day, not four.",
        relation=_Relation.ADDENDUM,
        to=1,
    ),
    _Said(
        2,
        "maya",
        9,
        10,
        _Type.NO_CONTACT,
        "Rang twice, no answer, no voicemail left.",
    ),
    _Said(
        3,
        "rao",
        20,
        10,
        _Type.VISIT,
        "Left knee swollen since the fall. Rest, ice, seen again in three weeks.",
    ),
    _Said(
        3,
        "rao",
        20,
        11,
        _Type.VISIT,
        "Right knee swollen since the fall. Rest, ice, seen again in three weeks.",
        relation=_Relation.CORRECTION,
        reason="Wrong side.",
        to=4,
    ),
    _Said(
        5,
        "rao",
        12,
        13,
        _Type.COORDINATION,
        "Sleeps badly since the move, low most days, no thoughts of self-harm. Wants "
        "to try talking first. Referred.",
        sensitive=Note.Sensitive.MENTAL_HEALTH,
    ),
    _Said(
        10,
        "maya",
        4,
        9,
        _Type.EDUCATION,
        "Went through the care of the wound. He showed how he changes the dressing.",
        relation=_Relation.LATE_ENTRY,
        reason="The network was down that day.",
        late=26,
    ),
)


def write_charts(known: Sequence[Known], clinic: Clinic, now: datetime) -> None:
    """Write notes, one that is not signed yet, and three intakes.

    Of the cast alone; who is not there, because so few were asked for, is left out.
    """
    cast = {one.person.number: one.patient for one in known}
    written: list[Note | None] = []
    for said in _NOTES:
        patient = cast.get(said.number)
        if patient is None:
            written.append(None)
            continue
        day = to_local(now, zone(clinic.harbour.zone)) - timedelta(days=said.days)
        signed_at = to_utc(
            datetime.combine(day, time(said.hour, 20)), zone(clinic.harbour.zone)
        )
        note = Note(
            patient=patient,
            author=clinic.staff[said.by],
            type=said.type,
            sensitive=said.sensitive,
            body=said.body,
            relates_to=None if said.to is None else written[said.to],
            relation=said.relation,
            reason=said.reason,
            happened_at=signed_at - timedelta(hours=said.late),
            signed_at=signed_at,
        )
        note.hash = hash_of(note)
        note.save()
        written.append(note)
    if 2 in cast:
        Draft.objects.create(
            user=clinic.staff["maya"],
            key=draft_key(cast[2]),
            text={"type": _Type.CALL, "body": "Reached at last: new number is"},
            at=now - timedelta(days=2, hours=1),
        )
    _tell_of_themselves(cast, clinic)


def _tell_of_themselves(cast: dict[int, Patient], clinic: Clinic) -> None:
    answers: dict[int, dict[str, object]] = {
        20: {
            "what_matters": "Singing in the choir again at Easter.",
            "top_worry": "That I will need a walking frame.",
            "allergy": "Ibuprofen: rash all over",
            "medicine": "Blood pressure tablet, half in the morning\nVitamin D",
            "family_none": "none_known",
            "preferred_way": "sms",
        },
        22: {
            "what_matters": "Being back at work by spring.",
            "allergy_none": "none_known",
            "wants_to_know": "all",
        },
        8: {
            "top_worry": "How long I cannot drive.",
            "procedure": "Appendix out, about 1998",
            "medicine_none": "none_known",
        },
    }
    for number, told in answers.items():
        patient = cast.get(number)
        if patient is None:
            continue
        intake = take_intake(
            patient=patient,
            answers=told,
            source="patient",
            method="link" if number != 8 else "phone",
            by=clinic.staff["maya"] if number == 8 else None,
        )
        if number == 8:
            review_intake(intake_id=intake.pk, by=clinic.staff["maya"], decisions={})
