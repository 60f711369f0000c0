"""What nobody has told the patient becomes work, once a patient, until it is told."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.services import cancel_appointment
from patients.history.queries import overdue
from patients.history.services import end_entry, take_back_entry
from patients.history.telling import note_told, put_off_telling
from patients.models import HistoryEntry
from tests.factories import (
    MONDAY,
    SiteFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.queries import items_of
from worklist.services import claim_item
from worklist.untold import MOST, look_for_untold, sweep_untold

pytestmark = pytest.mark.django_db

TWO_WEEKS = timedelta(days=14)


@pytest.fixture
def grace(monday):
    return patient()


@pytest.fixture
def rao(monday):
    return member_of_staff("rao", Role.CLINICIAN)


def untold(who, waits=TWO_WEEKS, source="staff", **fields):
    known = {"kind": "condition", "label": "Anaemia", "status": "active"}
    return HistoryEntry.objects.create(
        patient=who, source=source, recorded_at=timezone.now() - waits, **known | fields
    )


def items():
    return WorkItem.objects.filter(kind="untold")


def test_fourteen_days_and_not_a_second_less(grace):
    untold(grace, TWO_WEEKS - timedelta(seconds=1))
    assert look_for_untold() == 0
    assert not items().exists()
    untold(grace, TWO_WEEKS, label="Gout")
    assert look_for_untold() == 1
    item = items().get()
    assert (item.severity, item.patient) == (WorkItem.Severity.AMBER, grace)
    assert item.due_at == MONDAY + timedelta(days=3)
    assert "Gout" not in item.sentence


def test_one_item_a_patient_however_often_it_looks(grace):
    for number in range(5):
        untold(grace, label=f"Finding {number}")
    untold(patient("Tomás", "Silva", phone=""))
    assert look_for_untold() == 2
    assert look_for_untold() == 0
    assert items().count() == 2
    assert "5" in items().get(patient=grace).sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "resolved"},
        {"status": "entered-in-error"},
        {"verification": "refuted"},
        {"kind": "allergy"},
        {"told_on": MONDAY.date()},
    ],
)
def test_what_nobody_need_tell_is_no_work(grace, fields):
    untold(grace, **fields)
    assert look_for_untold() == 0


def test_the_dead_are_told_nothing(grace):
    entry = untold(grace)
    look_for_untold()
    grace.deceased_on = MONDAY.date()
    grace.save()
    assert look_for_untold() == 1
    assert items().get().closed_at
    assert entry.told_on is None


def test_an_import_waits_until_the_patient_comes(grace, monday):
    """A list of 100,000 must not put 100,000 things before the staff."""
    entry = untold(grace, source="imported")
    assert look_for_untold() == 0
    visit = booked(grace, at=datetime(2026, 12, 8, 9))
    assert not overdue(visit.starts_at - timedelta(days=14)).exists()
    assert overdue(visit.starts_at - timedelta(days=14, seconds=-1)).get() == entry
    assert overdue(visit.starts_at + timedelta(days=30, seconds=-1)).get() == entry
    assert not overdue(visit.starts_at + timedelta(days=30)).exists()
    monday.move_to(visit.starts_at)
    assert look_for_untold() == 1
    cancel_appointment(appointment_id=visit.pk, by=None)
    assert not overdue(visit.starts_at).exists()


def test_it_closes_itself_when_the_last_is_told(grace, rao):
    first, second = untold(grace), untold(grace, label="Gout")
    look_for_untold()
    claim_item(item_id=items().get().pk, by=rao)
    note_told(entry_ids=[first.pk], by=rao, on=MONDAY.date())
    assert items().get().closed_at is None
    note_told(entry_ids=[second.pk], by=rao, on=MONDAY.date())
    item = items().get()
    assert (item.closed_at, item.closed_by_rule) == (MONDAY, "nothing is left to tell")


def test_an_error_and_an_end_leave_nothing_to_tell(grace, rao):
    take_back_entry(entry_id=untold(grace).pk, by=rao)
    second = untold(grace)
    look_for_untold()
    end_entry(entry_id=second.pk, by=rao)
    look_for_untold()
    assert items().get().closed_at


def test_put_off_it_comes_back_after_two_weeks(grace, rao, monday):
    untold(grace)
    look_for_untold()
    put_off_telling(patient=grace, by=rao, why="Wants her daughter there.")
    item = items().get()
    assert (item.outcome, item.closed_by) == ("later", rao)
    assert item.events.latest("pk").note == "Wants her daughter there."
    monday.shift(TWO_WEEKS - timedelta(seconds=1))
    assert look_for_untold() == 0
    monday.shift(1)
    assert look_for_untold() == 1
    assert items().filter(closed_at=None).count() == 1


def test_it_goes_to_the_site_of_the_usual_clinician(grace):
    north = SiteFactory(name="North")
    grace.sites.add(north)
    doctor = clinician("Dr Lin")
    doctor.sites.set([north])
    grace.usual_clinician = doctor
    grace.save()
    untold(grace)
    look_for_untold()
    assert items().get().site == north


def test_only_those_who_tell_see_it_and_it_leads_them_there(client, grace, rao):
    nora = member_of_staff("nora", Role.NURSE)
    untold(grace)
    look_for_untold()
    assert not items_of(nora).exists()
    item = items_of(rao).get()
    client.force_login(rao)
    answer = client.get(reverse("worklist:item_close", args=[item.pk]))
    assert answer.url == reverse("patients:history_tell", args=[grace.pk])
    assert "Anaemia" in client.get(answer.url).content.decode()


def test_a_pass_looks_once_an_hour(grace, monday):
    assert run_pass()["worklist.untold"] == 0
    untold(grace)
    assert sweep_untold() == 0
    monday.shift(timedelta(minutes=60))
    assert sweep_untold() == 1


def test_the_longest_waiting_come_first_and_not_all_at_once(monday, monkeypatch):
    assert MOST == 200
    monkeypatch.setattr("worklist.untold.MOST", 2)
    waiting = [patient(f"P{days}", phone="") for days in (15, 17, 16)]
    for who, days in zip(waiting, (15, 17, 16), strict=True):
        untold(who, timedelta(days=days))
    assert look_for_untold() == 2
    assert {item.patient for item in items()} == set(waiting[1:])
    assert look_for_untold() == 1


def test_finding_them_costs_the_same_however_many_wait(
    monday, django_assert_num_queries
):
    for number in range(3):
        somebody = patient(f"P{number}", phone="")
        for finding in range(3):
            untold(somebody, label=f"{finding}")
    look_for_untold()
    with django_assert_num_queries(3):
        look_for_untold()
