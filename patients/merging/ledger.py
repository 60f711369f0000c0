"""What a merge did, written down so that it can be undone row by row."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.db import IntegrityError, models, transaction

from accounts.models import User
from patients.merging.registry import Pair

#: A row may hold more ids than a statement takes.
CHUNK = 5_000


class Ledger:
    """Does the writes of one merge and remembers each."""

    def __init__(self, pair: Pair, by: User | None) -> None:
        self.pair, self.by = pair, by
        #: [table, field, from, to, ids]
        self.moved: list[list[Any]] = []
        #: [table, id, {field: [before, after]}]
        self.changed: list[list[Any]] = []
        #: {table and field: ids that stay with the lost record}
        self.left: dict[str, list[int]] = defaultdict(list)
        #: [table, id] of rows that are there by the merge alone
        self.added: list[list[Any]] = []

    def move(
        self,
        model: type[models.Model],
        field: str,
        ids: Collection[int],
        *,
        start: int,
        end: int,
    ) -> None:
        """Point these rows from one row at another; one statement."""
        if not ids:
            return
        repoint(model, field, ids, start=start, end=end)
        self.moved.append([model._meta.label, field, start, end, sorted(ids)])

    def leave(
        self, model: type[models.Model], field: str, ids: Collection[int]
    ) -> None:
        """Let these rows of the lost record stay with it."""
        self.left[f"{model._meta.label}.{field}"] += sorted(ids)

    def put_aside(
        self, model: type[models.Model], field: str, ids: Collection[int]
    ) -> None:
        """Let these rows of either record stand with the lost one, where none reads
        them until the merge is undone.
        """
        kept_id, lost_id = self.pair.ids
        rows = model._base_manager.filter(pk__in=ids)
        ours = rows.filter(**{f"{field}_id": kept_id}).values_list("pk", flat=True)
        self.move(model, field, list(ours), start=kept_id, end=lost_id)
        self.leave(model, field, ids)

    def change(self, row: models.Model, **values: Any) -> None:
        """Write these values into a row, where they differ."""
        fields = {}
        for name, value in values.items():
            field = row._meta.get_field(name)
            before = stored(field, getattr(row, field.attname))  # type: ignore[union-attr]
            after = stored(field, getattr(value, "pk", value))
            if before != after:
                fields[name] = [before, after]
                setattr(row, field.attname, getattr(value, "pk", value))  # type: ignore[union-attr]
        if fields:
            row.save(update_fields=list(fields))
            self.changed.append([row._meta.label, row.pk, fields])

    def add(self, row: models.Model) -> None:
        """Save a row that is there because of the merge alone."""
        row.save(force_insert=True)
        self.added.append([row._meta.label, row.pk])


def repoint(
    model: type[models.Model],
    field: str,
    ids: Collection[int],
    *,
    start: int,
    end: int,
) -> int:
    """Point those of these rows that point at ``start`` at ``end``; return how many."""
    numbers = sorted(ids)
    return sum(
        model._base_manager.filter(
            pk__in=numbers[place : place + CHUNK], **{f"{field}_id": start}
        ).update(**{f"{field}_id": end})
        for place in range(0, len(numbers), CHUNK)
    )


def stored(field: Any, value: Any) -> Any:
    """Return a value as JSON keeps it, the same before and after it was kept."""
    if value is None or isinstance(field, models.JSONField):
        return value
    if isinstance(value, bool | int | str):
        return value
    return field.value_to_string(_Holder(field, value))


class _Holder:
    """Something with one attribute: what ``value_to_string`` wants."""

    def __init__(self, field: Any, value: Any) -> None:
        setattr(self, field.attname, value)


def profile_of(row: models.Model) -> dict[str, Any]:
    """Return every field of a row as JSON keeps it."""
    return {
        field.name: stored(field, getattr(row, field.attname))
        for field in row._meta.concrete_fields
    }


def restore(label: str, pk: int, fields: dict[str, list[Any]]) -> int:
    """Give a row back what it held before; return how many fields stay as they are.

    What somebody changed since stays, and so does a row that would now stand in the way
    of another.
    """
    model = apps.get_model(label)
    row = model._base_manager.filter(pk=pk).first()
    if row is None:
        return len(fields)
    changes = []
    for name, (before, after) in fields.items():
        field = row._meta.get_field(name)
        if stored(field, getattr(row, field.attname)) == after:
            value = before if before is None else field.to_python(before)
            is_json = isinstance(field, models.JSONField)
            setattr(row, field.attname, before if is_json else value)
            changes.append(name)
    if changes:
        try:
            with transaction.atomic():
                row.save(update_fields=changes)
        except IntegrityError:
            return len(fields)
    return len(fields) - len(changes)
