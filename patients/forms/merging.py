"""Choosing, field by field, what one record says that was two."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from core.forms import ClientKey, HouseForm, buttons
from patients.merging.registry import Pair, Question


class Choice:
    """One question in the layout: both answers side by side, or one above the other."""

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, form: forms.Form, context: Any, **_more: Any) -> str:
        """Return the fieldset as HTML."""
        return render_to_string(
            "patients/merge_choice.html", {"field": form[self.name]}
        )


class MergeForm(HouseForm):
    """What has to be decided before two records are one; ``answers`` says it."""

    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, pair: Pair, questions: Sequence[Question], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pair, self.questions = pair, questions
        self.fields["seen"].initial = f"{pair.kept.version}.{pair.lost.version}"
        for question in questions:
            self.fields[question.key] = forms.ChoiceField(
                label=str(question.title),
                help_text=str(question.help),
                choices=[(option.value, option.label) for option in question.options],
                initial=question.default,
                widget=forms.RadioSelect,
                error_messages={"required": _("Choose one.")},
            )

    def layout(self) -> list[Any]:
        """Return the questions in their order, and what sends them."""
        back = reverse("patients:merge_start", args=[self.pair.kept.pk])
        return [
            "seen",
            *(Choice(question.key) for question in self.questions),
            ClientKey(),
            buttons(_("Merge the two records"), back=back),
        ]

    def clean_seen(self) -> tuple[int, int]:
        """Return the versions of both profiles that were on the page."""
        parts = self.cleaned_data["seen"].split(".")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise forms.ValidationError(_("Open the page again."))
        return int(parts[0]), int(parts[1])

    @property
    def answers(self) -> dict[str, str]:
        """Return what was chosen, by question."""
        return {q.key: self.cleaned_data[q.key] for q in self.questions}
