"""Grace asks to be forgotten: nothing of hers is left, and what others need stands."""

import json
from datetime import date, datetime, timedelta

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.urls import reverse
from django.utils import timezone

from accounts.audit.chain import seal
from accounts.drafts import save_draft
from accounts.jobs import run_jobs, start_job
from accounts.models import AuditEvent, Draft, Job
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Message,
    Notice,
    Suppression,
)
from messaging.promises import broken_promises
from messaging.services import lift_suppression, suppress
from patients.erasing import erase_patient, set_legal_hold
from patients.grants import grant_access, review_access
from patients.kept import ERASED
from patients.links.services import find_link, make_link
from patients.models import (
    AccessGrant,
    Consent,
    ContactPerson,
    ContactPoint,
    Flag,
    HistoryEntry,
    Identifier,
    Intake,
    Link,
    NameToken,
    Note,
    Patient,
    PatientMerge,
    PatientTerm,
    SafeContactPlan,
)
from patients.notes import altered_notes, follow_note, sign_note
from patients.search import find_patients
from patients.terms import index_patients
from tests.factories import SiteFactory, booked, come_in, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db

REASON = "She asked for it in writing."
#: In every value of hers, and in nothing else.
CANARIES = ("kanarie", "16175550191", "16175550192", "1911-07-19")


@pytest.fixture
def ada():
    return member_of_staff("ada", Role.MANAGER)


@pytest.fixture
def nora():
    return member_of_staff("nora", Role.NURSE)


def canary(nora, ada):
    """Return somebody with something in every table there is."""
    now = timezone.now()
    texts = {
        field.name: f"Kanarie {field.name}"[: field.max_length or 40]
        for field in Patient._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and not field.choices
        and field.name not in ("zone", "country", "legal_hold", "spoken_language")
    }
    somebody = patient(
        texts.pop("given_name"),
        texts.pop("family_name"),
        phone="+16175550191",
        email="her@kanarie.example",
        birth_date=date(1911, 7, 19),
        **texts,
    )
    Identifier.objects.create(patient=somebody, system="mrn", value="KANARIE-1")
    HistoryEntry.objects.create(
        patient=somebody,
        kind="condition",
        label="Kanarieitis",
        details={"side": "kanarie"},
        status="active",
        source="staff",
        recorded_at=now,
    )
    relative = ContactPerson.objects.create(
        patient=somebody, name="Kanarie Mother", relation="kanarie's mother"
    )
    ContactPoint.objects.create(
        contact_person=relative, channel="sms", address="+16175550192"
    )
    Flag.objects.create(
        patient=somebody,
        category="support",
        text="Kanarie is deaf",
        reason="Kanarie said so",
        author=nora,
        at=now,
        expires_on=date(2030, 1, 1),
    )
    SafeContactPlan.objects.create(
        patient=somebody,
        address="+16175550192",
        code_word="kanarie",
        reason="Kanarie's husband",
        made_by=nora,
        made_at=now,
        ended_at=now,
    )
    Consent.objects.create(
        patient=somebody,
        channel="sms",
        given=True,
        method="paper",
        evidence="kanarie.pdf",
        at=now,
    )
    Intake.objects.create(
        patient=somebody,
        answers={"worry": "kanarie"},
        source="patient",
        method="link",
        at=now,
    )
    sign_note(patient=somebody, by=nora, type="call", body="Kanarie rang.")
    twin = patient("Kanarie", "Twin", phone="", merged_into=somebody)
    PatientMerge.objects.create(
        kept=somebody, lost=twin, snapshot={"name": "Kanarie"}, moved={}, by=ada, at=now
    )
    grant = grant_access(user=nora, patient=somebody, reason="Kanarie was brought in.")
    AccessGrant.objects.filter(pk=grant.pk).update(ended_at=now)
    review_access(grant_id=grant.pk, by=ada, finding="Kanarie needed it.")
    index_patients([somebody.pk, twin.pk])
    return somebody


