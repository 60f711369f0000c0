"""Set-based writes, the same on both databases."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.utils import timezone

from accounts.models import Heartbeat
from core.sql import (
    comes_after,
    count_up_to,
    delete_found,
    insert_objects,
    update_rows,
)
from patients.models import Patient
from tests.factories import patient

pytestmark = pytest.mark.django_db

FIRST, SECOND = datetime(2026, 3, 2, tzinfo=UTC), timedelta(seconds=1)


def test_what_is_there_is_deleted_and_nothing_is_only_looked_at(
    django_assert_num_queries,
):
    Heartbeat.objects.all().delete()
    with django_assert_num_queries(1):
        assert delete_found(Heartbeat.objects.all()) == 0
    for key in ("tick", "beat"):
        Heartbeat.objects.create(key=key, at=timezone.now())
    assert delete_found(Heartbeat.objects.filter(key="beat")) == 1
    assert Heartbeat.objects.get().key == "tick"


def test_objects_are_inserted_whole_and_get_their_keys(django_assert_num_queries):
    known = patient()
    people = [
        Patient(given_name="Ana", sex="female", needs=["audio"], best_from="08:30"),
        Patient(given_name="Leo", birth_date=date(2015, 11, 2), language="es"),
    ]
    with django_assert_num_queries(2):
        insert_objects(people)
    another = patient("Rosa")

    assert len({known.pk, another.pk, *(p.pk for p in people)}) == 4
    ana, leo = Patient.objects.filter(pk__in=[p.pk for p in people]).order_by("pk")
    assert (ana.sex, ana.needs, ana.best_from) == ("female", ["audio"], time(8, 30))
    assert (leo.sex, leo.needs, leo.birth_date) == ("unknown", [], date(2015, 11, 2))
    assert leo.created_at == people[1].created_at
    people[1].given_name = "Leon"
    people[1].save()
    assert Patient.objects.get(pk=leo.pk).given_name == "Leon"


def test_nothing_is_inserted_without_a_question(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert_objects([])


def test_what_stands_after_a_row():
    for key, second in (("a", 2), ("b", 1), ("b", 3), ("c", 0)):
        Heartbeat.objects.create(key=f"{key}{second}", at=FIRST + second * SECOND)
    rows = Heartbeat.objects.filter(comes_after((FIRST + SECOND, "b1"), "at", "key"))
    assert sorted(rows.values_list("key", flat=True)) == ["a2", "b3"]


def test_counting_stops_where_it_is_told(django_assert_num_queries):
    for n in range(4):
        Heartbeat.objects.create(key=f"k{n}", at=timezone.now())
    mine = Heartbeat.objects.filter(key__startswith="k").values("key")
    with django_assert_num_queries(1):
        counts = count_up_to(3, mine, mine.filter(key="k1"), mine.filter(key="no"))
    assert counts == [3, 1, 0]


def test_rows_get_values_of_their_own_and_some_that_all_get(django_assert_num_queries):
    grace, leo, ana = patient(), patient("Leo"), patient("Ana")
    rows = [
        (grace.pk, "Gráce", date(1980, 2, 29), ["audio"]),
        (leo.pk, "O'Leo; --", None, []),
    ]
    with django_assert_num_queries(1):
        changed = update_rows(
            Patient,
            ("id", "given_name", "birth_date", "needs"),
            rows,
            language="es",
            best_from=time(8, 30),
        )
    assert changed == 2
    for who, (_pk, name, born, needs) in zip((grace, leo), rows, strict=True):
        who.refresh_from_db()
        assert (who.given_name, who.birth_date, who.needs) == (name, born, needs)
        assert (who.language, who.best_from) == ("es", time(8, 30))
    ana.refresh_from_db()
    assert (ana.given_name, ana.language) == ("Ana", "en")
    assert update_rows(Patient, ("id", "given_name"), []) == 0
