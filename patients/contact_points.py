"""Writes about the numbers and addresses of a patient."""

import hashlib
import json

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.phones import to_e164
from core.versions import StaleError
from patients.models import (
    Channel,
    Consent,
    ContactPoint,
    Patient,
    SafeContactPlan,
)
from patients.queries import has_consent
from patients.services import NO_CONSENT_YET
from patients.terms import index_patients

#: Why staff find an address useless; stored so, read in their own language.
WHY_NOT = (
    gettext_noop("no longer in use"),
    gettext_noop("only rings out"),
    gettext_noop("takes no texts"),
    gettext_noop("the patient asked us not to use it"),
)


def checked_address(
    channel: str, text: str, *, region: str, field: str = "address"
) -> str:
    """Return an address as it is stored: E.164, or an email address in lower case.

    Pure. ``region`` is the two-letter country that numbers without a country code are
    of. Raises ``ValidationError`` about ``field`` for what cannot be reached.
    """
    text = text.strip()
    if channel == Channel.SMS:
        number = to_e164(text, region)
        if number is None:
            raise ValidationError({field: _("This cannot be a phone number.")})
        return number
    try:
        validate_email(text)
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from error
    return text.lower()


def new_point(
    patient: Patient,
    channel: str,
    address: str,
    *,
    safe_to_text: bool = True,
    voicemail: bool = False,
) -> ContactPoint:
    """Write an address of a patient, after those there are; the caller holds the row.

    Where they agreed to be reached on another one, it waits until they agree to it: a
    consent is about the number it was given for. Two queries and the insert.
    """
    others = list(ContactPoint.objects.filter(patient=patient, channel=channel))
    if any(point.address == address for point in others):
        raise ValidationError({"address": _("They have this one already.")})
    waits = bool(others) and has_consent(patient, channel, Consent.Purpose.CARE)
    return ContactPoint.objects.create(
        patient=patient,
        channel=channel,
        address=address,
        usable=not waits,
        why_not=NO_CONSENT_YET if waits else "",
        safe_to_text=safe_to_text,
        voicemail=voicemail,
        rank=max((point.rank for point in others), default=-1) + 1,
    )


@transaction.atomic
def add_contact_point(
    *,
    patient_id: int,
    channel: str,
    address: str,
    region: str,
    by: User,
    safe_to_text: bool = True,
    voicemail: bool = False,
    first: bool = False,
) -> ContactPoint:
    """Give a patient one more number or address and return it; locks the patient.

    ``region`` as in ``checked_address``. ``first`` puts it before the others of its
    channel. Where the patient agreed on another one it is not used before they agree
    to it (``NO_CONSENT_YET``).
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    point = new_point(
        patient,
        channel,
        checked_address(channel, address, region=region),
        safe_to_text=safe_to_text,
        voicemail=voicemail,
    )
    if first:
        _put_first(point)
    index_patients([patient.pk])
    _note(AuditEvent.Verb.CREATE, point, ["address"], by)
    return point


@transaction.atomic
def change_contact_point(
    *,
    point_id: int,
    address: str,
    region: str,
    by: User,
    safe_to_text: bool,
    voicemail: bool,
    usable: bool = True,
    why_not: str = "",
    first: bool = False,
    version: str = "",
) -> ContactPoint:
    """Change a number or address of a patient and return it; locks the patient.

    ``version`` is ``version_of`` the row that the caller read; raises ``StaleError``
    where it says something else by now, or nobody would see that a colleague has just
    found it unsafe. Blank does not ask.

    Another address is a new one: the consent given for the one before does not go with
    it. ``usable`` cannot open what waits for a consent; only a consent does. What stood
    there before is forgotten, so that a text from it is nobody's. Raises
    ``ValidationError`` while a safe contact plan names what stood there.
    """
    found = ContactPoint.objects.get(pk=point_id)
    patient = Patient.objects.select_for_update().get(contact_points=found)
    point = ContactPoint.objects.get(pk=point_id)
    if version and version != version_of(point):
        raise StaleError(point)
    address = checked_address(point.channel, address, region=region)
    is_new = address != point.address
    if is_new:
        _refuse_planned(point)
    others = ContactPoint.objects.filter(patient=patient, channel=point.channel)
    if is_new and others.filter(address=address).exists():
        raise ValidationError({"address": _("They have this one already.")})
    waits = point.why_not == NO_CONSENT_YET or (
        is_new and has_consent(patient, point.channel, Consent.Purpose.CARE)
    )
    before = _state_of(point)
    point.address, point.safe_to_text, point.voicemail = (
        address,
        safe_to_text,
        voicemail,
    )
    if waits and usable:
        point.usable, point.why_not = False, NO_CONSENT_YET
    else:
        point.usable, point.why_not = usable, "" if usable else why_not
    point.save()
    if first:
        _put_first(point)
    changed = [name for name, was in before.items() if getattr(point, name) != was]
    if is_new:
        index_patients([patient.pk])
    if changed or first:
        _note(AuditEvent.Verb.CHANGE, point, changed or ["rank"], by)
    return point


@transaction.atomic
def retire_contact_point(*, point_id: int, by: User) -> None:
    """Forget a number or address that is not the patient's; locks the patient.

    The row goes: whoever has it now must not be taken for them, neither when we write
    nor when they do. What is about to go there stops at the gate. One that merely does
    not work any more is changed instead. Raises ``ValidationError`` while a safe
    contact plan names it: what goes by a plan, nothing else would stop.
    """
    found = ContactPoint.objects.get(pk=point_id)
    Patient.objects.select_for_update().get(contact_points=found)
    point = ContactPoint.objects.filter(pk=point_id).first()
    if point is None:
        return
    _refuse_planned(point)
    _note(AuditEvent.Verb.DELETE, point, ["address"], by)
    point.delete()
    index_patients([found.patient_id or 0])


def _refuse_planned(point: ContactPoint) -> None:
    """Keep the address of a safe contact plan: what goes there goes by the plan."""
    plans = SafeContactPlan.objects.filter(
        patient=point.patient_id,
        channel=point.channel,
        address=point.address,
        ended_at=None,
    )
    if plans.exists():
        raise ValidationError(
            {
                "address": _(
                    "The safe contact plan names this one. Make another plan first, or "
                    "end it."
                )
            }
        )


def version_of(point: ContactPoint) -> str:
    """Return a mark of what a number or address says, for a page about it; pure."""
    says = json.dumps(_state_of(point), sort_keys=True)
    return hashlib.sha256(says.encode()).hexdigest()[:16]


def _state_of(point: ContactPoint) -> dict[str, object]:
    names = ("address", "safe_to_text", "voicemail", "usable", "why_not")
    return {name: getattr(point, name) for name in names}


def _put_first(point: ContactPoint) -> None:
    """Put an address before the others of its channel; the patient is locked."""
    others = ContactPoint.objects.filter(
        patient=point.patient_id, channel=point.channel
    ).exclude(pk=point.pk)
    ranked = [point, *others]
    for rank, one in enumerate(ranked):
        one.rank = rank
    ContactPoint.objects.bulk_update(ranked, ["rank"])


def _note(
    verb: AuditEvent.Verb, point: ContactPoint, changed: list[str], by: User
) -> None:
    record(
        verb,
        patient_ids=[point.patient_id or 0],
        subject=f"contact_point:{point.pk}",
        details={"changed": sorted(changed), "channel": point.channel},
        by=by,
    )
