"""Words as thumbs type them: which known words a typed one may stand for."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from core.text import slips

#: From how many letters on a known word may be one slip away, or two.
ONE_SLIP_FROM, TWO_SLIPS_FROM = 4, 8
#: Longer words are no slip of a known one; looking would only cost time.
_LONGEST_SLIP, _LONGEST_JOINED = 20, 60
#: Words that sound alike from so many letters on are taken for each other.
_SOUND_FROM = 5
#: A letter held down: "heeeelp". Typed words with digits for letters: "br3athe".
_HELD = re.compile(r"([^\W\d_])\1{2,}")
_DIGITS_AS_LETTERS = str.maketrans("0134578", "oieastb")
#: What is written in more than one way for one sound, in Spanish first.
_SOUNDS = (
    (re.compile("ch"), "C"),
    (re.compile("h"), ""),
    (re.compile("ph"), "f"),
    (re.compile("qu|ck"), "k"),
    (re.compile("c(?=[ei])"), "s"),
    (re.compile("ll"), "y"),
    (re.compile(r"(\w)\1"), r"\1"),
)
_ONE_FOR_ANOTHER = str.maketrans("czvx", "ksbs")


class Lexicon:
    """A list of folded words, asked which of them a typed word may stand for.

    Known words are found by what is left of them when one or two letters are dropped,
    so that the cost does not grow with their number.
    """

    def __init__(self, words: Iterable[str], *, ordinary: Iterable[str]) -> None:
        """Take the words that are known, folded.

        ``ordinary`` are words that are typed for what they are, however like a known
        one they look ("can", which is one slip from "cant").
        """
        self._words = frozenset(words)
        self._ordinary = frozenset(ordinary) | self._words
        self._remains: defaultdict[str, set[str]] = defaultdict(set)
        self._sounds: defaultdict[str, set[str]] = defaultdict(set)
        for word in self._words:
            for remains in _dropped(word, _allowed(word)):
                self._remains[remains].add(word)
            if len(word) >= _SOUND_FROM:
                self._sounds[_sound(word)].add(word)
        self.meant = lru_cache(maxsize=20_000)(self._meant)

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def _meant(self, typed: str) -> frozenset[str]:
        """Return the known words that a typed one may stand for."""
        found: set[str] = set()
        for spelled in spellings(typed):
            found |= {spelled} & self._words
            if spelled in self._ordinary or len(spelled) > _LONGEST_SLIP:
                continue
            found |= self._sounds.get(_sound(spelled), set())
            for remains in _dropped(spelled, 2 if len(spelled) >= 6 else 1):
                for word in self._remains.get(remains, ()):
                    if word not in found and slips(spelled, word) <= _allowed(word):
                        found.add(word)
        return frozenset(found)


def spellings(typed: str) -> set[str]:
    """Return a typed word, also without letters held down and digits for letters."""
    forms = {typed, _HELD.sub(r"\1", typed)}
    if not typed.isalpha() and not typed.isdecimal():
        forms.add(typed.translate(_DIGITS_AS_LETTERS))
    return forms


def parted(typed: str, parts: Collection[str]) -> list[str]:
    """Return the words that were typed as one ("icantbreathe"), or none.

    Every letter must belong to a part; of several ways, the fewest parts.
    """
    if len(typed) > _LONGEST_JOINED:
        return []
    best: list[list[str] | None] = [[]] + [None] * len(typed)
    for end in range(1, len(typed) + 1):
        for begin in range(max(0, end - _LONGEST_SLIP), end):
            before, part = best[begin], typed[begin:end]
            if before is None or part not in parts:
                continue
            known = best[end]
            if known is None or len(before) + 1 < len(known):
                best[end] = [*before, part]
    return best[-1] or []


def _allowed(word: str) -> int:
    return (len(word) >= ONE_SLIP_FROM) + (len(word) >= TWO_SLIPS_FROM)


def _dropped(word: str, letters: int) -> Iterator[str]:
    """Yield a word and what is left of it without up to so many of its letters."""
    seen, left = {word}, {word}
    for _n in range(letters):
        left = {w[:i] + w[i + 1 :] for w in left for i in range(len(w))} - seen
        seen |= left
    yield from seen


def _sound(word: str) -> str:
    for spelled, sound in _SOUNDS:
        word = spelled.sub(sound, word)
    return word.translate(_ONE_FOR_ANOTHER)
