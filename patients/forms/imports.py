"""The file of a patient list."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from accounts.models import Site, User
from core.forms import ClientKey, HouseForm, buttons
from patients.importing import UnreadableFile
from patients.importing.patient_list import REQUIRED, SEVERAL, TITLES
from patients.importing.run import refuse_unreadable
from patients.importing.tables import Column, decode

#: A list of 100,000 patients is about 12 MB.
LARGEST_FILE = 20 * 1024 * 1024


class ImportForm(HouseForm):
    """A patient list to look through: the file, and whose patients they are."""

    file = forms.FileField(
        label=_("Patient list"),
        help_text=_("CSV with a header line, or FHIR (NDJSON or a bundle)."),
        error_messages={"required": _("Choose a file.")},
    )
    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        site = self.fields["site"]
        site.queryset = user.sites.all()  # type: ignore[attr-defined]
        site.initial = user.sites.first()

    def layout(self) -> list[Any]:
        """Return the file, the site and the button that only looks."""
        return ["file", "site", ClientKey(), buttons(_("Check the file"))]

    def clean_file(self) -> UploadedFile:
        """Read the file's text, and refuse one whose beginning cannot be read."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_FILE:
            raise ValidationError(_("The file is larger than 20 MB."))
        name = file.name or ""
        try:
            self.cleaned_data["text"] = decode(file.read(), name)
            refuse_unreadable(self.cleaned_data["text"])
        except UnreadableFile as why:
            raise ValidationError(str(why)) from why
        return file


class ColumnsForm(HouseForm):
    """Which column of a list is what; a field for each, named by its place."""

    def __init__(self, *args: Any, columns: Sequence[Column], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = columns
        choices = [("", _("Left out")), *TITLES.items()]
        for place, column in enumerate(columns):
            self.fields[f"column_{place}"] = forms.ChoiceField(
                label=column.header or _("Column %(n)d") % {"n": place + 1},
                choices=choices,
                required=False,
                initial=column.name,
                help_text=" · ".join(column.samples) or _("Empty in the first rows"),
            )

    def layout(self) -> list[Any]:
        """Return the columns in their order, and the button that looks again."""
        return [*self.fields, ClientKey(), buttons(_("Check again"))]

    def chosen(self) -> dict[int, str]:
        """Return {place: name} of a valid form."""
        return {
            place: self.cleaned_data[f"column_{place}"]
            for place in range(len(self.columns))
        }

    def clean(self) -> dict[str, Any]:
        """Ask for what nobody can be taken over without, and for nothing twice."""
        data: dict[str, Any] = super().clean() or {}
        names = [name for name in data.values() if name]
        for field, name in list(data.items()):
            if names.count(name) > 1 and name not in SEVERAL:
                self.add_error(field, _("Two columns say this. Leave one of them out."))
        for name in REQUIRED:
            if name not in names and not self.errors:
                self.add_error(
                    None,
                    _("Say which column is the %(what)s.") % {"what": TITLES[name]},
                )
        return data
