"""Forms about visits."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Clinician, Site, User
from appointments.models import Appointment, BookableHours, VisitType
from core.dates import age
from core.forms import ClientKey, Clock, Day, HouseForm, Pair, Shown, buttons
from patients.models import Patient
from patients.recipients import is_minor

#: Nobody books, or looks at a day, farther off than this.
FARTHEST = timedelta(days=5 * 366)
#: The age from which a minor's visit may be confidential, in years.
ALONE_FROM = 12


class WhenForm(HouseForm):
    """With whom, where and when; ``cleaned_data["local_start"]`` is naive wall time."""

    clinician = forms.ModelChoiceField(
        label=_("Clinician"),
        queryset=Clinician.objects.none(),
        empty_label=_("Choose…"),
    )
    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.none(), empty_label=None
    )
    day = forms.DateField(label=_("Day"), widget=Day())
    time = forms.TimeField(label=_("Time"), widget=Clock())

    FIELD_OF = {"local_start": "time"}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = user.sites.all()
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]
        self.fields["site"].initial = user.sites.first()
        self.fields["clinician"].queryset = (  # type: ignore[attr-defined]
            Clinician.objects.filter(active=True, sites__in=sites).distinct()
        )

    def clean(self) -> dict[str, Any]:
        """Join day and time, and refuse a clinician who is not at the site."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("day") and data.get("time"):
            data["local_start"] = datetime.combine(data.pop("day"), data.pop("time"))
            if data["local_start"].date() > timezone.localdate() + FARTHEST:
                self.add_error("day", _("This is more than five years off."))
        clinician, site = data.get("clinician"), data.get("site")
        if clinician and site and not clinician.sites.filter(pk=site.pk).exists():
            self.add_error(
                "clinician",
                _("%(clinician)s is not at %(site)s.")
                % {"clinician": clinician, "site": site},
            )
        return data

    @property
    def outside_hours(self) -> bool:
        """Whether the clinician has hours at the site, and this is not within them."""
        start: datetime = self.cleaned_data["local_start"]
        hours = list(
            BookableHours.objects.filter(
                clinician=self.cleaned_data["clinician"], site=self.cleaned_data["site"]
            )
        )
        return bool(hours) and not any(
            span.weekday == start.weekday() and span.opens <= start.time() < span.closes
            for span in hours
        )

    def when_layout(self) -> list[Pair]:
        """Return the fields of with whom, where and when, two by two."""
        return [Pair("clinician", "site"), Pair("day", "time")]


class _TypeChoice(forms.ModelChoiceField):
    #: Who chooses; set by the form.
    user: User

    def label_from_instance(self, obj: Any) -> str:
        return _("%(name)s (%(minutes)d min)") % {
            "name": obj.name_for(self.user),
            "minutes": obj.minutes,
        }


def may_be_confidential(patient: Patient) -> bool:
    """Return whether a visit may be kept from those who answer for a patient.

    From 12 on a minor may consent to some care alone in many places; which care that
    is, the clinic knows (Guttmacher Institute, An Overview of Consent to Reproductive
    Health Services by Young People).
    """
    return (
        patient.birth_date is not None
        and age(patient.birth_date, timezone.localdate()) >= ALONE_FROM
        and is_minor(patient, timezone.localdate())
    )


class BookForm(WhenForm):
    """A new visit."""

    visit_type = _TypeChoice(
        label=_("Visit type"),
        queryset=VisitType.objects.filter(active=True),
        empty_label=_("Choose…"),
    )
    tell = forms.BooleanField(
        label=_("Text the patient now"),
        required=False,
        initial=True,
        help_text=_("Leave out when they stand in front of you and know."),
    )
    confidential = forms.BooleanField(
        label=_("Confidential: tell only the patient"),
        required=False,
        help_text=_(
            "No parent or guardian is told of this visit, and nothing goes to a number "
            "or address that others have, too."
        ),
    )

    def __init__(self, *args: Any, user: User, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        if not may_be_confidential(patient):
            del self.fields["confidential"]
        self.user, self.patient = user, patient
        self.fields["visit_type"].user = user  # type: ignore[attr-defined]
        self.fields["day"].initial = lambda: timezone.localdate() + timedelta(days=1)

    def layout(self) -> list[Any]:
        """Return the type first, then when, then whether the patient is told."""
        back = reverse("patients:patient_detail", args=[self.patient.pk])
        return [
            "visit_type",
            *self.when_layout(),
            *(["confidential"] if "confidential" in self.fields else []),
            "tell",
            ClientKey(),
            buttons(_("Book visit"), back=back),
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse a type that the clinician does not offer."""
        data = super().clean()
        kind, clinician = data.get("visit_type"), data.get("clinician")
        offered_by = list(kind.clinicians.all()) if kind else []
        if kind and clinician and offered_by and clinician not in offered_by:
            self.add_error(
                "clinician",
                _("%(clinician)s does not offer %(type)s.")
                % {"clinician": clinician, "type": kind.name_for(self.user)},
            )
        return data


class MoveForm(WhenForm):
    """Another time for a visit; starts from where it is."""

    def __init__(self, *args: Any, visit: Appointment, **kwargs: Any) -> None:
        super().__init__(
            *args,
            initial={
                "clinician": visit.clinician,
                "site": visit.site,
                "day": visit.local_date,
                "time": visit.local_time,
            },
            **kwargs,
        )
        self.visit = visit

    def layout(self) -> list[Any]:
        """Return where to, and that the patient hears of it if they knew."""
        back = reverse("appointments:appointment_detail", args=[self.visit.pk])
        knows = [Shown("appointments/knows_of_old.html")]
        return [
            *self.when_layout(),
            *(knows if self.visit.told_start else []),
            ClientKey(),
            buttons(_("Move visit"), back=back),
        ]


class CancelForm(HouseForm):
    """Whether a cancelled visit's patient is told by text."""

    form_class = "fields"

    tell = forms.BooleanField(
        label=_("Text the patient that it is cancelled"), required=False, initial=True
    )

    def __init__(self, *args: Any, visit: Appointment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action = reverse("appointments:appointment_cancel", args=[visit.pk])

    def layout(self) -> list[Any]:
        """Return the choice and the button that cancels."""
        cancel = buttons(_("Cancel this visit"), kind="btn-danger-quiet")
        return ["tell", ClientKey(), cancel]


class MarkForm(forms.Form):
    """What became of a visit, in one tap, and the page that tap was made on."""

    state = forms.TypedChoiceField(
        coerce=Appointment.State,
        choices=[
            (state, state.label)
            for state in (
                Appointment.State.ARRIVED,
                Appointment.State.DONE,
                Appointment.State.NOSHOW,
            )
        ],
    )
    next = forms.CharField(required=False)
