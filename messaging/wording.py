"""What a text with fixed fields may say: the fields, and what is wrong with one.

Asked when a manager saves a text and once more when it is filled in, so that a text
that came in by another way reaches a person instead of a patient.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.translation import gettext_noop

from core.sayings import told
from messaging import segments
from messaging.default_texts import DEFAULT_TEXTS

FIELD = re.compile(r"\{(\w+)\}")

#: A text has at most so many segments with ordinary values: carriers advise against
#: more than 320 characters, and each one is paid for.
MAX_SEGMENTS = 2
#: A field is not cut shorter than this to save a segment.
SHORTEST = 12


@dataclass(frozen=True)
class Field:
    """What stands in a field: an ordinary value in English and Spanish.

    A ``spare`` one a text can do without; where it is long it may be cut.
    """

    example: str
    spanish: str = ""
    spare: bool = False

    def example_in(self, language: str) -> str:
        """Return an ordinary value as that language's texts have it."""
        return self.spanish if language == "es" and self.spanish else self.example


FIELDS: dict[str, Field] = {
    "clinic": Field("Harbour Clinic"),
    "first": Field("Grace", spare=True),
    "when": Field("Tue 24 Nov 10:00am", "mar 24 nov 10:00"),
    "clinician": Field("Dr Rao", spare=True),
    "place": Field("Pier St", spare=True),
    "phone": Field("617 555 0100"),
    "emergency": Field("911"),
    "crisis": Field("988"),
    # As long as our links are allowed to be in a text.
    "link": Field("https://h.example/AbC4"),
    **{f"d{n}": Field(str(n)) for n in range(1, 5)},
    "t1": Field("Wed 9:00am", "mie 9:00"),
    "t2": Field("Wed 1:30pm", "mie 13:30"),
    "t3": Field("Thu 11:00am", "jue 11:00"),
    "by": Field("Fri 27 Nov", "vie 27 nov"),
    "time": Field("5:00pm", "17:00"),
    "hours": Field("8:00-17:00"),
    "count": Field("2"),
}
#: The only one a subject may have: it stands on locked screens.
SUBJECT_FIELDS = frozenset({"clinic"})

#: What carriers and Twilio act on before we read it (Twilio's default opt-out, opt-in
#: and help words), and what short codes must honour in Spanish.
_RESERVED = (
    "yes|cancel|end|quit|stop|stopall|unsubscribe|revoke|optout|start|unstop|help|info"
    "|alto|ayuda|parar|baja"
)
_ASKS_FOR = re.compile(
    rf"\b(?P<loud>{_RESERVED.upper()})\b"
    rf"|[\"'](?i:(?P<quoted>{_RESERVED}))[\"']"
    r"|\b(?i:reply|text|answer|respond|send|responda|conteste|escriba|env[ií]e|mande)"
    r"(?i:\s+(?:back|with|the word|con|la palabra))*"
    rf"\s+(?i:(?P<asked>{_RESERVED}))\b"
)
#: Public shorteners hide where they lead; carriers filter what has one.
_SHORTENERS = re.compile(
    r"(?:(?<=//)|(?<![\w./-]))(?:bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|buff\.ly|rb\.gy"
    r"|cutt\.ly|shorturl\.at|t\.ly|rebrand\.ly|tiny\.cc|lnkd\.in|v\.gd|s\.id|bl\.ink)"
    r"(?![\w-]|\.\w)",
    re.I,
)


class Fault(NamedTuple):
    """What is wrong with a text, and in which of its parts: "subject" or "body"."""

    part: str
    text: str
    places: Mapping[str, Any]

    @property
    def says(self) -> str:
        """What is wrong, in the reader's language."""
        return told(self.text, dict(self.places))


def allowed(key: str) -> frozenset[str]:
    """Return the fields a text may have."""
    shipped = DEFAULT_TEXTS[key]
    return shipped.fields | shipped.also


def required(key: str) -> frozenset[str]:
    """Return the fields a text must have: those it ships with that are not spare."""
    return frozenset(
        name for name in DEFAULT_TEXTS[key].fields if not _field(name).spare
    )


def _field(name: str) -> Field:
    return FIELDS.get(name, Field(name))


@lru_cache(maxsize=512)
def faults(key: str, language: str, subject: str, body: str) -> tuple[Fault, ...]:
    """Return everything that is wrong with a text; empty when it may be used.

    ``key`` is one of ``DEFAULT_TEXTS``.
    """
    found = [*_faults_of_subject(key, subject), *_faults_of_body(key, body)]
    if not found:
        counted = count(language, body)
        if counted.segments > MAX_SEGMENTS:
            says = gettext_noop(
                "Too long: %(count)s texts' worth with ordinary names and times, at "
                "most %(most)s. Letters such as á count more than twice."
            )
            found = [
                Fault("body", says, {"count": counted.segments, "most": MAX_SEGMENTS})
            ]
    return tuple(found)


