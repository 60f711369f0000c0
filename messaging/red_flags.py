"""Words that may speak of a danger.

Pure: text in, dangers out. What is done about them is ``screening.py``'s. The words
are data (``data/red_flags.json``); docs/red-flags.md says how to read and change them.
It sorts and never filters: what it misses is still read by a person in normal time.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext_noop

from core.text import fold
from messaging.alike import Lexicon, parted, spellings

#: What staff are told of each danger, in English; the first of several leads.
NAMES: Final = {
    "violence": gettext_noop("violence"),
    "self_harm": gettext_noop("self-harm"),
    "breathing": gettext_noop("hard to breathe"),
    "chest": gettext_noop("chest pain"),
    "stroke": gettext_noop("stroke signs"),
    "bleeding": gettext_noop("heavy bleeding"),
    "throat": gettext_noop("swollen face or throat"),
    "collapse": gettext_noop("collapse"),
    "help": gettext_noop("a call for help"),
}
#: A "no" never makes these less (clinical.md §2.3): who is ashamed or watched says no.
NEVER_LOWERED: Final = frozenset({"violence", "self_harm"})
#: Dangers that people tell of as something long over ("he had a stroke in 2010").
_TOLD_AS_PAST = frozenset({"stroke", "throat", "collapse"})

#: How many words may stand between two of a phrase, by what stands there in the data.
_BETWEEN = {"-": 1, " ": 3, "...": 6}
#: So many ways to read a phrase from one word on are tried.
_WAYS = 8
#: How far before a phrase a "no" may stand, and how far after it what undoes the "no".
_REACH = 6

_NEW_LINE = re.compile(r"[\r\n]\s*")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff'\u2018\u2019\u02bc`\u00b4]")
_STARS = re.compile(r"(?<=\w)[*]+(?=\w)")
_DASH = re.compile(r"\s[-\u2013\u2014]+\s|[\u2013\u2014]")
_SPELLED_OUT = re.compile(r"\b(?:[a-z][\s.\-]+){2,}[a-z]\b")
_PIECE = re.compile(r"(?P<word>[^\W_]+)|(?P<end>[.!?;]+)|(?P<comma>[,:|])")
#: How phones put a thumb on one of our texts into words: nothing in it is theirs.
_REACTION = re.compile(
    r"\s*(liked|loved|disliked|laughed at|emphasized|questioned|reacted \S{1,12} to"
    r"|removed an? [a-z ]{1,20} from) [\u201c\"].*[\u201d\"]\s*",
    re.IGNORECASE | re.DOTALL,
)
_YEAR = re.compile(r"(19|20)\d\d")


@dataclass(frozen=True)
class Danger:
    """One danger of which a text may speak; ``plain`` if no "no" stands before it."""

    key: str
    plain: bool

    @property
    def name(self) -> str:
        """What staff are told, in English, marked for translation."""
        return NAMES[self.key]


@dataclass(frozen=True)
class _Slot:
    #: Those with "=" in front must stand as they are.
    words: frozenset[str]
    #: How many words may stand between the slot before and this one.
    gap: int


@dataclass(frozen=True)
class _Phrase:
    danger: str
    slots: tuple[_Slot, ...]


class _Said:
    """A text as words, each with its place and the known words it may stand for.

    A comma takes a place like a word, the end of a sentence two, so that phrases reach
    across them a little: people who text in fear set stops anywhere.
    """

    def __init__(self, text: str, book: "_Book") -> None:
        self.words: list[str] = []
        self.places: list[int] = []
        #: Before each word: 0 nothing, 1 a comma, 2 the end of a sentence.
        self.stops: list[int] = []
        place, stop = 0, 0
        for piece in _PIECE.finditer(_plain(text)):
            if not piece["word"]:
                stop = max(stop, 2 if piece["end"] else 1)
                continue
            place += stop
            for word in book.words_in(piece["word"]):
                self.words.append(word)
                self.places.append(place)
                self.stops.append(stop)
                place, stop = place + 1, 0
        #: What each word stands for as it is typed; and what it may stand for besides.
        self.typed = [_as_typed(word) for word in self.words]
        self.meant = [
            typed | book.lexicon.meant(word)
            for word, typed in zip(self.words, self.typed, strict=True)
        ]
        for n, two in enumerate(zip(self.words, self.words[1:], strict=False)):
            # One word typed as two: "brea the".
            if (joined := "".join(two)) in book.lexicon:
                self.meant[n] = self.meant[n] | {joined}

    def ends_after(self, n: int) -> bool:
        """Return whether nothing follows a word in its sentence or clause."""
        return n + 1 >= len(self.words) or self.stops[n + 1] > 0

    def sentence(self, n: int) -> list[str]:
        """Return the words of the sentence in which a word stands, 20 each way."""
        begin = end = n
        while begin > max(0, n - 20) and self.stops[begin] < 2:
            begin -= 1
        while end < min(len(self.words), n + 20) and (end == n or self.stops[end] < 2):
            end += 1
        return self.words[begin:end]


class _Book:
    """The data, made ready to look things up in."""

    def __init__(self, data: dict[str, Any]) -> None:
        groups = {
            name: frozenset(words)
            for language in data["words"].values()
            for name, words in language.items()
        }
        self.phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
        self.harmless: defaultdict[str, list[_Phrase]] = defaultdict(list)
        for danger, lists in data["dangers"].items():
            for line in (*lists["en"], *lists["es"]):
                self._add(self.phrases, self._phrase(danger, line, groups))
        known = {
            word
            for begin in self.phrases.values()
            for phrase in begin
            for slot in phrase.slots
            for word in slot.words
        }
        for danger, lists in data["dangers"].items():
            for line in lists["harmless"]:
                self._add(self.harmless, self._phrase(danger, line, groups))
        self.past: defaultdict[str, list[_Phrase]] = defaultdict(list)
        for line in (*data["past"]["en"], *data["past"]["es"]):
            self._add(self.past, self._phrase("", line, groups))
        self.but_now = frozenset(data["past"]["but_now"])
        self.denial = {k: frozenset(v) for k, v in data["denial"].items()}
        self.lexicon = Lexicon(
            (word for word in known if not word.startswith("=")),
            ordinary=data["ordinary"],
        )
        self._parts = {word.removeprefix("=") for word in known}
        self._parts.update(data["joiners"])

    def phrases_of(self, words: Iterable[frozenset[str]]) -> dict[str, list[_Phrase]]:
        """Return the phrases all of whose words a text has, in any order."""
        there = frozenset().union(*words)
        return {
            word: [
                phrase
                for phrase in self.phrases[word]
                if not any(slot.words.isdisjoint(there) for slot in phrase.slots)
            ]
            for word in there.intersection(self.phrases)
        }

    def words_in(self, typed: str) -> list[str]:
        """Return a typed word, or the words that were run together in it."""
        if len(typed) < 7 or self.lexicon.meant(typed):
            return [typed]
        parts = parted(typed, self._parts)
        return (
            parts if any(len(p) > 3 and p in self.lexicon for p in parts) else [typed]
        )

    def _add(self, index: dict[str, list[_Phrase]], phrase: _Phrase) -> None:
        for word in phrase.slots[0].words:
            index[word].append(phrase)

    def _phrase(
        self, danger: str, line: str, groups: dict[str, frozenset[str]]
    ) -> _Phrase:
        pieces = ["-", *re.split(r"(\.\.\.|-| )", line)]
        return _Phrase(
            danger,
            tuple(
                _Slot(
                    frozenset().union(
                        *(groups.get(a, frozenset({a})) for a in slot.split("|"))
                    ),
                    _BETWEEN[between],
                )
                for between, slot in zip(pieces[::2], pieces[1::2], strict=True)
            ),
        )


@cache
def _book() -> _Book:
    path = Path(__file__).parent / "data" / "red_flags.json"
    return _Book(json.loads(path.read_text(encoding="utf-8")))


def dangers(text: str) -> list[Danger]:
    """Return the dangers a text may speak of: plain ones first, the worst leads.

    English and Spanish at once, whatever language we think they read. About 1 ms for a
    text, and never more than grows with its length: no pattern is tried twice.
    """
    book = _book()
    said = _Said("" if _REACTION.fullmatch(text) else text, book)
    found: dict[str, bool] = {}
    for way, danger in _ways(said, said.meant, book.phrases_of(said.meant)):
        if found.get(danger) or _is_harmless(way, danger, said, book):
            continue
        found[danger] = danger in NEVER_LOWERED or not (
            _is_denied(way, said, book)
            or (danger in _TOLD_AS_PAST and _is_past(way, said, book))
        )
    every = [Danger(key, found[key]) for key in NAMES if key in found]
    return sorted(every, key=lambda danger: not danger.plain)


def _plain(text: str) -> str:
    """Return a text without accents, case and tricks, its sentences still apart."""
    lines = _NEW_LINE.sub(_line_break, text)
    seen = _UNSEEN.sub("", _STARS.sub("", lines))
    letters = fold(seen.replace("@", "a").replace("$", "s"))
    return _SPELLED_OUT.sub(
        lambda match: re.sub(r"[\s.\-]", "", match[0]), _DASH.sub(" , ", letters)
    )


def _line_break(match: re.Match[str]) -> str:
    """Return a comma for a new line, which mail programs set where they like."""
    return " . " if match[0].count("\n") > 1 else " , "


def _as_typed(word: str) -> frozenset[str]:
    """Return a word, marked "=" as the data marks what must stand so; "#" is a number.

    From 10 on that is "##".
    """
    if word.isdecimal():
        return frozenset({word, f"={word}", "#" if len(word) == 1 else "##"})
    return frozenset({word, *(f"={spelled}" for spelled in spellings(word))})


def _ways(
    said: _Said,
    words: Sequence[frozenset[str]],
    index: dict[str, list[_Phrase]],
    at: Iterable[int] | None = None,
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield (the words that make a phrase, its danger), by their numbers.

    ``words`` are those of the text as typed or as meant, ``at`` where a phrase may
    begin: anywhere when None.
    """
    for n in range(len(words)) if at is None else at:
        tried: set[int] = set()
        for word in words[n]:
            for phrase in index.get(word, ()):
                if id(phrase) not in tried:
                    tried.add(id(phrase))
                    follow = _follow(said.places, words, phrase.slots, (n,))
                    for way in islice(follow, _WAYS):
                        yield way, phrase.danger


