"""What a clinic need not keep goes, once somebody said so, and nothing before."""

import json
from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.models import Message
from patients import retention as rules
from patients.links.services import make_link
from patients.models import (
    AccessGrant,
    Intake,
    Link,
    Patient,
    PatientMerge,
    RetentionRule,
)
from patients.notes import sign_note
from patients.retention import apply_due, apply_rule, due_rows, retention, set_rule
from tests.factories import UserFactory, booked, member_of_staff, patient
from worklist.models import WorkEvent, WorkItem
from worklist.services import close_item, raise_item

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday")]


@pytest.fixture
def ada():
    return member_of_staff("ada", Role.MANAGER)


def days_ago(days, seconds=0):
    return timezone.now() - timedelta(days=days, seconds=seconds)


def text_of(grace, at):
    return Message.objects.create(
        direction="in",
        patient=grace,
        channel="sms",
        address="+16175550143",
        body="My knee hurts",
        encoding="GSM-7",
        state="received",
        handled_at=at,
        not_before=at,
        at=at,
    )


def in_force(kind, days=None):
    kept = retention[kind]
    return RetentionRule.objects.create(kind=kind, days=days or kept.days, is_on=True)


def bodies():
    return list(Message.objects.order_by("at").values_list("body", flat=True))


def test_nothing_goes_by_itself_until_a_manager_says_so(ada):
    text_of(patient(), days_ago(9000))
    for _time in range(2):
        run_pass()
    assert bodies() == ["My knee hurts"]
    RetentionRule.objects.create(kind="message_text", days=1461, is_on=False)
    run_pass()
    assert bodies() == ["My knee hurts"]


def test_what_is_older_goes_and_what_is_not_stays(ada):
    grace = patient()
    text_of(grace, days_ago(1461, seconds=1))
    young = text_of(grace, days_ago(1461))
    in_force("message_text", 1461)
    assert apply_due() == 1
    assert bodies() == ["", "My knee hurts"]
    # Idempotent, and restful: nothing is left to find.
    assert apply_due() == 0
    assert Message.objects.get(body="My knee hurts") == young


def test_a_batch_at_a_time_and_the_next_pass_goes_on(monkeypatch):
    grace = patient()
    for n in range(5):
        text_of(grace, days_ago(3000 + n))
    rule = in_force("message_text")
    kept = retention["message_text"]
    small = rules.Retention(**{**vars(kept), "batch": 2})
    monkeypatch.setitem(retention._entries, "message_text", small)
    assert [apply_rule(rule) for _time in range(4)] == [2, 2, 1, 0]


def test_it_rests_for_a_day_once_nothing_is_due(monday, django_assert_num_queries):
    grace = patient()
    in_force("message_text")
    assert apply_due() == 0
    text_of(grace, days_ago(3000))
    with django_assert_num_queries(1):
        assert apply_due() == 0
    monday.shift(timedelta(days=1, seconds=1))
    assert apply_due() == 1


def test_a_rule_that_was_changed_is_followed_at_once(ada):
    in_force("message_text", 5000)
    text_of(patient(), days_ago(3000))
    assert apply_due() == 0
    set_rule(kind="message_text", days=1461, is_on=True, by=ada)
    assert apply_due() == 1


def test_a_legal_hold_is_honoured_by_every_kind():
    held = patient(legal_hold="A lawsuit is under way.")
    text_of(held, days_ago(3000))
    text_of(patient("Leo", phone=""), days_ago(3000))
    rule = in_force("message_text")
    assert apply_rule(rule) == 1
    assert bodies() == ["My knee hurts", ""]
    for kind, kept in retention:
        where = str(due_rows(kind, kept.days).query)
        assert "legal_hold" in where, kind


def test_texts_of_nobody_known_go_too():
    text_of(None, days_ago(3000))
    assert apply_rule(in_force("message_text")) == 1


def test_what_went_is_in_the_trail(ada):
    grace = patient()
    text_of(grace, days_ago(3000))
    rule = set_rule(kind="message_text", days=1461, is_on=True, by=ada)
    apply_due()
    told = AuditEvent.objects.get(verb="delete", subject=f"retention:{rule.pk}")
    assert told.patient_ids == [grace.pk]
    assert told.actor == "retention"
    assert told.details == {"what": "message_text", "days": 1461, "removed": 1}
    changed = AuditEvent.objects.get(verb="change", subject=f"retention:{rule.pk}")
    assert (changed.actor, changed.details["state"]) == ("ada", "on")


