"""Forms of the worklist."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.drafts import DraftedForm
from accounts.models import User
from core.forms import ClientKey, buttons
from worklist.models import WorkItem
from worklist.registry import work_kinds


class CloseForm(DraftedForm):
    """How an item ended: one of its kind's outcomes, and a note."""

    outcome = forms.ChoiceField(label=_("How it ended"))
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=300,
        widget=forms.Textarea({"rows": 3}),
    )

    drafted = ("note",)

    def __init__(self, *args: Any, item: WorkItem, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, draft_key=f"close:{item.pk}", **kwargs)
        self.item = item
        outcomes = work_kinds[item.kind].outcomes
        self.fields["outcome"].choices = [("", _("Choose…")), *outcomes.items()]  # type: ignore[attr-defined]

    def layout(self) -> list[Any]:
        """Return the outcome, the note and the button, loud once somebody has it."""
        kind = "btn-brand" if self.item.owner_id else "btn-quiet"
        return [
            "outcome",
            "note",
            self.draft_note(),
            ClientKey(),
            buttons(_("Close"), kind=kind),
        ]
