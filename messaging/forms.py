"""Forms about messages."""

from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from core.forms import ClientKey, HouseForm, buttons
from core.phones import to_e164


class PickUpForm(HouseForm):
    """Whose phone or mailbox to open."""

    number = forms.CharField(label=_("Phone number or email"))

    def __init__(self, *args: Any, region: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.region = region

    def layout(self) -> list[Any]:
        """Return the number and the button."""
        return ["number", ClientKey(), buttons(_("Pick up"))]

    def clean_number(self) -> str:
        """Return a number as E.164, an email address as it is kept."""
        text: str = self.cleaned_data["number"]
        if "@" in text:
            validate_email(text)
            return text.lower()
        number = to_e164(text, self.region)
        if number is None:
            raise ValidationError(_("This is not a phone number."))
        return number


class PhoneReplyForm(HouseForm):
    """What the patient answers on the simulated phone."""

    form_class = "composer"

    body = forms.CharField(
        label=_("Your reply"),
        max_length=1600,
        widget=forms.TextInput(
            {
                "placeholder": _("Your reply"),
                "autocomplete": "off",
                "autofocus": True,
            }
        ),
    )

    def layout(self) -> list[Any]:
        """Return one line: what is answered, and the button."""
        return ["body", ClientKey(), buttons(_("Send"))]

    @property
    def helper(self) -> FormHelper:
        """Leave out the label, which is for screen readers only, and the summary."""
        helper = super().helper
        helper.form_show_labels = helper.form_show_errors = False
        return helper
