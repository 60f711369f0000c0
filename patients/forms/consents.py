"""What a patient says at the desk to being written to."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import Language
from core.forms import ClientKey, HouseForm, buttons
from patients.consents import Answers, Method, answering_for
from patients.models import Channel, Consent, ContactPerson, Patient
from patients.wordings import BY_CHANNEL, CURRENT, SAID, question, spoken_in

_YES, _NO = "yes", "no"


class Question:
    """One question in a layout: its wording, and yes or no for each channel."""

    def __init__(self, purpose: str, language: str, channels: list[Channel]) -> None:
        self.purpose, self.language, self.channels = purpose, language, channels

    def render(self, form: "ConsentForm", context: Any, **_: Any) -> SafeString:
        """Return the question as HTML."""
        return render_to_string(
            "patients/consent_question.html",
            {
                "wording": question(self.purpose, self.language),
                "language": self.language,
                "for_patient": form.for_patient,
                "purpose": Consent.Purpose(self.purpose).label,
                "fields": [
                    (
                        form[_field(channel, self.purpose)],
                        BY_CHANNEL[channel][Language(self.language)]
                        if form.for_patient
                        else channel.label,
                    )
                    for channel in self.channels
                ],
            },
        )


def _field(channel: str, purpose: str) -> str:
    return f"{purpose}_{channel}"


class ConsentForm(HouseForm):
    """Yes or no to each purpose on each channel the patient has; blank leaves it.

    The patient's wording and its version go with it.
    """

    for_patient = False

    method = forms.ChoiceField(
        label=_("How they were asked"),
        choices=[
            (Method.SPOKEN.value, Method.SPOKEN.label),
            (Method.PAPER.value, Method.PAPER.label),
        ],
    )
    answered_by = forms.ModelChoiceField(
        label=_("Who answers"), queryset=ContactPerson.objects.none(), required=False
    )
    version = forms.CharField(
        initial=CURRENT, widget=forms.HiddenInput, required=False, max_length=20
    )

    def __init__(
        self, *args: Any, patient: Patient, channels: list[Channel], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.patient, self.channels = patient, channels
        self.language = spoken_in(patient.language)
        who = self.fields["answered_by"]
        who.queryset = answering_for(patient)  # type: ignore[attr-defined]
        who.empty_label = str(_("The patient"))  # type: ignore[attr-defined]
        words: dict[str, Any] = {_YES: _("Yes"), _NO: _("No")}
        if self.for_patient:
            words = dict(SAID[Language(self.language)])
        for purpose in Consent.Purpose:
            for channel in channels:
                self.fields[_field(channel, purpose)] = forms.ChoiceField(
                    choices=list(words.items()),
                    widget=forms.RadioSelect,
                    required=False,
                )

    def layout(self) -> list[Any]:
        """Return the questions, who answered and how."""
        return [*self._questions(), "answered_by", "method", *self._end(_("Save"))]

    def _questions(self) -> list[Question]:
        return [
            Question(purpose, self.language, self.channels)
            for purpose in Consent.Purpose
        ]

    def _end(self, label: Any) -> list[Any]:
        return ["version", ClientKey(), buttons(label)]

    def clean(self) -> dict[str, Any]:
        """Ask for one answer at least."""
        data: dict[str, Any] = super().clean() or {}
        if not self.answers():
            raise ValidationError(self.nothing_said())
        return data

    def nothing_said(self) -> str:
        """Return the complaint about a form without an answer."""
        return str(_("Choose yes or no at least once."))

    def answers(self) -> Answers:
        """Return what was chosen."""
        return {
            (channel, purpose): self.cleaned_data[_field(channel, purpose)] == _YES
            for purpose in Consent.Purpose
            for channel in self.channels
            if self.cleaned_data.get(_field(channel, purpose))
        }


class ScreenForm(ConsentForm):
    """The same questions for the patient to read and tap, in their language."""

    for_patient = True
    form_class = "fields consent-screen"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["method"], self.fields["answered_by"]

    def layout(self) -> list[Any]:
        """Return the questions and the button below them."""
        return [*self._questions(), *self._end(_("Done"))]
