"""Asking for what is not one's own: not there, and written down (decision 0007)."""

import re

import pytest
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from messaging.services import conversation_with
from patients.grants import grant_access
from patients.models import Link
from tests.factories import SiteFactory, booked, come_in, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def far(monday):
    """What there is of Grace, whom only North has: {subject: address of the page}."""
    north = SiteFactory(name="Harbour Clinic North")
    nina = member_of_staff("nina", Role.NURSE, north)
    grace = patient()
    visit = booked(grace)
    grace.sites.set([north])
    conversation = conversation_with(patient=grace, address="")
    item = raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="x",
        subject_kind="message",
        subject_id=1,
        dedupe_key="x",
        due_at=visit.starts_at,
        patient=grace,
        site=north,
    )
    grant = grant_access(user=nina, patient=grace, reason="Brought in unconscious.")
    return grace, {
        f"patient:{grace.pk}": reverse("patients:patient_detail", args=[grace.pk]),
        f"appointment:{visit.pk}": f"/schedule/{visit.pk}/",
        f"conversation:{conversation.pk}": f"/inbox/{conversation.pk}/",
        f"work_item:{item.pk}": f"/worklist/{item.pk}/close/",
        f"grant:{grant.pk}": f"/patients/emergency/{grant.pk}/end/",
    }


def refusals() -> list[tuple[str, list[int]]]:
    found = AuditEvent.objects.filter(verb=AuditEvent.Verb.REFUSED).order_by("id")
    return [(event.subject, event.patient_ids) for event in found]


def same(answer) -> str:
    """Return a page without what is another at every answer."""
    every_time = r'"[\w/+=-]{22,}"|\b[a-z2-9]{8}\b|(/|%2F)\d+'
    return re.sub(every_time, "", answer.content.decode())


@pytest.mark.parametrize("n", range(5))
def test_asking_for_what_is_anothers_looks_like_nothing_and_is_written(client, far, n):
    grace, pages = far
    subject, page = list(pages.items())[n]
    come_in(client, member_of_staff("maya", Role.NURSE))
    nothing = re.sub(r"/\d+/", "/999/", page)
    ask = client.post if "/end/" in page else client.get
    theirs, none = ask(page), ask(nothing)
    assert (theirs.status_code, none.status_code) == (404, 404)
    assert same(theirs) == same(none)
    assert refusals() == [(subject, [grace.pk])]


def test_what_a_form_asks_for_is_written_though_its_work_is_undone(client, far):
    grace, pages = far
    come_in(client, member_of_staff("maya", Role.NURSE))
    visit = next(key for key in pages if key.startswith("appointment"))
    key = {"client_key": "11111111-1111-4111-8111-111111111111"}
    answer = client.post(f"{pages[visit]}move/", key)
    assert answer.status_code == 404
    assert refusals() == [(visit, [grace.pk])]


def test_a_link_of_another_patient_is_written(client, far):
    grace, _pages = far
    come_in(client, member_of_staff("maya", Role.NURSE))
    mine = patient("Tom", "Silva", phone="")
    link = Link.objects.create(
        patient=grace,
        purpose="visit",
        token_hash="x",
        created_at=grace.created_at,
        expires_at=grace.created_at,
    )
    answer = client.post(f"/patients/{mine.pk}/links/{link.pk}/revoke/")
    assert answer.status_code == 404
    assert refusals() == [(f"link:{link.pk}", [grace.pk])]