def the_day(somebody, nora):
    """A day of messages, work, drafts and lists about her."""
    booked(somebody, at=datetime(2026, 11, 24, 10))
    run_pass()
    chat = Conversation.objects.get(patient=somebody)
    for address in ("+16175550191", "+16175550192"):
        Message.objects.create(
            direction="in",
            conversation=chat,
            channel="sms",
            address=address,
            body="It is Kanarie",
            encoding="GSM-7",
            state="received",
            not_before=timezone.now(),
            handled_at=timezone.now(),
            at=timezone.now(),
        )
    item = raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Kanarie texted CANCEL.",
        reason_places={"name": "Kanarie"},
        subject_kind="scene",
        subject_id=1,
        dedupe_key="item",
        due_at=timezone.now(),
        patient=somebody,
    )
    for key in (f"note:{somebody.pk}", f"profile_x:{somebody.pk}", f"close:{item.pk}"):
        save_draft(user=nora, key=key, text={"body": "Kanarie is"})
    save_draft(user=nora, key=f"note:{somebody.pk + 1000}", text={"body": "another"})
    job = start_job(
        kind="check_patients",
        user=nora,
        work={"text": "identifier\nKANARIE-1"},
        client_key=None,
    )
    Job.objects.filter(pk=job.pk).update(
        state="done", ended_at=timezone.now(), result={"problems": ["KANARIE-1"]}
    )
    make_link(
        purpose="visit",
        subject_id=Appointment.objects.get(patient=somebody).pk,
        patient=somebody,
        expires_at=timezone.now() + timedelta(days=1),
    )


def everywhere():
    """Yield (table, row as text) of all of ours, columns as the database holds them."""
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            for row in cursor.fetchall():
                yield model.__name__, json.dumps(row, default=str).casefold()


def found_in():
    return {
        table for table, row in everywhere() if any(word in row for word in CANARIES)
    }


def test_nothing_of_hers_is_left_in_any_table(monday, nora, ada):
    somebody = canary(nora, ada)
    the_day(somebody, nora)
    before = found_in()
    assert before >= {
        "Patient", "Message", "Note", "WorkItem", "Draft", "Job", "Consent", "Intake",
        "PatientTerm", "NameToken", "ContactPoint", "PatientMerge", "AccessGrant",
    }  # fmt: skip
    erase_patient(patient_id=somebody.pk, reason=REASON, by=ada)
    # What somebody typed as the reason of emergency access is the trail's for ever.
    assert found_in() <= {"AuditEvent"}
    trail = [row for table, row in everywhere() if table == "AuditEvent"]
    telling = [row for row in trail if any(word in row for word in CANARIES)]
    assert all('"grant"' in row for row in telling)
    assert Draft.objects.count() == 1
    assert Patient.objects.get(pk=somebody.pk).full_name == ERASED


def test_the_trail_stays_whole_and_says_who_and_why(monday, nora, ada):
    somebody = canary(nora, ada)
    seal()
    erase_patient(patient_id=somebody.pk, reason=REASON, by=ada)
    seal()
    call_command("verify_audit")
    told = AuditEvent.objects.get(verb="delete", subject=f"patient:{somebody.pk}")
    assert (told.actor, told.reason) == ("ada", REASON)
    assert somebody.pk in told.patient_ids
    assert told.details["what"] == "erased"


def test_what_was_promised_is_taken_back_and_no_promise_is_broken(monday, nora):
    grace = patient()
    booked(grace, at=datetime(2026, 11, 24, 10))
    erase_patient(patient_id=grace.pk, reason=REASON, by=nora)
    run_pass()
    monday.shift(timedelta(days=2))
    run_pass()
    states = set(Notice.objects.values_list("state", flat=True))
    assert states == {"superseded"}
    assert set(Message.objects.values_list("state", flat=True)) <= {"withdrawn"}
    assert Appointment.objects.get().state == "cancelled"
    assert broken_promises() == []
    # Nothing tells somebody who is nobody any more.
    assert not WorkItem.objects.open().exists()


def test_an_erased_note_is_no_altered_one(monday, nora):
    grace = patient()
    first = sign_note(patient=grace, by=nora, type="call", body="Rang.")
    follow_note(note=first, by=nora, relation="addendum", body="Again.")
    follow_note(
        note=first, by=nora, relation=Note.Relation.ERROR, reason="Of somebody else."
    )
    erase_patient(patient_id=grace.pk, reason=REASON, by=nora)
    assert set(Note.objects.values_list("body", "reason")) == {("", "")}
    assert list(altered_notes()) == []


def test_a_link_opens_nothing_any_more(monday):
    grace = patient()
    visit = booked(grace)
    _link, address = make_link(
        purpose="visit",
        subject_id=visit.pk,
        patient=grace,
        expires_at=timezone.now() + timedelta(days=1),
    )
    token = address.rstrip("/").rpartition("/")[2]
    assert find_link(token)
    erase_patient(patient_id=grace.pk, reason=REASON, by=None)
    assert find_link(token) is None
    assert not Link.objects.exists()


