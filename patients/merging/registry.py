"""What a merge must know of every table that points at a patient.

Each app names its own tables in ``belongs`` and, where moving rows is not enough, adds
a rule. ``tests/patients/test_merging.py`` fails while a foreign key to a patient stands
in neither.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from django.db.models import Model
from django.utils.functional import Promise

from accounts.models import User
from core.registry import Registry
from patients.models import Patient

if TYPE_CHECKING:
    from patients.merging.ledger import Ledger

#: What was answered, by the key of its question.
Answers = Mapping[str, str]
#: The two answers to most questions: whose it is to be.
KEPT, LOST = "kept", "lost"


class Fate(Enum):
    """What becomes of the rows of the record that is lost."""

    #: They are the kept record's from then on.
    MOVES = "moves"
    #: They tell of what was, and stay as they are.
    STAYS = "stays"
    #: A rule says it.
    RULE = "rule"
    #: They are made from others, and made anew.
    MADE = "made"


@dataclass(frozen=True)
class Belongs:
    """A table with a key to a patient, and what becomes of its rows.

    ``lock``: its place among what is locked before the patients themselves
    (docs/architecture.md, locks); None for the rest, which comes after. ``title`` names
    the rows on the page of the merge, to those with ``permission``.
    """

    model: type[Model]
    field: str = "patient"
    fate: Fate = Fate.MOVES
    lock: int | None = None
    title: str | Promise = ""
    permission: str = "patients.view_patient"

    @property
    def key(self) -> str:
        """Return table and field, as the ledger of a merge has them."""
        return f"{self.model._meta.label}.{self.field}"


@dataclass(frozen=True)
class Option:
    """One answer: what is sent for it, and what it says."""

    value: str
    label: str | Promise


@dataclass(frozen=True)
class Question:
    """What nobody but a person can decide; without a default it must be answered."""

    key: str
    title: str | Promise
    options: Sequence[Option]
    default: str = ""
    help: str | Promise = ""
    #: Who may read it; anybody else gets ``veiled``, the same without what it tells.
    permission: str = ""
    veiled: "Question | None" = None

    def for_reader(self, user: User) -> "Question":
        """Return the question as this user may read it."""
        if self.veiled is None or user.has_perm(self.permission):
            return self
        return self.veiled


@dataclass(frozen=True)
class Pair:
    """The record that is kept and the one that becomes part of it."""

    kept: Patient
    lost: Patient

    @property
    def ids(self) -> tuple[int, int]:
        """Return both numbers, the kept one's first."""
        return self.kept.pk, self.lost.pk


def _asks_nothing(pair: Pair) -> list[Question]:
    return []


def _refuses_nothing(pair: Pair) -> list[str]:
    return []


def _does_nothing(ledger: "Ledger", answers: Answers) -> None:
    pass


def _undoes_nothing(pair: Pair) -> None:
    pass


def _follows_nothing(ledger: "Ledger") -> None:
    pass


def _tells_nothing(pair: Pair, user: User) -> list[str]:
    return []


@dataclass(frozen=True)
class MergeRule:
    """What a merge does in one app beside moving rows.

    ``refuses`` returns why the two cannot be merged, ``asks`` what a person has to
    decide, ``tells`` what will happen by itself, in sentences for this user. ``before``
    runs in the merge's transaction before the rows move, ``after`` when they have; what
    they write goes through the ledger, or it cannot be undone. ``undone`` runs when a
    merge was undone: for rows made since, that follow one that went back. ``follow``
    runs before rows move that came to the lost record while it was being merged: it
    decides alone, the careful way.
    """

    refuses: Callable[[Pair], list[str]] = field(default=_refuses_nothing)
    asks: Callable[[Pair], list[Question]] = field(default=_asks_nothing)
    tells: Callable[[Pair, User], list[str]] = field(default=_tells_nothing)
    before: "Callable[[Ledger, Answers], None]" = field(default=_does_nothing)
    after: "Callable[[Ledger, Answers], None]" = field(default=_does_nothing)
    undone: Callable[[Pair], None] = field(default=_undoes_nothing)
    follow: "Callable[[Ledger], None]" = field(default=_follows_nothing)


belongs: Registry[Belongs] = Registry("belongs")
merge_rules: Registry[MergeRule] = Registry("merge_rules")


def belong(*tables: Belongs) -> None:
    """Name tables of an app; call it in ``ready()``."""
    for table in tables:
        belongs.add(table.key, table)
