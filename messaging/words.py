"""Words that patients write, and what they always mean.

Pure: text in, meaning out. Digits and answers to questions are ``inbound``'s.
"""

import re
import unicodedata

from django.utils.translation import gettext_noop

#: Twilio's opt-out words, those the FCC names (47 CFR 64.1200(a)(10)), and Spanish.
OPT_OUT = frozenset(
    {
        "stop",
        "stopall",
        "stop all",
        "unsubscribe",
        "end",
        "quit",
        "cancel",
        "revoke",
        "optout",
        "opt out",
        "alto",
        "parar",
        "baja",
    }
)
#: Carriers take these as "text me again".
OPT_IN = frozenset({"start", "unstop"})
#: As an opt-out these may have been meant for the visit.
MAY_MEAN_THE_VISIT = frozenset({"cancel"})
_YES = frozenset({"yes", "y", "ok", "okay", "si", "vale", "yep", "sure", "👍"})
_POLITE = frozenset(
    {"thanks", "thank", "you", "thx", "gracias", "please", "por", "favor"}
)

_RED_FLAGS = {
    gettext_noop(
        "chest pain"
    ): r"\b(chest (pain|pressure|tight\w*)|dolor (de|en el) pecho|"
    r"(duele|aprieta) el pecho)\b",
    gettext_noop(
        "hard to breathe"
    ): r"\b((can'?t|cannot|hard to|trouble|unable to) breath\w*|"
    r"short(ness)? of breath|no puedo respirar|(me )?falta (el )?aire|me ahogo)\b",
    gettext_noop(
        "stroke signs"
    ): r"\b(stroke|face (is )?droop\w*|slurred speech|derrame)\b",
    gettext_noop(
        "heavy bleeding"
    ): r"\b((heavy|heavily|a lot|won'?t stop|lots of) bleed\w*|"
    r"bleeding (a lot|heavily|badly|won'?t stop|through)|sangr\w+ mucho|"
    r"mucha sangre)\b",
    gettext_noop(
        "self-harm"
    ): r"\b(suicid\w*|kill myself|end my life|hurt myself|want to die|"
    r"overdos\w*|matarme|quitarme la vida|quiero morir\w*)\b",
    gettext_noop(
        "swollen face or throat"
    ): r"\b((throat|tongue|face) (is )?(swell\w*|swollen|"
    r"closing)|(garganta|lengua|cara) hinchada)\b",
    gettext_noop(
        "collapse"
    ): r"\b(passed out|collapsed|fainted|seizure|unconscious|convulsi\w+|"
    r"me desmaye)\b",
}
_NEGATED = re.compile(r"\b(no|not|without|never|sin|ningun)\s+(\w+\s+){0,2}$")


def normalise(text: str) -> str:
    """Return a text as words to compare: no accents, case, punctuation or emoji frills.

    A thumb survives, whatever its colour.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = (
        c if c.isalnum() or c == "👍" else " "
        for c in plain
        if not unicodedata.combining(c)
    )
    return " ".join("".join(kept).split())


def is_yes(text: str) -> bool:
    """Return whether a text says yes and nothing else but a courtesy."""
    said = normalise(text).split()
    return bool(said) and said[0] in _YES and set(said) <= _YES | _POLITE


def leading_digit(text: str) -> tuple[str, str]:
    """Return (digit, the rest) when a text begins with one digit, else two blanks.

    "1", "1.", "(1)" and "1 but my cut leaks" begin with a digit; "10", "1:30" and
    "1 pm" do not.
    """
    match = re.match(
        r"^\W*(\d)(?![\d:/.,]*\d)(?!\s*[ap]\.?m\b)\W*(.*)$", text, re.I | re.S
    )
    return (match[1], match[2].strip()) if match else ("", "")


def red_flag(text: str) -> tuple[str, bool]:
    """Return (which danger a text may speak of, whether it says so without a "no").

    A sorter, never a filter: what it misses is still read by a person in normal time.
    """
    plain = " ".join(
        "".join(
            c
            for c in unicodedata.normalize("NFKD", text.replace("’", "'"))
            if not unicodedata.combining(c)
        )
        .casefold()
        .split()
    )
    negated = ""
    for name, pattern in _RED_FLAGS.items():
        for match in re.finditer(pattern, plain):
            if name == "self-harm" or not _NEGATED.search(plain[: match.start()]):
                return name, True
            negated = name
    return negated, False
