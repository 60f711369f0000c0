"""Writes about a patient that several rooms share; the others stand by their subject.

Those are ``profile``, ``contact_points``, ``household``, ``flags``, ``safe_contact``,
``consents``, ``history``, ``notes``, ``intake``, ``merging``, ``erasing`` and
``retention``.
"""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from patients.models import Channel, Consent, ContactPoint, Patient

#: How a consent that came with a file was given.
BY_IMPORT = "import"
#: Why a new number of somebody who agreed on another one is not used.
NO_CONSENT_YET = gettext_noop("not agreed to for this address yet")


def add_to_site(*, patient: Patient, site: Site) -> None:
    """Make somebody a patient of a site, whose staff then see them; one statement.

    Who is one already stays one.
    """
    membership = Patient.sites.through
    membership.objects.bulk_create(
        [membership(patient_id=patient.pk, site_id=site.pk)], ignore_conflicts=True
    )


@transaction.atomic
def record_consent(
    *,
    patient: Patient,
    channel: Channel,
    given: bool,
    method: str,
    by: User | None,
    purpose: Consent.Purpose = Consent.Purpose.CARE,
    evidence: str = "",
    wording_version: str = "",
) -> Consent | None:
    """Note that the patient agreed, or no longer agrees; append-only.

    A yes also opens the addresses that waited for one. A yes that comes with an import
    never lifts a no: then nothing is written and None returned; a person has to hear
    it from the patient.
    """
    before = (
        Consent.objects.filter(patient=patient, channel=channel, purpose=purpose)
        .order_by("-at", "-id")
        .first()
    )
    if given and method == BY_IMPORT and before is not None and not before.given:
        return None
    if given:
        ContactPoint.objects.filter(
            patient=patient, channel=channel, why_not=NO_CONSENT_YET
        ).update(usable=True, why_not="")
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[patient.pk],
        subject=f"patient:{patient.pk}",
        details={
            "changed": ["consent"],
            "channel": channel,
            "purpose": purpose,
            "state": "given" if given else "withdrawn",
        },
        by=by,
    )
    return Consent.objects.create(
        patient=patient,
        channel=channel,
        purpose=purpose,
        given=given,
        method=method,
        evidence=evidence,
        wording_version=wording_version,
        recorded_by=by,
        at=timezone.now(),
    )
