"""What the request now being answered has shown of patients.

Rows about a patient note themselves when they are loaded, so that no page can forget
to. Outside a request nothing is noted: workers show nobody anything.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from django.db import models


@dataclass
class View:
    """One request: who asks, from where, for which page, and whom it has shown."""

    actor_id: int | None = None
    actor: str = ""
    ip: str | None = None
    address: str = ""
    view_id: uuid.UUID = field(default_factory=uuid.uuid4)
    seen: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    #: {what was asked for out of reach: whom it is about}
    refused: dict[str, set[int]] = field(default_factory=dict)
    #: Whether this is a later part of a page that has written its row.
    is_part: bool = False
    #: Whether that page asks for this part by itself.
    is_polled: bool = False
    #: Whether an event was written on the way.
    has_recorded: bool = False


current_view: ContextVar[View | None] = ContextVar("current_view", default=None)


def note_seen(patient_id: int | None) -> None:
    """Note that the page now being made may show this patient."""
    view = current_view.get()
    if view is not None and patient_id is not None:
        view.seen.add(patient_id)


def note_opened(patient_id: int) -> None:
    """Note that the page now being made is this patient's own."""
    view = current_view.get()
    if view is not None:
        view.opened.add(patient_id)


def note_refused(subject: str, patient_ids: Iterable[int | None]) -> None:
    """Note that somebody asked for what is there but not theirs.

    The page tells them that it is not there, and whatever was begun is undone; so it is
    written when the answer leaves.
    """
    view = current_view.get()
    if view is not None:
        view.refused[subject] = {pk for pk in patient_ids if pk is not None}


class AboutPatient(models.Model):
    """Base of every row that tells of a patient: loading one notes it for the audit."""

    #: The attribute that holds the patient's id.
    about: ClassVar[str] = "patient_id"

    class Meta:
        abstract = True

    @classmethod
    def from_db(  # type: ignore[override]  # the stubs are of a later Django
        cls, db: str | None, field_names: Collection[str], values: Sequence[Any]
    ) -> Self:
        """Make a row from the database and note whom it is about."""
        row = super().from_db(db, field_names, values)
        # Not getattr: that would ask the database for a deferred field.
        note_seen(row.__dict__.get(cls.about))
        return row
