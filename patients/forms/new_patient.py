"""The form about somebody who becomes a patient."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Language, Site, User
from core.forms import UNKEPT, ClientKey, Day, HouseForm, Pair, Shown, buttons
from patients.forms.fields import line

#: By these a new patient may be known already.
HINTED = ("given_name", "family_name", "birth_date", "phone", "email", "identifier")


class NewPatientForm(HouseForm):
    """Somebody who is not a patient yet."""

    given_name = line("given_name", required=True)
    family_name = line("family_name")
    birth_date = forms.DateField(label=_("Birth date"), required=False, widget=Day())
    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        required=False,
        help_text=_("As you would dial it here; with + and country from abroad."),
        widget=forms.TextInput(attrs={"type": "tel", **UNKEPT}),
    )
    email = forms.CharField(
        label=_("Email"),
        max_length=254,
        required=False,
        widget=forms.TextInput(attrs={"type": "email", **UNKEPT}),
    )
    identifier = forms.CharField(
        label=_("Patient number"),
        max_length=120,
        required=False,
        help_text=_("The clinic's own, when they have one already."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=Language.choices,
        help_text=_("The language they read."),
    )
    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites: Any = self.fields["site"]
        sites.queryset = user.sites.all()
        first = user.sites.first()
        sites.initial = first
        if first:
            self.fields["language"].initial = first.language
        # Asked for again whenever one of these changes: who may that be already?
        for name in HINTED:
            self.fields[name].widget.attrs["data-hinted"] = True

    def ask_again(self, hints: list[Any]) -> None:
        """Ask whether this is really somebody new; to be ticked before it is saved."""
        self.known = hints
        self.add_error(None, _("This is very likely somebody who is a patient here."))

    def layout(self) -> list[Any]:
        """Return names first, then who that may be already, then the rest."""
        known = getattr(self, "known", None)
        return [
            Pair("given_name", "family_name"),
            Pair("birth_date", "identifier"),
            Pair("phone", "email"),
            Shown("patients/duplicate_again.html", hints=known)
            if known
            else Shown("patients/duplicate_slot.html"),
            Pair("language", "site"),
            Shown("patients/consent_comes_next.html"),
            ClientKey(),
            buttons(_("Add patient"), back=reverse("patients:patient_list")),
        ]
