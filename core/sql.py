"""Set-based writes Django's ORM has no word for; the same on both databases."""

from collections.abc import Sequence
from datetime import date, datetime, time
from operator import attrgetter
from typing import Any

from django.db import connection, models
from django.db.models import BooleanField, F, Func, Value


def skips_locked() -> bool:
    """Return whether the database can pass over rows that others have locked.

    SQLite cannot, and need not: there writers take turns.
    """
    return bool(connection.features.has_select_for_update_skip_locked)


def comes_after(row: Sequence[Any], *columns: str) -> Func:
    """Return the condition for rows that stand after ``row``, in the order of columns.

    One comparison of whole rows, which both databases answer from an index on these
    columns; said with OR they would read from the beginning.
    """
    places = Func(*map(F, columns), template=_ROW, output_field=BooleanField())
    place = Func(*map(Value, row), template=_ROW, output_field=BooleanField())
    return Func(
        places,
        place,
        template="%(expressions)s",
        arg_joiner=" > ",
        output_field=BooleanField(),
    )


_ROW = "(%(expressions)s)"


def count_up_to(most: int, *several: models.QuerySet[Any]) -> list[int]:
    """Return how many rows each of these has, counting no further than ``most``.

    One query for all. An index that holds the columns they name answers alone.
    """
    counted = [rows.order_by()[:most].query.sql_with_params() for rows in several]
    counts = ", ".join(
        f"(SELECT COUNT(*) FROM ({sql}) AS c)"  # noqa: S608 - values are parameters
        for sql, _params in counted
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}", [p for _sql, ps in counted for p in ps])
        return list(cursor.fetchone())


def delete_found(rows: models.QuerySet[Any]) -> int:
    """Delete what there is to delete; return how many. One query when there is none.

    Looks first: on SQLite a delete of nothing still waits for the write lock.
    """
    return rows.delete()[0] if rows.exists() else 0


def insert_select(
    model: type[models.Model], source: models.QuerySet[Any], **columns: Any
) -> int:
    """Insert one row of ``model`` for each row of ``source``; return how many were new.

    ``columns`` maps field names to expressions over ``source``. One statement; a row
    that breaks a unique constraint is left out, so running it again adds nothing.
    """
    fields = [model._meta.get_field(name) for name in columns]
    select, params = (
        source.order_by().values_list(*columns.values()).query.sql_with_params()
    )
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) "
            f"{select} ON CONFLICT DO NOTHING",
            params,
        )
        return int(cursor.rowcount)


def insert_rows(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert many rows of plain values in one statement.

    Makes no objects: an import takes in 2,500 patients a second with it, and 1,800 with
    ``bulk_create``. ``columns`` are names or attribute names of fields; every field
    without a default of the database must be there, no key comes back, and values are
    not validated.
    """
    if not rows:
        return
    fields = [model._meta.get_field(name) for name in columns]
    prepared = [
        _prepared(field, column)
        for field, column in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)  # type: ignore[union-attr]
    start = f"INSERT INTO {quote(model._meta.db_table)} ({names})"
    end = "ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One array a column. The length stays out of the cast: a cast to
            # varchar(n) cuts without a word, while the insert refuses.
            arrays = ", ".join(
                f"%s::{(field.db_type(connection) or '').partition('(')[0]}[]"
                for field in fields
            )
            cursor.execute(
                f"{start} SELECT * FROM unnest({arrays}) {end}",  # noqa: S608 - names come from the model, values are parameters
                prepared,
            )
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(
                f"{start} VALUES ({marks}) {end}", list(zip(*prepared, strict=True))
            )


def update_rows(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    **same: Any,
) -> int:
    """Update rows, each with values of its own, in one statement; return how many.

    The first of ``columns`` is the key; ``same`` is what all of them get. It is
    ``bulk_update`` without a CASE for each value. Values are not validated.
    """
    if not rows:
        return 0
    quote = connection.ops.quote_name
    fields: list[Any] = [model._meta.get_field(name) for name in columns]
    prepared = [
        _prepared(each, column)
        for each, column in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    fixed: list[Any] = [model._meta.get_field(name) for name in same]
    constants = [
        each.get_db_prep_save(value, connection)
        for each, value in zip(fixed, same.values(), strict=True)
    ]
    if connection.vendor == "postgresql":
        names = [f"v{place}" for place in range(len(fields))]
        arrays = ", ".join(
            f"%s::{(each.db_type(connection) or '').partition('(')[0]}[]"
            for each in fields
        )
        source = f"unnest({arrays}) AS v({', '.join(names)})"
        values: list[Any] = prepared
    else:
        names = [f"column{place + 1}" for place in range(len(fields))]
        row = f"({', '.join(['%s'] * len(fields))})"
        source = f"(VALUES {', '.join([row] * len(rows))}) AS v"
        values = [value for each in zip(*prepared, strict=True) for value in each]
    sets = [
        *(f"{quote(f.column)} = v.{n}" for f, n in zip(fields, names, strict=True)),
        *(f"{quote(f.column)} = %s" for f in fixed),
    ][1:]
    table = quote(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {', '.join(sets)} FROM {source} "  # noqa: S608 - names come from the model, values are parameters
            f"WHERE {table}.{quote(fields[0].column)} = v.{names[0]}",
            [*constants, *values],
        )
        return int(cursor.rowcount)


def insert_objects(objects: Sequence[models.Model]) -> None:
    """Insert new objects of one model and give them their keys; two statements.

    It is ``bulk_create`` without what that asks of each value of each row, which was a
    third of an import. Sends no signal, validates nothing. In a transaction.
    """
    if not objects:
        return
    model = type(objects[0])
    fields = model._meta.concrete_fields
    clocks = [f for f in fields if getattr(f, "auto_now_add", False)]
    for key, each in zip(_new_keys(model, len(objects)), objects, strict=True):
        each.pk = key
        for field in clocks:
            field.pre_save(each, add=True)
    names = [field.attname for field in fields]
    values = attrgetter(*names)
    insert_rows(model, names, [values(each) for each in objects])
    for each in objects:
        each._state.adding = False
        each._state.db = connection.alias


def _new_keys(model: type[models.Model], count: int) -> list[int]:
    """Return keys that no row has or will get."""
    table, column = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) "
                "FROM generate_series(1, %s)",
                [table, column, count],
            )
            return [key for (key,) in cursor.fetchall()]
        # Nobody else writes while this transaction is open.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        (last,) = cursor.fetchone() or (0,)
        return list(range(last + 1, last + 1 + count))


_PLAIN = {str, int, bool, type(None)}
_PLAIN_IN_POSTGRESQL = _PLAIN | {date, time, datetime}


def _prepared(field: Any, column: Sequence[Any]) -> list[Any]:
    """Return the values of a column as the database takes them, in one type."""
    plain = _PLAIN_IN_POSTGRESQL if connection.vendor == "postgresql" else _PLAIN
    if set(map(type, column)) <= plain:
        return list(column)
    prepared = [
        value if value is None else field.get_db_prep_save(value, connection)
        for value in column
    ]
    # A choice is text, but psycopg puts it and plain text into no one array.
    return [str(value) if isinstance(value, str) else value for value in prepared]


class JsonList(models.Aggregate):
    """What an expression is over all rows, as one JSON list; None without a row.

    Of a ``JSONObject`` it makes a list of rows, so that a subquery brings several
    tables along with one query. Days and clocks come back as text. In no order.
    """

    function = "JSONB_AGG"
    name = "JsonList"
    output_field = models.JSONField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Call it by SQLite's name."""
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **extra)
