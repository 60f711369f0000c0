"""Whose visit may be changed: by the staff of its site, of patients of their own."""

from datetime import datetime

import pytest

from accounts.roles import Role
from appointments.models import Appointment
from patients.grants import end_access, grant_access
from patients.models import Patient
from tests.factories import SiteFactory, booked, come_in, member_of_staff, patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def visit(monday) -> Appointment:
    """Grace's visit at Harbour, which she has left for North since."""
    grace = patient()
    visit = booked(grace, at=datetime(2026, 11, 24, 10))
    grace.sites.set([SiteFactory(name="Harbour Clinic North")])
    return visit


def test_emergency_access_shows_a_visit_and_changes_none(client, visit):
    maya = member_of_staff("maya", Role.NURSE)
    come_in(client, maya)
    grant = grant_access(
        user=maya, patient=visit.patient, reason="Brought in unconscious."
    )
    page = client.get(f"/schedule/{visit.pk}/")
    assert page.status_code == 200
    assert page.context["may_change"] is False
    for change in ("move", "cancel", "mark", "link"):
        typed = {"day": "2026-11-26", "time": "11:00", "state": "arrived"}
        answer = client.post(f"/schedule/{visit.pk}/{change}/", typed)
        assert answer.status_code == 404, change
    end_access(grant_id=grant.pk)
    assert not Patient.objects.visible_to(maya).exists()
    before = visit.version
    visit.refresh_from_db()
    assert (visit.version, visit.state) == (before, Appointment.State.BOOKED)


def test_the_staff_of_its_site_change_a_visit_of_their_patient(client, visit):
    visit.patient.sites.add(SiteFactory())
    come_in(client, member_of_staff("maya", Role.NURSE))
    assert client.get(f"/schedule/{visit.pk}/").context["may_change"] is True
    assert client.get(f"/schedule/{visit.pk}/move/").status_code == 200
