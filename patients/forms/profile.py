"""Forms about who a patient is: each section of a profile."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import Clinician, Site, User
from core.forms import ClientKey, Clock, Day, Pair, Shown, Ticks, buttons
from patients.fields import in_words
from patients.forms.fields import choice, line
from patients.languages import SPOKEN, language_name
from patients.models import Patient


class SectionForm(DraftedForm):
    """One section of a profile; remembers from which version it was made."""

    version = forms.IntegerField(widget=forms.HiddenInput())

    #: The section's name in the address, and what its heading says.
    key: ClassVar[str]
    title: ClassVar[Any]
    #: The fields of the profile that it writes.
    writes: ClassVar[tuple[str, ...]]
    #: What somebody must be allowed to, beside changing a patient.
    permission: ClassVar[str] = "patients.change_patient"

    def __init__(self, *args: Any, patient: Patient, user: User, **kwargs: Any) -> None:
        initial = {name: self._stored(patient, name) for name in self.writes}
        super().__init__(
            *args,
            user=user,
            draft_key=f"profile_{self.key}:{patient.pk}",
            initial={**initial, "version": patient.version},
            # In place it stands among other forms.
            auto_id=f"{self.key}_%s",
            **kwargs,
        )
        self.patient, self.user = patient, user
        if self.draft:
            kept = self.draft.text
            self.initial = {
                **self.initial,
                **{name: kept.get(name, "") for name in self.drafted},
            }
        self.action = reverse("patients:patient_edit", args=[patient.pk, self.key])
        #: What is stored now and differs from what was typed: (label, value).
        self.stored_now: list[tuple[str, str]] = []

    def _stored(self, patient: Patient, name: str) -> Any:
        return getattr(patient, name)

    def section(self) -> list[Any]:
        """Return the fields of the section as they stand."""
        return list(self.writes)

    def layout(self) -> list[Any]:
        """Return what clashed, the fields, and the way back."""
        back = reverse("patients:patient_detail", args=[self.patient.pk])
        clash = Shown("patients/stored_now.html", stored=self.stored_now)
        return [
            *([clash] if self.stored_now else []),
            "version",
            *self.section(),
            *([self.draft_note()] if self.drafted else []),
            ClientKey(),
            buttons(_("Save"), back=back),
        ]

    @property
    def helper(self) -> Any:
        """Keep nothing where there is nothing long to keep."""
        if self.drafted:
            return super().helper
        return super(DraftedForm, self).helper

    def changes(self) -> dict[str, Any]:
        """Return what is to be written, by field of the profile."""
        return {name: self.cleaned_data[name] for name in self.writes}

    def show_clash(self, now: Patient) -> None:
        """Show what somebody else stored beside what was typed; typed text stays.

        The next save is made from what is stored now, and wins.
        """
        self.rest_on(now.version)
        for name in self.writes:
            stored = self._stored(now, name)
            if self.cleaned_data.get(name) != stored:
                self.stored_now.append(
                    (str(self.fields[name].label), self._in_words(name, stored))
                )

    def _in_words(self, name: str, value: Any) -> str:
        return in_words(name, value) or "—"


class IdentityForm(SectionForm):
    """Names, pronouns, birth date, sex."""

    key, title = "identity", _("Who they are")
    writes = (
        "given_name",
        "family_name",
        "preferred_name",
        "pronouns",
        "birth_date",
        "sex",
    )
    given_name = line("given_name", required=True)
    family_name = line("family_name")
    preferred_name = line("preferred_name")
    pronouns = line("pronouns")
    birth_date = forms.DateField(label=_("Birth date"), required=False, widget=Day())
    sex = choice("sex")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("given_name", "family_name", "birth_date"):
            self.fields[name].widget.attrs["data-hinted"] = True

    def section(self) -> list[Any]:
        """Return the names, two by two."""
        return [
            Pair("given_name", "family_name"),
            Pair("preferred_name", "pronouns"),
            Pair("birth_date", "sex"),
            Shown("patients/duplicate_slot.html", but=self.patient.pk),
        ]


class LanguageForm(SectionForm):
    """What they speak and read, and what helps them take it in."""

    key, title = "language", _("Language and needs")
    writes = (
        "language",
        "spoken_language",
        "needs_interpreter",
        "reading_help",
        "needs",
    )
    language = choice("language")
    spoken_language = forms.ChoiceField(label=_("Language spoken"), required=False)
    needs_interpreter = forms.TypedChoiceField(
        label=_("Needs an interpreter"),
        required=False,
        choices=[("", _("Not asked yet")), ("True", _("Yes")), ("False", _("No"))],
        coerce=lambda value: value == "True",
        empty_value=None,
    )
    reading_help = choice("reading_help")
    needs = forms.MultipleChoiceField(
        label=_("Communication needs"),
        required=False,
        choices=Patient.Need.choices,
        widget=Ticks(_("Communication needs")),
    )

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, patient=patient, **kwargs)
        spoken = {code: str(name) for code, name in SPOKEN.items()}
        if patient.spoken_language:
            # One that a file brought is not lost by looking at it.
            spoken.setdefault(
                patient.spoken_language, language_name(patient.spoken_language)
            )
        field: Any = self.fields["spoken_language"]
        field.choices = [
            ("", _("The one they read")),
            *sorted(spoken.items(), key=lambda item: item[1]),
        ]

    def section(self) -> list[Any]:
        """Return read and spoken side by side, then what helps."""
        return [
            Pair("language", "spoken_language"),
            Pair("needs_interpreter", "reading_help"),
            "needs",
        ]


class WayForm(SectionForm):
    """How and when they like to hear from the clinic."""

    key, title = "way", _("Best way and hours")
    writes = ("preferred_way", "best_from", "best_until", "zone")
    preferred_way = choice("preferred_way")
    best_from = forms.TimeField(label=_("Best from"), required=False, widget=Clock())
    best_until = forms.TimeField(label=_("Best until"), required=False, widget=Clock())
    zone = forms.ChoiceField(label=_("Time zone"), required=False)

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, patient=patient, **kwargs)
        known = {name for name in available_timezones() if "/" in name}
        zones = {name for name in known if not name.startswith(("Etc/", "SystemV/"))}
        field: Any = self.fields["zone"]
        field.choices = [
            ("", _("The clinic's")),
            *(
                (name, name.replace("_", " "))
                for name in sorted(zones | {patient.zone})
            ),
        ]
        if not patient.zone:
            field.choices = [pair for pair in field.choices if pair[0] or pair[1]]

    def section(self) -> list[Any]:
        """Return the hours side by side."""
        return ["preferred_way", Pair("best_from", "best_until"), "zone"]

    def clean(self) -> dict[str, Any]:
        """Refuse half a span of hours."""
        data: dict[str, Any] = super().clean() or {}
        if (data.get("best_from") is None) != (data.get("best_until") is None) and not (
            {"best_from", "best_until"} & self.errors.keys()
        ):
            self.add_error(
                "best_until",
                _("Say from when and until when, or leave both empty."),
            )
        return data


class MattersForm(SectionForm):
    """What matters to them, what they worry about, how much they want to know."""

    key, title = "matters", _("What matters to them")
    writes = ("what_matters", "top_worry", "wants_to_know")
    permission = "patients.view_historyentry"
    drafted = ("what_matters", "top_worry")
    what_matters = forms.CharField(
        label=_("What matters to them"),
        max_length=600,
        required=False,
        help_text=_("In their own words."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    top_worry = forms.CharField(
        label=_("Top worry"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    wants_to_know = choice("wants_to_know")


class AddressForm(SectionForm):
    """Where a letter reaches them."""

    key, title = "address", _("Postal address")
    writes = ("address_line", "city", "state", "postal_code", "country")
    address_line = line("address_line")
    city = line("city")
    state = line("state")
    postal_code = line("postal_code")
    country = line("country")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].help_text = _("Two letters, such as US.")

    def clean_country(self) -> str:
        """Return two letters, or nothing."""
        code: str = self.cleaned_data["country"].upper()
        if code and not (len(code) == 2 and code.isascii() and code.isalpha()):
            raise forms.ValidationError(_("Two letters, such as US."))
        return code

    def section(self) -> list[Any]:
        """Return the address as it is written on an envelope."""
        return [
            "address_line",
            Pair("city", "state"),
            Pair("postal_code", "country"),
        ]


class ClinicForm(SectionForm):
    """Whom they usually see, and where."""

    key, title = "clinic", _("Clinician and sites")
    writes = ("usual_clinician", "sites")
    usual_clinician = forms.ModelChoiceField(
        label=_("Usually sees"),
        queryset=Clinician.objects.none(),
        required=False,
        empty_label=_("Nobody in particular"),
    )
    sites = forms.ModelMultipleChoiceField(
        label=_("Patient at"),
        queryset=Site.objects.none(),
        required=False,
        help_text=_("Staff of these sites see them. Other sites stay as they are."),
        widget=Ticks(_("Patient at")),
    )

    def __init__(self, *args: Any, patient: Patient, user: User, **kwargs: Any) -> None:
        super().__init__(*args, patient=patient, user=user, **kwargs)
        sites: Any = self.fields["sites"]
        sites.queryset = user.sites.all()
        clinicians: Any = self.fields["usual_clinician"]
        here = Q(active=True, sites__in=user.sites.all())
        clinicians.queryset = Clinician.objects.filter(
            here | Q(pk=patient.usual_clinician_id)
        ).distinct()

    def _stored(self, patient: Patient, name: str) -> Any:
        return list(patient.sites.all()) if name == "sites" else patient.usual_clinician

    def changes(self) -> dict[str, Any]:
        """Return the clinician and the sites as a plain list."""
        return {
            "usual_clinician": self.cleaned_data["usual_clinician"],
            "sites": list(self.cleaned_data["sites"]),
        }

    def _in_words(self, name: str, value: Any) -> str:
        if name == "sites":
            return ", ".join(str(site) for site in value)
        return super()._in_words(name, value)

    def show_clash(self, now: Patient) -> None:
        """Compare sites as lists; those of other people's sites say nothing here."""
        self.cleaned_data["sites"] = list(self.cleaned_data.get("sites") or [])
        super().show_clash(now)


SECTIONS: dict[str, type[SectionForm]] = {
    form.key: form
    for form in (
        IdentityForm,
        LanguageForm,
        WayForm,
        MattersForm,
        AddressForm,
        ClinicForm,
    )
}
