"""Do every conversion between wall time and instants, with one set of rules.

An *instant* is an aware ``datetime``, always handed back in UTC. A *wall time* is a
naive ``datetime``: what a clock on the wall of a zone shows. No other module converts
one into the other, and the database never does (``AT TIME ZONE``), because its copy of
the tz data may be older than ours.

Where clocks change, RFC 5545 section 3.3.5 decides: a wall time that happens twice
means its first occurrence, and one that never happens is read with the offset from
before the gap (02:30 becomes 03:30). Nothing is skipped and nothing happens twice.
"""

import zoneinfo
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import tzdata  # the package ships no types

# zoneinfo prefers the machine's tz files to the pinned package, and the machine's are
# often older: with 2025b a Vancouver visit in December 2026 is an hour late. An empty
# search path leaves only the package. Zones loaded before this line came from the
# machine, so they are forgotten; settings should import this module first.
zoneinfo.reset_tzpath(())
ZoneInfo.clear_cache()

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)

# Further than any two clocks, or any one clock change, have ever been apart: Apia left
# out the whole of 30 December 2011.
_WIDEST_GAP = 2 * _DAY

# How far to look for an hour that suits everybody. Days repeat, so a window not found
# in three of them (one of which a clock change may have swallowed) does not exist.
_DECENT_HORIZON = 3 * _DAY


class UnknownZoneError(ValueError):
    """Say that a name is not a time zone of the pinned tz data."""


class Shift(NamedTuple):
    """A run of visit starts that a clock change separates from the days before.

    For a start in ``[starts_from, starts_until)``, both UTC, the same wall time some
    days earlier is ``start - days + shift``.
    """

    starts_from: datetime
    starts_until: datetime
    shift: timedelta


class _Change(NamedTuple):
    """A change of a zone's UTC offset: the first instant it holds, and both offsets."""

    at: datetime
    before: timedelta
    after: timedelta


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def is_zone(name: str) -> bool:
    """Tell whether ``name`` is an IANA zone of the pinned tz data, case and all."""
    return name in _zone_names()


def zone(name: str) -> ZoneInfo:
    """Return the zone with this IANA name.

    Args:
        name: an IANA name such as "America/Vancouver"; case matters.

    Raises:
        UnknownZoneError: the pinned tz data has no such zone.
    """
    # The list is asked first, because ZoneInfo opens a file by that name: it answers
    # folders and odd paths with half a dozen different errors, and takes any case on
    # a case-blind disk.
    if not is_zone(name):
        raise UnknownZoneError(
            f"{name!r} is not a time zone known to tz data {tzdata_version()}."
        )
    return ZoneInfo(name)


def tzdata_version() -> str:
    """Return the IANA version of the pinned tz data, such as "2026f"."""
    return str(tzdata.IANA_VERSION)


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant when clocks in ``zone`` show ``local``.

    Args:
        local: wall time, naive. Its ``fold`` is ignored: a time shown twice means the
            first, one never shown takes the offset before the gap (RFC 5545, 3.3.5).
        zone: the zone whose clocks are meant.

    Returns:
        The instant, in UTC.

    Raises:
        ValueError: ``local`` is aware.
    """
    if local.tzinfo is not None:
        raise ValueError(f"A wall time carries no zone, but {local!r} does.")
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def to_local(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return ``instant`` as clocks in ``zone`` show it, aware.

    Args:
        instant: any aware datetime.
        zone: the zone whose clocks are meant.

    Raises:
        ValueError: ``instant`` is naive.
    """
    _refuse_naive(instant)
    return instant.astimezone(zone)


