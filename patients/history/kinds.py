"""The one table of what each kind of history holds; forms and pages are made from it.

After FHIR R4: Condition, AllergyIntolerance, MedicationStatement, Procedure,
FamilyMemberHistory and Observation (social-history). Pure: nothing here asks the
database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from patients.models import HistoryEntry

Kind = HistoryEntry.Kind
Label = str | Promise
Choices = Mapping[str, Label]

#: What stands as the label of a topic somebody does not want to speak of.
DECLINED = gettext_noop("Prefers not to say")
_TEXT, _LONG, _DAY, _CHOICE, _TICK, _NUMBER = (
    "text",
    "long",
    "day",
    "choice",
    "tick",
    "number",
)
#: Columns of an entry; every other field stands in ``details``.
COLUMNS = frozenset(
    {
        "label",
        "clinical_name",
        "status",
        "verification",
        "happened_on",
        "happened_about",
        "ended_on",
        "risk_class",
        "source",
    }
)


@dataclass(frozen=True)
class Field:
    """One thing that is asked about an entry.

    ``type`` is text, long, day, choice, tick or number; ``least`` and ``most`` bound a
    number. ``beside`` puts it next to the field before it. What is ``quiet`` stands in
    the form and not among the facts, because the page says it another way.
    """

    name: str
    label: Label
    type: str = _TEXT
    choices: Choices = field(default_factory=dict)
    help: Label = ""
    longest: int = 240
    least: int = 0
    most: int = 0
    beside: bool = False
    quiet: bool = False

    @property
    def is_column(self) -> bool:
        """Whether it is a column of the row, and not a part of its details."""
        return self.name in COLUMNS

    def says(self, value: Any) -> str:
        """Return a stored value in words; what is no choice any more stays as it is."""
        if self.type == _TICK:
            return gettext("Yes") if value else ""
        if self.type == _CHOICE:
            return str(self.choices.get(value, value)) if value else ""
        return str(value) if value not in (None, "") else ""


@dataclass(frozen=True)
class HistoryKind:
    """What is kept of one kind, and in which words staff ask for it.

    ``past`` are the statuses of what is over; ``ends_as`` is the one that the button
    ``end`` gives. ``none`` says that somebody was asked and there is nothing.
    """

    key: str
    title: Label
    add: Label
    none: Label
    what: Label
    fields: tuple[Field, ...]
    statuses: Choices
    what_help: Label = ""
    is_coded: bool = False
    end: Label = ""
    ends_as: str = ""
    past: frozenset[str] = frozenset()

    @property
    def first_status(self) -> str:
        """The status of what is written down anew."""
        return next(iter(self.statuses))

    def is_past(self, entry: HistoryEntry) -> bool:
        """Return whether an entry tells of what is over."""
        return entry.status in self.past

    def facts(self, entry: HistoryEntry) -> list[tuple[str, str]]:
        """Return [(what, in words)] of what an entry says beyond its name and days."""
        told = [
            (str(one.label), one.says(value_of(entry, one)))
            for one in self.fields
            if not one.quiet and one.type not in (_DAY,)
        ]
        return [(label, words) for label, words in told if words]


def value_of(entry: HistoryEntry, one: Field) -> Any:
    """Return what an entry holds in a field; None where it says nothing."""
    if one.is_column:
        return getattr(entry, one.name)
    # What a file brought may be of any shape.
    value = entry.details.get(one.name)
    return value if isinstance(value, str | int | bool) else None


_NOTE = Field(
    "note", _("Anything else"), _LONG, longest=600, help=_("For colleagues to read.")
)
_ABOUT = Field(
    "happened_about",
    _("When, in words"),
    longest=60,
    help=_("When no day is known, such as “about 2019”."),
    beside=True,
    quiet=True,
)
_VERIFICATION = Field(
    "verification",
    _("How sure"),
    _CHOICE,
    {
        key: label
        for key, label in HistoryEntry.Verification.choices
        if key != HistoryEntry.Verification.ERROR
    },
    quiet=True,
)
_ACTIVE = {"active": _("Active")}
_ONGOING = {
    "active": _("Active"),
    "recurrence": _("Came back"),
    "relapse": _("Relapse"),
    "inactive": _("Not active now"),
    "remission": _("In remission"),
    "resolved": _("Over"),
}
_TAKEN = {
    "active": _("Takes it"),
    "on-hold": _("Paused"),
    "stopped": _("Stopped"),
    "completed": _("Course finished"),
}
_DONE = {
    "completed": _("Done"),
    "preparation": _("Planned"),
    "not-done": _("Was not done"),
    "unknown": _("Not known"),
}
SIDES = {
    "right": _("Right"),
    "left": _("Left"),
    "both": _("Both sides"),
}
RELATIONS = {
    "mother": _("Mother"),
    "father": _("Father"),
    "sister": _("Sister"),
    "brother": _("Brother"),
    "daughter": _("Daughter"),
    "son": _("Son"),
    "grandmother": _("Grandmother"),
    "grandfather": _("Grandfather"),
    "aunt": _("Aunt"),
    "uncle": _("Uncle"),
    "other": _("Another relative"),
}
#: What keeps people from coming, from managing at home, or from being reached.
TOPICS = {
    "tobacco": _("Tobacco"),
    "alcohol": _("Alcohol"),
    "living_alone": _("Living alone"),
    "who_helps": _("Who helps"),
    # The pages call the worklist's work by the same word.
    "work": pgettext_lazy("what somebody lives on", "Work"),
    "transport": _("Getting here"),
    "phone_access": _("Phone and data"),
    "food": _("Worry about food"),
    "housing": _("Worry about housing"),
    "cost": _("Worry about cost"),
    "other": _("Something else"),
}

KINDS: dict[str, HistoryKind] = {
    kind.key: kind
    for kind in (
        HistoryKind(
            Kind.CONDITION,
            title=_("Conditions"),
            add=_("Add a condition"),
            none=_("No conditions known"),
            what=_("Condition"),
            what_help=_("As the patient would say it."),
            is_coded=True,
            statuses=_ONGOING,
            past=frozenset({"inactive", "remission", "resolved"}),
            end=_("Is over"),
            ends_as="resolved",
            fields=(
                Field("happened_on", _("Since"), _DAY),
                _ABOUT,
                Field("ended_on", _("Until"), _DAY),
                _VERIFICATION,
                _NOTE,
            ),
        ),
        HistoryKind(
            Kind.ALLERGY,
            title=_("Allergies"),
            add=_("Add an allergy"),
            none=_("No known allergies"),
            what=_("Substance"),
            what_help=_("What they react to."),
            is_coded=True,
            statuses={key: _ONGOING[key] for key in ("active", "inactive", "resolved")},
            past=frozenset({"resolved"}),
            end=_("Is over"),
            ends_as="resolved",
            fields=(
                Field(
                    "reactions",
                    _("Reaction"),
                    help=_("What happened, such as a rash."),
                ),
                Field(
                    "criticality",
                    _("How dangerous"),
                    _CHOICE,
                    {
                        "high": _("Could kill or need hospital"),
                        "low": _("Not dangerous"),
                        "unable-to-assess": _("Cannot be said"),
                    },
                ),
                Field("happened_on", _("First noticed"), _DAY),
                _ABOUT,
                _VERIFICATION,
                _NOTE,
            ),
        ),
        HistoryKind(
            Kind.MEDICINE,
            title=_("Medicines"),
            add=_("Add a medicine"),
            none=_("Takes no medicines"),
            what=_("Medicine"),
            what_help=_("As the patient says it, with the strength."),
            is_coded=True,
            statuses=_TAKEN,
            past=frozenset({"stopped", "completed"}),
            end=_("Stopped"),
            ends_as="stopped",
            fields=(
                Field("for", _("What for")),
                Field("dosage", _("How taken"), help=_("Such as one in the morning.")),
                Field("happened_on", _("Started"), _DAY),
                _ABOUT,
                Field("ended_on", _("Stopped on"), _DAY),
                Field(
                    "risk_class",
                    _("High risk"),
                    _CHOICE,
                    dict(HistoryEntry.RiskClass.choices),
                    help=_("Left open, it is filled in for medicines we know."),
                    quiet=True,
                ),
                Field("elsewhere", _("Prescribed elsewhere"), _TICK),
                Field("prescriber", _("By whom"), longest=120),
                Field(
                    "taking",
                    _("Taken as told"),
                    _CHOICE,
                    {"yes": _("Yes"), "partly": _("Partly"), "no": _("No")},
                ),
                Field("why_not", _("Why not"), help=_("In their own words.")),
                _NOTE,
            ),
        ),
        HistoryKind(
            Kind.PROCEDURE,
            title=_("Procedures"),
            add=_("Add a procedure"),
            none=_("No procedures"),
            what=_("Procedure"),
            what_help=_("Operations, implants and treatments."),
            is_coded=True,
            statuses=_DONE,
            fields=(
                Field("side", _("Side"), _CHOICE, SIDES),
                Field("happened_on", _("Day"), _DAY),
                _ABOUT,
                Field("where", _("Where"), longest=120),
                Field("surgeon", _("By whom"), longest=120, beside=True),
                _NOTE,
            ),
        ),
        HistoryKind(
            Kind.FAMILY,
            title=_("Family history"),
            add=_("Add family history"),
            none=_("Nothing known in the family"),
            what=_("Condition"),
            what_help=_("What the relative has or had."),
            statuses=_ACTIVE,
            fields=(
                Field("relation", _("Relative"), _CHOICE, RELATIONS),
                Field(
                    "age_at_onset",
                    _("Age when it began"),
                    _NUMBER,
                    most=120,
                    beside=True,
                ),
                _NOTE,
            ),
        ),
        HistoryKind(
            Kind.SOCIAL,
            title=_("Social history"),
            add=_("Add social history"),
            none=_("Nothing to note"),
            what=_("Answer"),
            what_help=_("In a few words, such as “comes by bus”."),
            statuses=_ACTIVE,
            fields=(
                Field("topic", _("About"), _CHOICE, TOPICS),
                Field("declined", _("Prefers not to say"), _TICK, quiet=True),
                Field(
                    "audit_c",
                    _("AUDIT-C score"),
                    _NUMBER,
                    most=12,
                    # AUDIT-C: three questions of 0 to 4 (Bush et al. 1998,
                    # doi:10.1001/archinte.158.16.1789).
                    help=_("0 to 12, for alcohol only."),
                ),
                _NOTE,
            ),
        ),
    )
}
