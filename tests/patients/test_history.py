"""A patient's history: what is so, who says so, and who was told."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from core.versions import StaleError
from patients.history.kinds import KINDS
from patients.history.queries import may_name, untold_of
from patients.history.services import (
    add_entry,
    change_entry,
    end_entry,
    review_kind,
    take_back_entry,
    verify_entry,
)
from patients.history.states import State, risky_medicines, states_of
from patients.history.telling import note_told
from patients.models import HistoryEntry, HistoryReview
from tests.factories import MONDAY, SiteFactory, clinician, member_of_staff, patient

pytestmark = pytest.mark.django_db

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"


@pytest.fixture
def grace(monday):
    return patient(birth_date=date(1959, 3, 14))


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def rao(monday):
    return member_of_staff("rao", Role.CLINICIAN)


def wrote(
    who, kind="condition", label="Hypertension", source="staff", by=None, **facts
):
    told = {"label": label, "source": source, **facts}
    return add_entry(patient=who, kind=kind, facts=told, by=by)


def imported(who, label="Diabetes mellitus type 2 (disorder)", days=0, **fields):
    known = {"label": label, "kind": "condition", "status": "active"}
    return HistoryEntry.objects.create(
        patient=who,
        source="imported",
        recorded_at=timezone.now() - timedelta(days=days),
        **known | fields,
    )


def state(who, kind="allergy"):
    who = type(who).objects.get(pk=who.pk)
    return states_of(who)[kind].state


def faults(raised):
    return set(raised.value.message_dict)


# Never asked, none known, and what overrules it.


def test_no_rows_are_never_none(grace, nora):
    assert {now.state for now in states_of(grace).values()} == {State.NEVER_ASKED}
    review_kind(
        patient=grace, kind="allergy", outcome="none_known", source="patient", by=nora
    )
    assert state(grace) == State.NONE_KNOWN
    assert state(grace, "medicine") == State.NEVER_ASKED


def test_none_known_is_refused_while_there_is_something(grace, nora):
    penicillin = wrote(grace, "allergy", "Penicillin", by=nora)
    for outcome in ("none_known", "declined"):
        with pytest.raises(ValidationError):
            review_kind(
                patient=grace, kind="allergy", outcome=outcome, source="staff", by=nora
            )
    take_back_entry(entry_id=penicillin.pk, by=nora, why="Was her sister.")
    review_kind(
        patient=grace, kind="allergy", outcome="none_known", source="staff", by=nora
    )
    assert state(grace) == State.NONE_KNOWN


def test_what_comes_later_overrules_none_known(grace, nora, monday):
    review_kind(
        patient=grace, kind="allergy", outcome="none_known", source="patient", by=nora
    )
    monday.shift(60)
    latex = wrote(grace, "allergy", "Latex", by=nora)
    assert state(grace) == State.ENTRIES
    monday.shift(60)
    end_entry(entry_id=latex.pk, by=nora)
    assert state(grace) == State.ASK_AGAIN
    take_back_entry(entry_id=latex.pk, by=nora)
    assert state(grace) == State.NONE_KNOWN


def test_looked_through_needs_something_to_look_through(grace, nora):
    with pytest.raises(ValidationError):
        review_kind(
            patient=grace, kind="medicine", outcome="reviewed", source="staff", by=nora
        )
    entry = wrote(grace, "medicine", "Metformin 500 mg", by=nora)
    review_kind(
        patient=grace, kind="medicine", outcome="reviewed", source="staff", by=nora
    )
    entry.refresh_from_db()
    assert entry.reviewed_at == MONDAY
    assert HistoryReview.objects.count() == 1


def test_a_file_that_says_no_known_allergy_is_no_allergy(grace):
    imported(grace, "No known allergy", code="716186003", kind="allergy")
    assert state(grace) == State.NONE_KNOWN


def test_no_allergy_to_medicines_leaves_the_others_open(grace):
    imported(grace, "No known drug allergy", code="409137002", kind="allergy")
    assert state(grace) == State.NEVER_ASKED


# What is written down.


def test_each_kind_is_written_down_and_read_back(grace, nora):
    for kind, facts in {
        "condition": {"happened_about": "about 2019", "verification": "provisional"},
        "allergy": {"reactions": "rash", "criticality": "high"},
        "medicine": {
            "for": "blood pressure",
            "dosage": "one in the morning",
            "elsewhere": True,
            "prescriber": "Dr Lin",
            "taking": "no",
            "why_not": "It makes me cough.",
        },
        "procedure": {"side": "right", "where": "General", "surgeon": "Dr Lin"},
        "family": {"relation": "mother", "age_at_onset": 71},
        "social": {"topic": "alcohol", "audit_c": 0},
    }.items():
        entry = wrote(grace, kind, "It", by=nora, **facts)
        entry.refresh_from_db()
        table = {one.name: one for one in KINDS[kind].fields}
        for name, value in facts.items():
            column = table[name].is_column
            kept = getattr(entry, name) if column else entry.details[name]
            assert kept == value
        words = dict(KINDS[kind].facts(entry))
        assert "None" not in words.values()


@pytest.mark.parametrize(
    ("kind", "facts", "field"),
    [
        ("condition", {"label": "  "}, "label"),
        ("condition", {"happened_on": date(2026, 11, 24)}, "happened_on"),
        ("condition", {"happened_on": date(1959, 3, 13)}, "happened_on"),
        (
            "condition",
            {"happened_on": date(2020, 1, 2), "ended_on": date(2020, 1, 1)},
            "ended_on",
        ),
        ("condition", {"status": "stopped"}, "status"),
        ("condition", {"source": "hearsay"}, "source"),
        ("allergy", {"criticality": "some"}, "criticality"),
        ("medicine", {"taking": "yes", "why_not": "Cough."}, "why_not"),
        ("family", {"age_at_onset": 121}, "age_at_onset"),
        ("social", {"topic": "work", "audit_c": 3}, "audit_c"),
        ("social", {"topic": "alcohol", "audit_c": 13}, "audit_c"),
        ("social", {"declined": True}, "topic"),
        ("procedure", {"where": "x" * 121}, "where"),
    ],
)
def test_what_makes_no_sense_is_refused(grace, nora, kind, facts, field):
    with pytest.raises(ValidationError) as raised:
        wrote(grace, kind, by=nora, **{"label": "It"} | facts)
    assert faults(raised) == {field}
    assert not HistoryEntry.objects.exists()


def test_the_edges_of_sense_are_taken(grace, nora):
    wrote(grace, happened_on=date(1959, 3, 14), by=nora)
    wrote(grace, happened_on=date(2026, 11, 23), ended_on=date(2026, 11, 23), by=nora)
    wrote(grace, "social", "Wine", topic="alcohol", audit_c=12, by=nora)
    wrote(grace, "family", "Stroke", age_at_onset=0, by=nora)
    wrote(
        grace,
        "procedure",
        "Hip",
        status="preparation",
        happened_on=date(2027, 1, 4),
        by=nora,
    )
    assert HistoryEntry.objects.count() == 5


def test_prefers_not_to_say_keeps_nothing_else(grace, nora):
    entry = wrote(
        grace,
        "social",
        "Drinks a lot",
        topic="alcohol",
        declined=True,
        audit_c=9,
        by=nora,
    )
    assert entry.label == "Prefers not to say"
    assert "audit_c" not in entry.details


def test_a_known_medicine_gets_its_class(grace, nora):
    entry = wrote(grace, "medicine", "apixaban 5 mg twice a day", by=nora)
    assert entry.risk_class == "blood_thinner"
    wrote(grace, "medicine", "Vitamin C", by=nora)
    old = wrote(grace, "medicine", "Warfarin", by=nora)
    end_entry(entry_id=old.pk, by=nora)
    assert risky_medicines(grace.history.all()) == [entry]


def test_every_write_stands_in_the_audit(grace, nora):
    entry = wrote(grace, by=nora)
    verify_entry(entry_id=entry.pk, by=nora)
    take_back_entry(entry_id=entry.pk, by=nora, why="Wrong patient.")
    events = AuditEvent.objects.filter(subject=f"history:{entry.pk}").order_by("pk")
    assert [event.verb for event in events] == ["create", "change", "change"]
    assert "Wrong" not in "".join(str(event.details) for event in events)


# Verified, changed, over, an error.


def test_verified_until_it_says_something_else(grace, nora, rao):
    entry = wrote(grace, source="patient", by=nora)
    assert entry.verification == "unconfirmed"
    entry = verify_entry(entry_id=entry.pk, by=rao)
    assert (entry.verified_by, entry.verification) == (rao, "confirmed")
    entry = change_entry(
        entry_id=entry.pk,
        version=entry.version,
        facts={"label": "High blood pressure", "source": "patient"},
        by=nora,
    )
    assert entry.verified_at is None


def test_a_provisional_finding_stays_provisional(grace, rao):
    entry = wrote(grace, verification="provisional", by=rao)
    assert verify_entry(entry_id=entry.pk, by=rao).verification == "provisional"


def test_a_stale_save_changes_nothing(grace, nora, rao):
    entry = wrote(grace, by=nora)
    facts = {"label": "Heart failure", "source": "staff"}
    change_entry(entry_id=entry.pk, version=1, facts=facts, by=rao)
    with pytest.raises(StaleError) as raised:
        change_entry(entry_id=entry.pk, version=1, facts={"label": "Migraine"}, by=nora)
    assert raised.value.now.label == "Heart failure"
    entry.refresh_from_db()
    assert (entry.label, entry.version) == ("Heart failure", 2)


def test_saving_what_it_says_already_is_no_edit(grace, nora):
    entry = wrote(grace, by=nora)
    change_entry(entry_id=entry.pk, version=1, facts={"label": entry.label}, by=nora)
    entry.refresh_from_db()
    assert entry.version == 1


def test_an_end_is_an_end_once(grace, nora):
    entry = wrote(grace, "medicine", "Amoxicillin", by=nora)
    entry = end_entry(entry_id=entry.pk, by=nora)
    assert (entry.status, entry.ended_on) == ("stopped", MONDAY.date())
    with pytest.raises(ValidationError):
        end_entry(entry_id=entry.pk, by=nora)
    relative = wrote(grace, "family", "Stroke", by=nora)
    with pytest.raises(ValidationError):
        end_entry(entry_id=relative.pk, by=nora)


def test_an_error_stays_and_tells_nothing(grace, nora):
    entry = wrote(grace, "allergy", "Penicillin", by=nora)
    take_back_entry(entry_id=entry.pk, by=nora)
    entry.refresh_from_db()
    assert entry.is_taken_back
    assert not entry.is_live_allergy
    with pytest.raises(ValidationError):
        verify_entry(entry_id=entry.pk, by=nora)


# Told.


def test_nothing_names_a_condition_before_the_patient_knows(grace, rao):
    entry = wrote(grace, label="Diabetes", code_system=ICD, code="E11.9", by=rao)
    assert not may_name(grace, ["E11.9"])
    assert may_name(grace, ["I10"])
    assert may_name(grace, [])
    note_told(entry_ids=[entry.pk], by=rao, on=MONDAY.date())
    assert may_name(grace, ["E11.9"])


@pytest.mark.parametrize(
    "about",
    [
        {"code": "44054006", "code_system": SNOMED},
        {"label": "type 2 DIABETES"},
        {"label": "Sugar", "clinical_name": "Type 2 diabetes mellitus"},
        {"code": "E11.9", "code_system": ICD, "status": "resolved"},
    ],
)
def test_it_is_the_same_condition_by_any_name(grace, about):
    imported(grace, **about)
    assert not may_name(grace, ["E11.9"])
    assert not may_name(grace, ["E11"])


def test_an_error_keeps_nobody_from_naming_it(grace):
    imported(grace, code="E11.9", code_system=ICD, verification="refuted")
    imported(grace, code="E11.9", code_system=ICD, status="entered-in-error")
    assert may_name(grace, ["E11.9"])


def test_what_the_patient_told_us_they_know(grace, nora):
    assert wrote(grace, source="patient", by=nora).told_on == MONDAY.date()
    assert wrote(grace, source="proxy", by=nora).told_on is None
    assert wrote(grace, source="staff", by=nora).told_on is None


def test_another_condition_has_to_be_told_anew(grace, nora, rao):
    entry = wrote(grace, label="Diabetes", code_system=ICD, code="E11.9", by=rao)
    note_told(entry_ids=[entry.pk], by=rao, on=MONDAY.date())
    entry.refresh_from_db()
    facts = {"label": "Diabetes, type 2", "code": "E11.9", "code_system": ICD}
    entry = change_entry(entry_id=entry.pk, version=entry.version, facts=facts, by=nora)
    assert entry.told_on
    entry = change_entry(
        entry_id=entry.pk, version=entry.version, facts={"code": "C25.9"}, by=nora
    )
    assert (entry.told_on, entry.told_by) == (None, None)


def test_told_of_one_is_told_of_all_that_say_the_same(grace, rao):
    tomas = patient("Tomás", "Silva", phone="")
    rows = [imported(grace, code="1"), imported(grace, code="1"), imported(tomas)]
    other = imported(grace, "Anaemia", code="2")
    assert note_told(entry_ids=[rows[0].pk], by=rao, on=MONDAY.date()) == 2
    untold = set(HistoryEntry.objects.untold())
    assert untold == {rows[2], other}


def test_told_elsewhere_is_by_nobody_of_ours(grace, rao):
    entry = imported(grace, days=3)
    note_told(entry_ids=[entry.pk], by=rao)
    entry.refresh_from_db()
    assert (entry.told_on, entry.told_by) == (date(2026, 11, 20), None)
    assert entry.details["told_elsewhere"]
    assert note_told(entry_ids=[entry.pk], by=rao, on=MONDAY.date()) == 0


@pytest.mark.parametrize("day", [date(2026, 11, 24), date(1959, 3, 13)])
def test_nobody_is_told_tomorrow_or_before_they_were_born(grace, rao, day):
    entry = imported(grace)
    with pytest.raises(ValidationError):
        note_told(entry_ids=[entry.pk], by=rao, on=day)
    assert HistoryEntry.objects.untold().count() == 1


def test_the_list_is_of_ones_own_sites_the_longest_waiting_first(grace, rao):
    late, early = imported(grace, "B", days=1), imported(grace, "A", days=9)
    imported(grace, "A", days=2)
    imported(grace, "Over", status="resolved")
    leo = patient("Leo", "Elsewhere", phone="")
    leo.sites.set([SiteFactory(name="North")])
    imported(leo, days=20)
    imported(patient("Otis", phone="", deceased_on=MONDAY.date()))
    assert list(untold_of(rao)) == [early, late]
    assert list(untold_of(rao, mine=True)) == []
    doctor = clinician()
    doctor.user = rao
    doctor.save()
    grace.usual_clinician = doctor
    grace.save()
    assert list(untold_of(rao, mine=True)) == [early, late]


def test_no_text_of_ours_reads_the_history():
    """What a patient gets is made without the history; what may name it asks first."""
    root = Path(__file__).resolve().parents[2]
    readers = [
        file
        for app in ("messaging", "appointments", "patients/links")
        for file in (root / app).rglob("*.py")
        if re.search(r"HistoryEntry\.objects|\.history\b(?!\.)", file.read_text())
    ]
    assert [str(file.relative_to(root)) for file in readers] == []
