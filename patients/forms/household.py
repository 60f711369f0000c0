"""The form about somebody around a patient."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.forms import UNKEPT, ClientKey, Day, HouseForm, Pair, Shown, Ticks, buttons
from core.phones import readable
from patients.household import of_age_on
from patients.models import Channel, ContactPerson, Patient
from patients.recipients import is_minor
from patients.registry import topics


class ContactPersonForm(HouseForm):
    """A relative or carer: how to reach them, and what they may be told."""

    name = forms.CharField(
        label=_("Name"), max_length=120, widget=forms.TextInput(attrs=UNKEPT)
    )
    relation = forms.CharField(
        label=_("Relation"),
        max_length=40,
        help_text=_("To the patient: mother, son, neighbour."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"type": "tel", **UNKEPT}),
    )
    email = forms.CharField(
        label=_("Email"),
        max_length=254,
        required=False,
        widget=forms.TextInput(attrs={"type": "email", **UNKEPT}),
    )
    person = forms.ModelChoiceField(
        label=_("Their own record here"),
        queryset=Patient.objects.none(),
        required=False,
        empty_label=_("None"),
        help_text=_("Among those who share a number with the patient."),
    )
    is_responsible = forms.BooleanField(
        label=_("Answers for the patient"),
        required=False,
        help_text=_("Messages about the patient go to them instead."),
    )
    basis = forms.ChoiceField(
        label=_("By what right"),
        required=False,
        choices=[("", _("Not known")), *ContactPerson.Basis.choices],
    )
    scopes = forms.MultipleChoiceField(
        label=_("May be told of"),
        required=False,
        choices=ContactPerson.Scope.choices,
        widget=Ticks(_("May be told of")),
    )
    barred_topics = forms.MultipleChoiceField(
        label=_("But never get these messages"),
        required=False,
        widget=Ticks(_("But never get these messages")),
    )
    barred_words = forms.CharField(
        label=_("And nobody speaks with them of"),
        max_length=200,
        required=False,
        help_text=_("Several with a comma between, such as mental health, debts."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    since = forms.DateField(label=_("From"), required=False, widget=Day())
    until = forms.DateField(
        label=_("Until"),
        required=False,
        widget=Day(),
        help_text=_("The last day; empty when it does not end by itself."),
    )
    review_on = forms.DateField(
        label=_("Look at it again on"),
        required=False,
        widget=Day(),
        help_text=_("Then it comes up on the worklist."),
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput())

    def __init__(
        self,
        *args: Any,
        patient: Patient,
        person: ContactPerson | None = None,
        records: list[Patient],
        **kwargs: Any,
    ) -> None:
        kwargs["initial"] = _initial(person) if person else _first_guess(patient)
        super().__init__(*args, **kwargs)
        self.patient, self.contact = patient, person
        self.clash: ContactPerson | None = None
        known: Any = self.fields
        known["barred_topics"].choices = [(k, t.title) for k, t in topics]
        ids = [record.pk for record in records]
        if person and person.person_id:
            ids.append(person.person_id)
        if ids:
            known["person"].queryset = Patient.objects.filter(pk__in=ids)
        else:
            del self.fields["person"]

    def layout(self) -> list[Any]:
        """Return who they are, what they may know, and for how long."""
        back = reverse("patients:people_around", args=[self.patient.pk])
        clash = Shown("patients/contact_person_clash.html", person=self.clash)
        return [
            *([clash] if self.clash else []),
            Pair("name", "relation"),
            Pair("phone", "email"),
            *(["person"] if "person" in self.fields else []),
            "is_responsible",
            "basis",
            "scopes",
            "barred_topics",
            "barred_words",
            Pair("since", "until"),
            "review_on",
            "version",
            ClientKey(),
            buttons(_("Save") if self.contact else _("Add"), back=back),
        ]

    def clean(self) -> dict[str, Any]:
        """Join what is barred, whether a message or a word."""
        data: dict[str, Any] = super().clean() or {}
        said = (word.strip() for word in data.pop("barred_words", "").split(","))
        data["barred_topics"] = [*data.get("barred_topics", ()), *filter(None, said)]
        return data

    def said(self) -> dict[str, Any]:
        """Return what was filled in, as the services take it."""
        data = dict(self.cleaned_data)
        data.pop("version", None)
        record = data.pop("person", None)
        data["person_id"] = record.pk if record else None
        return data

    def show_clash(self, now: ContactPerson) -> None:
        """Show what is stored now; the next save replaces it knowingly."""
        self.clash = now
        self.rest_on(now.version)


def _initial(person: ContactPerson) -> dict[str, Any]:
    known = {key for key, _topic in topics}
    first: dict[str, str] = {}
    for point in person.contact_points.all():
        first.setdefault(point.channel, point.address)
    phone = first.get(Channel.SMS, "")
    return {
        "name": person.name,
        "relation": person.relation,
        "phone": readable(phone) if phone else "",
        "email": first.get(Channel.EMAIL, ""),
        "person": person.person_id,
        "is_responsible": person.is_responsible,
        "basis": person.basis,
        "scopes": person.scopes,
        "barred_topics": [key for key in person.barred_topics if key in known],
        "barred_words": ", ".join(w for w in person.barred_topics if w not in known),
        "since": person.since,
        "until": person.until,
        "review_on": person.review_on,
        "version": person.version,
    }


def _first_guess(patient: Patient) -> dict[str, Any]:
    """Return what is likely: a minor's parent, or a helper who may know of visits."""
    if not is_minor(patient, timezone.localdate()):
        return {"basis": ContactPerson.Basis.AGREED, "scopes": ["schedule"]}
    return {
        "is_responsible": True,
        "basis": ContactPerson.Basis.PARENT,
        "scopes": ["schedule", "messages", "clinical"],
        "review_on": of_age_on(patient),
    }
