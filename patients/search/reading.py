"""What somebody typed into the find box, as places to look."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.dates import parse_date
from core.sql import comes_after, count_up_to
from core.text import clean, fold, words
from patients.models import PatientTerm

#: Fewer digits than this match half of all numbers.
FEWEST_PHONE_DIGITS = 4
#: Sorts behind whatever a word may go on with.
LAST = "\U0010ffff"
#: Of the longest text, and the most words, that are looked at.
_LONGEST, _MOST_WORDS = 120, 6
#: How far the terms of a word are counted, to begin with the rarest word.
_COUNTED = 1_000
#: How many terms are read for those with the other words behind them; it takes 2 ms.
#: Where each of two words is borne by n of a million patients, those who bear both are
#: n² in a million; so 25 stand among the first 25 million / n, or there are no more
#: than n. Either is 5,000 at most, unless parents avoid the two together.
READ = 5_000

_Kind = PatientTerm.Kind
PHONES = (_Kind.PHONE, _Kind.PHONE_END)
#: Terms with no words behind them.
NUMBERS = (*PHONES, _Kind.IDENTIFIER)
_MONTH = r"(?:jan|ene|feb|mar|apr|abr|may|jun|jul|aug|ago|sep|set|oct|nov|dec|dic)"
_DATE = re.compile(
    r"(?<!\d)(?:"
    r"(?:18|19|20)\d\d([-/.])\d{1,2}\1\d{1,2}|(?:19|20)\d{6}|"
    r"\d{1,2}([-/. ])\d{1,2}\2(?:18|19|20)\d\d|\d{1,2}([-/.])\d{1,2}\3\d{2}|"
    rf"\d{{1,2}}(?:st|nd|rd|th)?\s+(?:de\s+)?{_MONTH}[a-z]*\.?,?\s+(?:de\s+)?\d{{4}}|"
    rf"\b{_MONTH}[a-z]*\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}"
    r")(?!\d)",
    re.IGNORECASE,
)


#: A term's place in the index: term, what stands behind it, patient.
Row = tuple[str, str, int]
ORDER = ("term", "rest", "patient_id")


#: Terms, and words of which one each must begin a word behind them.
Branch = tuple[QuerySet[PatientTerm], Sequence[Collection[str]]]


def holding(*branches: Branch, size: int, read: int = READ) -> list[Row]:
    """Return the first terms that have certain words behind them; one query.

    Looks at ``read`` terms of each branch, in the order it asks for, and no further: a
    filter with a LIMIT, which is all the ORM can say, reads every Smith there is when
    none of them fits. Branches are asked in turn, and only as far as needed. The words
    are folded.
    """
    asked, arguments = [], []
    for rows, others in branches:
        first = size if not others else read
        sql, parameters = rows.values_list(*ORDER)[:first].query.sql_with_params()
        held = " AND ".join(
            f"({' OR '.join(['rest LIKE %s'] * len(words))})" for words in others
        )
        order = ", ".join(ORDER) if rows.ordered else ""
        asked.append(
            f"SELECT * FROM ({sql}) AS looked_at"  # noqa: S608 - values are parameters
            + (f" WHERE {held}" if held else "")
            + (f" ORDER BY {order}" if order else "")
        )
        arguments += [*parameters, *(f"% {word}%" for each in others for word in each)]
    if not asked:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(asked)} LIMIT %s", [*arguments, size])
        return [(term, rest, pk) for term, rest, pk in cursor.fetchall()]


@dataclass(frozen=True)
class Range:
    """Terms of a kind that begin so, with the other words behind them."""

    kind: PatientTerm.Kind
    start: str
    others: tuple[str, ...] = ()
    #: What stands right behind the whole word ``start``; blank: it may only begin so.
    behind: str = ""

    @property
    def condition(self) -> Q:
        """The condition for them."""
        return reduce(
            and_, (Q(rest__contains=f" {w}") for w in self.others), self._stretch
        )

    @property
    def _stretch(self) -> Q:
        """The stretch of the index in which they stand."""
        if self.behind:
            return Q(
                kind=self.kind,
                term=self.start,
                rest__gte=f" {self.behind}",
                rest__lt=f" {self.behind}{LAST}",
            )
        return Q(kind=self.kind, term__gte=self.start, term__lt=self.start + LAST)

    def rows(self) -> QuerySet[PatientTerm]:
        """Return them, of every site."""
        return PatientTerm.objects.filter(self.condition)

    def first(self, size: int, after: Row | None = None) -> list[Row]:
        """Return the first so many, of every site, or the next after a row; one query.

        Reads ``READ`` terms at most for those with the other words behind them.
        """
        rows = PatientTerm.objects.filter(self._stretch).order_by(*ORDER)
        if after:
            rows = rows.filter(comes_after(after, *ORDER))
        return holding((rows, [[word] for word in self.others]), size=size)

    def first_word(self, term: str, rest: str) -> str:
        """Return the first of the words of a name by which it stands in this range.

        Of Garcia Garrido both begin with "gar"; the name is to stand once.
        """
        held = [term, *rest.split()]
        return min(
            word
            for n, word in enumerate(held)
            if word == term
            or (
                word.startswith(self.start)
                and all(
                    any(own.startswith(other) for own in held[:n] + held[n + 1 :])
                    for other in self.others
                )
            )
        )


def read(text: str, *, month_first: bool) -> tuple[Iterator[Range], list[str]]:
    """Return where to look, best first, and the words of a name to look for nearby.

    The last range may cost a query, for which words are rare, so take it when needed.
    """
    text = clean(text)[:_LONGEST]
    rest, day = _without_date(text, month_first=month_first)
    digits = "".join(c for c in rest if c.isdigit())
    if day and not words(rest):
        ranges = [Range(_Kind.BORN, day)]
        return iter(ranges + (_numbers(text) if text.strip().isdecimal() else [])), []
    letters = any(c.isalpha() for c in rest)
    if not day and not letters and len(digits) >= FEWEST_PHONE_DIGITS:
        return iter(_numbers(text)), []
    spoken = list(dict.fromkeys(words(rest)))[:_MOST_WORDS] + ([day] if day else [])
    is_short = len(text.split()) <= 2
    number = fold(text) if digits and is_short and not day else ""
    return _ranges(number, spoken), spoken


def _ranges(number: str, spoken: Sequence[str]) -> Iterator[Range]:
    if number:
        yield Range(_Kind.IDENTIFIER, number)
    names = [word for word in spoken if kind_of(word) == _Kind.WORD]
    if len(names) > 1 and not any(map(is_day, spoken)):
        # Straight to the Johns of all Smiths, where these are many.
        whole = max(names, key=len)
        behind = next(word for word in names if word != whole)
        others = tuple(word for word in spoken if word not in (whole, behind))
        yield Range(_Kind.WORD, whole, others, behind)
    if spoken:
        rarest = _rarest(spoken)
        others = tuple(word for word in spoken if word != rarest)
        yield Range(kind_of(rarest), rarest, others)


def _numbers(text: str) -> list[Range]:
    digits = "".join(c for c in text if c.isdigit())
    return [
        Range(_Kind.PHONE, digits),
        Range(_Kind.PHONE_END, digits[::-1]),
        Range(_Kind.IDENTIFIER, fold(text)),
    ]


def _without_date(text: str, *, month_first: bool) -> tuple[str, str]:
    """Return a text less the date in it, and the date as 19590314; blank for none."""
    match = _DATE.search(text)
    if not match:
        return text, ""
    written = match[0]
    if match[3]:
        # 3/14/59: nobody is born in a year to come.
        year = 2000 + int(written[-2:])
        year -= 100 if year > timezone.localdate().year else 0
        written = f"{written[:-2]}{year}"
    day = parse_date(re.sub(r"\.(?=\s)", "", written), month_first=month_first)
    if match[1] and not day:
        # 1959-3-4
        year, month, of_month = map(int, re.split(r"[-/.]", written))
        day = parse_date(f"{year}-{month:02d}-{of_month:02d}", month_first=month_first)
    if not day:
        return text, ""
    return f"{text[: match.start()]} {text[match.end() :]}", f"{day:%Y%m%d}"


def kind_of(word: str) -> PatientTerm.Kind:
    """Return whether a word is a name's, or a year or a day (19590314)."""
    is_year = word.isdecimal() and len(word) in (4, 8) and word[:2] in ("19", "20")
    return _Kind.BORN if is_year else _Kind.WORD


def is_day(word: str) -> bool:
    """Return whether a word is a birth date, as 19590314."""
    return kind_of(word) == _Kind.BORN and len(word) == 8


def _rarest(spoken: Sequence[str]) -> str:
    """Return the rarest of these words: a birth date, a name, and last a year.

    Whoever begins with the commonest reads thousands of Garcias to find one. One query,
    which stops at a thousand of each word; none for a single word or beside a date.
    """
    names = [word for word in spoken if kind_of(word) == _Kind.WORD]
    days = [word for word in spoken if is_day(word)]
    if days or len(names) < 2:
        return [*days, *names, *spoken][0]
    bearers = count_up_to(
        _COUNTED, *(Range(_Kind.WORD, word).rows().values("patient") for word in names)
    )
    return min(
        zip(bearers, names, strict=True), key=lambda one: (one[0], -len(one[1]))
    )[1]
