"""The people around a patient: contact persons, and who shares a number with them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.versions import StaleError
from patients.contact_points import checked_address
from patients.links.services import revoke_link
from patients.models import (
    Channel,
    ContactPerson,
    ContactPoint,
    Patient,
    SafeContactPlan,
)
from patients.recipients import FOR_AN_ADULT, OF_AGE, is_minor
from patients.terms import index_patients

#: What an edit may change, as the model names it.
FIELDS = (
    "name",
    "relation",
    "is_responsible",
    "scopes",
    "barred_topics",
    "basis",
    "since",
    "until",
    "review_on",
    "person_id",
)


@transaction.atomic
def add_contact_person(
    *,
    patient_id: int,
    by: User,
    region: str,
    phone: str = "",
    email: str = "",
    **fields: Any,
) -> ContactPerson:
    """Note somebody around a patient and return them; locks the patient.

    ``fields`` are those of ``FIELDS``; ``region`` is the two-letter country of numbers
    without a code. A parent who answers for a minor is looked at again when the minor
    comes of age, unless another day is named. Raises ``ValidationError`` beside the
    field it is about.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    person = ContactPerson(patient=patient)
    _fill(person, patient, fields)
    person.save()
    _set_address(person, Channel.SMS, phone, region, "phone")
    _set_address(person, Channel.EMAIL, email, region, "email")
    index_patients([patient.pk])
    _note(AuditEvent.Verb.CREATE, person, by)
    return person


@transaction.atomic
def change_contact_person(
    *,
    contact_person_id: int,
    version: int,
    by: User,
    region: str,
    phone: str = "",
    email: str = "",
    **fields: Any,
) -> ContactPerson:
    """Change what is known of a contact person; locks the patient.

    ``version`` is the one the page was made from; ``StaleError`` when it is no
    longer the stored one. Otherwise as ``add_contact_person``. What waits for somebody
    who may no longer know it stops at the gate.
    """
    found = ContactPerson.objects.get(pk=contact_person_id)
    patient = Patient.objects.select_for_update().get(pk=found.patient_id)
    person = ContactPerson.objects.get(pk=contact_person_id)
    if person.version != version:
        raise StaleError(person)
    if person.ended_at is not None:
        raise ValidationError(_("This has ended. Add them anew."))
    before = {name: getattr(person, name) for name in FIELDS}
    _fill(person, patient, fields)
    person.version += 1
    person.save()
    moved = [
        _set_address(person, Channel.SMS, phone, region, "phone"),
        _set_address(person, Channel.EMAIL, email, region, "email"),
    ]
    changed = [n for n, was in before.items() if getattr(person, n) != was]
    if any(moved):
        index_patients([patient.pk])
        changed.append("address")
    _note(AuditEvent.Verb.CHANGE, person, by, changed)
    return person


@transaction.atomic
def end_contact_person(*, contact_person_id: int, by: User) -> ContactPerson:
    """End what somebody may know of a patient, at once; locks the patient.

    What is queued for them stops at the gate and takes the next way, and links they
    were given close. Ending what has ended changes nothing.
    """
    found = ContactPerson.objects.get(pk=contact_person_id)
    Patient.objects.select_for_update().get(pk=found.patient_id)
    person = ContactPerson.objects.get(pk=contact_person_id)
    if person.ended_at is not None:
        return person
    person.ended_at, person.ended_by = timezone.now(), by
    person.version += 1
    person.save(update_fields=["ended_at", "ended_by", "version"])
    for link_id in person.patient.links.filter(contact_person=person).values_list(
        "pk", flat=True
    ):
        revoke_link(link_id=link_id, by=by)
    index_patients([person.patient_id])
    _note(AuditEvent.Verb.DELETE, person, by)
    return person


@transaction.atomic
def note_looked_at(*, contact_person_id: int, by: User) -> None:
    """Note that somebody asked whether a contact person may still know; locks the row.

    The day that brought it up goes; one yet to come stays.
    """
    person = ContactPerson.objects.select_for_update().get(pk=contact_person_id)
    if person.review_on is None or person.review_on > timezone.localdate():
        return
    person.review_on = None
    person.version += 1
    person.save(update_fields=["review_on", "version"])
    _note(AuditEvent.Verb.CHANGE, person, by, ["review_on"])


