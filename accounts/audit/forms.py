"""What an auditor looks for."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from accounts.audit.vocabulary import page_title
from accounts.models import AuditEvent
from accounts.policies import policy_for, walk_addresses
from core.forms import Day

#: Ids are no larger than this on either database.
LARGEST_ID = 2**63 - 1
#: The day after it and its place in any zone must still be dates.
_DAYS = [
    MinValueValidator(date.min + timedelta(2)),
    MaxValueValidator(date.max - timedelta(2)),
]


class TrailForm(forms.Form):
    """Filters of the audit; each may be left empty."""

    staff = forms.TypedChoiceField(
        label=_("Who"), required=False, coerce=int, empty_value=None
    )
    verb = forms.ChoiceField(
        label=_("Did what"),
        required=False,
        choices=[("", _("Anything")), *AuditEvent.Verb.choices],
    )
    since = forms.DateField(
        label=_("From"),
        required=False,
        validators=_DAYS,
        widget=Day(),
    )
    until = forms.DateField(
        label=_("To"),
        required=False,
        validators=_DAYS,
        widget=Day(),
    )
    patient = forms.IntegerField(
        label=_("Patient number"),
        required=False,
        min_value=1,
        max_value=LARGEST_ID,
        widget=forms.TextInput({"inputmode": "numeric", "size": 8}),
    )
    address = forms.ChoiceField(label=_("Page"), required=False)

    def __init__(self, *args: Any, staff: dict[int, str], **kwargs: Any) -> None:
        """Offer these members of staff ({id: name}) and every page there is."""
        super().__init__(*args, **kwargs)
        self.fields["staff"].choices = [("", _("Anybody")), *staff.items()]  # type: ignore[attr-defined]
        self.fields["address"].choices = [("", _("Any page")), *_pages()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        told: dict[str, Any] = super().clean() or {}
        since, until = told.get("since"), told.get("until")
        if since and until and until < since:
            raise ValidationError({"until": _("This is before the first day.")})
        return told

    def told(self) -> dict[str, Any]:
        """Return the filters that were set, as the audit of the audit holds them."""
        set_ones = {key: value for key, value in self.cleaned_data.items() if value}
        for day in ("since", "until"):
            if day in set_ones:
                set_ones[day] = set_ones[day].isoformat()
        return set_ones


def _pages() -> list[tuple[str, str]]:
    """Return (address, title) of every page that needs a login, by title."""
    found = {
        address.name: page_title(address.name)
        for address in walk_addresses()
        if not address.name.startswith("admin:")
        and (rule := policy_for(address.callback, address.name)) is not None
        and not rule.public
    }
    return sorted(found.items(), key=lambda entry: entry[1].casefold())
