"""Rows that two people change at once: the second one is told, and loses nothing."""

from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _

Row = TypeVar("Row", bound=models.Model)


class StaleError(ValidationError, Generic[Row]):
    """Somebody saved a row since the page about it was made; nothing was written.

    ``now`` is the row as stored, to be shown beside what was typed.
    """

    def __init__(self, now: Row) -> None:
        super().__init__(
            _(
                "Somebody changed this while you were typing. Look at what is stored "
                "now; save again to keep what you typed."
            )
        )
        self.now = now
