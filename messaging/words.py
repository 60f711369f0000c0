"""Words that patients write, and what they mean.

Pure: text in, meaning out; what is done about it is ``inbound.py``'s and its effects'.
The words themselves are data (``data/reply_words.json``), so that people who speak the
language can read and mend them. Words of danger are apart (``red_flags.py``).
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.text import slips

_WORDS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "reply_words.json").read_text("utf-8")
)


def _phrases(*keys: str) -> tuple[tuple[str, ...], ...]:
    """Return phrases of the data as tuples of words."""
    return tuple(tuple(phrase.split()) for key in keys for phrase in _WORDS[key])


def _set(*keys: str) -> frozenset[str]:
    return frozenset(word for key in keys for word in _WORDS[key])


#: What Twilio obeys, blocks and answers by itself.
PROVIDER_OPT_OUT = _set("stop_at_provider")
#: Said alone, these end all texts: Twilio's, those the FCC names (47 CFR
#: 64.1200(a)(10)), and ours.
OPT_OUT = PROVIDER_OPT_OUT | _set("stop")
#: Carriers take these as "text me again".
OPT_IN = _set("start")
#: Twilio takes this as "text me again", too, where the number had opted out.
OPT_IN_WHEN_OUT = frozenset({"yes"})
#: As an opt-out these may have been meant for the visit.
MAY_MEAN_THE_VISIT = _set("may_mean_the_visit")
#: Asked alone: who are you, whom do I call? The first are answered by Twilio itself.
PROVIDER_HELP = _set("help_at_provider")
HELP = PROVIDER_HELP | _set("help")

#: Longer than this, words about stopping are not obeyed by rule (delivery.md §1.7).
SHORT = 6
_STOP_SHORT = _phrases("stop_short")
_STOP_TEXTS = _phrases("stop_texts")
_STOP_UNCLEAR = tuple(p for p in _STOP_SHORT if p[0] not in _set("ordinary"))
_TEXTS = _set("texts")
_FILLER = _set("filler")
_FILLER_BESIDE = _FILLER | _TEXTS | _set("filler_beside_texts")
_MISSPELT: dict[str, str] = _WORDS["misspelt"]
_LONG_STOPS = (("unsubscribe",), ("desuscribirme",))
_VISIT_CANCEL, _NOT_CANCELLED = _set("visit_cancel"), _set("not_cancelled")
#: How far from "no more" stand the texts it speaks of.
_NEAR = 3

_WRONG, _NOT_WRONG = _phrases("wrong_number"), _phrases("not_wrong_number")
_NOT_NAMED = _phrases("not_named")
_DEATH = _phrases("death")
_THINGS_DIE = _phrases("no_death_before")
_NOT_DEAD = _phrases("no_death_negated")
_NO_DEATH_AFTER = _phrases("no_death_after")

_YES, _YES_PHRASES = _set("yes"), _phrases("yes_phrases")
_COURTESY = _set("courtesy")
_DIGITS: dict[str, str] = _WORDS["digits"]
_CHOICE, _AROUND = _set("before_a_digit"), _set("around_a_choice")
_UNITS = _set("units")
_SIGNS = frozenset("👍👌✅🆗🙏")


class Wish(Enum):
    """What a text says about getting texts at all."""

    #: An exact word: it is obeyed.
    STOP = "stop"
    #: A short phrase that can mean little else: obeyed, and a person looks.
    STOP_SHORT = "stop in short"
    #: It may mean that or something else: a person decides.
    UNCLEAR = "unclear"
    #: It speaks of cancelling, and not of texts: the visit, probably.
    CANCEL_VISIT = "cancel a visit"
    START = "start"
    NOTHING = "nothing"


def normalise(text: str) -> str:
    """Return a text as words to compare: no accents, case, punctuation or emoji frills.

    A thumb survives, whatever its colour. Apostrophes vanish ("dont"), letters that
    stand alone join ("S.T.O.P"), and what nobody sees is not there.
    """
    bare = re.sub("['’‘ʼ`´]", "", text)
    plain = unicodedata.normalize("NFKD", bare).casefold()
    kept = "".join(
        c if c.isalnum() else f" {c} " if c in _SIGNS else " "
        for c in plain
        if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    ).split()
    if len(kept) > 2 and all(len(word) == 1 and word.isalpha() for word in kept):
        return "".join(kept)
    return " ".join(kept)


def wish(text: str) -> Wish:
    """Return what a text says about getting texts, by the three steps of delivery.md.

    An exact word; a short phrase of which nothing else is left but "please" and
    "texts"; or words that may mean it, in whatever sentence.
    """
    said = " ".join(word for word in normalise(text).split() if word not in _SIGNS)
    if said in OPT_OUT:
        return Wish.STOP
    if said in OPT_IN:
        return Wish.START
    words = [_well_spelt(word) for word in said.split()]
    beside = not _TEXTS.isdisjoint(words)
    stops = _spans(words, _STOP_SHORT) + (_spans(words, _STOP_TEXTS) if beside else [])
    rest = {w for i, w in enumerate(words) if not any(i in span for span in stops)}
    if (
        stops
        and len(words) <= SHORT
        and rest <= (_FILLER_BESIDE if beside else _FILLER)
    ):
        return Wish.STOP_SHORT
    if _spans(words, _STOP_UNCLEAR) or _about_texts(words):
        return Wish.UNCLEAR
    if len(words) <= SHORT and not _VISIT_CANCEL.isdisjoint(words):
        return Wish.CANCEL_VISIT if _NOT_CANCELLED.isdisjoint(words) else Wish.NOTHING
    return Wish.NOTHING


def _well_spelt(word: str) -> str:
    """Return the word that a slip of the thumb was meant to be."""
    if word in _MISSPELT or len(word) < 8:
        return _MISSPELT.get(word, word)
    return min(_meant([word], _LONG_STOPS, from_length=8).get(word, ()), default=word)


def _about_texts(words: Sequence[str]) -> bool:
    """Return whether "no more", "I don't want" and such stand just before texts."""
    return any(
        not _TEXTS.isdisjoint(words[span.stop : span.stop + _NEAR])
        for span in _spans(words, _STOP_TEXTS)
    )


def says_wrong_number(text: str, names: Iterable[str] = ()) -> bool:
    """Return whether somebody writes that we have the wrong number or person.

    ``names``: those whom texts to this number speak of; "I'm not Grace" says it by
    one of them. Never a digit: 9 is also a pain score (clinical.md, rule 6).
    """
    words = normalise(text).split()
    if _spans(words, _NOT_WRONG):
        return False
    if _spans(words, _WRONG, _meant(words, _WRONG, from_length=5)):
        return True
    theirs = {word for name in names for word in normalise(name).split()}
    theirs |= {f"{word}s" for word in theirs}
    after = (words[span.stop : span.stop + 1] for span in _spans(words, _NOT_NAMED))
    return any(word[0] in theirs for word in after if word)


def says_death(text: str) -> bool:
    """Return whether a text may say that somebody has died.

    Phones, dogs and laughter do not count, nor what almost happened. Whose death it is
    a person finds out.
    """
    words = normalise(text).split()
    meant = _meant(words, _DEATH, from_length=6)
    return any(
        not _spans(words[max(0, span.start - 4) : span.start], _THINGS_DIE)
        and not _ends_with(words[: span.start], _NOT_DEAD)
        and not _begins_with(words[span.stop :], _NO_DEATH_AFTER)
        for span in _spans(words, _DEATH, meant)
    )


def is_yes(text: str) -> bool:
    """Return whether a text says yes, and nothing else but a courtesy."""
    words = normalise(text).split()
    phrases = _spans(words, _YES_PHRASES)
    rest = {w for i, w in enumerate(words) if not any(i in span for span in phrases)}
    agrees = bool(phrases) or not _YES.isdisjoint(rest)
    return agrees and "?" not in text and rest <= _YES | _COURTESY


def chosen_digit(text: str) -> tuple[str, str]:
    """Return (digit, the rest) when a text begins with one choice, else two blanks.

    "1", "1.", "(1)", "#1", "option 1", "ok 1", "uno" and "1 but my cut leaks" choose;
    "10", "1:30", "1 pm", "1 hour late", "1 or 2?" and "one of my stitches" do not. A
    courtesy is no rest.
    """
    plain = unicodedata.normalize("NFKC", text)
    tokens = list(re.finditer(r"\d+|[^\W\d_]+|👍|👌|✅", plain))
    before: list[str] = []
    for token in tokens:
        if token[0].isdigit():
            break
        before.append(normalise(token[0]))
    else:
        return _digit_in_words(before), ""
    after = plain[token.end() :]
    if len(token[0]) > 1 or not _leads_to_a_choice(before) or _no_choice(plain, token):
        return "", ""
    rest = re.sub(r"^\W+", "", after).strip()
    if set(normalise(rest).split()) <= _YES | _COURTESY:
        rest = ""
    return str(int(token[0])), rest


def _leads_to_a_choice(before: Sequence[str]) -> bool:
    said = set(before)
    if said <= _YES | _COURTESY:
        return True
    return bool(said & _CHOICE) and said <= _YES | _COURTESY | _CHOICE | _AROUND


def _no_choice(plain: str, digit: "re.Match[str]") -> bool:
    """Return whether a digit is part of a time, a sum, a quantity, or one of two."""
    after = plain[digit.end() :]
    if plain[: digit.start()].rstrip()[-1:] in tuple("$€£+-") or after[:1] in (
        "%",
        "°",
    ):
        return True
    if re.match(r"[\d:/.,–-]*\d|\s*[ap]\.?\s?m\b", after, re.IGNORECASE):
        return True
    if re.match(r"\W*(?:(?:or|and|o|y|u|maybe|either)\W+)?\d+(?!\w)", after, re.I):
        return True
    unit = re.match(r"\s*([^\W\d_]+)", after)
    return bool(unit and normalise(unit[1]) in _UNITS)


def _digit_in_words(words: Sequence[str]) -> str:
    """Return the digit that a text is, in a word: "uno", "Two, please"."""
    named = [word for word in words if word in _DIGITS]
    others = [word for word in words if word not in _DIGITS]
    if len(named) != 1 or not _leads_to_a_choice(others):
        return ""
    return _DIGITS[named[0]]


def _meant(
    words: Iterable[str], phrases: Iterable[tuple[str, ...]], *, from_length: int
) -> dict[str, set[str]]:
    """Return {word: what of these phrases it may be, give or take one slip}.

    Only of words that are long enough to have no neighbours.
    """
    known = {word for phrase in phrases for word in phrase}
    long = [word for word in known if len(word) >= from_length]
    return {
        word: {
            other
            for other in long
            if abs(len(word) - len(other)) <= 1
            # Cheaper than counting slips, and never wrong to ask first.
            and len(set(word) ^ set(other)) <= 2
            and slips(word, other) <= 1
        }
        for word in set(words) - known
    }


def _spans(
    words: Sequence[str],
    phrases: Iterable[tuple[str, ...]],
    meant: Mapping[str, Set[str]] = MappingProxyType({}),
) -> list[range]:
    """Return where phrases stand among words, or among what those are ``meant`` as."""
    read = [meant.get(word, set()) | {word} for word in words]
    places: dict[str, list[int]] = {}
    for place, readings in enumerate(read):
        for word in readings:
            places.setdefault(word, []).append(place)
    return [
        range(start, start + len(phrase))
        for phrase in phrases
        for start in places.get(phrase[0], ())
        if start + len(phrase) <= len(words)
        and all(w in read[start + place] for place, w in enumerate(phrase))
    ]


def _begins_with(words: Sequence[str], phrases: Iterable[tuple[str, ...]]) -> bool:
    return any(tuple(words[: len(phrase)]) == phrase for phrase in phrases)


def _ends_with(words: Sequence[str], phrases: Iterable[tuple[str, ...]]) -> bool:
    return any(tuple(words[-len(phrase) :]) == phrase for phrase in phrases)