def of_age_on(patient: Patient) -> date | None:
    """Return the day a patient comes of age; 1 March for 29 February. Pure."""
    born = patient.birth_date
    if born is None:
        return None
    try:
        return born.replace(year=born.year + OF_AGE)
    except ValueError:
        return date(born.year + OF_AGE, 3, 1)


def _fill(person: ContactPerson, patient: Patient, fields: dict[str, Any]) -> None:
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise TypeError(f"no such fields: {sorted(unknown)}")
    for name, value in fields.items():
        setattr(person, name, value)
    minor = is_minor(patient, timezone.localdate())
    if person.since and person.until and person.until < person.since:
        raise ValidationError({"until": _("This is before it begins.")})
    if person.person_id == patient.pk:
        raise ValidationError({"person": _("This is the patient.")})
    if person.is_responsible and not minor and person.basis not in FOR_AN_ADULT:
        raise ValidationError(
            {
                "basis": _(
                    "An adult answers for themselves, unless there is a guardian by "
                    "law or a power of attorney."
                )
            }
        )
    if person.is_responsible and not person.scopes:
        raise ValidationError(
            {"scopes": _("Say what they may be told, or nothing reaches them.")}
        )
    if person.is_responsible and minor and person.review_on is None:
        person.review_on = of_age_on(patient)


def _set_address(
    person: ContactPerson, channel: Channel, text: str, region: str, field: str
) -> bool:
    """Make this the first address of a contact person; return whether it is another.

    Empty takes it away. Those imported beside it stay.
    """
    first = person.contact_points.filter(channel=channel).first()
    address = checked_address(channel, text, region=region, field=field) if text else ""
    if (first.address if first else "") == address:
        return False
    if first is not None:
        first.delete()
    person.contact_points.filter(channel=channel, address=address).delete()
    if address:
        ContactPoint.objects.create(
            contact_person=person, channel=channel, address=address
        )
    return True


def _note(
    verb: AuditEvent.Verb,
    person: ContactPerson,
    by: User,
    changed: Collection[str] = (),
) -> None:
    record(
        verb,
        patient_ids=[person.patient_id],
        subject=f"contact_person:{person.pk}",
        details={"changed": sorted(changed)} if changed else {},
        by=by,
    )


@dataclass(frozen=True)
class Housemate:
    """A patient who lives close to another, and how that is known."""

    patient: Patient
    #: An address both are reached at, as stored; blank where a record links them.
    address: str = ""
    #: Whether they are on the patient's list of contact persons.
    answers: bool = False


def household(user: User, patient: Patient) -> list[Housemate]:
    """Return the user's patients who share an address with this one, or are linked.

    By their own addresses or those of their contact persons. Whoever is hidden by a
    safe contact plan appears on nobody's page and sees nobody on theirs. Five queries.
    """
    if _hidden([patient.pk]):
        return []
    addresses = ContactPoint.objects.filter(_of([patient.pk])).values("address")
    found: dict[int, tuple[str, bool]] = {}
    at_these = ContactPoint.objects.filter(
        Q(contact_person=None) | Q(contact_person__ended_at=None), address__in=addresses
    )
    for point in at_these.values("patient_id", "contact_person__patient_id", "address"):
        whose = point["patient_id"] or point["contact_person__patient_id"]
        found.setdefault(whose, (point["address"], False))
    linked = ContactPerson.objects.filter(
        Q(patient=patient) | Q(person=patient), person__isnull=False, ended_at=None
    )
    for whose, record_id in linked.values_list("patient_id", "person_id"):
        if whose == patient.pk:
            found[record_id] = (found.get(record_id, ("", False))[0], True)
        else:
            found.setdefault(whose, ("", False))
    found.pop(patient.pk, None)
    away = _hidden(found)
    others = (
        Patient.objects.visible_to(user)
        .filter(pk__in=set(found) - away)
        .order_by("birth_date", "pk")
    )
    return [Housemate(one, *found[one.pk]) for one in others]


def _of(patient_ids: Collection[int]) -> Q:
    return Q(patient__in=patient_ids) | Q(
        contact_person__patient__in=patient_ids, contact_person__ended_at=None
    )


def _hidden(patient_ids: Collection[int]) -> set[int]:
    """Return those whom a safe contact plan in force hides; one query."""
    plans = SafeContactPlan.objects.hiding().filter(patient__in=patient_ids)
    return set(plans.values_list("patient_id", flat=True))
