"""What is kept about a person: each app names its tables, and what becomes of them.

From the same lines come the export of all there is about somebody, and erasing it.
``tests/patients/test_personal.py`` walks the models to find what was forgotten.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from accounts.models import User
from core.registry import Registry
from patients.models import ContactPoint, Identifier, Patient


@dataclass(frozen=True)
class Whose:
    """One person, as tables know them.

    ``ids``: their number, and those of records that were merged into theirs.
    ``addresses``: those that nobody else has; ``shared``: those that others have too.
    """

    patient: Patient
    ids: tuple[int, ...]
    addresses: frozenset[str]
    shared: frozenset[str]

    @property
    def every_address(self) -> frozenset[str]:
        """Return all addresses they may be written to."""
        return self.addresses | self.shared


def _nothing(whose: Whose, by: User | None) -> None:
    pass


@dataclass(frozen=True)
class Personal:
    """What one table keeps about people.

    ``rows(whose)``: what tells of somebody; they are asked for before anything is
    changed. An export shows every field of them but those in ``hides``, which are
    machinery or tell of others. When somebody is erased, the rows go (``deletes``), or
    stay as others need them, with ``blanks`` in place of what their fields held; texts
    that stay as they are stand in ``keeps``: they are words of the code, or numbers.

    ``settle(whose, by)`` runs first, in the same transaction: it ends what is under
    way, or raises ``ValidationError`` where a person has to. ``drafts`` are the first
    words of the keys of drafts about such rows ("close"); one that ends in "_" stands
    for all that begin so. ``withheld(user, rows)`` are those that
    this member of staff may not read, and so does not take out. ``exports`` is off
    where the rows are part of somebody else's record. ``reads`` says what a row holds
    in a field for people to read, where the field itself holds a key of the code.
    """

    title: str | Promise
    model: type[Model]
    rows: Callable[[Whose], QuerySet[Any]]
    deletes: bool = False
    blanks: Mapping[str, Any] = field(default_factory=dict)
    keeps: frozenset[str] = frozenset()
    hides: frozenset[str] = frozenset()
    reads: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    settle: Callable[[Whose, User | None], None] = _nothing
    drafts: tuple[str, ...] = ()
    withheld: Callable[[User, QuerySet[Any]], QuerySet[Any]] | None = None
    exports: bool = True


#: {key: what a table keeps}; upper apps first, as ``ready()`` runs.
personal: Registry[Personal] = Registry("personal")
#: {model: why its rows are neither exported nor erased, though they lead to a patient}.
not_personal: Registry[str] = Registry("not_personal")


def whose(patient: Patient) -> Whose:
    """Return how tables know this person; a query a merge deep, and two more."""
    ids = [patient.pk]
    while more := list(
        Patient.objects.filter(merged_into__in=ids)
        .exclude(pk__in=ids)
        .values_list("pk", flat=True)
    ):
        ids += more
    theirs = points_of(ids)
    addresses = set(theirs.values_list("address", flat=True))
    shared = set(
        ContactPoint.objects.filter(address__in=addresses)
        .exclude(pk__in=theirs.values("pk"))
        .values_list("address", flat=True)
    )
    return Whose(patient, tuple(ids), frozenset(addresses - shared), frozenset(shared))


def points_of(ids: Iterable[int]) -> QuerySet[ContactPoint]:
    """Return the addresses of these patients and of those who answer for them."""
    ids = list(ids)
    own = ContactPoint.objects.filter(patient__in=ids)
    return own | ContactPoint.objects.filter(contact_person__patient__in=ids)


def values_of(somebody: Whose) -> set[str]:
    """Return what tells who somebody is: names, identifiers, addresses; two queries.

    Whole names and numbers, not their words: "Rose" stands in many texts.
    """
    found = set(somebody.every_address)
    found |= set(
        Identifier.objects.filter(patient__in=somebody.ids).values_list(
            "value", flat=True
        )
    )
    for one in Patient.objects.filter(pk__in=somebody.ids):
        found |= {one.full_name, one.family_name}
    # Two letters would be found in half of all words.
    return {value for value in found if len(value) > 2}
