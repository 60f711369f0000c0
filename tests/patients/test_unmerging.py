"""A merge undone: each record as it was, and what came since where it belongs."""

import random
from datetime import date, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.roles import Role
from messaging.models import Message, Notice
from messaging.promises import broken_promises
from patients.merging.registry import LOST, Pair, belongs
from patients.merging.services import questions, since_merge, undo_merge
from patients.models import Patient
from patients.terms import index_patients
from tests.factories import MONDAY, booked, member_of_staff, patient
from tests.patients.merging_scene import (
    OTHER_PHONE,
    at,
    crowded,
    dump,
    go,
    keys_to_patients,
    merge,
    run_opening,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def femi(monday):
    return member_of_staff("femi", Role.FRONT_DESK)


@pytest.fixture
def grace(monday) -> Patient:
    return patient("Grace", "Okafor", birth_date=date(1959, 3, 14))


@pytest.fixture
def gracie(monday) -> Patient:
    return patient(
        "Gracie", "Okafor", phone=OTHER_PHONE, birth_date=date(1959, 3, 14), city="Lynn"
    )


def test_what_came_since_stays_and_is_counted(grace, gracie, femi):
    merging = merge(grace, gracie, femi)
    booked(grace, at=at(10))
    counted = {table.key: n for table, n in since_merge(merging)}
    assert counted["appointments.Appointment.patient"] == 1
    undo_merge(merge_id=merging.pk, by=femi)
    assert grace.appointments.count() == 1


def test_a_field_changed_since_stays_as_it_is(grace, gracie, femi):
    merging = merge(grace, gracie, femi, name=LOST)
    Patient.objects.filter(pk=grace.pk).update(city="Quincy")
    undone = undo_merge(merge_id=merging.pk, by=femi)
    grace.refresh_from_db()
    assert (grace.given_name, grace.city) == ("Grace", "Quincy")
    assert undone.stayed == 1


def test_what_was_promised_of_a_visit_since_goes_back_with_it(
    grace, gracie, femi, monday
):
    visit = booked(gracie, at=at(10), tell=False)
    merging = merge(grace, gracie, femi)
    monday.move_to(datetime(2026, 11, 24, 20, 0, tzinfo=MONDAY.tzinfo))
    run_opening()
    assert Notice.objects.get().patient == grace
    undo_merge(merge_id=merging.pk, by=femi)
    notice = Notice.objects.get()
    assert (notice.cause_id, notice.patient) == (visit.pk, gracie)
    go(monday)
    assert broken_promises() == []
    assert {m.patient for m in Message.objects.filter(direction="out")} == {gracie}


def test_the_later_merge_is_undone_first(grace, gracie, femi):
    third = patient("Graciela", "Okafor", phone="")
    first = merge(gracie, third, femi)
    second = merge(grace, gracie, femi)
    assert Patient.objects.get(pk=third.pk).merged_into == grace
    with pytest.raises(ValidationError, match="later merge first"):
        undo_merge(merge_id=first.pk, by=femi)
    undo_merge(merge_id=second.pk, by=femi)
    undo_merge(merge_id=first.pk, by=femi)
    with pytest.raises(ValidationError, match="already"):
        undo_merge(merge_id=first.pk, by=femi)


@pytest.mark.parametrize("seed", range(25))
def test_a_merge_that_is_undone_leaves_no_trace(seed, monday, femi):
    chance = random.Random(seed)
    pair = [crowded(chance, name) for name in ("Grace", "Gracie")]
    index_patients([one.pk for one in pair])
    run_opening()
    before = dump()
    kept, lost = chance.sample(pair, 2)
    asked = questions(Pair(*(Patient.objects.get(pk=p.pk) for p in (kept, lost))))
    answers = {q.key: chance.choice(q.options).value for q in asked}
    flags = [key for key in answers if key.startswith("flag_")]
    answers |= dict.fromkeys(flags[:3], "ends")
    merging = merge(kept, lost, femi, **answers)
    for key, _field in keys_to_patients():
        assert_moved(key, lost, merging)
    undo_merge(merge_id=merging.pk, by=femi)
    assert dump() == before


def assert_moved(key: str, lost: Patient, merging: Any) -> None:
    """Nothing that moves is left with the lost record but what the merge says."""
    table = belongs[key]
    if table.fate.value == "moves":
        rows = table.model._base_manager.filter(**{table.field: lost.pk})
        left = set(merging.dropped["left"].get(key, []))
        assert set(rows.values_list("pk", flat=True)) <= left