def _faults_of_subject(key: str, subject: str) -> list[Fault]:
    found = _hidden("subject", subject, lines=False)
    if not subject.strip() and any(s for s, _b in DEFAULT_TEXTS[key].words.values()):
        found.append(Fault("subject", gettext_noop("An email needs a subject."), {}))
    if _without(subject, SUBJECT_FIELDS) != FIELD.sub("", subject) or _braces(subject):
        says = gettext_noop(
            "A subject is read over a shoulder: it has no fields but %(field)s."
        )
        found.append(Fault("subject", says, {"field": "{clinic}"}))
    return found + _said("subject", subject)


def _faults_of_body(key: str, body: str) -> list[Fault]:
    if not body.strip():
        return [Fault("body", gettext_noop("Write what the text says."), {})]
    found = _hidden("body", body, lines=True)
    if _braces(body):
        says = gettext_noop(
            "A brace stands alone or has more than a field's name in it. Fields are "
            "written like %(field)s."
        )
        found.append(Fault("body", says, {"field": "{when}"}))
    used = set(FIELD.findall(body))
    if unknown := used - allowed(key):
        says = gettext_noop("There is no %(fields)s here. There are: %(known)s.")
        known = _named(allowed(key)) or "-"
        found.append(Fault("body", says, {"fields": _named(unknown), "known": known}))
    if missing := required(key) - used:
        says = gettext_noop("It must say %(fields)s.")
        found.append(Fault("body", says, {"fields": _named(missing)}))
    return found + _said("body", body)


def _hidden(part: str, text: str, *, lines: bool) -> list[Fault]:
    """Find what nobody sees: controls, zero-width and direction characters."""
    unseen = {
        c
        for c in text
        if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
        and not (lines and c == "\n")
    }
    if not unseen:
        return []
    says = gettext_noop("It has characters nobody sees: %(codes)s. Type it anew.")
    codes = ", ".join(sorted(f"U+{ord(c):04X}" for c in unseen))
    return [Fault(part, says, {"codes": codes})]


def _said(part: str, text: str) -> list[Fault]:
    """Find words that carriers act on, and links that hide where they lead."""
    found = []
    if asked := _ASKS_FOR.search(text):
        says = gettext_noop(
            "It asks for %(word)s, which phone companies take for themselves. Ask for "
            "a digit."
        )
        word = (asked["loud"] or asked["quoted"] or asked["asked"]).upper()
        found.append(Fault(part, says, {"word": word}))
    if short := _SHORTENERS.search(text):
        says = gettext_noop(
            "%(host)s hides where it leads, and phone companies block it."
        )
        found.append(Fault(part, says, {"host": short[0]}))
    return found


def _braces(text: str) -> bool:
    rest = FIELD.sub("", text)
    return "{" in rest or "}" in rest


def _without(text: str, names: frozenset[str]) -> str:
    return FIELD.sub(lambda match: "" if match[1] in names else match[0], text)


def _named(names: frozenset[str] | set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def example(language: str, text: str) -> str:
    """Return a text with an ordinary value in each of its fields."""
    return FIELD.sub(lambda match: _field(match[1]).example_in(language), text)


@lru_cache(maxsize=512)
def count(language: str, body: str) -> segments.Segments:
    """Count what a text costs with ordinary values."""
    return segments.count(segments.normalise(example(language, body)))


def plain(value: str) -> str:
    """Return what goes into a field on one line, without what nobody sees."""
    kept = (
        c
        for c in " ".join(value.split())
        if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Cn")
    )
    return "".join(kept).strip()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its fields filled in, each once: braces in a value stay."""
    return FIELD.sub(lambda match: values[match[1]], text)


def shortened(language: str, body: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values, the spare ones cut where that saves a segment.

    So that one long name does not double what a text costs. Where cutting does not
    help, such as beside a letter that GSM-7 has not, nothing is cut.
    """
    cut = dict(values)
    limit = max(count(language, body).segments, 1)
    while True:
        counted = segments.count(segments.normalise(fill(body, cut)))
        if counted.segments <= limit:
            return cut
        spare = {name for name in FIELD.findall(body) if _field(name).spare}
        longest = max(spare, key=lambda name: len(cut[name]), default="")
        if counted.encoding == "UCS-2" or len(cut.get(longest, "")) <= SHORTEST:
            return dict(values)
        cut[longest] = cut[longest][:-2].rstrip() + "."
