"""What the fields of a profile hold, in words."""

from datetime import date, time
from typing import Any

from django.utils.translation import gettext as _

from core.dates import written
from patients.languages import language_name
from patients.models import Patient


def in_words(name: str, value: Any) -> str:
    """Return what a field of the profile holds as people read it; "" for nothing.

    Pure but for the language of the page.
    """
    if value in (None, "", []):
        return ""
    if name == "needs":
        known = dict(Patient.Need.choices)
        return ", ".join(str(known.get(one, one)) for one in value)
    if name == "spoken_language":
        return language_name(value)
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, date):
        return written(value, "date")
    if isinstance(value, time):
        return written(value, "clock")
    choices = dict(Patient._meta.get_field(name).flatchoices)  # type: ignore[union-attr]
    return str(choices.get(value, value))
