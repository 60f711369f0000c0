"""The short list of common names with their codes, for those who want codes.

``data/codes.csv`` ships with the product: ICD-10-CM (public domain) for conditions,
RxNorm ingredients (public domain) for medicines and what people react to, and the
SNOMED CT code of some, so that imported entries are recognised. A name without a code
has none because we were not sure of it. Codes are optional everywhere; a name is not.
"""

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.text import fold, words
from patients.models import HistoryEntry

SYSTEMS = {
    "icd": "http://hl7.org/fhir/sid/icd-10-cm",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "snomed": "http://snomed.info/sct",
}
_FILE = Path(__file__).parent / "data" / "codes.csv"
#: FHIR's way of saying that somebody has no allergy: an entry that is none.
NO_KNOWN_ALLERGY = "716186003"
#: So, for medicines alone and for food alone: no allergy either, but not all was asked.
NO_ALLERGY_CODES = frozenset({NO_KNOWN_ALLERGY, "409137002", "429625007"})


@dataclass(frozen=True)
class Code:
    """One line of the list; ``snomed`` and ``code`` are blank where we have none."""

    kind: str
    plain: str
    clinical: str
    system: str
    code: str
    snomed: str
    risk_class: str
    tokens: tuple[str, ...]

    @property
    def key(self) -> str:
        """What a form sends to mean this line."""
        return f"{self.kind}|{self.plain}"

    @property
    def system_url(self) -> str:
        """The system as FHIR names it; blank without a code."""
        return SYSTEMS[self.system] if self.code else ""

    @property
    def codes(self) -> frozenset[str]:
        """Every code of this line, in whichever system."""
        return frozenset({self.code, self.snomed} - {""})

    @property
    def names(self) -> frozenset[str]:
        """Its names as they are compared."""
        return frozenset({fold(self.plain), fold(self.clinical)} - {""})


@cache
def all_codes() -> tuple[Code, ...]:
    """Return the whole list, in the order of the file."""
    with _FILE.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Code(
                **row,
                tokens=tuple(words(f"{row['plain']} {row['clinical']} {row['code']}")),
            )
            for row in csv.DictReader(lines)
        )


def search_codes(text: str, kind: str, limit: int = 8) -> list[Code]:
    """Return the lines of a kind that every word of ``text`` begins a word of.

    Those whose plain name begins with the text come first, then shorter names. Blank
    text finds nothing. Pure; the list is short enough to be walked.
    """
    asked = words(text)
    if not asked:
        return []
    start = fold(text)
    found = [
        code
        for code in all_codes()
        if code.kind == kind
        and all(any(token.startswith(word) for token in code.tokens) for word in asked)
    ]
    found.sort(
        key=lambda code: (not fold(code.plain).startswith(start), len(code.plain))
    )
    return found[:limit]


def code_at(key: str) -> Code | None:
    """Return the line that a form means by its key, or None."""
    return next((code for code in all_codes() if code.key == key), None)


def risk_class_of(name: str, code: str = "") -> str:
    """Return the high-risk class of a medicine by its code or a word of its name.

    Blank when the list does not know it as one: that is no promise that it is safe.
    """
    said = set(words(name))
    for line in all_codes():
        if line.kind != HistoryEntry.Kind.MEDICINE or not line.risk_class:
            continue
        if code and code in line.codes:
            return line.risk_class
        for own in (line.plain, line.clinical):
            if own and set(words(own)) <= said:
                return line.risk_class
    return ""


def as_known(codes: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return (codes, folded names) of the conditions that these codes may mean.

    A code also means the narrower ones of ICD-10-CM below it, and what the list knows
    by the same line in another system or by name.
    """
    mine = {code for code in codes if code}
    lines = [
        line
        for line in all_codes()
        if line.kind == HistoryEntry.Kind.CONDITION
        and any(covers(one, other) for one in mine for other in line.codes)
    ]
    names: Iterable[str] = (name for line in lines for name in line.names)
    also = {code for line in lines for code in line.codes}
    return frozenset(mine | also), frozenset(names)


def covers(broad: str, narrow: str) -> bool:
    """Return whether a code is the other, or its ICD-10-CM parent: E11 covers E11.9."""
    if broad == narrow:
        return True
    is_icd = broad[:1].isalpha() and len(broad) >= 3
    parent = broad if "." in broad else f"{broad}."
    return is_icd and narrow.startswith(parent)
