"""Text as people type it, made comparable."""

import re
import unicodedata

#: What text from outside loses: PostgreSQL refuses NUL and half characters, controls
#: do harm on paper and in logs, and an override or isolate of direction can make a text
#: read as another. Marks that only say which way a name runs stay.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ufffe\uffff]|[\ud800-\udfff]"
)
#: What other systems end a line with.
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")

#: Letters that say which way a text runs, and what holds it apart from what surrounds
#: it (Unicode Standard Annex 9).
_STRONG = ("L", "R", "AL")
_LEFT, _RIGHT, _END = "\u2066", "\u2067", "\u2069"


def clean(text: str) -> str:
    """Return text from outside without what no honest message contains, as NFC."""
    return unicodedata.normalize("NFC", _UNSAFE.sub("", _LINE_ENDS.sub("\n", text)))


def isolated(text: str, *, right_to_left: bool) -> str:
    """Return a text that keeps its own direction in a line that runs as told.

    One that runs the line's way comes back as it is; the others, and numbers in a line
    from the right, stand between Unicode's isolates, which nobody sees.
    """
    strong = next(
        (kind for c in text if (kind := unicodedata.bidirectional(c)) in _STRONG), "L"
    )
    if not text or (strong != "L") == right_to_left:
        return text
    return f"{_LEFT if strong == 'L' else _RIGHT}{text}{_END}"


def fold(text: str) -> str:
    """Return text for comparison: no accents, no case, one space between words."""
    plain = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(bare.casefold().split())


def slips(one: str, other: str) -> int:
    """Return how many letters were added, dropped, replaced or swapped between two.

    The optimal string alignment distance: a swap of neighbours is one slip.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
            if i > 1 < j and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]


def words(text: str) -> list[str]:
    """Return the folded words of a text: letters and digits only."""
    return re.findall(r"[^\W_]+", fold(text))
