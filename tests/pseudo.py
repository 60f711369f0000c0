"""A language that shows what was never marked for translation.

Whatever a catalogue knows is shown between ⟦ and ⟧, and what people have typed is in
Greek. So Latin letters outside the brackets are words nobody can translate.
"""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat
from django.utils import translation
from django.utils.translation import trans_real

from accounts.models import Clinician, Draft, Site, User
from appointments.models import VisitType
from messaging.models import Message
from patients.history.kinds import KINDS
from patients.intake import HISTORY
from patients.models import (
    ContactPerson,
    ContactPoint,
    Flag,
    HistoryEntry,
    Identifier,
    Intake,
    Note,
    Patient,
    SafeContactPlan,
)
from patients.wordings import BY_CHANNEL, SAID, WORDINGS
from worklist.models import WorkEvent, WorkItem

#: What people type, by where it is kept.
TYPED: dict[Any, tuple[str, ...]] = {
    Clinician: ("name",),
    ContactPerson: ("name", "relation"),
    Flag: ("text", "reason"),
    HistoryEntry: ("label", "clinical_name", "happened_about"),
    Identifier: ("system", "value"),
    Message: ("body", "subject"),
    Patient: (
        "given_name",
        "family_name",
        "preferred_name",
        "address_line",
        "city",
        "state",
        "postal_code",
        "pronouns",
        "what_matters",
        "top_worry",
        "death_told_by",
    ),
    SafeContactPlan: ("reason", "code_word"),
    Site: ("name", "place"),
    User: ("name",),
    VisitType: ("name", "discreet_name"),
}
#: What of an entry of the history is written in words.
_OF_HISTORY = {
    field.name
    for kind in KINDS.values()
    for field in kind.fields
    if field.type in ("text", "long")
}
#: What patients are asked stands in their languages in the code.
_ASKED = {
    said
    for wording in WORDINGS.values()
    for by_language in (*wording.questions.values(), wording.freely)
    for said in by_language.values()
} | {
    said
    for by_key in (*BY_CHANNEL.values(), *SAID.values())
    for said in by_key.values()
}
_HOLE = re.compile(r"%(?:\(\w+\))?[-0-9.]*[sd]")
_SPOKEN = ("alt", "aria-description", "aria-label", "placeholder", "title")
_SILENT = {"script", "style", "code", "kbd", "svg"}
_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}


def type_in_greek() -> None:
    """Write everything that people typed anew, in Greek, each row another."""
    number = Cast(F("pk"), CharField())
    for model, names in TYPED.items():
        for name in names:
            rows = model.objects.exclude(**{name: ""})
            rows.update(**{name: Concat(Value("Ω"), number)})
    ContactPoint.objects.filter(channel="email").update(address="ω@ω.ω")
    Patient.objects.exclude(country="").update(country="ΩΩ")
    for model, name, free in (
        (Draft, "text", {"body"}),
        (HistoryEntry, "details", _OF_HISTORY),
    ):
        for row in model.objects.all():
            told = getattr(row, name)
            setattr(
                row,
                name,
                told | {key: _in_greek(told[key]) for key in free & told.keys()},
            )
            row.save(update_fields=[name])
    for item in WorkItem.objects.all():
        item.reason_places = _in_greek(item.reason_places)
        item.save(update_fields=["reason_places"])


def _in_greek(places: Any) -> Any:
    """Return what fills the places of a saying with its plain words in Greek."""
    if isinstance(places, list):
        return [_in_greek(one) for one in places]
    if isinstance(places, dict):
        return {
            key: one if key in ("text", "wall") else _in_greek(one)
            for key, one in places.items()
        }
    return "Ω" if isinstance(places, str) else places


def mark_translations(
    monkeypatch: pytest.MonkeyPatch, known: Callable[..., bool]
) -> None:
    """Put what is translated between brackets, if ``known`` says that it can be.

    ``known`` gets the text, and its context or None.
    """
    real = translation._trans

    def bracket(name: str, context: bool) -> None:
        inner = getattr(trans_real, name)

        def bracketed(*words: Any) -> str:
            text, where = (words[1], words[0]) if context else (words[0], None)
            shown = inner(*words)
            if not text or not known(str(text), where):
                return shown
            # What fills a hole must be translated on its own.
            return "⟦{}⟧".format(_HOLE.sub(r"⟧\g<0>⟦", shown))

        monkeypatch.setattr(real, name, bracketed, raising=False)

    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        bracket(name, name.startswith(("p", "np")))


class _Page(HTMLParser):
    """Collects what a page says and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.links: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and given.get("href", "").startswith(("/", "?")):
            self.links.append(given["href"])
        self.said += [given[name] for name in _SPOKEN if name in given]
        self.said += [
            value
            for name, value in given.items()
            if name in ("data-said", "data-label", "data-failed")
        ]
        if tag in _VOID:
            return
        # A language is called by its own name.
        if self._silent or tag in _SILENT or ("lang" in given and tag != "html"):
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag not in _VOID:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)


def _append_only() -> set[str]:
    """Return what people wrote into rows that never change, so not in Greek."""
    written = set(WorkEvent.objects.exclude(by=None).values_list("note", flat=True))
    for body, reason in Note.objects.values_list("body", "reason"):
        written |= {body, reason}
    for answers in Intake.objects.values_list("answers", flat=True):
        for question in {*HISTORY, "what_matters", "top_worry"} & answers.keys():
            written.update(str(answers[question]).splitlines())
    return written | _ASKED


def read(html: str) -> tuple[list[str], list[str]]:
    """Return (what a page says that nobody can translate, where its links lead)."""
    page = _Page()
    page.feed(html)
    append_only = _append_only()
    found = [re.sub(r"\s+", " ", rest).strip() for rest in map(_outside, page.said)]
    return [
        text
        for text in found
        if re.search("[A-Za-z]{2}", text) and text not in append_only
    ], page.links


def _outside(text: str) -> str:
    """Return what stands outside of all brackets."""
    return "".join(_letters_outside(text))


def _letters_outside(text: str) -> Iterator[str]:
    depth = 0
    for letter in text:
        if letter == "⟧":
            depth -= 1
        elif letter == "⟦":
            depth += 1
        elif depth == 0:
            yield letter