def test_nobody_finds_or_opens_her_any_more(client, ada):
    grace = patient()
    index_patients([grace.pk])
    come_in(client, ada)
    page = reverse("patients:patient_detail", args=[grace.pk])
    assert client.get(page).status_code == 200
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    assert client.get(page).status_code == 404
    for text in ("Okafor", "Erased", "+16175550143"):
        assert not find_patients(ada, text, month_first=True).found


def test_words_of_names_others_bear_still_find_them(ada):
    grace, rose = patient(), patient("Rose", "Okafor", phone="")
    index_patients([grace.pk, rose.pk])
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    assert find_patients(ada, "Okafor", month_first=True).patients == [rose]
    assert set(PatientTerm.objects.values_list("patient", flat=True)) == {rose.pk}
    assert not NameToken.objects.filter(token="grace").exists()
    assert NameToken.objects.filter(token="okafor").exists()


def test_a_number_that_said_stop_stays_stopped(ada):
    grace = patient(email="grace@example.org")
    suppress(address="+16175550143", channel="sms", cause="texted stop")
    suppress(address="grace@example.org", channel="email", cause="bounced")
    lift_suppression(address="grace@example.org", channel="email", cause="works again")
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    assert CurrentSuppression.objects.get().address == "+16175550143"
    # What is over is no reason to know an address.
    assert sorted(Suppression.objects.values_list("address", flat=True)) == [
        "",
        "",
        "+16175550143",
    ]


def test_what_others_wrote_from_a_shared_number_stays_theirs(ada):
    grace, leo = patient(), patient("Leo")
    stray = Message.objects.create(
        direction="in",
        conversation=Conversation.objects.create(address="+16175550143"),
        channel="sms",
        address="+16175550143",
        body="Who is this?",
        encoding="GSM-7",
        state="received",
        handled_at=timezone.now(),
        not_before=timezone.now(),
        at=timezone.now(),
    )
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    stray.refresh_from_db()
    assert (stray.body, stray.address) == ("Who is this?", "+16175550143")
    assert leo.contact_points.get().address == "+16175550143"


def test_texts_from_a_number_nobody_else_has_go_too(ada):
    grace = patient()
    chat = Conversation.objects.create(address="+16175550143")
    stray = Message.objects.create(
        direction="in",
        conversation=chat,
        channel="sms",
        address="+16175550143",
        body="It is me",
        encoding="GSM-7",
        state="received",
        handled_at=timezone.now(),
        not_before=timezone.now(),
        at=timezone.now(),
    )
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    stray.refresh_from_db()
    chat.refresh_from_db()
    assert (stray.body, stray.address) == ("", "")
    assert chat.address == f"erased {chat.pk}"


def test_whom_to_call_about_a_child_stays_in_the_childs_record(ada):
    grace, leo = patient(), patient("Leo", phone="")
    mother = ContactPerson.objects.create(
        patient=leo, person=grace, name="Grace Okafor", relation="mother"
    )
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    mother.refresh_from_db()
    assert (mother.name, mother.person) == ("Grace Okafor", None)


def refusal(somebody, reason=REASON):
    with pytest.raises(ValidationError) as error:
        erase_patient(patient_id=somebody.pk, reason=reason, by=None)
    somebody.refresh_from_db()
    assert somebody.erased_at is None
    assert somebody.full_name != ERASED
    return " ".join(error.value.messages)


def test_a_legal_hold_keeps_it_all(ada):
    grace = patient()
    set_legal_hold(patient_id=grace.pk, reason="A lawsuit is under way.", by=ada)
    assert "legal hold" in refusal(grace)
    set_legal_hold(patient_id=grace.pk, reason="", by=ada)
    assert erase_patient(patient_id=grace.pk, reason=REASON, by=ada).erased_at
    held = AuditEvent.objects.filter(details__changed=["legal_hold"]).order_by("pk")
    assert [event.details["state"] for event in held] == ["held", "released"]


def test_a_legal_hold_on_a_record_merged_into_hers_holds_hers(ada):
    grace = patient()
    patient("Gracie", merged_into=grace, legal_hold="A lawsuit is under way.")
    assert "legal hold" in refusal(grace)


@pytest.mark.parametrize(
    "reason", ["Grace Okafor asked.", "Mrs. OKAFOR's wish, by letter", "Too short"]
)
def test_a_reason_that_stays_for_ever_names_nobody(reason):
    refusal(patient(), reason)


def test_a_merged_record_leads_to_the_one_that_is_kept():
    grace = patient()
    assert str(grace.pk) in refusal(patient("Gracie", phone="", merged_into=grace))


