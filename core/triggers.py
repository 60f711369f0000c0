"""Tables whose rows stay as they were written: held by triggers of the database.

Each app names its own in ``ready()``. The triggers are put up after every migration,
because SQLite drops them when it rebuilds a table, and a system check finds out when
one is missing or says something else. They stop mistakes and careless hands; whoever
owns the database can drop them, and the chain of ``accounts.audit`` then shows what
became of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from core.registry import Registry


@dataclass(frozen=True)
class AppendOnly:
    """A table that takes new rows only, and what of a row may change all the same.

    ``once``: fields that may go from empty to a value, a single time. ``free``: fields
    that may change at will, such as whose a row is when two patients are merged.
    ``erasable``: what tells of a person, and may become blank when they are erased: an
    empty text, or ``{}`` where it is JSON. It never becomes anything else again.
    """

    model: type[models.Model]
    once: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    erasable: tuple[str, ...] = ()

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return the columns of these fields."""
        return [str(self.model._meta.get_field(name).column) for name in names]  # type: ignore[union-attr]

    def guarded(self) -> list[str]:
        """Return the columns that may never change."""
        told = {*self.once, *self.free, *self.erasable}
        return [
            str(field.column)
            for field in self.model._meta.concrete_fields
            if field.name not in told
        ]


#: {"accounts.AuditEvent": what of it may change}
append_only: Registry[AppendOnly] = Registry("append_only")


def keep(
    model: type[models.Model],
    *,
    once: Sequence[str] = (),
    free: Sequence[str] = (),
    erasable: Sequence[str] = (),
) -> None:
    """Name a table that is append-only; call it in ``ready()``."""
    append_only.add(
        model._meta.label,
        AppendOnly(model, tuple(once), tuple(free), tuple(erasable)),
    )


#: One function for every table on PostgreSQL; the arguments of a trigger are the
#: columns that may be set once, those that may change and those that may become blank,
#: as {a,b}.
_FUNCTION = """
DECLARE
  once text[] := coalesce(TG_ARGV[0], '{}');
  free text[] := coalesce(TG_ARGV[1], '{}');
  erasable text[] := coalesce(TG_ARGV[2], '{}');
  before jsonb;
  after jsonb;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    before := to_jsonb(OLD) - free;
    after := to_jsonb(NEW) - free;
    IF before - once - erasable = after - once - erasable AND NOT EXISTS (
      SELECT FROM unnest(once) AS name
      WHERE before -> name <> 'null' AND before -> name <> after -> name
    ) AND NOT EXISTS (
      SELECT FROM unnest(erasable) AS name
      WHERE before -> name <> after -> name AND after -> name NOT IN ('""', '{}')
    ) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION '% takes new rows only', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END
"""


@dataclass(frozen=True)
class _Trigger:
    name: str
    table: str
    #: As the database itself would write it down.
    text: str


def install(
    *, app_config: AppConfig | None = None, using: str = "default", **_: Any
) -> None:
    """Put up the triggers that are missing or differ, of one app or of all.

    A receiver of ``post_migrate``. Where all stand it takes no lock: three queries.
    """
    connection = connections[using]
    missing = _missing(connection, app_config)
    with connection.cursor() as cursor:
        if missing and connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger "
                f"LANGUAGE plpgsql AS $body${_FUNCTION}$body$"
            )
        for trigger in missing:
            _drop(connection, cursor, trigger)
            cursor.execute(trigger.text)


def lift(using: str = "default") -> None:
    """Take all triggers down, for one who has to empty a database made for tests."""
    connection = connections[using]
    standing = _standing(connection)
    with connection.cursor() as cursor:
        for trigger in _wanted(connection):
            if (trigger.table, trigger.name) in standing:
                _drop(connection, cursor, trigger)


