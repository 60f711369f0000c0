"""What is kept about people is named whole: nothing is forgotten in an export or an
erasing because nobody thought of it.
"""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from patients.models import Patient
from patients.notes import DRAFT_OF
from patients.personal import not_personal, personal, whose
from tests.factories import patient

OURS = {"accounts", "patients", "worklist", "messaging", "appointments"}
#: What names no patient by a key, and is cleaned by other means or not at all.
BY_NUMBER = {"AuditEvent", "AuditedPatient", "AuditSeal"}
TEXT = (models.CharField, models.TextField, models.JSONField)
WHEN = (models.DateField, models.TimeField)


def leads_to_a_patient(model, seen=()):
    """Whether a row of this table is somebody's: by a key, or by one of its keys'."""
    if model is Patient:
        return True
    return any(
        leads_to_a_patient(field.related_model, (*seen, model))
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and field.related_model not in (*seen, model)
    )


def holds_an_address(model):
    return any(field.name == "address" for field in model._meta.concrete_fields)


def tables():
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in OURS and model.__name__ not in BY_NUMBER
    ]


def test_every_table_about_a_patient_is_exported_and_erased_or_says_why_not():
    named = {kept.model for _key, kept in personal}
    excused = {label for label, _why in not_personal}
    about = {m for m in tables() if leads_to_a_patient(m) or holds_an_address(m)}
    missing = {m._meta.label for m in about - named} - excused
    assert missing == set()
    # The walk itself sees: by one key, by two, by an address alone.
    seen = {m.__name__ for m in about}
    assert seen >= {"Note", "WorkEvent", "StatusEvent", "Suppression", "Patient_sites"}


def test_what_is_excused_is_there():
    labels = {model._meta.label for model in tables()}
    assert {label for label, _why in not_personal} <= labels
    assert all(why for _label, why in not_personal)


@pytest.mark.parametrize("key", [key for key, _kept in personal])
def test_every_text_of_a_row_that_stays_is_blanked_or_says_nothing_of_a_person(key):
    kept = personal[key]
    if kept.deletes or not kept.exports:
        return
    kinds = TEXT if kept.model is not Patient else TEXT + WHEN
    texts = {
        field.name
        for field in kept.model._meta.concrete_fields
        if isinstance(field, kinds) and field.name not in ("created_at", "erased_at")
    }
    assert texts - set(kept.blanks) - kept.keeps == set()
    known = {field.name for field in kept.model._meta.concrete_fields}
    assert set(kept.blanks) | kept.keeps | kept.hides <= known


def test_a_profile_is_left_as_if_it_had_never_been_filled_in():
    """Every answer of a person goes, whatever its type."""
    kept = personal["patient"]
    left = {
        field.name
        for field in Patient._meta.concrete_fields
        if field.name not in kept.blanks
    }
    assert left == {
        "id",
        "created_at",
        "erased_at",
        "is_demo",
        "merged_into",
        "version",
    }


def test_every_form_that_keeps_a_draft_about_a_patient_is_known():
    """A draft's key begins with a word that the table it is about names."""
    known = {word for _key, kept in personal for word in kept.drafts}
    used = set(DRAFT_OF.values())
    house = Path(__file__).parents[2]
    forms = [house / app / "forms.py" for app in OURS]
    for app in OURS:
        forms += (house / app / "forms").glob("*.py")
    for path in filter(Path.exists, forms):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"""f"([a-z_]+)(?:\{[^}]*\})?:\{""", text))
    assert used >= {"close", "review", "note", "profile_"}
    assert used <= known


@pytest.mark.django_db
def test_an_address_of_two_is_nobodys_alone():
    grace = patient(phone="+16175550143", email="grace@example.org")
    patient("Leo", phone="+16175550143")
    found = whose(grace)
    assert found.addresses == {"grace@example.org"}
    assert found.shared == {"+16175550143"}


@pytest.mark.django_db
def test_records_merged_into_one_are_that_persons():
    grace = patient()
    twin = patient("Gracie", merged_into=grace)
    older = patient("Grazia", merged_into=twin)
    assert set(whose(grace).ids) == {grace.pk, twin.pk, older.pk}
