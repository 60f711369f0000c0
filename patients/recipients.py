"""Who is told something about a patient: the patient, or who answers for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
)

from core.dates import age
from patients.models import ContactPerson, ContactPoint, Patient, SafeContactPlan
from patients.registry import topics

#: From this birthday on they decide themselves who learns what.
OF_AGE = 18
#: Whether a contact person's own record says that they died or is another's by now.
GONE = ExpressionWrapper(
    Q(person__deceased_on__isnull=False) | Q(person__merged_into__isnull=False),
    output_field=BooleanField(),
)
#: The rights by which somebody answers for an adult.
FOR_AN_ADULT = (ContactPerson.Basis.GUARDIAN, ContactPerson.Basis.POWER)


@dataclass(frozen=True)
class Recipient:
    """Who learns something: the patient, or somebody who answers for them.

    ``plan`` is the safe contact plan this person is under, if any: whoever writes to
    them obeys it.
    """

    patient: Patient | None = None
    contact_person: ContactPerson | None = None
    plan: SafeContactPlan | None = field(default=None, compare=False)


def is_minor(patient: Patient, on: date) -> bool:
    """Return whether somebody else may have to answer for them on a day.

    Somebody born on 29 February comes of age on 1 March of a year without one. Without
    a birth date they are taken for an adult.
    """
    return patient.birth_date is not None and age(patient.birth_date, on) < OF_AGE


def in_force(person: ContactPerson, on: date) -> bool:
    """Return whether a contact person's rights hold on a day.

    From ``since`` to ``until``, both included; not once ended. Nor when they died or
    their own record was merged into another (``gone``), until somebody looked at it.
    """
    if person.ended_at is not None or getattr(person, "gone", False):
        return False
    started = person.since is None or person.since <= on
    return started and (person.until is None or on <= person.until)


def persons_in_force(on: date) -> QuerySet[ContactPerson]:
    """Return the contact persons whose rights hold on a day, as ``in_force`` says."""
    return ContactPerson.objects.filter(
        Q(since=None) | Q(since__lte=on),
        Q(until=None) | Q(until__gte=on),
        Q(person=None) | Q(person__deceased_on=None, person__merged_into=None),
        ended_at=None,
    )


def answering(on: date) -> QuerySet[ContactPerson]:
    """Return those who answer for somebody on a day: for a minor, or by law.

    Whether they may know of a topic is asked when somebody is told.
    """
    last_day = on.replace(day=28) if (on.month, on.day) == (2, 29) else on
    of_age_since = last_day.replace(year=last_day.year - OF_AGE)
    return persons_in_force(on).filter(
        Q(patient__birth_date__gt=of_age_since) | Q(basis__in=FOR_AN_ADULT),
        is_responsible=True,
    )


def recipients_among(
    patient: Patient,
    persons: Sequence[ContactPerson],
    plans: Collection[SafeContactPlan],
    topic: str,
    on: date,
    *,
    confidential: bool = False,
) -> list[Recipient]:
    """Return who is to learn of ``topic``, as ``resolve_recipients``; pure.

    ``persons`` are the patient's contact persons with ``gone`` and ``reachable``:
    whether they have an address that works. ``plans`` are the safe contact plans in
    force of all of them.
    """
    if patient.deceased_on or patient.merged_into_id:
        return []
    plan_of = {plan.patient_id: plan for plan in plans}
    plan = plan_of.get(patient.pk)
    themselves = Recipient(patient=patient, plan=plan)
    if confidential or (plan is not None and plan.hidden):
        return [themselves]
    minor = is_minor(patient, on)
    answering = [
        person
        for person in persons
        if person.is_responsible
        and (minor or person.basis in FOR_AN_ADULT)
        and in_force(person, on)
        and topics[topic].scope in person.scopes
        and topic not in person.barred_topics
    ]
    # Who can be written to comes before who would have to be called. But where nobody
    # can be, a person calls the first of them: a child's own phone is no way round.
    answering.sort(key=lambda person: (not _reachable(person), person.pk))
    return [
        Recipient(contact_person=person, plan=plan_of.get(person.person_id or 0))
        for person in answering
    ] or [themselves]


def _reachable(person: ContactPerson) -> bool:
    return bool(getattr(person, "reachable", True))


def resolve_recipients(
    patient: Patient, topic: str, on: date, *, confidential: bool = False
) -> list[Recipient]:
    """Return who is to learn of ``topic`` about this patient; the first one is told.

    ``topic`` is a key of ``topics``, ``on`` the day where the patient is. Two queries.

    Nobody, when the patient died or was merged. Only the patient, when it is
    ``confidential`` or a safe contact plan hides them. For somebody under 18 those who
    answer for them, for an adult those who do so by law; each only while their rights
    are in force and cover the topic. Otherwise the patient.
    """
    return resolve_all([(patient, topic, on, confidential)])[0]


def resolve_all(
    asked: Sequence[tuple[Patient, str, date, bool]],
) -> list[list[Recipient]]:
    """Return who learns of each (patient, topic, day, confidential); two queries."""
    patients = {
        patient.pk: patient
        for patient, *_rest in asked
        if not patient.deceased_on and not patient.merged_into_id
    }
    if not patients:
        return [[] for _asked in asked]
    works = ContactPoint.objects.filter(
        contact_person=OuterRef("pk"), usable=True, safe_to_text=True
    )
    persons: dict[int, list[ContactPerson]] = {pk: [] for pk in patients}
    people = set(patients)
    for person in (
        ContactPerson.objects.filter(
            patient__in=patients, is_responsible=True, ended_at=None
        )
        # Not loaded with their records: the audit would count those as shown.
        .annotate(reachable=Exists(works), gone=GONE)
        .order_by("pk")
    ):
        person.patient = patients[person.patient_id]
        persons[person.patient_id].append(person)
        if person.person_id:
            people.add(person.person_id)
    plans = list(SafeContactPlan.objects.in_force().filter(patient__in=people))
    return [
        recipients_among(
            patient,
            persons.get(patient.pk, []),
            plans,
            topic,
            on,
            confidential=confidential,
        )
        for patient, topic, on, confidential in asked
    ]
