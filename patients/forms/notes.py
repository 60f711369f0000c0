"""Writing a note, and what comes after one."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import User
from core.forms import ClientKey, HouseForm, Pair, buttons
from patients.models import Note, Patient
from patients.notes import LONGEST, draft_key

_ROWS = {"rows": 9}
_Relation = Note.Relation


class NoteForm(DraftedForm):
    """A new note: what kind, the text, and when it happened if not just now."""

    type = forms.ChoiceField(
        label=_("What kind"), choices=[("", _("Choose…")), *Note.Type.choices]
    )
    body = forms.CharField(
        label=_("Note"), max_length=LONGEST, widget=forms.Textarea(_ROWS)
    )
    sensitive = forms.ChoiceField(
        label=_("Sensitive"),
        required=False,
        choices=[("", _("No")), *Note.Sensitive.choices],
        help_text=_("Only you and the clinicians read it; no contact person ever."),
    )
    happened_at = forms.DateTimeField(
        label=_("When it happened"),
        required=False,
        help_text=_("Empty: just now. Over 12 hours ago makes it a late entry."),
        widget=forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}
        ),
    )
    reason = forms.CharField(
        label=_("Why it is written only now"),
        required=False,
        max_length=300,
        help_text=_("For a late entry."),
    )

    drafted = ("type", "body", "sensitive", "happened_at", "reason")

    def __init__(self, *args: Any, patient: Patient, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, draft_key=draft_key(patient), **kwargs)
        self.back = reverse("patients:patient_detail", args=[patient.pk])

    def layout(self) -> list[Any]:
        """Return kind and text first; most notes need no more."""
        return [
            "type",
            "body",
            Pair("sensitive", "happened_at"),
            "reason",
            self.draft_note(),
            ClientKey(),
            buttons(_("Sign the note"), back=self.back),
        ]


class FollowForm(DraftedForm):
    """An addendum to a note or, by its author, a correction of it."""

    body = forms.CharField(
        label=_("What is new"), max_length=LONGEST, widget=forms.Textarea(_ROWS)
    )
    reason = forms.CharField(label=_("Why it is corrected"), max_length=300)

    drafted = ("body",)

    def __init__(
        self, *args: Any, note: Note, relation: str, user: User, **kwargs: Any
    ) -> None:
        super().__init__(
            *args, user=user, draft_key=draft_key(note, relation), **kwargs
        )
        self.back = reverse("patients:note_detail", args=[note.patient_id, note.pk])
        self.relation = relation
        if relation == _Relation.ADDENDUM:
            del self.fields["reason"]
        else:
            self.fields["body"].label = _("As it should read")
            if self.draft is None:
                self.fields["body"].initial = note.body

    def layout(self) -> list[Any]:
        """Return the text, why, and the button that signs it."""
        is_addendum = self.relation == _Relation.ADDENDUM
        return [
            *self.fields,
            self.draft_note(),
            ClientKey(),
            buttons(
                _("Sign the addendum") if is_addendum else _("Sign the correction"),
                back=self.back,
            ),
        ]


class ErrorForm(HouseForm):
    """Why a note should never have stood here."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=300,
        help_text=_(
            "Such as: of another patient. Everybody who opens the record reads this."
        ),
    )

    def __init__(self, *args: Any, note: Note, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.back = reverse("patients:note_detail", args=[note.patient_id, note.pk])

    def layout(self) -> list[Any]:
        """Return why, and the button that takes the note back."""
        return [
            "reason",
            ClientKey(),
            buttons(
                _("Mark as entered in error"), back=self.back, kind="btn-danger-quiet"
            ),
        ]
