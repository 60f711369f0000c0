"""Dates and clocks as people write them, and as a page writes them for its reader."""

import re
from datetime import date, time

from django.utils.formats import date_format, time_format
from django.utils.translation import pgettext_lazy

#: How a page writes days and clocks; every language says how in its catalogue.
FORMS = {
    "clock": pgettext_lazy("date format", "H:i"),
    "weekday": pgettext_lazy("date format", "D"),
    "day": pgettext_lazy("date format", "j M"),
    "date": pgettext_lazy("date format", "j M Y"),
    "month": pgettext_lazy("date format", "M Y"),
    "weekday day": pgettext_lazy("date format", "D j M"),
    "weekday date": pgettext_lazy("date format", "D j M Y"),
    "long day": pgettext_lazy("date format", "l j F"),
    "long date": pgettext_lazy("date format", "l j F Y"),
}

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan ene",
            "feb",
            "mar",
            "apr abr",
            "may",
            "jun",
            "jul",
            "aug ago",
            "sep set",
            "oct",
            "nov",
            "dec dic",
        ),
        start=1,
    )
    for name in names.split()
}


def parse_date(text: str, *, month_first: bool) -> date | None:
    """Return the date that ``text`` writes, or None.

    Understands 1959-03-14, 19590314, 14 Mar 1959, March 14, 1959, and 3/14/1959 or
    14.3.1959: a point always means day first, otherwise ``month_first`` decides unless
    only one reading exists.
    """
    text = text.strip().lower()
    if match := re.fullmatch(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?:t.*)?", text):
        year, month, day = map(int, match.groups())
        return _date(year, month, day)
    if match := re.fullmatch(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4})", text):
        first, third, year = (int(match[n]) for n in (1, 3, 4))
        readings = [(first, third), (third, first)]  # (month, day)
        if not month_first or match[2] == ".":
            readings.reverse()
        return next(filter(None, (_date(year, *r) for r in readings)), None)
    if match := re.fullmatch(
        r"(\d{1,2})(?:st|nd|rd|th)?\s+(?:de\s+)?([a-z]{3})[a-z]*\.?,?\s+(?:de\s+)?(\d{4})",
        text,
    ):
        return _named(match[2], int(match[1]), int(match[3]))
    if match := re.fullmatch(
        r"([a-z]{3})[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})", text
    ):
        return _named(match[1], int(match[2]), int(match[3]))
    return None


def written(value: date | time | None, form: str) -> str:
    """Return a day or a clock in the reader's language, blank for none.

    ``form`` is one of ``FORMS``; an instant is written as its own zone has it.
    """
    if value is None:
        return ""
    how = str(FORMS[form])
    return (
        time_format(value, how) if isinstance(value, time) else date_format(value, how)
    )


def written_from_today(day: date, today: date) -> str:
    """Return a weekday and day, with its year when that is not today's."""
    return written(day, "weekday day" if day.year == today.year else "weekday date")


def age(born: date, on: date) -> int:
    """Return the years somebody has lived on a day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _named(month: str, day: int, year: int) -> date | None:
    return _date(year, _MONTHS[month], day) if month in _MONTHS else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
