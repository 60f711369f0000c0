"""All that happened to a patient and will, as one stream, whichever app knows of it.

One query finds the rows nearest to a place in the stream, at most a page of each
source, and brings what most of them show; a source that needs more of its few rows
adds one.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.functions import JSONObject
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from patients.models import Patient
from patients.registry import Event, TimelineSource, timeline

#: What the stream may be narrowed to.
GROUPS = {
    "messages": _("Messages"),
    "visits": _("Visits"),
    "notes": _("Notes"),
    "record": _("Record"),
    "work": _("Work"),
}
#: Events a page of the past shows, and how many of those still to come.
PAGE = 30
AHEAD = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Where an event stands in the stream: in time, and among those of its instant."""

    at: datetime
    source: str
    pk: int

    def as_cursor(self) -> str:
        """Return it as an address carries it: when, a word of the code, a number."""
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return f"{micros}.{self.source}.{self.pk}"

    @classmethod
    def from_cursor(cls, text: str) -> "Place | None":
        """Return the place an address names, or None where it names none."""
        try:
            micros, source, pk = text.split(".")
            at = _EPOCH + timedelta(microseconds=int(micros))
            return cls(at, source, int(pk)) if 0 <= int(pk) < 2**63 else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Stream:
    """A page of the stream: soonest first what is to come, latest first what was.

    ``earlier`` and ``later`` are the cursors of the pages beside it, blank for none.
    """

    upcoming: list[Event] = field(default_factory=list)
    past: list[Event] = field(default_factory=list)
    earlier: str = ""
    later: str = ""


def parse_instant(text: str) -> datetime:
    """Return a moment as ``facts`` bring it: SQLite leaves out that it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class _Row(NamedTuple):
    place: Place
    facts: dict[str, Any]


def groups_for(user: User | AnonymousUser) -> dict[str, Any]:
    """Return the filters that hold something for this user: {key: label}."""
    held = {
        source.group for _key, source in timeline if user.has_perm(source.permission)
    }
    return {key: label for key, label in GROUPS.items() if key in held}


def stream_of(
    patient: Patient,
    user: User | AnonymousUser,
    *,
    show: str = "",
    before: Place | None = None,
    after: Place | None = None,
    limit: int = PAGE,
    ahead: int = AHEAD,
) -> Stream:
    """Return a page of what the user may see of the patient's stream.

    Without a place: the nearest ``ahead`` events to come and the latest ``limit`` ones
    that were. With ``before`` or ``after``: the ``limit`` past ones on that side of it,
    and none to come. ``show`` is a key of ``GROUPS``, all when blank. One query finds
    the rows, whatever there is; one more for each source with a ``load`` that has a row
    among them.
    """
    at_edge = before is None and after is None
    sources = {
        key: source
        for key, source in timeline
        if user.has_perm(source.permission)
        and (not show or source.group == show)
        and (at_edge or not source.upcoming)
    }
    rows = _nearest(patient, user, sources, before, after, limit + 1, ahead)
    to_come = [row for row in rows if sources[row.place.source].upcoming]
    to_come.sort(key=lambda row: row.place)
    del to_come[ahead:]
    were = [row for row in rows if not sources[row.place.source].upcoming]
    were.sort(key=lambda row: row.place, reverse=after is None)
    more, were = len(were) > limit, were[:limit]
    if after is not None:
        were.reverse()
    told = _load(sources, [*to_come, *were], user)
    earlier = bool(were) and (more if after is None else True)
    later = bool(were) and (more if after is not None else before is not None)
    return Stream(
        upcoming=[told[row.place] for row in to_come if row.place in told],
        past=[told[row.place] for row in were if row.place in told],
        earlier=were[-1].place.as_cursor() if earlier else "",
        later=were[0].place.as_cursor() if later else "",
    )


def _nearest(
    patient: Patient,
    user: User | AnonymousUser,
    sources: dict[str, TimelineSource],
    before: Place | None,
    after: Place | None,
    limit: int,
    ahead: int,
) -> list[_Row]:
    """Return of each source the rows nearest to the place; one query for all."""
    parts: list[QuerySet[Any, Any]] = []
    for key, source in sources.items():
        rows = source.rows(patient, user).order_by()
        window = _window(key, source.at, before, after)
        soonest_first = source.upcoming or after is not None
        order = (source.at, "pk") if soonest_first else (f"-{source.at}", "-pk")
        nearest = rows.filter(window).order_by(*order).values("pk")
        # The limit stands in a subquery: SQLite knows none in a part of a union.
        few = rows.filter(pk__in=nearest[: ahead if source.upcoming else limit])
        parts.append(
            few.annotate(
                event_source=Value(key, output_field=CharField()),
                event_at=F(source.at),
                event_pk=F("pk"),
                event_facts=JSONObject(**source.facts, pk=F("pk")),
            ).values_list("event_source", "event_at", "event_pk", "event_facts")
        )
    if not parts:
        return []
    # All side by side: unions of unions are too deep for SQLite's parser.
    found = parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]
    return [_Row(Place(at, key, pk), facts) for key, at, pk, facts in found]


def _window(key: str, at: str, before: Place | None, after: Place | None) -> Q:
    """Return the condition that a source's row stands on that side of the place."""
    window = Q()
    if before is not None:
        window &= Q(**{f"{at}__lt": before.at}) | _beside(key, at, before, "lt")
    if after is not None:
        window &= Q(**{f"{at}__gt": after.at}) | _beside(key, at, after, "gt")
    return window


def _beside(key: str, at: str, place: Place, side: str) -> Q:
    """Return the condition for rows of the very instant of the place."""
    if key == place.source:
        return Q(**{at: place.at, f"pk__{side}": place.pk})
    is_on_side = key < place.source if side == "lt" else key > place.source
    return Q(**{at: place.at}) if is_on_side else Q(pk__in=[])


def _load(
    sources: dict[str, TimelineSource],
    rows: Sequence[_Row],
    user: User | AnonymousUser,
) -> dict[Place, Event]:
    """Return the event of each row; what has gone meanwhile is left out."""
    ids: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        ids[row.place.source].append(row.place.pk)
    loaded = {key: _subjects(sources[key], wanted, user) for key, wanted in ids.items()}
    events: dict[Place, Event] = {}
    for row in rows:
        at, key, pk = row.place
        source, subjects = sources[key], loaded[key]
        if subjects is not None:
            subject = subjects.get(pk)
        else:
            subject = source.build(row.facts) if source.build else row.facts
        if subject is not None:
            events[row.place] = Event(at, source.template, subject, source=key, pk=pk)
    return events


def _subjects(
    source: TimelineSource, ids: Collection[int], user: User | AnonymousUser
) -> dict[int, Any] | None:
    if source.load is None:
        return None
    return {row.pk: row for row in source.load(ids, user)}