@pytest.mark.parametrize("kind", [kind for kind, _kept in retention])
def test_no_rule_is_shorter_than_its_source_bears(kind, ada):
    kept = retention[kind]
    assert kept.days >= kept.least
    assert str(kept.source)
    with pytest.raises(ValidationError):
        set_rule(kind=kind, days=kept.least - 1, is_on=True, by=ada)
    assert set_rule(kind=kind, days=kept.least, is_on=False, by=ada).pk
    with pytest.raises(ValidationError):
        set_rule(kind=kind, days=rules.LONGEST + 1, is_on=True, by=ada)


def test_closed_work_forgets_its_words_and_open_work_does_not():
    nora = member_of_staff("nora", Role.NURSE)
    items = [
        raise_item(
            kind="cancel_word",
            severity=WorkItem.Severity.AMBER,
            reason="Texted CANCEL.",
            subject_kind="scene",
            subject_id=n,
            dedupe_key=f"item:{n}",
            due_at=timezone.now(),
            patient=patient(phone=""),
        )
        for n in range(2)
    ]
    close_item(item_id=items[0].pk, outcome="kept", by=nora, note="Rang her.")
    WorkItem.objects.exclude(closed_at=None).update(closed_at=days_ago(3000))
    assert apply_rule(in_force("work_text")) == 1
    items[0].refresh_from_db()
    assert (items[0].reason, items[0].outcome) == ("", "kept")
    assert not WorkEvent.objects.exclude(note="").exists()
    assert WorkItem.objects.open().get().reason == "Texted CANCEL."


def test_links_that_are_over_go_and_those_that_open_something_stay():
    grace = patient()
    visit = booked(grace)
    for days in (-400, -10, 10):
        make_link(
            purpose="visit",
            subject_id=visit.pk,
            patient=grace,
            expires_at=days_ago(-days),
        )
    assert apply_rule(in_force("links")) == 1
    assert Link.objects.count() == 2


def test_answers_go_once_they_were_reviewed():
    grace, nora = patient(), UserFactory()
    for reviewed in (days_ago(400), days_ago(300), None):
        Intake.objects.create(
            patient=grace,
            answers={"worry": "my knee"},
            source="patient",
            method="link",
            at=days_ago(500),
            reviewed_by=nora if reviewed else None,
            reviewed_at=reviewed,
        )
    assert apply_rule(in_force("intake_answers")) == 1
    assert Intake.objects.exclude(answers={}).count() == 2


def test_what_a_merge_could_be_undone_with_goes():
    grace, twin, ada = patient(), patient("Gracie", phone=""), UserFactory()
    for at in (days_ago(400), days_ago(300)):
        PatientMerge.objects.create(
            kept=grace, lost=twin, snapshot={}, moved={}, by=ada, at=at
        )
    assert apply_rule(in_force("merges")) == 1
    assert PatientMerge.objects.count() == 1


def test_why_somebody_took_emergency_access_goes_after_its_review():
    grace = patient()
    for reviewed in (days_ago(3000), None):
        AccessGrant.objects.create(
            user=UserFactory(),
            patient=grace,
            reason="Brought in unconscious.",
            at=days_ago(3001),
            expires_at=days_ago(3001),
            reviewed_at=reviewed,
        )
    assert apply_rule(in_force("emergency_access")) == 1
    assert AccessGrant.objects.get(reason="").reviewed_at
    assert AccessGrant.objects.exclude(reason="").get().reviewed_at is None


def long_gone(name, born, **fields):
    """Return somebody who was taken on eleven years ago and not seen since."""
    somebody = patient(name, phone="", birth_date=born, **fields)
    Patient.objects.filter(pk=somebody.pk).update(created_at=days_ago(4015))
    return somebody


