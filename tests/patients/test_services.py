"""Consents that are never rewritten."""

import pytest

from accounts.roles import Role
from patients.models import Consent, ContactPoint
from patients.queries import has_consent
from patients.services import BY_IMPORT, NO_CONSENT_YET, record_consent
from tests.factories import GRACE, member_of_staff, patient

pytestmark = pytest.mark.django_db


def test_a_yes_of_a_file_never_lifts_a_no():
    grace = patient()
    femi = member_of_staff("femi", Role.FRONT_DESK)
    assert record_consent(
        patient=grace, channel="sms", given=False, method="text", by=None
    )

    assert (
        record_consent(
            patient=grace, channel="sms", given=True, method=BY_IMPORT, by=None
        )
        is None
    )
    assert not has_consent(grace, "sms", "care")

    spoken = record_consent(
        patient=grace,
        channel="sms",
        given=True,
        method="spoken",
        wording_version="2026-1",
        by=femi,
    )
    assert spoken.recorded_by == femi
    assert has_consent(grace, "sms", "care")
    # Nothing was rewritten: the yes of the factory, the no, the yes.
    given = Consent.objects.order_by("at", "id").values_list("given", flat=True)
    assert list(given) == [True, False, True]


def test_a_yes_opens_the_number_that_waited_for_it_and_no_other():
    grace = patient()
    new = ContactPoint.objects.create(
        patient=grace,
        channel="sms",
        address="+16175550177",
        usable=False,
        why_not=NO_CONSENT_YET,
    )
    ContactPoint.objects.filter(address=GRACE).update(
        usable=False, why_not="wrong number"
    )

    record_consent(patient=grace, channel="sms", given=True, method="spoken", by=None)

    new.refresh_from_db()
    assert (new.usable, new.why_not) == (True, "")
    assert not ContactPoint.objects.get(address=GRACE).usable
