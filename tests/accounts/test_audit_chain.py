# ruff: noqa: S608 - tampering needs SQL of its own; names come from the models
"""The audit's chain: honest rows verify, and no touch of a row goes unseen."""

import json
import random
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import Error, connection, transaction
from prometheus_client import generate_latest

from accounts.audit import chain
from accounts.audit.chain import seal, verify
from accounts.audit.record import mac_of, record
from accounts.audit.trail import View, current_view
from accounts.figures import registry
from accounts.models import AuditedPatient, AuditEvent, AuditSeal
from accounts.tasks import verify_audit
from core import triggers

pytestmark = pytest.mark.django_db

Verb = AuditEvent.Verb
MODELS = (AuditEvent, AuditedPatient, AuditSeal)


@contextmanager
def lifted_triggers():
    """Do what only somebody who owns the database could."""
    triggers.lift()
    yield
    triggers.install()


@contextmanager
def request_of(**fields):
    token = current_view.set(View(actor_id=7, actor="maya", **fields))
    try:
        yield
    finally:
        current_view.reset(token)


def a_working_day(events=24, a_seal=6):
    """Write events of every kind, and seal them in batches as the ticks would."""
    dice = random.Random(5)
    for n in range(events):
        people = dice.sample(range(1, 90), dice.randrange(0, 4))
        with request_of(ip=dice.choice(["192.0.2.7", "2001:db8::7", None])):
            record(
                dice.choice(Verb.values),
                patient_ids=people,
                opened=people[:1],
                subject=f"appointment:{n}",
                reason="Covers for Dr Rao" if n % 3 else "",
                details={"changed": ["start"], "count": n, "by": {"rule": None}},
            )
        if n % a_seal == a_seal - 1:
            seal()


# An honest chain


def test_an_honest_chain_is_whole():
    a_working_day()
    record(Verb.READ, patient_ids=[4], opened=[4])
    found = verify()
    assert found.broken == ""
    assert (found.events, found.seals, found.unsealed) == (25, 4, 1)
    assert found.head == AuditSeal.objects.get(pk=4).hash


def test_an_empty_house_has_a_whole_chain():
    assert verify() == chain.Finding()
    assert seal() == 0
    assert not AuditSeal.objects.exists()


@pytest.mark.parametrize(
    "ip", ["192.0.2.7", "::ffff:192.0.2.7", "2001:DB8:0::7", "::1", "::1.2.3.4"]
)
def test_a_mac_outlives_the_way_through_the_database(ip):
    with request_of(ip=ip):
        event = record(
            Verb.CHANGE,
            patient_ids=(3, 1, 3),
            details={"z": 1, "a": ("x", 2), "ü": {"9": True}, "big": 2**60},
        )
    assert event.mac == mac_of(AuditEvent.objects.get(pk=event.pk))
    assert AuditEvent.objects.get(pk=event.pk).patient_ids == [1, 3]


def test_an_address_that_is_none_is_left_out():
    with request_of(ip="unix:"):
        assert record(Verb.SIGN_OUT).ip is None


def test_a_seal_holds_at_most_one_batch(monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 3)
    monkeypatch.setattr(chain, "CHUNK", 2)
    for _n in range(7):
        record(Verb.READ, patient_ids=[1])
    assert seal() == 7
    assert list(AuditSeal.objects.values_list("count", flat=True)) == [3, 3, 1]
    assert verify().broken == ""


def test_old_keys_still_prove_what_they_signed(settings):
    a_working_day()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    a_working_day(6)
    assert verify().broken == ""
    settings.SECRET_KEY_FALLBACKS = []
    assert "was changed" in verify().broken


def test_each_seal_is_logged_with_its_hash(caplog, django_capture_on_commit_callbacks):
    caplog.set_level("INFO", logger="accounts")
    with django_capture_on_commit_callbacks(execute=True):
        a_working_day(6)
    (line,) = [r for r in caplog.records if r.msg == "audit events sealed"]
    assert line.head == f"sha256:{AuditSeal.objects.get().hash}"
    assert line.count == 6


# Every touch shows