def check_triggers(
    databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """Find append-only tables that could be changed unnoticed."""
    return [
        checks.Error(
            f"Rows of {table} could be changed or removed: its triggers are not as "
            "they were put up.",
            hint=(
                "Find out who took them down. `manage.py migrate --skip-checks` puts "
                "them back, `manage.py verify_audit` tells what became of the audit."
            ),
            id="core.E001",
        )
        for alias in databases or ()
        for table in sorted({t.table for t in _missing(connections[alias])})
    ]


def _wanted(
    connection: BaseDatabaseWrapper, app_config: AppConfig | None = None
) -> Iterator[_Trigger]:
    for _label, kept in append_only:
        if app_config is None or kept.model._meta.app_label == app_config.label:
            yield from _triggers_of(kept, connection)


def _triggers_of(
    kept: AppendOnly, connection: BaseDatabaseWrapper
) -> Iterator[_Trigger]:
    if connection.vendor == "postgresql":
        return _on_postgresql(kept)
    return _on_sqlite(kept)


def _on_sqlite(kept: AppendOnly) -> Iterator[_Trigger]:
    table = kept.model._meta.db_table
    same = [f'NEW."{name}" IS OLD."{name}"' for name in kept.guarded()]
    same += [
        f'(OLD."{name}" IS NULL OR NEW."{name}" IS OLD."{name}")'
        for name in kept.columns(kept.once)
    ]
    same += [
        f"""(NEW."{name}" IS OLD."{name}" OR NEW."{name}" IN ('', '{{}}'))"""
        for name in kept.columns(kept.erasable)
    ]
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} takes new rows only'); END"
    for event, when in (
        ("update", f"WHEN NOT ({' AND '.join(same)}) "),
        ("delete", ""),
    ):
        name = f"append_only_{event}_{table}"
        yield _Trigger(
            name,
            table,
            f'CREATE TRIGGER "{name}" BEFORE {event.upper()} ON "{table}" '
            f"{when}{refuse}",
        )


def _on_postgresql(kept: AppendOnly) -> Iterator[_Trigger]:
    table = kept.model._meta.db_table
    once, free, erasable = (
        "'{" + ",".join(kept.columns(names)) + "}'"
        for names in (kept.once, kept.free, kept.erasable)
    )
    for event, each, arguments in (
        ("update", "ROW", f"{once}, {free}, {erasable}"),
        ("delete", "ROW", ""),
        ("truncate", "STATEMENT", ""),
    ):
        name = f"append_only_{event}"
        yield _Trigger(
            name,
            table,
            f"CREATE TRIGGER {name} BEFORE {event.upper()} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION append_only({arguments})",
        )


def _missing(
    connection: BaseDatabaseWrapper, app_config: AppConfig | None = None
) -> list[_Trigger]:
    """Return the triggers that do not stand as wanted, on tables that are there."""
    standing = _standing(connection)
    tables = connection.introspection.table_names()
    return [
        trigger
        for trigger in _wanted(connection, app_config)
        if trigger.table in tables
        and standing.get((trigger.table, trigger.name)) != trigger.text
    ]


def _standing(connection: BaseDatabaseWrapper) -> dict[tuple[str, str], str]:
    """Return {(table, trigger): its text} of the triggers that work; one query.

    On PostgreSQL one that was switched off, or whose function says something else, is
    as good as none.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT relname, tgname, pg_get_triggerdef(pg_trigger.oid, true) "
                "FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
                "JOIN pg_proc ON pg_proc.oid = tgfoid "
                "WHERE tgenabled IN ('O', 'A') AND prosrc = %s "
                "AND pg_table_is_visible(tgrelid)",
                [_FUNCTION],
            )
        else:
            cursor.execute(
                "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'"
            )
        return {(table, name): text for table, name, text in cursor.fetchall()}


def _drop(connection: BaseDatabaseWrapper, cursor: Any, trigger: _Trigger) -> None:
    where = f" ON {trigger.table}" if connection.vendor == "postgresql" else ""
    cursor.execute(f'DROP TRIGGER IF EXISTS "{trigger.name}"{where}')
