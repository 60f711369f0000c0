"""Gateways, to switch one off by hand, and the texts, in Django admin."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_site import REACH, HouseAdmin, ReadOnlyAdmin
from messaging.gateways import credential_of
from messaging.models import Breaker, Template


def _gateways() -> list[tuple[str, str]]:
    names = sorted({settings.SMS_GATEWAY, settings.EMAIL_GATEWAY} - {""})
    return [(name, name) for name in names]


class BreakerForm(forms.ModelForm):
    """A gateway, and whether it is in use. That it refuses, it says itself."""

    provider = forms.ChoiceField(
        label=_("Provider"),
        choices=_gateways,
        help_text=_("What texts or emails leave through."),
    )

    class Meta:
        model = Breaker
        fields = ("provider", "state")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.instance.state
        self.fields["state"].choices = [  # type: ignore[attr-defined]
            choice
            for choice in Breaker.State.choices
            if choice[0] != Breaker.State.OPEN or now == Breaker.State.OPEN
        ]

    def clean_provider(self) -> str:
        """Refuse a second row for one gateway and its account."""
        provider: str = self.cleaned_data["provider"]
        account = credential_of(provider)
        if Breaker.objects.filter(provider=provider, credential=account).exists():
            raise ValidationError(_("This gateway is in the list already."))
        return provider


@admin.register(Breaker)
class BreakerAdmin(HouseAdmin):
    """Whether a gateway may be used; one that never failed is not in the list yet."""

    shelf = REACH
    form = BreakerForm
    list_display = ("provider", "state", "until", "why")
    list_filter = ("state",)
    search_fields = ("provider", "why")
    readonly_fields = ("until", "why")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        """Return what nobody changes: which gateway it is, once it is there."""
        return self.readonly_fields if obj is None else ("provider", "until", "why")

    def save_model(
        self, request: HttpRequest, obj: Breaker, form: Any, change: bool
    ) -> None:
        """Save a new one for the account the gateway is used with now."""
        if not change:
            obj.credential = credential_of(obj.provider)
        super().save_model(request, obj, form, change)


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    """The texts patients get, as they go out; they come with a release."""

    shelf = REACH
    list_display = ("key", "language", "version", "body")
    list_filter = ("language", "key")
    search_fields = ("key", "subject", "body")
    ordering = ("key", "language", "-version")
    fieldsets = (
        (
            None,
            {
                "fields": ("key", "language", "version", "subject", "body"),
                "description": _(
                    "To read. What stands in braces is filled in for each patient; "
                    "texts are changed with a release."
                ),
            },
        ),
    )
