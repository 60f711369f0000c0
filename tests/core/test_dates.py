"""Dates as people write them."""

from datetime import date, datetime, time

import pytest
from django.utils import translation

from core.dates import parse_date, written

MARCH_14 = date(1959, 3, 14)


@pytest.mark.parametrize(
    "text",
    [
        "1959-03-14",
        "19590314",
        "1959/03/14",
        "3/14/1959",
        "14.3.1959",
        "14 Mar 1959",
        "14 March 1959",
        "March 14, 1959",
        "14th mar 1959",
        "14 de marzo de 1959",
        "1959-03-14T00:00:00Z",
    ],
)
def test_one_day_many_spellings(text):
    assert parse_date(text, month_first=True) == MARCH_14


@pytest.mark.parametrize(
    ("text", "month_first", "expected"),
    [
        ("02/11/1980", True, date(1980, 2, 11)),
        ("02/11/1980", False, date(1980, 11, 2)),
        ("02.11.1980", True, date(1980, 11, 2)),
        ("25/12/1980", True, date(1980, 12, 25)),
    ],
)
def test_which_comes_first(text, month_first, expected):
    assert parse_date(text, month_first=month_first) == expected


@pytest.mark.parametrize(
    "text", ["", "Okafor", "1959", "31/31/1959", "5550143", "1959-02-30", "14 Foo 1959"]
)
def test_what_is_no_date(text):
    assert parse_date(text, month_first=True) is None


@pytest.mark.parametrize(
    ("form", "english", "spanish"),
    [
        ("clock", "09:05", "09:05"),
        ("weekday", "Mon", "lun"),
        ("day", "3 Jan", "3 ene"),
        ("date", "3 Jan 2028", "3 ene 2028"),
        ("month", "Jan 2028", "ene 2028"),
        ("weekday day", "Mon 3 Jan", "lun 3 ene"),
        ("weekday date", "Mon 3 Jan 2028", "lun 3 ene 2028"),
        ("long day", "Monday 3 January", "lunes 3 de enero"),
        ("long date", "Monday 3 January 2028", "lunes 3 de enero de 2028"),
    ],
)
def test_a_page_writes_days_and_clocks_in_its_language(form, english, spanish):
    moment = datetime(2028, 1, 3, 9, 5)
    assert written(moment, form) == english
    with translation.override("es"):
        assert written(moment, form) == spanish


def test_nothing_is_written_for_no_day():
    assert written(None, "date") == ""
    assert written(time(0), "clock") == "00:00"
