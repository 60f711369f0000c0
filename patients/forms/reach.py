"""Forms about reaching a patient: numbers, alerts, a safe contact plan; and a death."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.forms import UNKEPT, ClientKey, Clock, Day, HouseForm, Pair, Shown, buttons
from core.phones import readable
from core.sayings import told
from patients.contact_points import WHY_NOT, version_of
from patients.flags import LASTS
from patients.models import Channel, ContactPoint, Flag, Patient, SafeContactPlan
from patients.services import NO_CONSENT_YET


def _back(patient: Patient) -> str:
    return reverse("patients:patient_detail", args=[patient.pk])


class ContactPointForm(HouseForm):
    """A number or address: a new one, or one that is there."""

    channel = forms.ChoiceField(
        label=_("What it is"),
        choices=[(Channel.SMS, _("Phone number")), (Channel.EMAIL, _("Email address"))],
    )
    address = forms.CharField(
        label=_("Number or address"),
        max_length=254,
        help_text=_("A number as you would dial it here."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    safe_to_text = forms.BooleanField(
        label=_("Safe to write to"),
        required=False,
        initial=True,
        help_text=_("Nobody else reads what arrives there, or they do not mind."),
    )
    voicemail = forms.BooleanField(
        label=_("Voicemail may be left"), required=False, initial=False
    )
    first = forms.BooleanField(label=_("Try this one first"), required=False)
    usable = forms.BooleanField(label=_("It works"), required=False, initial=True)
    why_not = forms.ChoiceField(label=_("Why it does not"), required=False)
    version = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        *args: Any,
        patient: Patient,
        point: ContactPoint | None = None,
        **kwargs: Any,
    ) -> None:
        initial = {}
        if point:
            initial = {
                "channel": point.channel,
                "address": readable(point.address)
                if point.channel == Channel.SMS
                else point.address,
                "safe_to_text": point.safe_to_text,
                "voicemail": point.voicemail,
                "usable": point.usable,
                "why_not": point.why_not,
                "version": version_of(point),
            }
        kwargs["initial"] = initial
        super().__init__(*args, **kwargs)
        self.patient, self.point = patient, point
        #: What is stored now and differs from what was typed: (label, value).
        self.stored_now: list[tuple[str, str]] = []
        if point:
            del self.fields["channel"]
        else:
            del self.fields["version"]
        if point is None or point.why_not == NO_CONSENT_YET:
            # Only a consent opens what waits for one.
            del self.fields["usable"], self.fields["why_not"]
        else:
            reasons = dict.fromkeys([*WHY_NOT, *filter(None, [point.why_not])])
            field: Any = self.fields["why_not"]
            field.choices = [("", "—"), *((why, told(why)) for why in reasons)]
        if point and point.channel == Channel.EMAIL:
            del self.fields["voicemail"]

    def layout(self) -> list[Any]:
        """Return what it is, then how it may be used."""
        names = [name for name in self.fields if name not in ("usable", "why_not")]
        works = ["usable", "why_not"] if "usable" in self.fields else []
        waits = self.point and self.point.why_not == NO_CONSENT_YET
        clash = Shown("patients/stored_now.html", stored=self.stored_now)
        return [
            *([clash] if self.stored_now else []),
            *names,
            *works,
            *([Shown("patients/waits_for_consent.html")] if waits else []),
            ClientKey(),
            buttons(_("Save") if self.point else _("Add"), back=_back(self.patient)),
        ]

    def clean(self) -> dict[str, Any]:
        """Ask why something does not work."""
        data: dict[str, Any] = super().clean() or {}
        if (
            "usable" in self.fields
            and not data.get("usable")
            and not data.get("why_not")
        ):
            self.add_error("why_not", _("Say why, so that nobody tries in vain."))
        if self.point is None and data.get("channel") == Channel.EMAIL:
            data["voicemail"] = False
        return data

    def show_clash(self, now: ContactPoint) -> None:
        """Show what somebody else stored beside what was typed; typed text stays.

        The next save is made from what is stored now, and wins.
        """
        self.rest_on(version_of(now))
        self.stored_now.append((str(self.fields["address"].label), now.address))
        for name in ("safe_to_text", "voicemail", "usable"):
            if name in self.fields:
                says = gettext("Yes") if getattr(now, name) else gettext("No")
                self.stored_now.append((str(self.fields[name].label), says))


class FlagForm(HouseForm):
    """A new pinned alert."""

    category = forms.ChoiceField(label=_("Kind"))
    text = forms.CharField(
        label=_("Alert"),
        max_length=80,
        help_text=_(
            "What helps, in a few words: “Falls easily: meet at the door”. They may "
            "read it."
        ),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Why it stands here, for your colleagues."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    expires_on = forms.DateField(
        label=_("Until"),
        widget=Day(),
        help_text=_("Gone after this day, unless somebody pins it anew."),
    )

    def __init__(
        self, *args: Any, patient: Patient, clinical: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.patient = patient
        kinds: Any = self.fields["category"]
        kinds.choices = [
            pair
            for pair in Flag.Category.choices
            # Who sees nothing clinical pins nothing clinical, either.
            if clinical or pair[0] != Flag.Category.CLINICAL
        ]
        self.fields["expires_on"].initial = timezone.localdate() + LASTS

    def layout(self) -> list[Any]:
        """Return what is said, why, and until when."""
        return [
            "text",
            Pair("category", "expires_on"),
            "reason",
            ClientKey(),
            buttons(_("Pin alert"), back=_back(self.patient)),
        ]


class DeathForm(HouseForm):
    """That a patient has died: when, and who told the clinic."""

    died_on = forms.DateField(
        label=_("Died on"),
        widget=Day(),
        help_text=_("The day you were told, when nobody knows it better."),
    )
    told_by = forms.CharField(
        label=_("Who told us"),
        max_length=120,
        help_text=_("Such as: daughter Lucia, by phone."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    sure = forms.BooleanField(
        label=_("I am sure it is this patient"),
        help_text=_("Name and birth date are those you were told."),
    )

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patient = patient
        self.fields["died_on"].initial = timezone.localdate()

    def layout(self) -> list[Any]:
        """Return when, who said so, and the button that says what it does."""
        return [
            Pair("died_on", "told_by"),
            "sure",
            ClientKey(),
            buttons(
                _("Note the death"),
                back=_back(self.patient),
                kind="btn-danger-quiet",
            ),
        ]


class DeathCorrectionForm(HouseForm):
    """Why a death that was noted is none."""

    reason = forms.CharField(
        label=_("How you know that they live"),
        max_length=300,
        help_text=_("Kept with the correction."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patient = patient

    def layout(self) -> list[Any]:
        """Return the reason and the button."""
        return [
            "reason",
            ClientKey(),
            buttons(_("They live: correct it"), back=_back(self.patient)),
        ]


class PlanForm(HouseForm):
    """A safe contact plan; a new one ends the one in force."""

    channel = forms.ChoiceField(
        label=_("The only safe way"),
        required=False,
        choices=[("", _("Call: nothing is sent")), *Channel.choices],
    )
    address = forms.CharField(
        label=_("The only safe number or address"),
        max_length=254,
        required=False,
        help_text=_("Empty: any of theirs."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    safe_from = forms.TimeField(label=_("Safe from"), required=False, widget=Clock())
    safe_until = forms.TimeField(
        label=_("Safe until"),
        required=False,
        widget=Clock(),
        help_text=_("Both empty: at any hour."),
    )
    code_word = forms.CharField(
        label=_("Code word"),
        max_length=40,
        required=False,
        help_text=_("Whoever calls asks for it before saying who is calling."),
        widget=forms.TextInput(attrs=UNKEPT),
    )
    neutral_sender = forms.BooleanField(
        label=_("Texts do not name the clinic"), required=False, initial=True
    )
    hidden = forms.BooleanField(
        label=_("Hidden from household and contact persons"),
        required=False,
        initial=True,
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("Why they are at risk. Only nurses and clinicians read it."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(
        self,
        *args: Any,
        patient: Patient,
        plan: SafeContactPlan | None = None,
        **kwargs: Any,
    ) -> None:
        initial: dict[str, Any] = {}
        if plan:
            initial = {
                name: getattr(plan, name)
                for name in self.base_fields
                if name != "address"
            }
            initial["address"] = (
                readable(plan.address) if plan.address.startswith("+") else plan.address
            )
        kwargs["initial"] = initial
        super().__init__(*args, **kwargs)
        self.patient, self.plan = patient, plan

    def layout(self) -> list[Any]:
        """Return where, when, how, and why."""
        label = gettext("Replace the plan") if self.plan else gettext("Put it in force")
        return [
            Pair("channel", "address"),
            Pair("safe_from", "safe_until"),
            "code_word",
            "neutral_sender",
            "hidden",
            "reason",
            ClientKey(),
            buttons(label, back=_back(self.patient)),
        ]
