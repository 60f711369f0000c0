"""The one form in front of a patient link."""

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from core.dates import parse_date


class BirthDateForm(forms.Form):
    """The patient's date of birth, as people write it, in three fields.

    The month may be a number or a name, and a whole date may stand in one field. The
    browser is not asked to fill it in: whoever types need not be the patient.
    ``region`` is the site's, and decides with the page's language what comes first.
    """

    month = forms.CharField(label=_("Month"), required=False, max_length=24)
    day = forms.CharField(label=_("Day"), required=False, max_length=24)
    year = forms.CharField(label=_("Year"), required=False, max_length=24)

    def __init__(self, *args: Any, region: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.month_first = region == "US" and get_language() == "en"
        if not self.month_first:
            self.order_fields(["day", "month", "year"])
        for field in self.fields.values():
            field.widget.attrs |= {
                "autocomplete": "off",
                "inputmode": "numeric",
                "aria-describedby": "birth-date-help birth-date-error",
            }

    def add_error(self, field: str | None, error: Any) -> None:
        """Note what is wrong, and put the cursor where it is put right."""
        super().add_error(field, error)
        next(iter(self.fields.values())).widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        """Read the date into ``born``; what cannot be one is refused and is no try."""
        data: dict[str, Any] = super().clean() or {}
        said = [data.get(name, "") for name in ("day", "month", "year")]
        if not any(said):
            raise ValidationError(_("Fill in the date of birth."))
        if len(said[2]) == 2 and all(said):
            raise ValidationError(_("Write the year with four digits, such as 1960."))
        born = self._read([part for part in said if part])
        if born is None or born > timezone.localdate():
            raise ValidationError(_("This is not a date. Check day, month and year."))
        data["born"] = born
        return data

    def _read(self, said: list[str]) -> date | None:
        whole = len(said) == 1 and self.month_first
        return parse_date(" ".join(said), month_first=whole)