def test_a_red_item_is_a_persons_to_close_first():
    grace = patient()
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.RED,
        reason="Chest pain.",
        subject_kind="scene",
        subject_id=1,
        dedupe_key="red",
        due_at=timezone.now(),
        patient=grace,
    )
    assert "red work item" in refusal(grace)


def test_emergency_access_is_looked_into_first(nora):
    grace = patient()
    grant_access(user=nora, patient=grace, reason="Brought in unconscious.")
    assert "review" in refusal(grace)


@pytest.mark.parametrize("state", ["claimed", "submitting"])
def test_a_text_on_its_way_arrives_first(monday, state):
    grace = patient()
    booked(grace, at=datetime(2026, 11, 24, 10))
    run_pass()
    Message.objects.update(state=state)
    assert "on its way" in refusal(grace)


def test_a_list_with_her_that_is_being_brought_in_ends_first(nora):
    grace = patient()
    start_job(
        kind="import_patients",
        user=nora,
        work={"text": "Grace,Okafor,+16175550143"},
        client_key=None,
    )
    assert "under way" in refusal(grace)


def test_erasing_again_changes_nothing(ada):
    grace = patient()
    first = erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    events = AuditEvent.objects.count()
    again = erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    assert again.erased_at == first.erased_at
    assert AuditEvent.objects.count() == events


def test_a_number_brought_in_again_is_a_new_patient(ada):
    grace = patient()
    Identifier.objects.create(patient=grace, system="mrn", value="1")
    erase_patient(patient_id=grace.pk, reason=REASON, by=ada)
    assert not Identifier.objects.exists()
    assert not ContactPoint.objects.exists()
    assert Note.objects.count() == 0


def test_the_command_erases_or_says_why_not(capsys):
    grace = patient()
    with pytest.raises(CommandError, match="There is no patient 999"):
        call_command("erase_patient", "999", reason=REASON)
    with pytest.raises(CommandError, match="do not name"):
        call_command("erase_patient", str(grace.pk), reason="Grace Okafor wants it")
    call_command("erase_patient", str(grace.pk), reason=REASON)
    assert "is erased" in capsys.readouterr().err


def test_a_manager_erases_on_the_page_as_long_work(client, ada):
    grace = patient()
    come_in(client, ada)
    page = reverse("patients:record_erase", args=[grace.pk])
    wrong = client.post(page, {"reason": REASON, "name": "Grace"})
    assert "not the name of this patient" in wrong.content.decode()
    assert REASON in wrong.content.decode()
    naming = client.post(page, {"reason": "Okafor asked us", "name": "grace okafor"})
    assert "do not name the patient" in naming.content.decode()
    started = client.post(page, {"reason": REASON, "name": "grace okafor"})
    assert started.status_code == 302
    run_jobs()
    grace.refresh_from_db()
    assert grace.erased_at
    job = Job.objects.get()
    assert (job.state, job.work) == ("done", {})
    assert f"Patient {grace.pk} is erased" in client.get(started.url).content.decode()


def test_what_is_in_the_way_is_said_on_the_jobs_page(client, ada):
    grace = patient()
    come_in(client, ada)
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.RED,
        reason="Chest pain.",
        subject_kind="scene",
        subject_id=1,
        dedupe_key="red",
        due_at=timezone.now(),
        patient=grace,
        site=SiteFactory(),
    )
    page = reverse("patients:record_erase", args=[grace.pk])
    started = client.post(page, {"reason": REASON, "name": "Grace Okafor"})
    run_jobs()
    assert "A red work item" in client.get(started.url).content.decode()


def test_who_has_not_proved_who_they_are_of_late_is_asked(client, ada):
    grace = patient()
    client.force_login(ada)
    page = client.get(reverse("patients:record_erase", args=[grace.pk]))
    assert page.status_code == 302
    assert reverse("account_reauthenticate") in page.url


def test_a_hold_is_set_and_lifted_on_its_page(client, ada):
    grace = patient()
    come_in(client, ada)
    page = reverse("patients:record_hold", args=[grace.pk])
    client.post(page, {"reason": "A lawsuit is under way."})
    grace.refresh_from_db()
    assert grace.legal_hold == "A lawsuit is under way."
    refused = client.post(
        reverse("patients:record_erase", args=[grace.pk]),
        {"reason": REASON, "name": "Grace Okafor"},
    )
    assert "under a legal hold" in refused.content.decode()
    client.post(page, {"reason": ""})
    grace.refresh_from_db()
    assert grace.legal_hold == ""
