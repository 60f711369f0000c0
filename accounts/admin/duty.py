"""The duty roster in Django admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from accounts.admin_site import PLACES, HouseAdmin
from accounts.models import Duty
from accounts.roster import refuse_wrong


class DutyAdminForm(forms.ModelForm):
    """A stretch of the roster, held to the rules of the page for it."""

    def clean(self) -> dict[str, Any]:
        """Refuse what cannot be, beside its field."""
        data: dict[str, Any] = super().clean() or {}
        if {"site", "user", "starts_at", "ends_at"} <= {
            name for name, value in data.items() if value
        }:
            try:
                refuse_wrong(Duty(pk=self.instance.pk, **data))
            except ValidationError as error:
                self.add_error(None, error)
        return data


@admin.register(Duty)
class DutyAdmin(HouseAdmin):
    """Who is told first when something cannot wait; clocks are those of the server."""

    shelf = PLACES
    form = DutyAdminForm
    list_display = ("site", "user", "backup", "starts_at", "ends_at")
    list_filter = ("site", "starts_at")
    list_select_related = ("site", "user", "backup")
    search_fields = ("user__username", "user__name", "site__name")
    autocomplete_fields = ("user", "backup")
    ordering = ("-starts_at",)