def _follow(
    places: Sequence[int],
    words: Sequence[frozenset[str]],
    slots: tuple[_Slot, ...],
    way: tuple[int, ...],
) -> Iterator[tuple[int, ...]]:
    """Yield every way in which the words after ``way`` go on with a phrase."""
    if len(way) == len(slots):
        yield way
        return
    slot, at = slots[len(way)], way[-1]
    last = places[at] + slot.gap + 1
    for n in range(at + 1, len(words)):
        if places[n] > last:
            return
        if not slot.words.isdisjoint(words[n]):
            yield from _follow(places, words, slots, (*way, n))


def _is_harmless(way: tuple[int, ...], danger: str, said: _Said, book: _Book) -> bool:
    """Return whether a word of the phrase is part of one that means nothing.

    As it is typed: what calms must be certain.
    """
    before = range(max(0, way[0] - _REACH), way[-1] + 1)
    return any(
        calmed == danger and not set(way).isdisjoint(other)
        for other, calmed in _ways(said, said.typed, book.harmless, before)
    )


def _is_denied(way: tuple[int, ...], said: _Said, book: _Book) -> bool:
    """Return whether a phrase is said not to be so, and nothing takes that back.

    Only words that a "no" passes over may stand between it and the phrase: in "no
    relief from chest pain" the relief is denied.
    """
    denial, end = book.denial, way[-1]
    after = range(end + 1, min(end + 1 + _REACH, len(said.words)))
    for n in after:
        if said.stops[n] == 2:
            break
        if said.words[n] in denial["not_if_followed_by"]:
            return False
    begins = (-1, *way)
    if any(
        _no_before(n, max(before, n - _REACH - 1), said, book)
        for before, n in zip(begins, way, strict=False)
    ):
        return True
    nxt = end + 1
    return (
        nxt < len(said.words)
        and said.words[nxt] in denial["after"]
        and said.ends_after(nxt)
    )


def _no_before(n: int, limit: int, said: _Said, book: _Book) -> bool:
    while not said.stops[n]:
        n -= 1
        if n <= limit:
            return False
        if said.words[n] in book.denial["before"]:
            return True
        if said.words[n] not in book.denial["between"]:
            return False
    return False


def _is_past(way: tuple[int, ...], said: _Said, book: _Book) -> bool:
    """Return whether a sentence tells of long ago, and of nothing now."""
    sentence = said.sentence(way[0])
    if not book.but_now.isdisjoint(sentence):
        return False
    if any(_YEAR.fullmatch(word) for word in sentence):
        return True
    around = range(max(0, way[0] - _REACH), min(len(said.words), way[-1] + _REACH))
    return any(_ways(said, said.typed, book.past, around))
