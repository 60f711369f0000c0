"""The questions of an intake, for patients and for staff who ask them."""

from typing import Any

from crispy_forms.layout import Fieldset
from django import forms
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import User
from core.forms import ClientKey, Clock, HouseForm, Pair, Shown, Ticks, buttons
from patients.intake import (
    HISTORY,
    LONGEST_LINE,
    MOST_LINES,
    PROFILE,
    Told,
    lines_of,
    outcome_key,
)
from patients.languages import SPOKEN
from patients.models import ContactPerson, HistoryEntry, HistoryReview, Intake, Patient

Kind, Outcome = HistoryEntry.Kind, HistoryReview.Outcome
_OPEN = ("", _("No answer"))
_DECLINED = (Outcome.DECLINED.value, _("I would rather not say"))


def _none(label: Promise) -> list[tuple[str, Any]]:
    return [_OPEN, (Outcome.NONE_KNOWN.value, label), _DECLINED]


#: By kind: the heading, the question, its help, and what else may be answered.
_ASKED: dict[str, tuple[Any, Any, Any, list[tuple[str, Any]]]] = {
    Kind.ALLERGY: (
        _("Allergies"),
        _("What are you allergic to?"),
        _("Medicines, food, latex, plasters. One on each line."),
        _none(_("I have no allergies that I know of")),
    ),
    Kind.MEDICINE: (
        _("Medicines"),
        _("Which medicines do you take?"),
        _(
            "Also drops, creams, injections and what you buy yourself. One on each "
            "line."
        ),
        _none(_("I take no medicines")),
    ),
    Kind.CONDITION: (
        _("Illnesses"),
        _("Which illnesses do you have, or had?"),
        _("In your own words. One on each line."),
        _none(_("I have none that I know of")),
    ),
    Kind.PROCEDURE: (
        _("Operations"),
        _("Which operations have you had?"),
        _("With the year, if you know it. One on each line."),
        _none(_("I have had none")),
    ),
    Kind.FAMILY: (
        _("Your family"),
        _("Which illnesses are there in your family?"),
        _("Such as: mother, stroke at 71. One on each line."),
        _none(_("None that I know of")),
    ),
    Kind.SOCIAL: (
        _("Your daily life"),
        _("What should we know of your daily life?"),
        _(
            "Such as whom you live with, who helps you, work, tobacco, alcohol, how "
            "you get to us, or worries about money. One on each line."
        ),
        [_OPEN, _DECLINED],
    ),
}


def _choices(name: str) -> list[tuple[str, Any]]:
    of: Any = Patient._meta.get_field(name)
    return [_OPEN, *((key, label) for key, label in of.choices if key)]


def _about(kind: str) -> forms.CharField:
    _heading, question, help_text, _others = _ASKED[kind]
    return forms.CharField(
        label=question,
        help_text=help_text,
        required=False,
        max_length=MOST_LINES * LONGEST_LINE,
        widget=forms.Textarea({"rows": 3}),
    )


def _or(kind: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=_("Or"), required=False, choices=_ASKED[kind][3])


class _Section(Fieldset):
    """Questions that belong together, under a heading."""

    def __init__(self, legend: Any, *fields: Any) -> None:
        super().__init__(legend, *fields, css_class="ask-section")


