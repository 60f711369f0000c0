"""Finding patients by whatever somebody remembers of them.

First those whose name, number or birth date begins with what was typed, in pages; when
these are few, names that are nearly so. Why it is built so: docs/decisions/0008.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q

from accounts.models import User
from core.sql import comes_after
from core.text import fold, words
from patients.models import Patient, PatientTerm, SafeContactPlan
from patients.search.near import reachable, similar
from patients.search.reading import NUMBERS, PHONES, Range, Row, read

#: How many patients a page of the list or of results shows.
PAGE = 25
#: How many times more are read at most when few of those read may be shown.
_GROWS = 4


@dataclass(frozen=True)
class Found:
    """A patient, and why they are among the results when that is not plain to see."""

    patient: Patient
    #: Their number is a contact person's.
    is_theirs: bool = False
    #: The name only resembles what was typed.
    is_similar: bool = False


@dataclass(frozen=True)
class Results:
    """A page of results, best first."""

    found: list[Found]
    #: The patient after whom the next page begins; None at the end.
    more: int | None = None

    @property
    def patients(self) -> list[Patient]:
        """The patients alone."""
        return [found.patient for found in self.found]


def find_patients(
    user: User | AnonymousUser,
    text: str,
    *,
    month_first: bool,
    after: int | None = None,
    limit: int = PAGE,
) -> Results:
    """Return those of the user's patients whom ``text`` may mean, best first.

    Takes words of a name in any order, their beginnings, a fragment or a mistyped one,
    with or without a birth date or its year; a birth date in any usual form
    (``month_first`` decides 02/11/1980); a part of a phone number from either end; an
    identifier. ``after`` is the last patient of the page before. Names that are only
    near stand on the first page alone. Blank text finds nobody. Three to twelve
    queries where the user may see whom they bring, none of which reads more than some
    thousand rows of an index; more where few of those found are of the user's sites.
    """
    ranges, spoken = read(text, month_first=month_first)
    hits = _walk(user, ranges, after, limit + 1)
    more = hits[limit - 1][0] if len(hits) > limit else None
    theirs = {pk for pk, is_theirs in hits[:limit] if is_theirs}
    ids = [pk for pk, _is_theirs in hits[:limit]]
    near: list[int] = []
    if spoken and after is None and len(ids) < limit:
        near = similar(user, spoken, ids, most=limit - len(ids))
    # Who may be shown was asked of each before.
    wanted = Patient.objects.prefetch_related("contact_points")
    patients = wanted.in_bulk([*ids, *near]) if ids or near else {}
    return Results(
        [
            Found(patients[pk], is_theirs=pk in theirs, is_similar=n >= len(ids))
            for n, pk in enumerate([*ids, *near])
            if pk in patients
        ],
        more,
    )


def list_patients(
    user: User | AnonymousUser, *, after: int | None = None, limit: int = PAGE
) -> Results:
    """Return a page of all the user's patients by name; three queries at most.

    It is one stretch of the index of names, so the last page costs what the first does.
    """
    patients = Patient.objects.visible_to(user)
    last = (
        patients.filter(pk=after or 0)
        .values_list("family_name", "given_name", "pk")
        .first()
    )
    order = ("family_name", "given_name", "id")
    if last:
        patients = patients.filter(comes_after(last, *order))
    found = list(
        patients.order_by(*order).prefetch_related("contact_points")[: limit + 1]
    )
    more = found[limit - 1].pk if len(found) > limit else None
    return Results([Found(patient) for patient in found[:limit]], more)


def find_exactly(
    *, identifier: str = "", name: str = "", born: date | None = None
) -> int | None:
    """Return the id of the one patient, of any site, whom all of this names, or None.

    Takes an identifier, or a whole name with the birth date; several who fit are as
    good as none. For emergency access only: it knows no scope. Loads no patient, whom
    the audit trail would count as shown.
    """
    patients = Patient.objects.filter(merged_into=None)
    if identifier:
        numbered = PatientTerm.objects.filter(
            kind=PatientTerm.Kind.IDENTIFIER, term=fold(identifier)
        )
        patients = patients.filter(pk__in=numbered.values("patient_id"))
    if name or born:
        patients = patients.filter(birth_date=born) if born else patients.none()
    if not identifier and not name:
        return None
    spoken = sorted(words(name))
    fitting = [
        pk
        for pk, *names in patients.values_list("pk", "given_name", "family_name")
        if not name or sorted(words(" ".join(names))) == spoken
    ]
    return fitting[0] if len(fitting) == 1 else None


def _walk(
    user: User | AnonymousUser, ranges: Iterable[Range], after: int | None, most: int
) -> list[tuple[int, bool]]:
    """Return up to ``most`` patients (id, whether by a contact person's number).

    Each patient once: at their first term of the first range that has one. Reads one
    index in its order, and asks of what it read who may be shown: joined in one
    statement, a planner that guesses wrong reads every Garcia there is.
    """
    passed: list[Range] = []
    last = None
    if after is not None:
        ranges = list(ranges)
        n, last = next(
            (
                (n, row)
                for n, place in enumerate(ranges)
                if (row := _first_of(place, after))
            ),
            (0, None),
        )
        passed, ranges = ranges[:n], ranges[n:]
    found: dict[int, bool] = {}
    asked: set[int] = set()
    for place in ranges:
        for rows in _stretches(place, last, most, found):
            # Whom the ranges before brought is known when they were all read just now.
            before = passed if after or place.kind in NUMBERS else []
            new = [row for row in rows if row[2] not in asked]
            for pk, is_theirs in _shown(user, [*before, place], new):
                found.setdefault(pk, is_theirs)
            if place.kind not in NUMBERS:
                asked |= {pk for _term, _rest, pk in rows}
        if len(found) >= most:
            # The next range may cost a question.
            break
        passed, last = [*passed, place], None
    return list(found.items())[:most]


def _stretches(
    place: Range, last: Row | None, most: int, found: Collection[int]
) -> Iterator[list[Row]]:
    """Yield the rows of a range, as many as it takes until so many are found.

    Where few of those read may be shown, more are read at once, by their share.
    """
    size, read, before = most, 0, len(found)
    while len(found) < most:
        rows = place.first(size, last)
        yield rows
        if len(rows) < size:
            return
        read += size
        last, missing = rows[-1], most - len(found)
        share = max((len(found) - before) / read, 1 / (size * _GROWS))
        size = min(size * _GROWS, max(size, int(1.2 * missing / share)))


def _first_of(place: Range, patient_id: int) -> Row | None:
    """Return where a patient stands in a range; one query."""
    rows = place.rows().filter(patient=patient_id).order_by("term")
    return rows.values_list("term", "rest", "patient_id").first()


def _shown(
    user: User | AnonymousUser, ranges: list[Range], rows: list[Row]
) -> list[tuple[int, bool]]:
    """Return whom these rows of the last range bring, who did not stand before."""
    *before, place = ranges
    ids = {patient_id for _term, _rest, patient_id in rows}
    reach = reachable(user, ids)
    if place.kind in NUMBERS:
        firsts = _first_numbers(ranges, reach)
        return [
            (pk, rest == PatientTerm.THEIRS)
            for term, rest, pk in rows
            if firsts.get(pk) == (place.kind, term)
        ]
    if before:
        earlier = [each.rows().filter(patient__in=reach) for each in before]
        for each in earlier:
            reach = reach.difference(each.values_list("patient_id", flat=True))
    return [
        (pk, False)
        for term, rest, pk in rows
        if pk in reach and term == place.first_word(term, rest)
    ]


def _first_numbers(ranges: list[Range], ids: set[int]) -> dict[int, tuple[str, str]]:
    """Return {patient: (kind, term)}: by which of their numbers each stands; one query.

    While a safe contact plan hides somebody from those around them, a number that is
    not theirs alone leads nowhere: whoever they are hidden from could ask about it.
    """
    plan = SafeContactPlan.objects.hiding().filter(patient=OuterRef("patient"))
    shared = PatientTerm.objects.filter(
        kind=OuterRef("kind"), term=OuterRef("term")
    ).exclude(patient=OuterRef("patient"))
    leads_nowhere = Exists(plan) & (Q(rest=PatientTerm.THEIRS) | Exists(shared))
    rows = (
        PatientTerm.objects.filter(
            reduce(or_, (place.condition for place in ranges)), patient__in=ids
        )
        .exclude(leads_nowhere, kind__in=PHONES)
        .values_list("patient_id", "kind", "term")
    )
    order = [place.kind.value for place in ranges]
    firsts: dict[int, tuple[str, str]] = {}
    for pk, kind, term in sorted(rows, key=lambda row: (order.index(row[1]), row[2])):
        firsts.setdefault(pk, (kind, term))
    return firsts
