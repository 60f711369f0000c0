"""Long text that is not lost: kept while somebody types, gone when it is sent.

Kept here and not in the browser, which others use too (ASVS 14.3.3). Only whoever
typed it sees it, wherever they sign in.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from crispy_forms.helper import FormHelper
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Case, Q, When
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Draft, User
from core.forms import HouseForm, Shown
from core.registry import Registry
from core.sql import delete_found
from core.text import clean

#: The name of the field with the draft's key.
DRAFT_KEY = "draft_key"
#: A draft has room for a long letter, and nobody writes so many at once.
LARGEST = 20_000
MOST = 100
KEPT = timedelta(days=30)
#: Which drafts must not go yet, although nobody came back for them; as a condition.
spared: Registry[Callable[[], Q]] = Registry("spared")
_KEY = re.compile(r"[a-z_]{1,40}:[0-9]{1,19}")


@transaction.atomic
def save_draft(*, user: User, key: str, text: Mapping[str, str]) -> Draft | None:
    """Keep what stands in the fields of a form; nothing typed any more drops it.

    ``key`` says which form and about which row ("close:17"). Of one user's drafts the
    latest 100 stay. Raises ``ValidationError`` for a key that is none, and for text
    over 20 kB.
    """
    if not _KEY.fullmatch(key):
        raise ValidationError(_("There is no such form."))
    text = {clean(name): clean(value) for name, value in text.items()}
    if len(json.dumps(text)) > LARGEST:
        raise ValidationError(_("Too long to keep before it is sent."))
    if not any(value.strip() for value in text.values()):
        drop_draft(user=user, key=key)
        return None
    draft, created = Draft.objects.update_or_create(
        user=user, key=key, defaults={"text": text, "at": timezone.now()}
    )
    if created:
        surplus = _surplus(user)
        Draft.objects.filter(pk__in=surplus).delete()
    return draft


def _surplus(user: User) -> list[int]:
    """Return the drafts that are too many, by number: the oldest, spared ones last."""
    held = Q(pk=None)
    for _word, condition in spared:
        held |= condition()
    mine = Draft.objects.filter(user=user).annotate(
        held=Case(When(held, then=0), default=1)
    )
    return list(mine.order_by("held", "-at", "-pk").values_list("pk", flat=True)[MOST:])


def draft_of(user: User, key: str) -> Draft | None:
    """Return what this user typed into a form and has not sent; one query."""
    return Draft.objects.filter(user=user, key=key).first()


def drop_draft(*, user: User, key: str) -> None:
    """Forget a draft, because its form was sent; one query."""
    Draft.objects.filter(user=user, key=key).delete()


def sweep_drafts() -> int:
    """Delete what nobody came back for in thirty days; return how many.

    What ``spared`` holds stays.
    """
    old = Draft.objects.filter(at__lt=timezone.now() - KEPT)
    for _word, held in spared:
        old = old.exclude(held())
    return delete_found(old)


class DraftedForm(HouseForm):
    """A form whose long text is kept while it is typed; works as a plain one too.

    Its view calls ``drop_draft`` with ``draft_key`` when the form has done its work. An
    unbound one reads its draft: one query.
    """

    #: The fields that are kept, such as the note of a call.
    drafted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, user: User, draft_key: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draft_key = draft_key
        self.draft = None if self.is_bound else draft_of(user, draft_key)
        for name in self.drafted:
            self.fields[name].widget.attrs["data-draft-field"] = True
            if self.draft:
                self.fields[name].initial = self.draft.text.get(name, "")

    @property
    def helper(self) -> FormHelper:
        """Say to static/js/drafts.js what to keep, and under which key."""
        helper = super().helper
        helper.attrs = {
            "data-draft": self.draft_key,
            "data-draft-to": reverse("draft_save"),
            # What came back with errors stands on the page alone until it is kept.
            "data-draft-unsaved": self.is_bound,
        }
        return helper

    def draft_note(self) -> Shown:
        """Return the line that says whether what was typed is safe."""
        return Shown("components/draft_note.html", draft=self.draft)
