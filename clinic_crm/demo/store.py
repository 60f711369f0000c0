"""Write the people of the demo into the database, a table at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from accounts.models import User
from clinic_crm.demo.clinic import SYSTEM, Clinic
from clinic_crm.demo.history import ICD, Entry
from clinic_crm.demo.people import Person
from patients.codes import risk_class_of
from patients.models import (
    Channel,
    Consent,
    ContactPerson,
    ContactPoint,
    HistoryEntry,
    HistoryReview,
    Identifier,
    Patient,
)
from patients.terms import index_patients

WORDING = "2026-03"


@dataclass(frozen=True)
class Known:
    """A person and the rows they became; ``guardian`` answers for a child."""

    person: Person
    patient: Patient
    guardian: ContactPerson | None

    @property
    def key(self) -> str:
        """Tell apart what is drawn for one person from what is drawn for another."""
        return self.person.identifier


def store_people(
    people: Sequence[Person], clinic: Clinic, now: datetime, today: date
) -> list[Known]:
    """Store them all, marked as demo, and make them findable."""
    patients = Patient.objects.bulk_create(
        _patient(person, clinic, today) for person in people
    )
    by_number = {p.number: row for p, row in zip(people, patients, strict=True)}
    through = Patient.sites.through
    through.objects.bulk_create(
        through(
            patient=by_number[p.number],
            site=clinic.north if p.north else clinic.harbour,
        )
        for p in people
    )
    Identifier.objects.bulk_create(
        Identifier(patient=by_number[p.number], system=SYSTEM, value=p.identifier)
        for p in people
    )
    guardians = _store_contacts(people, by_number, today)
    maya = clinic.staff["maya"]
    Consent.objects.bulk_create(
        row for p in people for row in _consents(p, by_number[p.number], maya, now)
    )
    doctors = {name: c.user for name, c in clinic.clinicians.items()}
    HistoryEntry.objects.bulk_create(
        _entry(entry, by_number[p.number], doctors.get(p.clinician) or maya, now, today)
        for p in people
        for entry in p.history
    )
    HistoryReview.objects.bulk_create(
        row for p in people for row in _reviews(p, by_number[p.number], maya, now)
    )
    index_patients([patient.pk for patient in patients])
    return [
        Known(
            p,
            by_number[p.number],
            guardians.get(p.number) if p.age(today) < 18 else None,
        )
        for p in people
    ]


def _patient(person: Person, clinic: Clinic, today: date) -> Patient:
    usual = "Dr Haddad" if person.north else person.clinician
    return Patient(
        given_name=person.given,
        family_name=person.family,
        preferred_name=person.preferred,
        birth_date=person.born,
        sex=person.sex,
        language=person.language,
        zone=person.zone,
        usual_clinician=clinic.clinicians[usual],
        address_line=person.street,
        city=person.town,
        state="MA" if person.town else "",
        postal_code=person.postal_code,
        country="US" if person.town else "",
        deceased_on=(
            today - timedelta(days=person.deceased_days)
            if person.deceased_days is not None
            else None
        ),
        is_demo=True,
    )


def _store_contacts(
    people: Sequence[Person], by_number: dict[int, Patient], today: date
) -> dict[int, ContactPerson]:
    """Store contact persons and all contact points; return who answers for whom."""
    persons = []
    points = []
    guardians = {}
    for p in people:
        patient = by_number[p.number]
        if p.phone:
            points.append(
                ContactPoint(
                    patient=patient,
                    channel=Channel.SMS,
                    address=p.phone,
                    usable=not p.phone_fault,
                    why_not=p.phone_fault,
                    safe_to_text=p.safe_to_text,
                    voicemail=p.voicemail,
                )
            )
        if p.email:
            points.append(
                ContactPoint(
                    patient=patient,
                    channel=Channel.EMAIL,
                    address=p.email,
                    usable=not p.mail_fault,
                    why_not=p.mail_fault,
                )
            )
        for contact in p.contacts:
            row = ContactPerson(
                patient=patient,
                person=by_number.get(contact.person or 0),
                name=contact.name,
                relation=contact.relation,
                scopes=list(contact.scopes),
                barred_topics=list(contact.barred),
                until=(
                    today + timedelta(days=contact.days)
                    if contact.days is not None
                    else None
                ),
                is_responsible=contact.responsible,
                basis="parent" if contact.responsible else "agreed",
            )
            persons.append(row)
            if contact.responsible:
                guardians[p.number] = row
            for channel, address in (
                (Channel.SMS, contact.phone),
                (Channel.EMAIL, contact.email),
            ):
                if address:
                    points.append(
                        ContactPoint(
                            contact_person=row, channel=channel, address=address
                        )
                    )
    ContactPerson.objects.bulk_create(persons)
    ContactPoint.objects.bulk_create(points)
    return guardians


def _consents(
    person: Person, patient: Patient, by: User, now: datetime
) -> list[Consent]:
    """Return what was said, oldest first; a withdrawal follows a yes."""
    methods = ("spoken", "paper", "screen")
    rows = []
    for channel, said in ((Channel.SMS, person.sms), (Channel.EMAIL, person.mail)):
        if not said or not (person.phone if channel == Channel.SMS else person.email):
            continue
        asked = now - timedelta(days=40 + person.number % 300)
        answers = {"yes": [True], "no": [False], "withdrawn": [True, False]}[said]
        purposes = [Consent.Purpose.CARE]
        if person.number % 3 and said == "yes":
            purposes.append(Consent.Purpose.FOLLOW_UP)
        rows += [
            Consent(
                patient=patient,
                channel=channel,
                purpose=purpose,
                given=given,
                wording_version=WORDING,
                method=methods[person.number % 3],
                recorded_by=by,
                at=asked + timedelta(days=25 * place),
            )
            for purpose in purposes
            for place, given in enumerate(answers)
        ]
    return rows


def _reviews(
    person: Person, patient: Patient, by: User, now: datetime
) -> list[HistoryReview]:
    """Return that most were asked about allergies and medicines; of some nobody was."""
    known = {entry.kind for entry in person.history}
    asked = now - timedelta(days=30 + person.number % 200)
    return [
        HistoryReview(
            patient=patient,
            kind=kind,
            outcome="reviewed" if kind in known else "none_known",
            source="patient",
            by=by,
            at=asked,
        )
        for place, kind in enumerate(("allergy", "medicine"))
        # Their entries are older than the review of them.
        if person.number % 4 != place
        and all(e.days_ago > 300 for e in person.history if e.kind == kind)
    ]


def _details(entry: Entry) -> dict[str, str]:
    """Return what else is known of an entry."""
    if entry.kind == "allergy" and entry.details:
        severe = entry.label in ("Penicillin", "Bee stings")
        return {
            "reactions": entry.details,
            "criticality": "high" if severe else "low",
        }
    if entry.kind == "procedure":
        side = next((one for one in ("right", "left") if one in entry.label), "")
        return {"side": side} if side else {}
    return {"dosage": entry.details} if entry.details else {}


def _entry(
    entry: Entry, patient: Patient, by: User, now: datetime, today: date
) -> HistoryEntry:
    """Return a history row; old things were written down when the record began."""
    happened = today - timedelta(days=entry.days_ago)
    noted = now - timedelta(days=min(entry.days_ago, 500))
    mentionable = entry.kind not in ("family", "social")
    return HistoryEntry(
        patient=patient,
        kind=entry.kind,
        label=entry.label,
        code_system=ICD if entry.code else "",
        code=entry.code,
        status=entry.status,
        happened_on=happened if mentionable else None,
        told_on=max(happened, noted.date()) if entry.told else None,
        risk_class=(risk_class_of(entry.label) if entry.kind == "medicine" else ""),
        details=_details(entry),
        source=entry.source,
        recorded_by=by,
        recorded_at=noted,
        verified_by=by if entry.verified else None,
        verified_at=noted if entry.verified else None,
        reviewed_at=max(noted, now - timedelta(days=90)) if entry.verified else None,
    )