def test_a_thousand_touches_of_sealed_rows_each_show():
    a_working_day(events=12, a_seal=3)
    dice = random.Random(2026)
    tried = {}
    with lifted_triggers():
        while sum(tried.values()) < 1000:
            model, how = dice.choice(MODELS), dice.choice(TOUCHES)
            with transaction.atomic():
                point = transaction.savepoint()
                try:
                    what = how(dice, model)
                except Error:
                    # A constraint of the database would not have it.
                    what = ""
                if what:
                    tried[what] = tried.get(what, 0) + 1
                    assert verify().broken, what
                transaction.savepoint_rollback(point)
    assert verify().broken == ""
    columns = {f"{m.__name__}.{column}" for m in MODELS for column in columns_of(m)}
    assert columns | {"delete", "copy", "swap", "forge"} == set(tried)


def columns_of(model):
    return [field.column for field in model._meta.concrete_fields]


def rows_of(model):
    with connection.cursor() as cursor:
        names = ", ".join(f'"{name}"' for name in columns_of(model))
        cursor.execute(f'SELECT {names} FROM "{model._meta.db_table}" ORDER BY 1, 2')
        return cursor.fetchall()


def put(model, row, **values):
    """Change columns of one row, past Django."""
    names = columns_of(model)
    key = [f for f in ("id", "patient_id", "event_id") if f in names]
    key = key[:1] if "id" in key else key
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE "{model._meta.db_table}" SET '
            + ", ".join(f'"{name}" = %s' for name in values)
            + " WHERE "
            + " AND ".join(f'"{name}" = %s' for name in key),
            [*values.values(), *(row[names.index(name)] for name in key)],
        )


def add(model, row):
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" '
            f"({', '.join(f'{chr(34)}{n}{chr(34)}' for n in columns_of(model))}) "
            f"VALUES ({', '.join(['%s'] * len(row))})",
            row,
        )


def another(dice, column, value):
    if column in ("patient_ids", "details"):
        told = json.loads(value)
        if isinstance(told, list):
            return json.dumps([*told, 99])
        return json.dumps(told | dice.choice([{"count": 0}, {"opened": [1]}, {"n": 1}]))
    if value is None:
        return "192.0.2.99" if column == "ip" else None
    if isinstance(value, bool) or column == "opened":
        return not value
    if isinstance(value, int):
        return value + dice.choice([1, 1000, -1000])
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    text = str(value)
    last = dice.choice("0123456789".replace(text[-1:] or "x", ""))
    return text[:-1] + last


def change(dice, model):
    row = dice.choice(rows_of(model))
    column, value = dice.choice(list(zip(columns_of(model), row, strict=True)))
    new = another(dice, column, value)
    put(model, row, **{column: new})
    assert new != value
    return f"{model.__name__}.{column}"


def delete(dice, model):
    row = dice.choice(rows_of(model))
    first, second = columns_of(model)[:2]
    quoted = f'DELETE FROM "{model._meta.db_table}" WHERE "{first}" = %s'
    with connection.cursor() as cursor:
        if model is AuditedPatient:
            cursor.execute(f'{quoted} AND "{second}" = %s', row[:2])
        else:
            cursor.execute(quoted, row[:1])
    return "delete"


def copy(dice, model):
    """Write a row once more, an event with its patients and perhaps not sealed."""
    row = list(dice.choice(rows_of(model)))
    old, row[0] = row[0], 1000 + dice.randrange(1000)
    if model is AuditEvent and dice.random() < 0.5:
        row[columns_of(model).index("seal_id")] = None
    add(model, row)
    if model is AuditEvent:
        for patient_id, _event, opened in patients_of(old):
            add(AuditedPatient, (patient_id, row[0], opened))
    return "copy"


def patients_of(event_id):
    places = columns_of(AuditedPatient)
    return [
        row
        for row in rows_of(AuditedPatient)
        if row[places.index("event_id")] == event_id
    ]


def swap(dice, model):
    names = columns_of(model)
    one, two = dice.sample(rows_of(model), 2)
    body = names[2:] if model is AuditedPatient else names[1:]
    if one[len(names) - len(body) :] == two[len(names) - len(body) :]:
        return ""
    for row, other in ((one, two), (two, one)):
        put(model, row, **dict(zip(body, other[len(names) - len(body) :], strict=True)))
    return "swap"


