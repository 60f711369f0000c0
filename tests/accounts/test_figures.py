"""The figures a monitor reads."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import generate_latest

from accounts.figures import figures, registry
from accounts.models import Job
from accounts.roles import Role
from accounts.ticks import beat, run_pass
from messaging.inbound import receive
from messaging.models import Notice
from tests.factories import MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db


def told() -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def raised(number: int, severity: WorkItem.Severity, due: timedelta) -> None:
    raise_item(
        kind="cancel_word",
        severity=severity,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=number,
        dedupe_key=f"item{number}",
        due_at=MONDAY + due,
    )


def test_heartbeats_are_told_by_their_age(monday):
    beat("tick")
    monday.shift(30)
    beat("worker")
    assert told()['clinic_heartbeat_age_seconds{part="tick"}'] == 30
    assert told()['clinic_heartbeat_age_seconds{part="worker"}'] == 0


def test_jobs_are_told_by_how_they_stand(monday):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    for state in ("queued", "failed", "failed"):
        Job.objects.create(kind="sort", user=femi, created_at=MONDAY, state=state)
    found = told()
    assert [found[f'clinic_jobs{{state="{s}"}}'] for s in Job.State.values] == [
        1,
        0,
        0,
        2,
        0,
    ]


def test_work_is_told_by_severity_and_lateness(monday):
    raised(1, WorkItem.Severity.RED, timedelta(hours=1))
    raised(2, WorkItem.Severity.RED, -timedelta(hours=1))
    raised(3, WorkItem.Severity.REVIEW, timedelta(hours=1))
    found = told()
    assert found['clinic_work_items_open{severity="red"}'] == 2
    assert found['clinic_work_items_open{severity="amber"}'] == 0
    assert found['clinic_work_items_overdue{severity="red"}'] == 1
    assert found['clinic_work_items_overdue{severity="review"}'] == 0


def test_what_waits_in_messaging_is_told_by_age(monday):
    booked()
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address="+16175550143",
        to_address="",
        body="Can I bring my son?",
    )
    monday.shift(40)
    assert told()["clinic_inbound_unhandled_age_seconds"] == 40
    run_pass()
    assert told()["clinic_inbound_unhandled_age_seconds"] == 0
    Notice.objects.update(state="open", deadline=timezone.now() - timedelta(hours=1))
    assert told()["clinic_notices_overdue"] == Notice.objects.count() > 0


def test_nobody_knows_of_broken_promises_before_the_first_look(monday):
    assert "clinic_promises_broken" not in told()
    run_pass()
    assert told()["clinic_promises_broken"] == 0


def test_the_trail_is_told_until_it_is_sealed(client, monday):
    grace = patient()
    client.force_login(member_of_staff("maya", Role.NURSE))
    client.get(f"/patients/{grace.pk}/")
    assert told()["clinic_audit_unsealed"] > 0
    run_pass()
    assert told()["clinic_audit_unsealed"] == 0


def test_one_that_breaks_is_named_and_keeps_no_other_from_telling(monkeypatch, caplog):
    def broken():
        yield from ()
        raise RuntimeError

    monkeypatch.setitem(figures._entries, "messaging", broken)
    found = told()
    assert found['clinic_figures_failed{app="messaging"}'] == 1
    assert found['clinic_figures_failed{app="worklist"}'] == 0
    assert "clinic_work_items_open" in " ".join(found)
    assert [record.what for record in caplog.records] == ["messaging"]


def test_a_scrape_costs_the_same_with_more(monday):
    costs = []
    for n in range(2):
        booked(patient(f"Given{n}", phone=f"+1617555012{n}"), at=at_hour(10 + n))
        run_pass()
        raised(n, WorkItem.Severity.RED, timedelta(hours=1))
        with CaptureQueriesContext(connection) as queries:
            told()
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 13, costs


def at_hour(hour: int):
    return (MONDAY + timedelta(days=1)).replace(hour=hour, tzinfo=None)
