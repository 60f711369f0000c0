"""Forms of the operations pages."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from core.forms import UNKEPT, ClientKey, HouseForm, buttons
from core.phones import to_e164


class OwnAddressForm(HouseForm):
    """Where a test goes: shown first, then sent."""

    address = forms.CharField(
        label=_("Your own mobile or email"),
        max_length=254,
        help_text=_("Only one of your own: whoever has it gets the message."),
        widget=forms.TextInput({**UNKEPT, "autocapitalize": "none"}),
    )

    def __init__(self, *args: Any, region: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.region = region

    def layout(self) -> list[Any]:
        """Return the address and the button that shows what would go."""
        return ["address", ClientKey(), buttons(_("Show what goes"), kind="btn-quiet")]

    def clean_address(self) -> str:
        """Return a number as E.164, an email address as it is kept."""
        text: str = self.cleaned_data["address"].strip()
        if "@" in text:
            validate_email(text)
            return text.lower()
        number = to_e164(text, self.region)
        if number is None:
            raise ValidationError(_("This is not a phone number."))
        return number


class ReasonForm(HouseForm):
    """Why something is done by hand."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=120,
        help_text=_("A colleague reads it later. Nothing about a patient."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class SwitchForm(ReasonForm):
    """A gateway off or on."""

    def __init__(self, *args: Any, on: bool, back: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on, self.back = on, back

    def layout(self) -> list[Any]:
        """Return the reason and the one button."""
        label = _("Switch it on") if self.on else _("Switch it off")
        kind = "btn-brand" if self.on else "btn-danger-quiet"
        return ["reason", ClientKey(), buttons(label, back=self.back, kind=kind)]


class SettleForm(ReasonForm):
    """What becomes of a message nobody knows about."""

    deed = forms.ChoiceField(
        label=_("What is to be done"),
        choices=[
            ("", "–"),
            ("sent", _("It went: I saw it at the provider")),
            ("again", _("Send it again")),
            ("give_up", _("It did not go: try another way, or let somebody call")),
        ],
    )

    def __init__(self, *args: Any, back: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.back = back

    def layout(self) -> list[Any]:
        """Return the choice, the reason and the button."""
        return ["deed", "reason", ClientKey(), buttons(_("Do it"), back=self.back)]
