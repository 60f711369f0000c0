"""Append-only tables refuse to be changed, on either database."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.audit.record import record
from accounts.models import AuditedPatient, AuditEvent, AuditSeal
from accounts.roles import Role
from appointments.models import AppointmentEvent
from core import triggers
from messaging.models import StatusEvent, Suppression
from patients.intake import take_intake
from patients.models import Consent, HistoryReview, Intake, Note
from patients.notes import sign_note
from tests.factories import booked, member_of_staff, patient
from worklist.models import WorkEvent, WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db


def one_row_of_each():
    """Return {model: a row of it}, as a working day leaves them."""
    visit = booked()
    now = timezone.now()
    record(AuditEvent.Verb.READ, patient_ids=[visit.patient_id])
    AuditSeal.objects.create(id=1, at=now, first=1, last=1, count=1, hash="a")
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=1,
        dedupe_key="item",
        due_at=now,
    )
    StatusEvent.objects.create(
        provider="twilio", provider_id="SM1", status="sent", at=now
    )
    Suppression.objects.create(
        address="+16175550143", channel="sms", on=True, cause="texted stop", at=now
    )
    told = {"allergy_none": "none_known"}
    take_intake(patient=visit.patient, answers=told, source="patient", method="paper")
    nora = member_of_staff("nora", Role.NURSE)
    sign_note(patient=visit.patient, by=nora, type="call", body="Slept well.")
    kept = [entry.model for _label, entry in triggers.append_only]
    return {model: model._default_manager.first() for model in kept}


def refused(change):
    with (
        pytest.raises(IntegrityError, match="takes new rows only"),
        transaction.atomic(),
    ):
        change()
    return True


def test_these_tables_are_append_only():
    assert {entry.model for _label, entry in triggers.append_only} >= {
        AuditEvent,
        AuditedPatient,
        AuditSeal,
        Consent,
        HistoryReview,
        Intake,
        Note,
        WorkEvent,
        StatusEvent,
        Suppression,
        AppointmentEvent,
    }


def test_no_column_changes_and_no_row_goes(monday):
    for model, row in one_row_of_each().items():
        kept = triggers.append_only[model._meta.label]
        this = model._default_manager.filter(pk=row.pk)
        for column in kept.guarded():
            assert refused(lambda this=this, c=column: put_another_value(this, c))
        assert refused(this.delete)
        assert this.values().get() == model._default_manager.values().get(pk=row.pk)


def put_another_value(rows, column):
    """Set a column to what it is not, past all that Django or a constraint says."""
    table = rows.model._meta.db_table
    field = next(f for f in rows.model._meta.concrete_fields if f.column == column)
    old = rows.values_list(field.attname, flat=True)[0]
    kind = field.get_internal_type()
    if kind in ("JSONField",):
        new = '{"other": 1}'
    elif kind == "BooleanField":
        new = not old
    elif kind == "UUIDField":
        new = "00000000000000000000000000000001"
    elif kind == "DateTimeField":
        new = "2001-01-01 00:00:00"
    elif kind == "GenericIPAddressField":
        new = "192.0.2.1"
    elif kind in ("CharField", "TextField"):
        new = "z"
    else:
        new = 987654
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{table}" SET "{column}" = %s', [new])  # noqa: S608


def test_what_may_be_set_once_is_set_once(monday):
    rows = one_row_of_each()
    events = AuditEvent.objects.filter(pk=rows[AuditEvent].pk)
    events.update(seal_id=1)
    assert refused(lambda: events.update(seal_id=2))
    assert refused(lambda: events.update(seal_id=None))
    assert refused(lambda: events.update(seal_id=1, reason="another"))


def test_what_tells_of_a_person_may_become_blank_and_nothing_else(monday):
    grace = patient()
    consents = Consent.objects.filter(patient=grace)
    given = consents.get()
    Consent.objects.create(
        patient=grace,
        channel="sms",
        given=True,
        method="paper",
        evidence="Signed by Grace Okafor on Monday",
        at=given.at,
    )
    signed = consents.exclude(evidence="")
    assert refused(lambda: signed.update(evidence="Signed by Leo"))
    assert refused(lambda: signed.update(evidence="", method="spoken"))
    assert signed.update(evidence="") == 1
    # Once: blank stays blank.
    assert refused(lambda: consents.filter(method="paper").update(evidence="again"))
    assert refused(consents.delete)


def test_answers_may_become_blank_once_beside_what_is_set_once(monday):
    grace = patient()
    now = timezone.now()
    told = Intake.objects.create(
        patient=grace,
        answers={"worry": "my knee"},
        source="patient",
        method="link",
        at=now,
    )
    this = Intake.objects.filter(pk=told.pk)
    assert refused(lambda: this.update(answers={"worry": "nothing"}))
    assert refused(lambda: this.update(answers=["my knee"]))
    assert this.update(answers={}, reviewed_at=now) == 1
    assert refused(lambda: this.update(answers={"worry": "my knee"}))
    assert refused(lambda: this.update(reviewed_at=None))


def test_a_row_is_not_replaced_by_another_of_its_id(monday):
    patient()
    table = Consent._meta.db_table
    again = f"INTO {table} SELECT * FROM {table}"  # noqa: S608

    def replace():
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute(f"INSERT OR REPLACE {again}")
            else:
                other = "ON CONFLICT (id) DO UPDATE SET given = NOT EXCLUDED.given"
                cursor.execute(f"INSERT {again} {other}")

    assert refused(replace)


def test_a_consent_follows_its_patient_into_a_merge(monday):
    grace, twin = patient(), patient(phone="")
    assert Consent.objects.filter(patient=grace).update(patient=twin) == 1
    assert refused(lambda: Consent.objects.update(patient=grace, given=False))


def test_a_patient_with_a_past_is_not_deleted(monday):
    assert refused(patient().delete)


@pytest.mark.postgres
def test_a_table_is_not_truncated():
    def truncate():
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE accounts_auditevent")

    assert refused(truncate)


def test_putting_up_what_stands_changes_nothing(django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        triggers.install()


def damage(how):
    update = next(t for t in triggers._wanted(connection) if "consent" in t.table)
    with connection.cursor() as cursor:
        on = f" ON {update.table}" if connection.vendor == "postgresql" else ""
        if how == "switched off":
            cursor.execute(f"ALTER TABLE {update.table} DISABLE TRIGGER {update.name}")
        elif how == "hollow function":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger "
                "LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
            )
        else:
            cursor.execute(f'DROP TRIGGER "{update.name}"{on}')
        if how == "says less":
            wanted = triggers.AppendOnly(Consent, free=("patient", "given"))
            less = next(triggers._triggers_of(wanted, connection))
            cursor.execute(less.text)


@pytest.mark.parametrize(
    "how",
    [
        "gone",
        "says less",
        pytest.param("switched off", marks=pytest.mark.postgres),
        pytest.param("hollow function", marks=pytest.mark.postgres),
    ],
)
def test_a_trigger_that_is_not_as_it_was_is_found_and_put_back(how):
    call_command("check", databases=["default"])
    damage(how)
    with pytest.raises(SystemCheckError, match=r"core\.E001. Rows of patients_consent"):
        call_command("check", databases=["default"])
    triggers.install()
    call_command("check", databases=["default"])
    patient()
    assert refused(lambda: Consent.objects.update(given=False))


@pytest.mark.django_db(transaction=True)
def test_a_rebuilt_table_is_guarded_again(monday):
    """SQLite drops the triggers of a table that a migration rebuilds."""
    patient()
    with connection.schema_editor() as editor:
        field = Consent._meta.get_field("wording_version")
        wider = field.clone()
        wider.max_length += 1
        wider.set_attributes_from_name("wording_version")
        wider.model = Consent
        editor.alter_field(Consent, field, wider)
        editor.alter_field(Consent, wider, field)
    call_command("migrate", skip_checks=True, verbosity=0)
    assert triggers.check_triggers(["default"]) == []
    assert refused(lambda: Consent.objects.update(given=False))
