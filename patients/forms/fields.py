"""Fields of a profile, as its model says them."""

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from core.forms import UNKEPT
from patients.models import Patient


def line(name: str, *, required: bool = False, label: Any = None) -> forms.CharField:
    """Return the field for a line of text of the profile, as its model says it."""
    of: Any = Patient._meta.get_field(name)
    return forms.CharField(
        label=label or capfirst(of.verbose_name),
        max_length=of.max_length,
        required=required,
        help_text=of.help_text,
        widget=forms.TextInput(attrs=UNKEPT),
    )


def choice(name: str) -> forms.ChoiceField:
    """Return the field for a choice of the profile, as its model says it."""
    of: Any = Patient._meta.get_field(name)
    choices = list(of.choices)
    if of.blank and all(value for value, _label in choices):
        choices.insert(0, ("", _("Not asked yet")))
    return forms.ChoiceField(
        label=capfirst(of.verbose_name),
        choices=choices,
        required=not of.blank,
        help_text=of.help_text,
    )
