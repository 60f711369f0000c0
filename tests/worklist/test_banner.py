"""What cannot wait stands over the page of the patient it is about."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from patients.models import Patient
from tests.factories import member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import close_item, raise_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(monday: Any) -> Patient:
    return patient()


def asks(grace: Patient, kind: str, severity: int, reason: str) -> WorkItem:
    return raise_item(
        kind=kind,
        severity=severity,
        reason=reason,
        subject_kind="patient",
        subject_id=grace.pk,
        dedupe_key=reason,
        due_at=timezone.now(),
        patient=grace,
        site=grace.sites.get(),
    )


def page(client: Any, grace: Patient, role: Role = Role.FRONT_DESK) -> Any:
    client.force_login(member_of_staff(f"one of {role}", role))
    return client.get(reverse("patients:patient_detail", args=[grace.pk]))


def lines(answer: Any) -> list[str]:
    return [line.reason for _template, line in answer.context["banners"]]


def test_what_presses_stands_over_the_page_worst_first(client, grace):
    asks(grace, "visit_move", WorkItem.Severity.AMBER, "Wants another time.")
    asks(grace, "red_flag", WorkItem.Severity.RED, "May be an emergency.")
    answer = page(client, grace)
    assert lines(answer) == ["May be an emergency.", "Wants another time."]
    assert b"banner pressing red" in answer.content


def test_paperwork_does_not(client, grace):
    asks(grace, "visit_move", WorkItem.Severity.REVIEW, "Look again.")
    assert lines(page(client, grace)) == []


def test_nor_what_is_over_or_of_somebody_else(client, grace):
    item = asks(grace, "visit_move", WorkItem.Severity.AMBER, "Wants another time.")
    asks(patient("Leo"), "visit_move", WorkItem.Severity.AMBER, "Of Leo.")
    close_item(
        item_id=item.pk,
        outcome="kept",
        by=member_of_staff("x", Role.FRONT_DESK),
        note="",
    )
    assert lines(page(client, grace)) == []


def test_nor_what_this_role_may_not_see(client, grace):
    """That a condition waits for somebody to tell is for clinicians alone."""
    asks(grace, "untold", WorkItem.Severity.AMBER, "Not told.")
    assert lines(page(client, grace)) == []
    assert lines(page(client, grace, Role.CLINICIAN)) == ["Not told."]