def forge(dice, model):
    """Write an event, with patients, that never was: without the key, no MAC fits."""
    row = list(dice.choice(rows_of(AuditEvent)))
    names = columns_of(AuditEvent)
    old, row[0] = row[0], 1000 + dice.randrange(1000)
    row[names.index("subject")] = "appointment:666"
    if dice.random() < 0.5:
        row[names.index("seal_id")] = None
    add(AuditEvent, row)
    for patient_id, _event, opened in patients_of(old):
        add(AuditedPatient, (patient_id, row[0], opened))
    return "forge"


TOUCHES = (change, change, change, change, delete, copy, swap, forge)


def test_an_unsealed_row_is_held_by_its_mac():
    event = record(Verb.READ, patient_ids=[4], opened=[4])
    with lifted_triggers():
        AuditEvent.objects.update(actor="otto")
        assert verify().broken == f"event {event.pk} was changed"
        AuditEvent.objects.update(actor=event.actor)
        assert verify().broken == ""
        AuditedPatient.objects.update(opened=False)
        assert verify().broken == f"the patients of event {event.pk} were changed"


@pytest.mark.skipif(connection.vendor == "postgresql", reason="its columns have types")
@pytest.mark.parametrize(
    ("model", "column"),
    [(AuditEvent, "at"), (AuditEvent, "view_id"), (AuditSeal, "at")],
)
def test_what_nobody_can_read_is_a_break_too(model, column):
    a_working_day()
    with lifted_triggers():
        put(model, rows_of(model)[2], **{column: "yesterday"})
    assert verify().broken


def test_a_cut_off_end_shows_beside_a_hash_from_the_log():
    a_working_day()
    head = AuditSeal.objects.get(pk=4).hash
    with lifted_triggers():
        events = AuditEvent.objects.filter(seal_id=4)
        AuditedPatient.objects.filter(event_id__in=events.values("pk")).delete()
        events.delete()
        AuditSeal.objects.filter(pk=4).delete()
    assert verify().broken == ""
    assert "the end was cut off" in verify(head).broken
    earlier = AuditSeal.objects.get(pk=2).hash
    assert verify(f"sha256:{earlier}").broken == ""


# The command


def test_verify_audit_says_what_the_chain_holds(capsys):
    a_working_day()
    call_command("verify_audit")
    assert "24 events, 4 seals, 0 unsealed" in capsys.readouterr().out
    call_command("verify_audit", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["events"], told["broken"]) == (True, 24, "")
    call_command("verify_audit", "--head", told["head"])


def test_verify_audit_ends_with_1_and_names_the_break(capsys):
    a_working_day()
    event = AuditEvent.objects.filter(seal_id=2).first()
    with lifted_triggers():
        AuditEvent.objects.filter(pk=event.pk).update(reason="none of your business")
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit")
    assert ended.value.code == 1
    assert f"event {event.pk} was changed" in capsys.readouterr().out


def test_the_daily_walk_shows_where_machines_and_auditors_look(caplog):
    a_working_day()
    verify_audit()
    assert b"clinic_audit_broken 0.0" in generate_latest(registry)
    with lifted_triggers():
        AuditEvent.objects.filter(seal_id=2).delete()
    verify_audit()
    assert b"clinic_audit_broken 1.0" in generate_latest(registry)
    assert "the audit's chain is broken: see verify_audit" in caplog.messages


def test_a_walk_costs_few_queries(django_assert_max_num_queries):
    a_working_day(events=60, a_seal=1)
    with django_assert_max_num_queries(14):
        assert verify().broken == ""


# Several at a time


def in_thread(work):
    def run():
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_passes_at_the_same_time_make_one_chain(monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 4)
    for n in range(40):
        record(Verb.READ, patient_ids=[n])
    for thread in [in_thread(seal) for _n in range(4)]:
        thread.join()
    seal()
    found = verify()
    assert found.broken == ""
    assert (found.events, found.unsealed) == (40, 0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_commits_late_goes_into_a_later_seal():
    written, may_end = threading.Event(), threading.Event()

    @transaction.atomic
    def slow():
        record(Verb.CREATE, patient_ids=[1])
        written.set()
        may_end.wait(10)

    thread = in_thread(slow)
    written.wait(10)
    later = record(Verb.READ, patient_ids=[2])
    assert seal() == 1
    may_end.set()
    thread.join()
    assert seal() == 1
    early = AuditEvent.objects.get(seal_id=2)
    assert early.pk < later.pk
    assert verify().broken == ""
