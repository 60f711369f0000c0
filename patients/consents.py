"""Asking a patient at the desk whether the clinic may write to them, and for what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.models import User
from patients.models import Channel, Consent, ContactPerson, ContactPoint, Patient
from patients.queries import latest_consent, points_with_facts, why_barred
from patients.recipients import answering
from patients.services import record_consent
from patients.wordings import CURRENT, language_of, spoken_in, wording_of

#: What somebody said, by channel and purpose.
Answers = Mapping[tuple[Channel, Consent.Purpose], bool]


class Method(models.TextChoices):
    """How somebody was asked at the desk."""

    SPOKEN = "spoken", gettext_lazy("Read out, and answered aloud")
    PAPER = "paper", gettext_lazy("On paper, signed")
    SCREEN = "screen", gettext_lazy("On this screen, by the patient")


#: Every way a consent may have come, as pages show what is stored.
STORED_METHODS = (
    gettext_noop("spoken"),
    gettext_noop("paper"),
    gettext_noop("screen"),
    gettext_noop("import"),
    gettext_noop("text"),
)


@dataclass(frozen=True)
class Asked:
    """What a patient said of one channel and purpose, the last time they were asked.

    ``consent`` is None for somebody never asked.
    """

    channel: Channel
    purpose: Consent.Purpose
    consent: Consent | None

    @property
    def given(self) -> bool | None:
        """Yes, no, or None for never asked."""
        return self.consent.given if self.consent else None

    @property
    def wording(self) -> str:
        """What they were asked, word for word; blank where nobody kept it."""
        kept = self.consent.wording_version if self.consent else ""
        return wording_of(self.purpose, kept)

    @property
    def wording_language(self) -> str:
        """The language of that wording; blank where nobody kept it."""
        return language_of(self.consent.wording_version if self.consent else "")


def asked_of(patient: Patient) -> list[Asked]:
    """Return what the patient said, for every channel and purpose; one query."""
    latest: dict[tuple[str, str], Consent] = {}
    rows = Consent.objects.filter(patient=patient).select_related("recorded_by")
    for consent in rows.order_by("at", "id"):
        latest[consent.channel, consent.purpose] = consent
    return [
        Asked(channel, purpose, latest.get((channel, purpose)))
        for channel in Channel
        for purpose in Consent.Purpose
    ]


def points_of(patient: Patient) -> list[tuple[ContactPoint, str]]:
    """Return the patient's addresses, each with why nothing may go there; one query.

    Blank where nothing stands in the way. A yes lifts none of it: who asked us to stop
    takes that back from their own phone.
    """
    points = points_with_facts().filter(patient=patient)
    return [(point, why_barred(point)) for point in points]


def channels_of(patient: Patient) -> list[Channel]:
    """Return the channels on which the patient, or who answers for them, has an
    address; one query.
    """
    theirs = Q(patient=patient) | Q(contact_person__in=answering_for(patient))
    held = ContactPoint.objects.filter(theirs).values_list("channel", flat=True)
    held_now = set(held)
    return [channel for channel in Channel if channel in held_now]


def agreed_of(
    patient: Patient, purpose: Consent.Purpose = Consent.Purpose.CARE
) -> dict[str, bool]:
    """Return {channel: agreed} of the channels there is an address for; one query.

    Never asked counts as no.
    """
    theirs = Q(patient=patient) | Q(contact_person__in=answering_for(patient))
    points = ContactPoint.objects.filter(theirs).annotate(
        agreed=latest_consent(purpose, patient.pk)
    )
    return {
        channel: bool(agreed)
        for channel, agreed in points.values_list("channel", "agreed")
    }


def answering_for(patient: Patient) -> QuerySet[ContactPerson]:
    """Return the contact persons who answer for the patient today."""
    return answering(timezone.localdate()).filter(patient=patient)


def has_agreed(purpose: Consent.Purpose = Consent.Purpose.CARE) -> Q:
    """Return whether the patient of a row agreed on a channel there is an address for.

    A condition over rows with a ``patient``, by the latest word on each channel; the
    address is the patient's, or of somebody who answers for them.
    """
    of_the_row = OuterRef(OuterRef("patient"))
    agreed = ContactPoint.objects.alias(
        agreed=latest_consent(purpose, of_the_row)
    ).filter(agreed=True)
    persons = answering(timezone.localdate()).filter(patient=of_the_row)
    return Q(Exists(agreed.filter(patient=OuterRef("patient")))) | Q(
        Exists(agreed.filter(contact_person__in=persons.values("pk")))
    )


def last_refusals(patient_ids: Iterable[int]) -> dict[int, Consent]:
    """Return {patient id: their latest no to care}; one query.

    Of those whose latest word on some channel is a no.
    """
    refused: dict[int, Consent] = {}
    latest: dict[tuple[int, str], Consent] = {}
    rows: QuerySet[Consent] = Consent.objects.filter(
        patient__in=list(patient_ids), purpose=Consent.Purpose.CARE
    )
    for consent in rows.order_by("at", "id"):
        latest[consent.patient_id, consent.channel] = consent
    for (patient_id, _channel), consent in latest.items():
        if not consent.given:
            refused[patient_id] = consent
    return refused


@transaction.atomic
def take_consents(
    *,
    patient: Patient,
    answers: Answers,
    method: Method,
    by: User,
    language: str,
    version: str = CURRENT,
    answered_by: ContactPerson | None = None,
) -> list[Consent]:
    """Note what a patient said at the desk, each answer a row; return those written.

    ``language`` is the one the wording was shown or read in; ``answered_by`` is who
    answered when it was not the patient. An answer that is already the latest word, to
    the same wording, is written anew only where it was given another way: a signature
    beside a spoken yes is worth keeping. Nothing is lifted: an address that asked us to
    stop stays stopped. Raises ``ValidationError`` for a wording nobody is asked any
    more, and for a patient who died. Locks the patient.
    """
    patient = Patient.objects.select_for_update().get(pk=patient.pk)
    if patient.deceased_on:
        raise ValidationError(_("This patient has died. Nothing is sent any more."))
    if version != CURRENT:
        raise ValidationError(_("The wording has changed. Ask once more."))
    shown = f"{version} {spoken_in(language)}"
    evidence = str(answered_by or "")[:200]
    said = {(one.channel, one.purpose): one.consent for one in asked_of(patient)}
    taken = []
    for (channel, purpose), given in answers.items():
        before = said.get((channel, purpose))
        same = before is not None and (
            before.given,
            before.method,
            before.wording_version,
            before.evidence,
        ) == (given, method.value, shown, evidence)
        if same:
            continue
        consent = record_consent(
            patient=patient,
            channel=channel,
            purpose=purpose,
            given=given,
            method=method.value,
            wording_version=shown,
            evidence=evidence,
            by=by,
        )
        if consent is not None:
            taken.append(consent)
    return taken