class IntakeForm(HouseForm):
    """All questions on one page, in short sections; each may be left out."""

    form_class = "fields plain-labels"

    what_matters = forms.CharField(
        label=_("What matters most to you?"),
        help_text=_("Something you want to be able to do, or to keep."),
        required=False,
        max_length=600,
        widget=forms.Textarea({"rows": 3}),
    )
    top_worry = forms.CharField(
        label=_("What worries you most?"), required=False, max_length=300
    )
    allergy, allergy_none = _about(Kind.ALLERGY), _or(Kind.ALLERGY)
    medicine, medicine_none = _about(Kind.MEDICINE), _or(Kind.MEDICINE)
    condition, condition_none = _about(Kind.CONDITION), _or(Kind.CONDITION)
    procedure, procedure_none = _about(Kind.PROCEDURE), _or(Kind.PROCEDURE)
    family, family_none = _about(Kind.FAMILY), _or(Kind.FAMILY)
    social, social_none = _about(Kind.SOCIAL), _or(Kind.SOCIAL)
    wants_to_know = forms.ChoiceField(
        label=_("How much do you want to know about your health?"), required=False
    )
    spoken_language = forms.ChoiceField(
        label=_("Which language do you speak best?"), required=False
    )
    needs_interpreter = forms.TypedChoiceField(
        label=_("Do you need an interpreter?"),
        required=False,
        choices=[_OPEN, ("True", _("Yes")), ("False", _("No"))],
        coerce=lambda value: value == "True",
        empty_value=None,
    )
    # The Single Item Literacy Screener (Morris et al. 2006,
    # doi:10.1186/1471-2296-7-21), asked as it was tested.
    reading_help = forms.ChoiceField(
        label=_("How often does somebody help you to read papers about your health?"),
        required=False,
    )
    needs = forms.MultipleChoiceField(
        label=_("What would help you?"),
        required=False,
        choices=Patient.Need.choices,
        widget=Ticks(_("What would help you?")),
    )
    preferred_way = forms.ChoiceField(
        label=_("How do you like to hear from us?"), required=False
    )
    best_from = forms.TimeField(label=_("Best from"), required=False, widget=Clock())
    best_until = forms.TimeField(label=_("Best until"), required=False, widget=Clock())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        for name in ("wants_to_know", "reading_help", "preferred_way"):
            fields[name].choices = _choices(name)
        fields["spoken_language"].choices = [
            _OPEN,
            *sorted(
                ((code, str(name)) for code, name in SPOKEN.items()),
                key=lambda pair: pair[1],
            ),
        ]
        for field in fields.values():
            # Of a patient: no browser shall offer it to the next person.
            field.widget.attrs.setdefault("autocomplete", "off")

    def sections(self) -> list[Any]:
        """Return the questions: what matters, health, then how to speak with them."""
        return [
            _Section(
                _("What matters to you"), "what_matters", "top_worry", "wants_to_know"
            ),
            *(
                _Section(_ASKED[kind][0], kind.value, outcome_key(kind))
                for kind in HISTORY
            ),
            _Section(
                _("So that we understand each other"),
                "spoken_language",
                "needs_interpreter",
                "reading_help",
                "needs",
            ),
            _Section(
                _("How to reach you"), "preferred_way", Pair("best_from", "best_until")
            ),
        ]

    def layout(self) -> list[Any]:
        """Return the sections and one button that sends them all."""
        return [*self.sections(), Shown("patients/intake_send.html")]

    def clean(self) -> dict[str, Any]:
        """Ask again where an answer says two things, or is too much to be looked at."""
        data: dict[str, Any] = super().clean() or {}
        for kind in HISTORY:
            lines = lines_of(data.get(kind) or "")
            if lines and data.get(outcome_key(kind)):
                self.add_error(
                    outcome_key(kind),
                    gettext("There is something in the field above. Which is right?"),
                )
            if len(lines) > MOST_LINES:
                self.add_error(kind, gettext("At most 40 lines, please."))
            elif any(len(line) > LONGEST_LINE for line in lines):
                self.add_error(
                    kind,
                    gettext("One of the lines is too long. Put one thing on each."),
                )
        if (data.get("best_from") is None) != (data.get("best_until") is None) and not (
            {"best_from", "best_until"} & self.errors.keys()
        ):
            empty = "best_from" if data.get("best_from") is None else "best_until"
            self.add_error(empty, gettext("Fill in both, or neither."))
        return data

    def answers(self) -> dict[str, Any]:
        """Return what was told, by question."""
        asked = {*PROFILE, *HISTORY, *map(outcome_key, HISTORY)}
        return {key: value for key, value in self.cleaned_data.items() if key in asked}


class StaffIntakeForm(IntakeForm, DraftedForm):
    """The same questions, asked by phone or copied from paper by staff."""

    form_class = "fields plain-labels pad"

    method = forms.ChoiceField(
        label=_("How they told us"),
        choices=[
            ("", _("Choose…")),
            ("phone", _("Phone")),
            ("paper", _("Paper")),
            ("desk", _("At the desk")),
        ],
    )
    source = forms.ChoiceField(
        label=_("Who told us"),
        choices=[
            (HistoryEntry.Source.PATIENT.value, _("The patient")),
            (HistoryEntry.Source.PROXY.value, _("A relative")),
        ],
    )

    drafted = (
        "what_matters",
        "top_worry",
        *(kind.value for kind in HISTORY),
    )

    def __init__(self, *args: Any, patient: Patient, user: User, **kwargs: Any) -> None:
        self.back = reverse("patients:patient_detail", args=[patient.pk])
        super().__init__(*args, user=user, draft_key=f"intake:{patient.pk}", **kwargs)

    def layout(self) -> list[Any]:
        """Return who told it and how, then the same sections."""
        return [
            Pair("method", "source"),
            *self.sections(),
            self.draft_note(),
            ClientKey(),
            buttons(_("Save what they told us"), back=self.back),
        ]


class IntakeLinkForm(HouseForm):
    """For whom a link to the questions is."""

    who = forms.TypedChoiceField(
        label=_("Who fills it in"), coerce=int, required=False, empty_value=None
    )

    def __init__(
        self, *args: Any, patient: Patient, persons: list[ContactPerson], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.back = reverse("patients:patient_detail", args=[patient.pk])
        who: Any = self.fields["who"]
        who.choices = [
            ("", patient.full_name),
            *((person.pk, str(person)) for person in persons),
        ]

    def layout(self) -> list[Any]:
        """Return for whom, and the button that makes the link."""
        return ["who", ClientKey(), buttons(_("Make the link"), back=self.back)]


class IntakeReviewForm(HouseForm):
    """What becomes of each answer; what is left alone stays as it is."""

    form_class = "fields plain-labels pad"

    def __init__(
        self, *args: Any, intake: Intake, told: list[Told], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.back = reverse("patients:patient_detail", args=[intake.patient_id])
        self.told = told
        for one in told:
            if one.choices:
                self.fields[one.key] = forms.ChoiceField(
                    label=f"{one.question}: {one.said}",
                    help_text=one.on_file
                    and gettext("On file: %(what)s") % {"what": one.on_file},
                    required=False,
                    choices=[("", _("Leave it as it is")), *one.choices],
                )

    def layout(self) -> list[Any]:
        """Return what somebody may decide, then the rest, to be read."""
        rest = [one for one in self.told if not one.choices]
        return [
            *self.fields,
            *(Shown("patients/intake_answer.html", told=one) for one in rest),
            ClientKey(),
            buttons(_("Done: I went through it"), back=self.back),
        ]
