"""Forms of the duty roster."""

from datetime import datetime
from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Duty, Site, User
from accounts.roster import may_be_on_duty
from core.forms import ClientKey, Clock, Day, HouseForm, Pair, buttons
from core.time import to_local, to_utc, zone


class DutyForm(HouseForm):
    """Who is on duty, where and when; instants in ``cleaned_data`` are in UTC.

    Days and clocks are the site's.
    """

    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.none(), empty_label=None
    )
    user = forms.ModelChoiceField(
        label=_("On duty"), queryset=User.objects.none(), empty_label=_("Choose…")
    )
    backup = forms.ModelChoiceField(
        label=_("Backup"),
        queryset=User.objects.none(),
        required=False,
        empty_label=_("Nobody"),
        help_text=_("Told when nobody takes note within five minutes."),
    )
    from_day = forms.DateField(label=_("From"), widget=Day())
    from_clock = forms.TimeField(label=_("At"), widget=Clock())
    until_day = forms.DateField(label=_("Until"), widget=Day())
    until_clock = forms.TimeField(label=_("At"), widget=Clock())

    FIELD_OF = {"starts_at": "from_day", "ends_at": "until_day"}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = user.sites.all()
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]
        for name in ("user", "backup"):
            self.fields[name].queryset = may_be_on_duty(sites)  # type: ignore[attr-defined]

    def layout(self) -> list[Any]:
        """Return who, where and when, two by two."""
        return [
            "site",
            Pair("user", "backup"),
            Pair("from_day", "from_clock"),
            Pair("until_day", "until_clock"),
            ClientKey(),
            buttons(_("Put on duty"), back=reverse("messaging:duty_list")),
        ]

    def clean(self) -> dict[str, Any]:
        """Join days and clocks to instants of the site's zone."""
        data: dict[str, Any] = super().clean() or {}
        site = data.get("site")
        for name, field in (("from", "starts_at"), ("until", "ends_at")):
            day, clock = data.pop(f"{name}_day", None), data.pop(f"{name}_clock", None)
            if site and day and clock:
                data[field] = to_utc(datetime.combine(day, clock), zone(site.zone))
        return data


class HandOverForm(HouseForm):
    """Who has what is left of a duty."""

    to = forms.ModelChoiceField(
        label=_("On duty from now on"),
        queryset=User.objects.none(),
        required=False,
        empty_label=_("Nobody: end it"),
    )
    backup = forms.ModelChoiceField(
        label=_("Backup"),
        queryset=User.objects.none(),
        required=False,
        empty_label=_("Nobody"),
        help_text=_("Told when nobody takes note within five minutes."),
    )

    FIELD_OF = {"user": "to"}

    def __init__(self, *args: Any, duty: Duty, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fit = may_be_on_duty([duty.site])
        for name, now in (("to", duty.user_id), ("backup", duty.backup_id)):
            self.fields[name].queryset = fit  # type: ignore[attr-defined]
            self.fields[name].initial = now
        if duty.starts_at > timezone.now():
            self.fields["to"].label = _("On duty")
            self.fields["to"].empty_label = _("Nobody: take it off")  # type: ignore[attr-defined]

    def layout(self) -> list[Any]:
        """Return who has it and who is the backup."""
        return [
            Pair("to", "backup"),
            ClientKey(),
            buttons(_("Save"), back=reverse("messaging:duty_list")),
        ]


def next_hour(site: Site | None) -> dict[str, Any]:
    """Return what a new duty starts with: this hour at the site, today."""
    if site is None:
        return {}
    here = to_local(timezone.now(), zone(site.zone))
    return {
        "site": site.pk,
        "from_day": here.date(),
        "from_clock": here.time().replace(minute=0, second=0, microsecond=0),
        "until_day": here.date(),
    }
