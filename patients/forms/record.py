"""A whole record: holding it, erasing it, and how long others stay."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from core.forms import UNKEPT, ClientKey, HouseForm, buttons
from core.text import fold
from patients.erasing import SHORTEST_REASON
from patients.models import Patient, RetentionRule
from patients.retention import LONGEST, retention


class HoldForm(HouseForm):
    """Why nothing of somebody may be erased; empty, it may.

    No draft is kept: it is one sentence.
    """

    reason = forms.CharField(
        label=_("Why it must stay"),
        required=False,
        max_length=300,
        help_text=_("A lawsuit, a request of an authority. Empty: no hold."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        kwargs["initial"] = {"reason": patient.legal_hold}
        super().__init__(*args, **kwargs)
        self.patient = patient

    def layout(self) -> list[Any]:
        """Return the reason and the button."""
        back = reverse("patients:patient_record", args=[self.patient.pk])
        return ["reason", ClientKey(), buttons(_("Save"), back=back)]


class EraseForm(HouseForm):
    """Why somebody is erased, and their name once more.

    No draft is kept: what is typed tells of whoever shall be forgotten.
    """

    reason = forms.CharField(
        label=_("Why"),
        min_length=SHORTEST_REASON,
        max_length=300,
        help_text=_("It stays in the audit trail for ever. Do not name the patient."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
    )
    name = forms.CharField(
        label=_("The patient's full name, as it stands above"),
        max_length=161,
        help_text=_("So that it is this one and no other."),
        widget=forms.TextInput(attrs=UNKEPT),
    )

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patient = patient

    def layout(self) -> list[Any]:
        """Return why, who, and the button that cannot be taken back."""
        back = reverse("patients:patient_record", args=[self.patient.pk])
        button = buttons(_("Erase for good"), back=back, kind="btn-danger-quiet")
        return ["reason", "name", ClientKey(), button]

    def clean_name(self) -> str:
        """Ask for the very name; case and accents do not matter."""
        name: str = self.cleaned_data["name"]
        if fold(name) != fold(self.patient.full_name):
            raise ValidationError(_("This is not the name of this patient."))
        return name


class RetentionForm(HouseForm):
    """How long one kind is kept, and whether that is in force."""

    days = forms.IntegerField(label=_("Days"))
    is_on = forms.BooleanField(
        label=_("In force: what is older goes by itself, every day"), required=False
    )

    def __init__(self, *args: Any, rule: RetentionRule, **kwargs: Any) -> None:
        kwargs["initial"] = {"days": rule.days, "is_on": rule.is_on}
        super().__init__(*args, **kwargs)
        least = retention[rule.kind].least
        days = self.fields["days"]
        days.min_value, days.max_value = least, LONGEST  # type: ignore[attr-defined]
        days.widget.attrs |= {"min": least, "max": LONGEST}
        days.help_text = _("At least %(n)d.") % {"n": least}

    def layout(self) -> list[Any]:
        """Return the days, the switch and the button."""
        back = reverse("patients:retention_list")
        return ["days", "is_on", ClientKey(), buttons(_("Save"), back=back)]