def test_somebody_not_seen_for_ten_years_is_erased():
    gone = long_gone("Grace", date(1959, 3, 14))
    came = long_gone("Tomás", date(1959, 3, 14))
    visit = booked(came, at=datetime(2026, 11, 24, 10))
    type(visit).objects.update(starts_at=days_ago(3653), ends_at=days_ago(3652))
    wrote = long_gone("Leo", date(1959, 3, 14))
    text_of(wrote, days_ago(3000))
    rang = long_gone("Rose", date(1959, 3, 14))
    sign_note(patient=rang, by=UserFactory(), type="call", body="Rang.")
    new = patient("Ana", phone="", birth_date=date(1959, 3, 14))
    assert apply_rule(in_force("patients_unseen")) == 1
    erased = Patient.objects.exclude(erased_at=None)
    assert list(erased) == [gone]
    assert new.erased_at is None


@pytest.mark.parametrize(
    ("born", "is_due"),
    [
        # 3,653 days before this Monday was 22 November 2016.
        (date(1998, 11, 22), True),
        (date(1998, 11, 23), False),
        (date(2010, 1, 1), False),
        (None, False),
    ],
)
def test_a_childs_ten_years_begin_at_eighteen(born, is_due):
    long_gone("Leo", born)
    assert due_rows("patients_unseen", 3653).exists() == is_due


def test_without_a_birth_date_somebody_may_have_been_a_child():
    somebody = long_gone("Leo", None)
    assert not due_rows("patients_unseen", 3653).exists()
    Patient.objects.filter(pk=somebody.pk).update(created_at=days_ago(3653 + 6589))
    assert due_rows("patients_unseen", 3653).get() == somebody


def test_one_where_a_person_has_to_act_holds_up_nobody(monkeypatch):
    stuck = long_gone("Grace", date(1959, 3, 14))
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.RED,
        reason="Chest pain.",
        subject_kind="scene",
        subject_id=1,
        dedupe_key="red",
        due_at=timezone.now(),
        patient=stuck,
    )
    others = [long_gone(f"Leo{n}", date(1959, 3, 14)) for n in range(6)]
    kept = retention["patients_unseen"]
    small = rules.Retention(**{**vars(kept), "batch": 1})
    monkeypatch.setitem(retention._entries, "patients_unseen", small)
    rule = in_force("patients_unseen")
    assert [apply_rule(rule) for _time in range(7)] == [1, 1, 1, 1, 1, 1, 0]
    assert Patient.objects.filter(erased_at=None).get() == stuck
    assert Patient.objects.exclude(erased_at=None).count() == len(others)


def test_the_command_counts_first_and_then_does_it(capsys):
    grace = patient()
    old = text_of(grace, days_ago(3000))
    in_force("message_text")
    call_command("apply_retention", "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["message_text"] == {
        "days": 2557,
        "in_force": True,
        "due": 1,
        "examples": [old.pk],
        "gone": 0,
    }
    assert told["links"]["in_force"] is False
    assert bodies() == ["My knee hurts"]
    call_command("apply_retention", "--json")
    assert json.loads(capsys.readouterr().out)["message_text"]["gone"] == 1
    assert bodies() == [""]


def test_a_manager_sees_what_a_rule_would_take_before_it_is_on(client, ada):
    text_of(patient(), days_ago(3000))
    client.force_login(ada)
    page = client.get(reverse("patients:retention_list")).content.decode()
    assert "1 is older now" in page
    edit = reverse("patients:retention_edit", args=["message_text"])
    refused = client.post(edit, {"days": "30", "is_on": "on"}).content.decode()
    assert "At least 1461" in refused
    assert not RetentionRule.objects.exists()
    assert client.post(edit, {"days": "2000", "is_on": "on"}).status_code == 302
    rule = RetentionRule.objects.get()
    assert (rule.kind, rule.days, rule.is_on) == ("message_text", 2000, True)
    run_pass()
    assert bodies() == [""]
    unknown = reverse("patients:retention_edit", args=["nothing"])
    assert client.get(unknown).status_code == 404


def test_nobody_else_changes_how_long_records_stay(client):
    client.force_login(member_of_staff("nora", Role.NURSE))
    for name, args in (("retention_list", []), ("retention_edit", ["links"])):
        assert client.get(reverse(f"patients:{name}", args=args)).status_code == 403
