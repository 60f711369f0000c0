"""Forms of the history, made from the table of kinds; and noting who was told."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import User
from core.forms import ClientKey, Day, HouseForm, Pair, Shown, buttons
from core.text import fold
from patients.codes import Code, code_at
from patients.history.kinds import DECLINED, KINDS, Field, HistoryKind, value_of
from patients.models import HistoryEntry, Patient

#: What the hidden field says when an entry keeps the code it has.
KEPT = "kept"
Source = HistoryEntry.Source
#: Who may have said it at the desk; a file says so itself.
SOURCES = [(key, label) for key, label in Source.choices if key != Source.IMPORTED]


class HistoryForm(DraftedForm):
    """One entry of one kind; ``form_of(kind)`` is the form with the kind's fields."""

    kind: ClassVar[HistoryKind]

    label = forms.CharField(
        max_length=240, error_messages={"required": _("Say what it is.")}
    )
    coded = forms.CharField(required=False, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    status = forms.ChoiceField(label=_("How it stands"))
    source = forms.ChoiceField(label=_("Known from"), choices=SOURCES)

    def __init__(
        self,
        *args: Any,
        user: User,
        patient: Patient,
        entry: HistoryEntry | None = None,
        found: list[Code] | None = None,
        **kwargs: Any,
    ) -> None:
        kind = self.kind
        self.entry, self.found = entry, found
        key = f"history:{entry.pk}" if entry else f"history_{kind.key}:{patient.pk}"
        super().__init__(*args, user=user, draft_key=key, **kwargs)
        self.action = (
            reverse("patients:history_edit", args=[patient.pk, entry.pk])
            if entry
            else reverse("patients:history_add", args=[patient.pk, kind.key])
        )
        self.back = reverse("patients:history_list", args=[patient.pk])
        what = self.fields["label"]
        what.label, what.help_text = str(kind.what), str(kind.what_help)
        what.widget.attrs |= {"autocomplete": "off", "autofocus": not self.is_bound}
        if kind.is_coded:
            what.widget.attrs |= {
                "hx-post": reverse("patients:history_codes"),
                "hx-trigger": "input changed delay:200ms",
                "hx-target": "#codes",
                "hx-swap": "innerHTML",
                "hx-sync": "this:replace",
                "hx-params": f"label,{_KIND}",
                "hx-vals": f'{{"{_KIND}": "{kind.key}"}}',
            }
        # A topic may stand without an answer.
        what.required = kind.key != HistoryEntry.Kind.SOCIAL
        if kind.key == HistoryEntry.Kind.CONDITION and not entry:
            # Whoever told us of a condition knows it: nobody says so by an oversight.
            self.fields["source"].choices = [("", _("Choose…")), *SOURCES]  # type: ignore[attr-defined]
        statuses = dict(kind.statuses)
        if entry:
            statuses.setdefault(entry.status, entry.status)
            self._fill_from(entry)
        self.fields["status"].choices = list(statuses.items())  # type: ignore[attr-defined]
        if len(statuses) == 1:
            self.fields["status"].widget = forms.HiddenInput()
            self.fields["status"].initial = kind.first_status

    def _fill_from(self, entry: HistoryEntry) -> None:
        kept = self.draft.text if self.draft else {}
        stored = {one.name: value_of(entry, one) for one in self.kind.fields}
        stored |= {
            "label": "" if entry.label == DECLINED else entry.label,
            "coded": KEPT if entry.code else "",
            "version": entry.version,
            "status": entry.status,
            "source": entry.source,
        }
        for name, value in stored.items():
            if name not in kept:
                self.fields[name].initial = value
        if entry.source == Source.IMPORTED:
            own = (Source.IMPORTED.value, Source.IMPORTED.label)
            self.fields["source"].choices = [own, *SOURCES]  # type: ignore[attr-defined]

    @property
    def helper(self) -> Any:
        """Send it in place where there are scripts, as a page where there are none."""
        helper = super().helper
        helper.attrs |= {"hx-post": self.action, "id": "history-form"}
        return helper

    def layout(self) -> list[Any]:
        """Return what it is, its code, what is asked of its kind, and the button."""
        rows: list[Any] = [Shown("patients/history_save.html"), "label"]
        if self.kind.is_coded:
            rows.append(
                Shown("patients/history_code.html", code=self.code, found=self.found)
            )
        for one in self.kind.fields:
            if one.beside and rows and isinstance(rows[-1], str):
                rows.append(Pair(rows.pop(), one.name))
            else:
                rows.append(one.name)
        return [
            *rows,
            "status",
            "source",
            "coded",
            "version",
            self.draft_note(),
            ClientKey(),
            buttons(_("Save"), back=self.back),
        ]

    @property
    def code(self) -> dict[str, str] | None:
        """The code that stands beside the name now, or None."""
        return self._code_of(self["coded"].value() or "")

    def _code_of(self, coded: str) -> dict[str, str] | None:
        if coded == KEPT and self.entry and self.entry.code:
            entry = self.entry
            return {
                "clinical_name": entry.clinical_name,
                "code_system": entry.code_system,
                "code": entry.code,
            }
        line = code_at(coded) if coded else None
        if line is None or line.kind != self.kind.key:
            return None
        return {
            "clinical_name": line.clinical,
            "code_system": line.system_url,
            "code": line.code,
        }

    def clean_coded(self) -> str:
        """Take a line of the list or the code the entry has, and nothing else."""
        coded: str = self.cleaned_data["coded"]
        if coded and self._code_of(coded) is None:
            raise ValidationError(_("There is no such code."))
        return coded

    def facts(self) -> dict[str, Any]:
        """Return what the services take."""
        names = [one.name for one in self.kind.fields]
        data = {name: self.cleaned_data[name] for name in names}
        code = self._code_of(self.cleaned_data["coded"])
        nothing = {"clinical_name": "", "code_system": "", "code": ""}
        return (
            data
            | (code or nothing)
            | {name: self.cleaned_data[name] for name in ("label", "status", "source")}
        )


_KIND = "kind"


def picked(posted: Mapping[str, Any], code: Code | None) -> dict[str, Any]:
    """Return what was typed, with a line of the list chosen; None takes the code off.

    The line's plain name becomes the name, unless what was typed already says it.
    """
    typed = {name: posted[name] for name in posted}
    if code is None:
        return typed | {"coded": ""}
    if fold(code.plain) not in fold(typed.get("label", "")):
        typed["label"] = code.plain
    return typed | {"coded": code.key}


@cache
def form_of(kind: str) -> type[HistoryForm]:
    """Return the form of a kind of history."""
    table = KINDS[kind]
    fields: dict[str, Any] = {one.name: _field(one) for one in table.fields}
    long = tuple(one.name for one in table.fields if one.type == "long")
    return type(
        f"{table.key.capitalize()}Form",
        (HistoryForm,),
        fields | {"kind": table, "drafted": ("label", *long)},
    )


def _field(one: Field) -> forms.Field:
    said: dict[str, Any] = {
        "label": one.label,
        "help_text": one.help,
        "required": False,
    }
    if one.type == "day":
        return forms.DateField(widget=Day(), **said)
    if one.type == "tick":
        return forms.BooleanField(**said)
    if one.type == "number":
        return forms.IntegerField(min_value=one.least, max_value=one.most, **said)
    if one.type == "choice":
        known = [("", _("Not known")), *one.choices.items()]
        if one.name == "verification":
            known = list(one.choices.items())
        return forms.ChoiceField(choices=known, **said)
    if one.type == "long":
        area = forms.Textarea(attrs={"rows": 2})
        return forms.CharField(max_length=one.longest, widget=area, **said)
    return forms.CharField(max_length=one.longest, **said)


class ReviewForm(forms.Form):
    """That somebody asked about a kind: three buttons, and who said so."""

    kind = forms.ChoiceField(choices=HistoryEntry.Kind.choices)
    outcome = forms.ChoiceField(
        choices=[("none_known", ""), ("reviewed", ""), ("declined", "")]
    )
    source = forms.ChoiceField(choices=SOURCES)


class ToldForm(HouseForm):
    """Which conditions patients were told of, when, and by whom.

    ``rows`` are those on the page; the boxes stand in the page's own list.
    """

    form_class = "fields"
    FIELD_OF: ClassVar[dict[str, str]] = {"on": "told_on"}

    entry = forms.TypedMultipleChoiceField(coerce=int, required=False)
    how = forms.ChoiceField(
        label=_("Who told them"),
        choices={
            "me": _("I did"),
            "elsewhere": _("Somebody else, before it came here"),
        },
    )
    told_on = forms.DateField(
        label=_("On"),
        required=False,
        help_text=_("When it was you."),
        widget=Day(),
    )
    why = forms.CharField(
        label=_("Why not yet"),
        required=False,
        max_length=300,
        help_text=_("Only when it has to wait."),
    )

    def __init__(
        self,
        *args: Any,
        rows: list[HistoryEntry],
        may_wait: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["entry"].choices = [(row.pk, row.pk) for row in rows]  # type: ignore[attr-defined]
        self.fields["told_on"].initial = timezone.localdate
        if may_wait:
            how: Any = self.fields["how"]
            how.choices = [*how.choices, ("later", _("Nobody yet: it has to wait"))]
        else:
            del self.fields["why"]

    @property
    def helper(self) -> Any:
        """Stand in the form of the page, which has the boxes."""
        helper = super().helper
        helper.form_tag = False
        return helper

    def layout(self) -> list[Any]:
        """Return who told them and when; the boxes stand beside."""
        rows: list[Any] = [Pair("how", "told_on")]
        if "why" in self.fields:
            rows.append("why")
        return [*rows, ClientKey(), buttons(_("Save"))]

    def clean(self) -> dict[str, Any]:
        """Ask for the boxes and the day where they are needed, for the reason else."""
        data: dict[str, Any] = super().clean() or {}
        if "entry" in self.errors:
            # Somebody else has noted it meanwhile; the page shows what is left.
            self.add_error(
                None, gettext("Some of these were noted meanwhile. Look again.")
            )
        elif data.get("how") != "later" and not data.get("entry"):
            self.add_error(None, gettext("Tick at least one condition."))
        no_day = not data.get("told_on") and "told_on" not in self.errors
        if data.get("how") == "me" and no_day:
            self.add_error("told_on", gettext("Say on which day."))
        if data.get("how") == "later" and not data.get("why"):
            self.add_error("why", gettext("Say why it has to wait."))
        return data
