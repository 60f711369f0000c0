"""Wall time and instants, against vectors worked out by hand for clock changes."""

import os
import subprocess
import sys
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.time import (
    Shift,
    UnknownZoneError,
    day_bounds,
    days_before,
    hours_before,
    is_zone,
    next_decent,
    stricter_decent,
    to_local,
    to_utc,
    tzdata_version,
    wall_shift,
    zone,
)

NEW_YORK = "America/New_York"
LONDON = "Europe/London"
LORD_HOWE = "Australia/Lord_Howe"  # half an hour of summer time
KATHMANDU = "Asia/Kathmandu"  # +05:45, no changes
APIA = "Pacific/Apia"  # left out 30 December 2011

EIGHT, NINE_PM = time(8), time(21)


def wall(text):
    """Read a naive wall time such as "2026-03-08 02:30"."""
    return datetime.fromisoformat(text)


def utc(text):
    """Read an instant such as "2026-03-08 07:30", meant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Zones and the data behind them


def test_tzdata_version_is_the_pinned_one():
    assert tzdata_version() == sys.modules["tzdata"].IANA_VERSION
    assert tzdata_version() >= "2026f"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("America/Vancouver", "2026-12-01 16:00"),  # 17:00 with tz data 2025b
        ("America/Edmonton", "2026-12-01 15:00"),  # 16:00
        ("America/Winnipeg", "2026-12-01 14:00"),  # 15:00
    ],
)
def test_tzdata_is_recent(name, expected):
    assert to_utc(wall("2026-12-01 09:00"), zone(name)) == utc(expected)


def test_tzdata_is_the_package_and_not_the_machine():
    assert zoneinfo.TZPATH == ()


def test_tzdata_replaces_zones_loaded_before(tmp_path):
    # A machine whose Vancouver keeps Kathmandu time, read before the module is.
    machine = tmp_path / "America" / "Vancouver"
    machine.parent.mkdir()
    with resources.files("tzdata.zoneinfo.Asia").joinpath("Kathmandu").open("rb") as f:
        machine.write_bytes(f.read())
    script = (
        "from zoneinfo import ZoneInfo\n"
        "from datetime import datetime\n"
        "day = datetime(2026, 12, 1)\n"
        "print(ZoneInfo('America/Vancouver').utcoffset(day))\n"
        "import core.time\n"
        "print(core.time.zone('America/Vancouver').utcoffset(day))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["5:45:00", "-1 day, 17:00:00"]


@pytest.mark.parametrize("name", [NEW_YORK, LONDON, LORD_HOWE, KATHMANDU, "UTC"])
def test_zone(name):
    assert is_zone(name)
    assert zone(name) is ZoneInfo(name)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "America", "america/new_york", "../etc/passwd", "/etc", "a\0"],
)
def test_zone_unknown(name):
    assert not is_zone(name)
    with pytest.raises(UnknownZoneError, match="is not a time zone known to tz data 2"):
        zone(name)


# Wall time to instant and back


@pytest.mark.parametrize(
    ("name", "local", "expected"),
    [
        (NEW_YORK, "2026-03-08 01:59", "2026-03-08 06:59"),
        (NEW_YORK, "2026-03-08 02:30", "2026-03-08 07:30"),  # gap
        (NEW_YORK, "2026-11-01 01:30", "2026-11-01 05:30"),  # overlap
        (NEW_YORK, "2027-03-14 02:30", "2027-03-14 07:30"),  # gap
        (NEW_YORK, "2027-11-07 01:30", "2027-11-07 05:30"),  # overlap
        (LONDON, "2026-03-29 01:30", "2026-03-29 01:30"),  # gap
        (LONDON, "2026-10-25 01:30", "2026-10-25 00:30"),  # overlap
        (LORD_HOWE, "2026-04-05 01:45", "2026-04-04 14:45"),  # overlap
        (LORD_HOWE, "2026-10-04 02:15", "2026-10-03 15:45"),  # gap
        (KATHMANDU, "2026-07-01 09:00", "2026-07-01 03:15"),
    ],
)
@pytest.mark.parametrize("fold", [0, 1])
def test_to_utc(name, local, expected, fold):
    instant = to_utc(wall(local).replace(fold=fold), zone(name))
    assert instant == utc(expected)
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "days"),
    [
        (
            NEW_YORK,
            {
                "2026-03-07": "2026-03-07 14:00",
                "2026-03-08": "2026-03-08 13:00",
                "2026-10-31": "2026-10-31 13:00",
                "2026-11-01": "2026-11-01 14:00",
            },
        ),
        (
            LONDON,
            {
                "2026-03-28": "2026-03-28 09:00",
                "2026-03-29": "2026-03-29 08:00",
                "2026-10-24": "2026-10-24 08:00",
                "2026-10-25": "2026-10-25 09:00",
            },
        ),
        (
            LORD_HOWE,
            {
                "2026-04-04": "2026-04-03 22:00",
                "2026-04-05": "2026-04-04 22:30",
                "2026-10-03": "2026-10-02 22:30",
                "2026-10-04": "2026-10-03 22:00",
            },
        ),
        (
            KATHMANDU,
            {
                "2026-01-01": "2026-01-01 03:15",
                "2026-03-29": "2026-03-29 03:15",
                "2026-11-01": "2026-11-01 03:15",
            },
        ),
    ],
)
def test_to_utc_daily_check_in_at_nine(name, days):
    instants = {day: to_utc(wall(f"{day} 09:00"), zone(name)) for day in days}
    assert instants == {day: utc(expected) for day, expected in days.items()}


@pytest.mark.parametrize(
    ("name", "instant", "local", "fold"),
    [
        (NEW_YORK, "2026-03-08 07:30", "2026-03-08 03:30", 0),
        (NEW_YORK, "2026-11-01 05:30", "2026-11-01 01:30", 0),
        (NEW_YORK, "2026-11-01 06:30", "2026-11-01 01:30", 1),
        (LORD_HOWE, "2026-04-04 15:15", "2026-04-05 01:45", 1),
        (KATHMANDU, "2026-07-01 03:15", "2026-07-01 09:00", 0),
    ],
)
def test_to_local(name, instant, local, fold):
    shown = to_local(utc(instant), zone(name))
    assert (shown.replace(tzinfo=None, fold=0), shown.fold) == (wall(local), fold)
    assert shown.tzinfo is zone(name)


def test_aware_and_naive_are_not_mixed():
    place = zone(NEW_YORK)
    aware, naive = utc("2026-03-08 07:30"), wall("2026-03-08 02:30")
    for convert in (
        lambda: to_utc(aware, place),
        lambda: days_before(aware, 1, place),
    ):
        with pytest.raises(ValueError, match="A wall time carries no zone"):
            convert()
    for convert in (
        lambda: to_local(naive, place),
        lambda: hours_before(naive, 24),
        lambda: wall_shift(place, 1, naive, aware),
        lambda: wall_shift(place, 1, aware, naive),
        lambda: next_decent(naive, place, EIGHT, NINE_PM),
    ):
        with pytest.raises(ValueError, match="An instant needs a zone"):
            convert()


# Before a visit

VISITS = [  # zone, visit, its instant, exactly 24 hours before, one day before
    (
        NEW_YORK,
        "2026-03-08 10:00",
        "2026-03-08 14:00",
        "2026-03-07 14:00",
        "2026-03-07 15:00",
    ),
    (
        NEW_YORK,
        "2026-11-01 10:00",
        "2026-11-01 15:00",
        "2026-10-31 15:00",
        "2026-10-31 14:00",
    ),
    (  # the day before falls into the gap
        NEW_YORK,
        "2026-03-09 02:30",
        "2026-03-09 06:30",
        "2026-03-08 06:30",
        "2026-03-08 07:30",
    ),
    (  # the day before happens twice
        NEW_YORK,
        "2026-11-02 01:30",
        "2026-11-02 06:30",
        "2026-11-01 06:30",
        "2026-11-01 05:30",
    ),
    (
        LONDON,
        "2026-03-29 09:00",
        "2026-03-29 08:00",
        "2026-03-28 08:00",
        "2026-03-28 09:00",
    ),
    (
        LONDON,
        "2026-10-25 09:00",
        "2026-10-25 09:00",
        "2026-10-24 09:00",
        "2026-10-24 08:00",
    ),
    (
        LORD_HOWE,
        "2026-04-05 09:00",
        "2026-04-04 22:30",
        "2026-04-03 22:30",
        "2026-04-03 22:00",
    ),
    (
        LORD_HOWE,
        "2026-10-04 09:00",
        "2026-10-03 22:00",
        "2026-10-02 22:00",
        "2026-10-02 22:30",
    ),
    (
        KATHMANDU,
        "2026-10-04 09:00",
        "2026-10-04 03:15",
        "2026-10-03 03:15",
        "2026-10-03 03:15",
    ),
]


@pytest.mark.parametrize(("name", "local", "instant", "day", "same_wall"), VISITS)
def test_before_a_visit(name, local, instant, day, same_wall):
    place = zone(name)
    start = to_utc(wall(local), place)
    assert start == utc(instant)
    assert hours_before(start, 24) == utc(day)
    assert hours_before(to_local(start, place), 24) == utc(day)
    assert days_before(wall(local), 1, place) == utc(same_wall)


@pytest.mark.parametrize(("name", "local", "instant", "day", "same_wall"), VISITS)
def test_before_a_visit_by_plan(name, local, instant, day, same_wall):
    start = utc(instant)
    assert planned(zone(name), 1, start, start, start + timedelta(hours=1)) == utc(
        same_wall
    )


def planned(place, days, start, since, until):
    """Work out "the same wall time ``days`` earlier" as a set-based plan would."""
    shifts = [
        run.shift
        for run in wall_shift(place, days, since, until)
        if run.starts_from <= start < run.starts_until
    ]
    return start - timedelta(days=days) + sum(shifts, timedelta())


@pytest.mark.parametrize(
    ("name", "days", "since", "until", "expected"),
    [
        (  # spring: from the change itself
            NEW_YORK,
            1,
            "2026-03-06 00:00",
            "2026-03-12 00:00",
            [("2026-03-08 07:00", "2026-03-09 07:00", 60)],
        ),
        (
            NEW_YORK,
            3,
            "2026-03-06 00:00",
            "2026-03-16 00:00",
            [("2026-03-08 07:00", "2026-03-11 07:00", 60)],
        ),
        (  # autumn: the second 01:00 to 02:00 counts too, though no visit starts there
            NEW_YORK,
            1,
            "2026-10-28 00:00",
            "2026-11-05 00:00",
            [("2026-11-01 06:00", "2026-11-02 07:00", -60)],
        ),
        (
            LORD_HOWE,
            2,
            "2026-10-01 00:00",
            "2026-10-08 00:00",
            [("2026-10-03 15:30", "2026-10-05 15:30", 30)],
        ),
        (  # clipped to the window at both ends
            NEW_YORK,
            7,
            "2026-03-09 00:00",
            "2026-03-10 00:00",
            [("2026-03-09 00:00", "2026-03-10 00:00", 60)],
        ),
        (  # two changes: Morocco keeps another offset in Ramadan, and they add up
            "Africa/Casablanca",
            50,
            "2025-02-20 00:00",
            "2025-06-20 00:00",
            [
                ("2025-02-23 02:00", "2025-04-06 02:00", -60),
                ("2025-04-14 02:00", "2025-05-26 02:00", 60),
            ],
        ),
        (NEW_YORK, 1, "2026-06-01 00:00", "2026-07-01 00:00", []),
        (NEW_YORK, 0, "2026-03-06 00:00", "2026-03-12 00:00", []),
        (KATHMANDU, 7, "2026-01-01 00:00", "2027-01-01 00:00", []),
        (NEW_YORK, 1, "2026-03-08 12:00", "2026-03-08 12:00", []),
    ],
)
def test_wall_shift(name, days, since, until, expected):
    assert wall_shift(zone(name), days, utc(since), utc(until)) == [
        Shift(utc(start), utc(end), timedelta(minutes=minutes))
        for start, end, minutes in expected
    ]


def test_wall_shift_reads_the_window_in_any_zone():
    place = zone(NEW_YORK)
    since, until = utc("2026-03-06 00:00"), utc("2026-03-12 00:00")
    assert wall_shift(
        place, 1, to_local(since, place), to_local(until, place)
    ) == wall_shift(place, 1, since, until)


def test_wall_shift_refuses_to_look_ahead():
    now = utc("2026-03-08 12:00")
    with pytest.raises(ValueError, match="cannot be negative: -1"):
        wall_shift(zone(NEW_YORK), -1, now, now)


CHANGES = [  # one change each, and what is odd about it
    (NEW_YORK, "2026-03-08 07:00"),
    (NEW_YORK, "2026-11-01 06:00"),
    (LONDON, "2026-03-29 01:00"),
    (LORD_HOWE, "2026-04-04 15:00"),  # half an hour
    (LORD_HOWE, "2026-10-03 15:30"),
    ("Africa/Cairo", "2026-04-23 22:00"),  # no midnight
    ("America/Havana", "2025-11-02 05:00"),  # two midnights
    ("America/Nuuk", "2026-10-25 01:00"),  # falls back over midnight
    ("Antarctica/Troll", "2026-03-29 01:00"),  # two hours
    ("America/Recife", "2000-10-15 02:00"),  # a week after the one before
    ("Africa/Casablanca", "2026-03-22 02:00"),  # five weeks after
    (APIA, "2011-12-30 10:00"),  # a whole day
    ("America/Vancouver", "2026-11-01 09:00"),  # no longer one, by the new rules
]


@settings(deadline=None, max_examples=150)
@given(
    change=st.sampled_from(CHANGES),
    minutes=st.integers(-60 * 24 * 3, 60 * 24 * 12),
    days=st.integers(0, 9),
    earlier=st.timedeltas(timedelta(), timedelta(days=3)),
    later=st.timedeltas(timedelta(microseconds=1), timedelta(days=3)),
)
def test_wall_shift_agrees_with_days_before(change, minutes, days, earlier, later):
    name, at = change
    place, start = zone(name), utc(at) + timedelta(minutes=minutes)
    since, until = start - earlier, start + later
    local = to_local(start, place).replace(tzinfo=None)
    assert planned(place, days, start, since, until) == days_before(local, days, place)

    runs = wall_shift(place, days, since, until)
    assert all(since <= run.starts_from < run.starts_until <= until for run in runs)
    assert all(one.starts_until <= two.starts_from for one, two in pairwise(runs))
    assert all(run.shift for run in runs)


@settings(deadline=None, max_examples=100)
@given(
    name=st.sampled_from(sorted(zoneinfo.available_timezones())),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
    days=st.integers(1, 7),
)
def test_wall_shift_agrees_everywhere(name, start, days):
    place, start = zone(name), start.replace(tzinfo=UTC)
    local = to_local(start, place).replace(tzinfo=None)
    until = start + timedelta(hours=1)
    assert planned(place, days, start, start, until) == days_before(local, days, place)


# Decent hours


@pytest.mark.parametrize(
    ("name", "instant", "expected"),
    [
        (NEW_YORK, "2026-07-01 12:00", "2026-07-01 12:00"),  # 08:00: open
        (NEW_YORK, "2026-07-01 11:59:59", "2026-07-01 12:00"),
        (NEW_YORK, "2026-07-02 00:59:59.999999", "2026-07-02 00:59:59.999999"),
        (NEW_YORK, "2026-07-02 01:00", "2026-07-02 12:00"),  # 21:00: closed
        (NEW_YORK, "2026-07-02 04:00", "2026-07-02 12:00"),  # midnight
        (NEW_YORK, "2026-07-01 15:30", "2026-07-01 15:30"),
        (NEW_YORK, "2026-03-08 02:00", "2026-03-08 12:00"),  # a night of 10 hours
        (NEW_YORK, "2026-11-01 01:00", "2026-11-01 13:00"),  # a night of 12 hours
        (LONDON, "2026-03-28 21:00", "2026-03-29 07:00"),
        (LORD_HOWE, "2026-04-04 10:00", "2026-04-04 21:30"),
        (KATHMANDU, "2026-07-01 15:15", "2026-07-02 02:15"),
        (APIA, "2011-12-30 07:00", "2011-12-30 18:00"),  # from the 29th to the 31st
    ],
)
def test_next_decent(name, instant, expected):
    found = next_decent(utc(instant), zone(name), EIGHT, NINE_PM)
    assert found == utc(expected)
    assert found.tzinfo is UTC


def test_next_decent_reads_the_instant_in_any_zone():
    asked = to_local(utc("2026-07-02 01:00"), zone(KATHMANDU))
    assert next_decent(asked, zone(NEW_YORK), EIGHT, NINE_PM) == utc("2026-07-02 12:00")


@pytest.mark.parametrize(
    ("instant", "opens", "closes", "expected"),
    [
        # The opening time falls into the gap: the clock jumps past it at 07:00 UTC.
        ("2026-03-08 06:00", "02:30", "04:00", "2026-03-08 07:00"),
        # The whole window does: nothing that night.
        ("2026-03-08 06:00", "02:15", "02:45", "2026-03-09 06:15"),
        # The opening time comes twice, and the clock goes back to before it.
        ("2026-11-01 05:15", "01:30", "03:00", "2026-11-01 05:30"),
        ("2026-11-01 06:15", "01:30", "03:00", "2026-11-01 06:30"),
        # The closing time comes twice: the clock goes back into the window.
        ("2026-11-01 05:45", "00:30", "01:30", "2026-11-01 06:00"),
        ("2026-11-01 06:45", "00:30", "01:30", "2026-11-02 05:30"),
    ],
)
def test_next_decent_when_the_window_meets_a_clock_change(
    instant, opens, closes, expected
):
    opens, closes = time.fromisoformat(opens), time.fromisoformat(closes)
    assert next_decent(utc(instant), zone(NEW_YORK), opens, closes) == utc(expected)


@settings(deadline=None, max_examples=60)
@given(
    change=st.sampled_from(CHANGES),
    minutes=st.integers(-60 * 40, 60 * 40),
    opens=st.integers(0, 20),
    hours=st.integers(1, 3),
)
def test_next_decent_is_the_first(change, minutes, opens, hours):
    name, at = change
    place, asked = zone(name), utc(at) + timedelta(minutes=minutes)
    opens, closes = time(opens), time(opens + hours)
    found = next_decent(asked, place, opens, closes)
    assert opens <= to_local(found, place).time() < closes
    moment = asked  # offsets here are whole quarters of an hour, so minutes will do
    while moment < found:
        assert not opens <= to_local(moment, place).time() < closes
        moment += timedelta(minutes=1)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-07-01 12:00", "2026-07-01 15:00"),  # New York is up, Los Angeles not
        ("2026-07-01 15:00", "2026-07-01 15:00"),
        ("2026-07-02 00:59", "2026-07-02 00:59"),
        ("2026-07-02 01:00", "2026-07-02 15:00"),  # only Los Angeles is still up
    ],
)
def test_stricter_decent(instant, expected):
    zones = (zone(name) for name in (NEW_YORK, "America/Los_Angeles"))
    assert stricter_decent(utc(instant), zones, EIGHT, NINE_PM) == utc(expected)


def test_stricter_decent_half_the_world_apart():
    zones = [zone(NEW_YORK), zone("Asia/Shanghai")]  # one hour is shared
    asked = utc("2026-07-01 20:00")
    assert stricter_decent(asked, zones, EIGHT, NINE_PM) == utc("2026-07-02 00:00")


def test_stricter_decent_without_a_shared_hour():
    zones = [zone(NEW_YORK), zone("Asia/Shanghai")]
    with pytest.raises(ValueError, match="is shared by America/New_York, Asia/Shangh"):
        stricter_decent(utc("2026-07-01 20:00"), zones, time(9), time(20))


def test_stricter_decent_without_a_zone():
    with pytest.raises(ValueError, match="at least one zone"):
        stricter_decent(utc("2026-07-01 20:00"), [], EIGHT, NINE_PM)


@pytest.mark.parametrize("closes", [time(7), EIGHT])
def test_decent_hours_open_before_they_close(closes):
    with pytest.raises(ValueError, match="open before they close"):
        next_decent(utc("2026-07-01 20:00"), zone(NEW_YORK), EIGHT, closes)


# Calendar days


@pytest.mark.parametrize(
    ("name", "day", "start", "end"),
    [
        (NEW_YORK, "2026-07-01", "2026-07-01 04:00", "2026-07-02 04:00"),
        (NEW_YORK, "2026-03-08", "2026-03-08 05:00", "2026-03-09 04:00"),  # 23 hours
        (NEW_YORK, "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),  # 25
        (LORD_HOWE, "2026-10-04", "2026-10-03 13:30", "2026-10-04 13:00"),  # 23.5
        (KATHMANDU, "2026-07-01", "2026-06-30 18:15", "2026-07-01 18:15"),
        ("Africa/Cairo", "2026-04-24", "2026-04-23 22:00", "2026-04-24 21:00"),
        ("America/Havana", "2025-11-02", "2025-11-02 04:00", "2025-11-03 05:00"),
        (APIA, "2011-12-30", "2011-12-30 10:00", "2011-12-30 10:00"),  # left out
    ],
)
def test_day_bounds(name, day, start, end):
    bounds = day_bounds(date.fromisoformat(day), zone(name))
    assert bounds == (utc(start), utc(end))


@settings(deadline=None, max_examples=100)
@given(
    name=st.sampled_from(sorted(zoneinfo.available_timezones())),
    day=st.dates(date(1990, 1, 1), date(2040, 1, 1)),
)
def test_day_bounds_meet(name, day):
    place = zone(name)
    start, end = day_bounds(day, place)
    assert end == day_bounds(day + timedelta(days=1), place)[0]
    if start < end:
        assert to_local(start, place).date() == day
        assert to_local(end, place).date() > day
