"""Emergency access: whom and why, and what a review found."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import User
from core.forms import UNKEPT, ClientKey, Day, HouseForm, Pair, buttons
from patients.grants import SHORTEST_REASON
from patients.models import AccessGrant


class EmergencyForm(HouseForm):
    """Whom somebody must see at once, and why: by a number, or name and birth date.

    No draft is kept: it would give one patient's reason for the next.
    """

    identifier = forms.CharField(
        label=_("Identifier"),
        required=False,
        max_length=120,
        help_text=_("Whole, such as the number on a wristband."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    name = forms.CharField(
        label=_("Full name"),
        required=False,
        max_length=161,
        widget=forms.TextInput(attrs=UNKEPT),
    )
    birth_date = forms.DateField(
        label=_("Birth date"),
        required=False,
        widget=Day(),
    )
    reason = forms.CharField(
        label=_("Why you must see this patient now"),
        min_length=SHORTEST_REASON,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def layout(self) -> list[Any]:
        """Return whom, why, and the button that says for how long."""
        return [
            "identifier",
            Pair("name", "birth_date"),
            "reason",
            ClientKey(),
            buttons(_("Open for 60 minutes"), kind="btn-danger-quiet"),
        ]

    def clean(self) -> dict[str, Any]:
        """Ask for enough to mean one patient."""
        data: dict[str, Any] = super().clean() or {}
        if "birth_date" in self.errors:
            return data
        if data.get("name") and not data.get("birth_date"):
            self.add_error("birth_date", _("A name needs the birth date with it."))
        elif data.get("birth_date") and not data.get("name"):
            self.add_error("name", _("A birth date needs the full name with it."))
        elif not data.get("identifier") and not data.get("name"):
            self.add_error(
                "identifier",
                _("Give an identifier, or the full name and the birth date."),
            )
        return data


class ReviewForm(DraftedForm):
    """What a manager found when looking into an emergency access."""

    finding = forms.CharField(
        label=_("What you found"),
        max_length=300,
        help_text=_("Whether it was needed, and what was done if it was not."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    drafted = ("finding",)

    def __init__(
        self, *args: Any, grant: AccessGrant, user: User, **kwargs: Any
    ) -> None:
        super().__init__(*args, user=user, draft_key=f"review:{grant.pk}", **kwargs)

    def layout(self) -> list[Any]:
        """Return the finding and the button that ends the review."""
        return [
            "finding",
            self.draft_note(),
            ClientKey(),
            buttons(_("Mark reviewed")),
        ]
