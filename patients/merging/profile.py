"""Whose name, birth date and wishes the one record has: field by field."""

from dataclasses import replace
from datetime import time
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from core.dates import written
from patients.fields import in_words
from patients.merging.ledger import Ledger
from patients.merging.registry import KEPT, LOST, Answers, Option, Pair, Question
from patients.models import Patient

#: What is decided at once: {key: (title, fields)}. An address of two halves is none.
GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "name": (gettext_lazy("Name"), ("given_name", "family_name")),
    "preferred_name": (gettext_lazy("Preferred name"), ("preferred_name",)),
    "birth_date": (gettext_lazy("Birth date"), ("birth_date",)),
    "sex": (gettext_lazy("Sex"), ("sex",)),
    "pronouns": (gettext_lazy("Pronouns"), ("pronouns",)),
    "language": (gettext_lazy("Language they read"), ("language",)),
    "spoken": (gettext_lazy("Language spoken"), ("spoken_language",)),
    "interpreter": (gettext_lazy("Interpreter"), ("needs_interpreter",)),
    "reading_help": (gettext_lazy("Help with reading"), ("reading_help",)),
    "needs": (gettext_lazy("What helps them understand"), ("needs",)),
    "way": (gettext_lazy("Best way to reach them"), ("preferred_way",)),
    "hours": (gettext_lazy("Best hours"), ("best_from", "best_until")),
    "what_matters": (gettext_lazy("What matters to them"), ("what_matters",)),
    "top_worry": (gettext_lazy("Top worry"), ("top_worry",)),
    "wants_to_know": (gettext_lazy("How much they want to know"), ("wants_to_know",)),
    "zone": (gettext_lazy("Time zone"), ("zone",)),
    "usual_clinician": (gettext_lazy("Usual clinician"), ("usual_clinician",)),
    "address": (
        gettext_lazy("Address"),
        ("address_line", "city", "state", "postal_code", "country"),
    ),
    "death": (gettext_lazy("Died"), ("deceased_on", "death_told_by")),
}
#: What tells of health, in the patient's own words: not for the front desk.
OF_HEALTH = frozenset({"what_matters", "top_worry", "wants_to_know"})
_HISTORY = "patients.view_historyentry"
#: What nobody is asked about: a hold on either is one on both, and so is a death that
#: somebody corrected.
NOT_ASKED = frozenset(
    {
        "id",
        "merged_into",
        "created_at",
        "version",
        "is_demo",
        "legal_hold",
        "death_corrected_at",
        "erased_at",
    }
)
#: What stands for "nothing said", so that the other record's word is the better one.
_UNSAID: tuple[Any, ...] = (None, "", [], Patient.Sex.UNKNOWN)
_NOTHING = pgettext_lazy("value of a field", "nothing")


def refuses(pair: Pair) -> list[str]:
    """Return why these two cannot be made one."""
    whys = []
    if pair.kept.pk == pair.lost.pk:
        whys.append(_("This is one record."))
    if pair.kept.merged_into_id or pair.lost.merged_into_id:
        whys.append(_("One of them was merged before."))
    if pair.kept.erased_at or pair.lost.erased_at:
        whys.append(_("One of them was erased."))
    if bool(pair.kept.deceased_on) != bool(pair.lost.deceased_on):
        # Recording a death stops what waits, and says so; a merge in passing would not.
        whys.append(
            _(
                "One record says that they died and the other does not. Record the "
                "death on both, or correct it, and then merge them."
            )
        )
    return whys


def asks(pair: Pair) -> list[Question]:
    """Return a question for each field in which the two differ.

    The default is the record that says something; where both do, the kept one.
    """
    questions = []
    for key, (title, names) in GROUPS.items():
        ours, theirs = (values(patient, names) for patient in (pair.kept, pair.lost))
        if ours == theirs:
            continue
        is_silent = all(value in _UNSAID for value in ours)
        question = Question(
            key=key,
            title=title,
            options=[
                Option(KEPT, said(pair.kept, names)),
                Option(LOST, said(pair.lost, names)),
            ],
            default=LOST if is_silent else KEPT,
            help=_("Two birth dates are often two people. Make sure it is one person.")
            if key == "birth_date" and not is_silent and any(theirs)
            else "",
        )
        if key in OF_HEALTH:
            question = replace(question, permission=_HISTORY, veiled=_veil(question))
        questions.append(question)
    return questions


def _veil(question: Question) -> Question:
    """Return the question without what the two records say."""
    hidden = [Option(one.value, _("Not shown to you")) for one in question.options]
    return replace(question, options=hidden)


def before(ledger: Ledger, answers: Answers) -> None:
    """Write the chosen fields into the kept record."""
    kept, lost = ledger.pair.kept, ledger.pair.lost
    chosen = {
        name: getattr(lost, name)
        for key, (_title, names) in GROUPS.items()
        if answers.get(key) == LOST
        for name in names
    }
    for name in ("legal_hold", "death_corrected_at"):
        if getattr(lost, name) and not getattr(kept, name):
            chosen[name] = getattr(lost, name)
    ledger.change(kept, **chosen)


def values(patient: Patient, names: tuple[str, ...]) -> list[Any]:
    """Return what a record holds in these fields."""
    return [getattr(patient, name) for name in names]


def said(patient: Patient, names: tuple[str, ...]) -> str:
    """Return what a record says in these fields, as staff read it."""
    if names == ("best_from", "best_until"):
        return said_hours(patient.best_from, patient.best_until) or str(_NOTHING)
    parts = [in_words(name, getattr(patient, name)) for name in names]
    between = ", "
    if names == ("given_name", "family_name"):
        between = " "
    return between.join(part for part in parts if part) or str(_NOTHING)


def said_hours(start: time | None, end: time | None) -> str:
    """Return a span of clock times, blank for none."""
    return "–".join(written(moment, "clock") for moment in (start, end) if moment)
