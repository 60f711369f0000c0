"""The kinds of work there are, each described by the app that raises it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils.functional import Promise

from accounts.models import User
from core.registry import Registry

if TYPE_CHECKING:
    from worklist.models import WorkItem

Label = str | Promise


def _nothing(item: "WorkItem", outcome: str, by: User) -> None:
    pass


def _no_lock(item: "WorkItem") -> None:
    pass


def _nobody(subject_ids: Sequence[int]) -> set[int]:
    return set()


@dataclass(frozen=True)
class WorkKind:
    """How an item of this kind looks and ends.

    ``on_close(item, outcome, by)`` runs in the transaction that closes the item;
    ``lock(item)`` locks, before the item, what it will change. Only those with
    ``permission`` see and close it, everybody who has a worklist when it is empty.
    ``page(item)`` is the address where it is dealt with, when it is not closed on the
    worklist's own page. ``subjects_of(user)`` are the ids of the subjects whose items a
    user sees, where patient and site do not decide it. ``may_be_about(subject_ids)``
    are the patients whom items that name none may speak of, for the audit; one query.
    ``template`` shows, on the item's own page, what it takes to deal with it.
    """

    title: Label
    outcomes: dict[str, Label]
    on_close: "Callable[[WorkItem, str, User], None]" = _nothing
    lock: "Callable[[WorkItem], None]" = _no_lock
    permission: str = ""
    page: "Callable[[WorkItem], str] | None" = None
    template: str = ""
    subjects_of: "Callable[[User | AnonymousUser], QuerySet[Any]] | None" = None
    may_be_about: Callable[[Sequence[int]], set[int]] = _nobody


work_kinds: Registry[WorkKind] = Registry("work_kinds")
