"""Letters: when the post still helps, and what one says.

A letter is a person's to post: its work item is raised and ended in ``handover.py``.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from messaging.models import Hold, Notice
from messaging.registry import causes
from patients.models import Channel, Patient, SafeContactPlan

logger = logging.getLogger(__name__)

#: How long the post takes: one to five days (USPS, First-Class Mail).
POST_TAKES = timedelta(days=5)
#: How soon somebody posts a letter that is owed; a weekend lies between at most.
POSTED_WITHIN = timedelta(days=2)


def letter_for(notice: Notice) -> str:
    """Return what a letter about a notice says; blank where none may or would help.

    In the patient's language, as an email would say it, and asking for no digit. Four
    queries at most.
    """
    somebody = notice.patient
    if (
        somebody is None
        or notice.about_patient_id != somebody.pk
        or notice.confidential
        or somebody.preferred_way == Patient.Way.CALL
        or not has_postal_address(somebody)
    ):
        return ""
    # Whoever shares a home shares its letter box.
    if SafeContactPlan.objects.in_force().filter(patient=somebody).exists():
        return ""
    if Hold.objects.filter(patient=somebody, ended_at=None).exists():
        return ""
    if not in_time(notice, POSTED_WITHIN + POST_TAKES):
        return ""
    try:
        with transaction.atomic():
            draft = causes[notice.cause_kind].compose(
                [notice], channel=Channel.EMAIL, digits_from=None, neutral=False
            )
    except Exception:
        # Then a person says it in their own words.
        logger.exception("notice %s: its letter cannot be written", notice.pk)
        return ""
    return draft.body


def in_time(notice: Notice, takes: timedelta) -> bool:
    """Return whether something that takes so long comes while it still helps."""
    useful_until = causes[notice.cause_kind].useful_until(notice)
    return timezone.now() + takes <= useful_until


def has_postal_address(patient: Patient) -> bool:
    """Return whether enough is known of where somebody lives to post a letter."""
    return bool(patient.address_line and (patient.city or patient.postal_code))