def days_before(local: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the instant of the same wall time some days earlier.

    "One day before" a 10:00 visit is 10:00 the day before, though 23 or 25 hours may
    lie between: people mean the clock (the clinic's rule for reminders).

    Args:
        local: wall time of the visit, naive.
        days: calendar days to go back.
        zone: the visit's zone.

    Returns:
        The instant, in UTC; gaps and overlaps as in ``to_utc``.

    Raises:
        ValueError: ``local`` is aware.
    """
    return to_utc(local - timedelta(days=days), zone)


def hours_before(instant: datetime, hours: int) -> datetime:
    """Return the instant exactly ``hours`` of elapsed time earlier, in UTC.

    Raises:
        ValueError: ``instant`` is naive.
    """
    _refuse_naive(instant)
    # UTC first: subtracting from a zone's own datetime moves the wall clock instead.
    return instant.astimezone(UTC) - timedelta(hours=hours)


def wall_shift(
    zone: ZoneInfo, days: int, since: datetime, until: datetime
) -> list[Shift]:
    """Return where the same wall time ``days`` earlier is not a multiple of 24 hours.

    Lets one SQL statement plan many visits without asking the database about zones:
    ``due = start - days * 24 h + shift``, where ``shift`` is that of the run holding
    the start, and zero outside every run. After a clock change from one UTC offset to
    another, starts within ``days`` are shifted by the difference; several changes add
    up.

    A start's wall time is the one its instant shows. A wall time inside a gap is never
    shown, so a visit entered as 02:30 has to be kept as the 03:30 it becomes.

    Args:
        zone: the visits' zone.
        days: calendar days to go back, zero or more.
        since: first instant of the window of starts.
        until: end of that window, exclusive.

    Returns:
        The non-zero runs in order, in UTC and clipped to the window; usually none.

    Raises:
        ValueError: ``days`` is negative, or an instant is naive.
    """
    _refuse_naive(since, until)
    if days < 0:
        raise ValueError(f"Days to go back cannot be negative: {days}.")
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    back = timedelta(days=days)
    changes = _changes(zone, since - back - _WIDEST_GAP, until)
    offsets = {offset for change in changes for offset in change[1:]}

    # The shift can only vary where the clock changes, and where the earlier wall time
    # passes the boundary that the change left on the wall (times in a gap or an overlap
    # belong to the offset before). Which offset holds at the second place is not worth
    # working out: a cut too many only splits a run that is joined again below.
    cuts = {since, until}
    for change in changes:
        boundary = change.at + max(change.before, change.after)
        cuts |= {change.at, *(boundary + back - offset for offset in offsets)}

    runs: list[Shift] = []
    for start, end in pairwise(sorted(cut for cut in cuts if since <= cut <= until)):
        local = start.astimezone(zone).replace(tzinfo=None)
        shift = days_before(local, days, zone) - (start - back)
        if runs and runs[-1].starts_until == start and runs[-1].shift == shift:
            runs[-1] = runs[-1]._replace(starts_until=end)
        elif shift:
            runs.append(Shift(start, end, shift))
    return runs


def next_decent(
    instant: datetime, zone: ZoneInfo, opens: time, closes: time
) -> datetime:
    """Return the first instant from ``instant`` on when we may disturb someone.

    Args:
        instant: the earliest acceptable moment, aware.
        zone: the recipient's zone.
        opens: wall time from which it is decent, inclusive.
        closes: later wall time from which it no longer is.

    Returns:
        The instant, in UTC: ``instant`` itself when it is already decent.

    Raises:
        ValueError: ``instant`` is naive, or ``opens`` is not before ``closes``.

    Source: quiet hours of the TCPA, 47 CFR 64.1200(c)(1): texts from 08:00 to 21:00
    where the recipient is.
    """
    return stricter_decent(instant, (zone,), opens, closes)


def stricter_decent(
    instant: datetime, zones: Iterable[ZoneInfo], opens: time, closes: time
) -> datetime:
    """Return the first instant from ``instant`` on that is decent in every zone.

    For a patient whose zone we do not know, or whose number's area code lies in
    another one: the message waits until neither place is asleep.

    Args:
        instant: the earliest acceptable moment, aware.
        zones: every zone the recipient may be in, at least one.
        opens: wall time from which it is decent, inclusive.
        closes: later wall time from which it no longer is.

    Returns:
        The instant, in UTC: ``instant`` itself when it is already decent.

    Raises:
        ValueError: ``instant`` is naive, ``opens`` is not before ``closes``, there is
            no zone, or no hour in the coming days is decent in all of them.

    Source: as ``next_decent``.
    """
    _refuse_naive(instant)
    if opens >= closes:
        raise ValueError(
            f"Decent hours must open before they close: {opens}, {closes}."
        )
    zones = tuple(zones)
    if not zones:
        raise ValueError("Decent hours need at least one zone.")

    def is_decent(moment: datetime) -> bool:
        return all(opens <= moment.astimezone(z).time() < closes for z in zones)

    instant = instant.astimezone(UTC)
    if is_decent(instant):
        return instant

    # An hour becomes decent only where a clock shows the opening time, either time it
    # does, or where a clock change jumps into the window.
    candidates: set[datetime] = set()
    for each in zones:
        today = instant.astimezone(each).date()
        for ahead in range(_DECENT_HORIZON.days + 1):
            opening = datetime.combine(today + ahead * _DAY, opens, tzinfo=each)
            candidates |= {
                opening.replace(fold=fold).astimezone(UTC) for fold in (0, 1)
            }
        changes = _changes(each, instant, instant + _DECENT_HORIZON)
        candidates |= {change.at for change in changes}
    for candidate in sorted(candidates):
        if candidate > instant and is_decent(candidate):
            return candidate
    places = ", ".join(str(each) for each in zones)
    raise ValueError(f"No hour between {opens} and {closes} is shared by {places}.")


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants between which a calendar day lasts in a zone.

    Args:
        day: the local date.
        zone: the zone whose calendar is meant.

    Returns:
        First instant and exclusive end, in UTC: 23 to 25 hours as a rule, and no time
        at all for a day the zone left out. One day's end is the next one's start.
    """
    # A midnight that falls into a gap is where the gap begins, for every zone since
    # 1970; so read with the offset before, it is the day's first instant.
    return (
        to_utc(datetime.combine(day, time.min), zone),
        to_utc(datetime.combine(day + _DAY, time.min), zone),
    )


def _refuse_naive(*instants: datetime) -> None:
    for instant in instants:
        if instant.utcoffset() is None:
            raise ValueError(f"An instant needs a zone, but {instant!r} has none.")


def _changes(zone: ZoneInfo, since: datetime, until: datetime) -> list[_Change]:
    """List the changes of a zone's UTC offset between two instants, in order.

    zoneinfo does not tell its transitions, so look at every hour and bisect to the
    second (changes fall on whole seconds, and since 1970 lie six days apart or more).
    May find one in the hour after ``until``. Meant for windows of days: a day costs
    some 20 microseconds.
    """

    def offset_at(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    found: list[_Change] = []
    earlier = since.replace(microsecond=0)
    before = offset_at(earlier)
    while earlier < until:
        later = earlier + _HOUR
        after = offset_at(later)
        if after != before:
            low, high = earlier, later
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                if offset_at(middle) == before:
                    low = middle
                else:
                    high = middle
            found.append(_Change(high, before, after))
        earlier, before = later, after
    return found
