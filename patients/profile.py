"""Writes about a patient as a person: who they are, and whether they live."""

from collections.abc import Collection
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from core.versions import StaleError
from patients.contact_points import checked_address, new_point
from patients.models import Channel, Identifier, Patient
from patients.registry import death_corrected, died, site_left
from patients.terms import index_patients

#: Nobody alive was born before; the oldest person on record died at 122.
FIRST_BIRTH_YEAR = 1895
#: What ``change_profile`` may write, beside the sites.
PROFILE_FIELDS = frozenset(
    {
        "given_name",
        "family_name",
        "preferred_name",
        "pronouns",
        "birth_date",
        "sex",
        "language",
        "spoken_language",
        "needs_interpreter",
        "reading_help",
        "needs",
        "preferred_way",
        "best_from",
        "best_until",
        "what_matters",
        "top_worry",
        "wants_to_know",
        "zone",
        "usual_clinician",
        "address_line",
        "city",
        "state",
        "postal_code",
        "country",
    }
)
#: A change of one of these changes what the patient is found by.
_FOUND_BY = frozenset({"given_name", "family_name", "preferred_name"})


def lock_patient(patient_id: int, version: int | None = None) -> Patient:
    """Return the patient, locked until the transaction ends; one query.

    Raises ``StaleError`` when ``version``, the one a page was made from, is no
    longer the stored one.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    if version is not None and version != patient.version:
        raise StaleError(patient)
    return patient


@transaction.atomic
def add_patient(
    *,
    site: Site,
    given_name: str,
    by: User,
    family_name: str = "",
    birth_date: date | None = None,
    phone: str = "",
    email: str = "",
    identifier: str = "",
    language: str = "",
    **fields: Any,
) -> Patient:
    """Take somebody on as a patient of a site, and return them.

    ``phone`` may be typed as people of the site's region do; ``identifier`` is the
    clinic's own number. Whether they may be written to is told apart
    (``record_consent``): a number is no consent. ``fields`` are more of
    ``PROFILE_FIELDS``. Raises ``ValidationError`` by argument for a birth date that
    cannot be, a number or address that cannot be reached, and an identifier that is
    another patient's. About ten queries.
    """
    _refuse_unlikely_birth(birth_date)
    addresses = [
        (channel, checked_address(channel, text, region=site.region, field=field))
        for channel, text, field in (
            (Channel.SMS, phone, "phone"),
            (Channel.EMAIL, email, "email"),
        )
        if text
    ]
    if identifier:
        _refuse_taken(identifier)
    patient = Patient.objects.create(
        given_name=given_name,
        family_name=family_name,
        birth_date=birth_date,
        language=language or site.language,
        **_known(fields),
    )
    patient.sites.add(site)
    for channel, address in addresses:
        new_point(patient, channel, address)
    if identifier:
        Identifier.objects.create(patient=patient, system="mrn", value=identifier)
    index_patients([patient.pk])
    record(
        AuditEvent.Verb.CREATE,
        patient_ids=[patient.pk],
        subject=f"patient:{patient.pk}",
        by=by,
    )
    return patient


@transaction.atomic
def change_profile(
    *,
    patient_id: int,
    version: int,
    by: User,
    sites: Collection[Site] | None = None,
    **fields: Any,
) -> Patient:
    """Write what changed of a profile and return it; locks the patient.

    ``version`` is the one the form was made from: another one raises
    ``StaleError`` and writes nothing. ``sites`` are those of ``by``'s own at
    which the patient is one; sites of others stay as they are, and the last one stays.
    The app above that has visits at a site may refuse to let it go.
    """
    patient = lock_patient(patient_id, version)
    if "birth_date" in fields:
        _refuse_unlikely_birth(fields["birth_date"])
    changed = [
        name
        for name, value in _known(fields).items()
        if getattr(patient, name) != value
    ]
    for name in changed:
        setattr(patient, name, fields[name])
    moved = _move_sites(patient, sites, by) if sites is not None else False
    if not changed and not moved:
        return patient
    patient.version += 1
    patient.save(update_fields=[*changed, "version"])
    if _FOUND_BY.intersection(changed):
        index_patients([patient.pk])
    note_change(patient, [*changed, *(["sites"] if moved else [])], by)
    return patient


def _move_sites(patient: Patient, wanted: Collection[Site], by: User) -> bool:
    before = set(patient.sites.all())
    own = set(by.sites.all())
    after = (before - own) | (set(wanted) & own)
    if not after:
        raise ValidationError(
            {"sites": _("Everybody is a patient of at least one site.")}
        )
    for site in sorted(before - after, key=lambda site: site.pk):
        for _key, ask in site_left:
            ask(patient, site)
    patient.sites.set(after)
    return before != after


@transaction.atomic
def record_death(*, patient_id: int, died_on: date, told_by: str, by: User) -> Patient:
    """Note that a patient has died; stops everything outgoing at once.

    Locks the patient. What waits to be sent is taken back in the same transaction by
    the apps above (``patients.registry.died``); links close by themselves. Noting it
    twice changes nothing.
    """
    patient = lock_patient(patient_id)
    if patient.deceased_on:
        return patient
    if died_on > timezone.localdate():
        raise ValidationError({"died_on": _("This day is still to come.")})
    if patient.birth_date and died_on < patient.birth_date:
        raise ValidationError({"died_on": _("This is before they were born.")})
    patient.deceased_on, patient.death_told_by = died_on, told_by
    patient.version += 1
    patient.save(update_fields=["deceased_on", "death_told_by", "version"])
    note_change(patient, ["deceased_on"], by)
    for _key, tell in died:
        tell(patient)
    return patient


@transaction.atomic
def correct_death(*, patient_id: int, reason: str, by: User) -> Patient:
    """Take back a death that was noted by mistake; locks the patient.

    What was taken back then is not promised anew by itself: the apps above put before
    a person what the patient was not told meanwhile (``death_corrected``). A list that
    still has them among the dead is not believed from now on.
    """
    patient = lock_patient(patient_id)
    if patient.deceased_on is None:
        return patient
    patient.deceased_on, patient.death_told_by = None, ""
    patient.death_corrected_at = timezone.now()
    patient.version += 1
    patient.save(
        update_fields=["deceased_on", "death_told_by", "death_corrected_at", "version"]
    )
    note_change(patient, ["deceased_on"], by, reason=reason)
    for _key, tell in death_corrected:
        tell(patient)
    return patient


def note_change(
    patient: Patient,
    changed: Collection[str],
    by: User,
    *,
    subject: str = "",
    reason: str = "",
) -> None:
    """Write which fields of a patient changed, in the caller's transaction."""
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=subject or f"patient:{patient.pk}",
        details={"changed": sorted(changed)},
        reason=reason,
        by=by,
    )


def raise_version(patient: Patient) -> None:
    """Make pages of the profile that are open elsewhere stale; the row is locked."""
    Patient.objects.filter(pk=patient.pk).update(version=F("version") + 1)
    patient.version += 1


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    if strange := fields.keys() - PROFILE_FIELDS:
        raise TypeError(f"no fields of a profile: {sorted(strange)}")
    return fields


def _refuse_unlikely_birth(born: date | None) -> None:
    if born is None:
        return
    if born > timezone.localdate():
        raise ValidationError({"birth_date": _("This day is still to come.")})
    if born.year < FIRST_BIRTH_YEAR:
        raise ValidationError({"birth_date": _("Nobody is that old.")})


def _refuse_taken(identifier: str) -> None:
    if Identifier.objects.filter(system="mrn", value=identifier).exists():
        raise ValidationError({"identifier": _("This number is another patient's.")})
