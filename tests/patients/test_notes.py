"""Notes: drafted, signed once, never changed, and followed by what came later."""

import uuid
from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from prometheus_client import generate_latest

from accounts.drafts import MOST, save_draft, sweep_drafts
from accounts.figures import registry
from accounts.models import AuditEvent, Draft
from accounts.roles import Role
from accounts.tasks import verify_audit
from accounts.ticks import run_pass
from core import triggers
from patients.erasing import erase_patient
from patients.grants import end_access, grant_access
from patients.models import Note
from patients.notes import (
    LATE_AFTER,
    SAME_WITHIN,
    altered_notes,
    draft_key,
    follow_note,
    hash_of,
    page_of_notes,
    read_by,
    sign_note,
)
from tests.factories import MONDAY, SiteFactory, member_of_staff, patient
from worklist.models import WorkItem
from worklist.queries import items_of

pytestmark = pytest.mark.django_db

Relation = Note.Relation
SAID = "Calf soft, no swelling. Walks with one stick."


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def rao(monday):
    return member_of_staff("rao", Role.CLINICIAN)


@pytest.fixture
def grace(monday):
    return patient(birth_date=date(1959, 3, 14))


def signed(who, by, **more) -> Note:
    return sign_note(patient=who, by=by, **{"type": "visit", "body": SAID} | more)


def seen(user, note) -> Note:
    return read_by(user, Note.objects.filter(pk=note.pk))[0]


def page(client, user, note) -> str:
    client.force_login(user)
    address = reverse("patients:note_detail", args=[note.patient_id, note.pk])
    return client.get(address).content.decode()


def form(**more) -> dict[str, str]:
    return {
        "type": "visit",
        "body": SAID,
        "sensitive": "",
        "happened_at": "",
        "reason": "",
        "client_key": str(uuid.uuid4()),
    } | more


# Signing


def test_a_note_is_signed_by_its_author_now(grace, nora):
    note = signed(grace, nora)
    assert (note.author, note.signed_at, note.happened_at) == (nora, MONDAY, MONDAY)
    assert note.relation == ""
    assert Note.objects.get().hash == hash_of(Note.objects.get())
    event = AuditEvent.objects.get(subject=f"note:{note.pk}")
    assert (event.verb, event.patient_ids) == ("create", [grace.pk])
    assert SAID not in str(event.details)


@pytest.mark.parametrize(
    ("ago", "late"),
    [
        (timedelta(0), False),
        (LATE_AFTER, False),
        (LATE_AFTER + timedelta(minutes=1), True),
    ],
)
def test_what_is_written_long_after_is_a_late_entry_and_says_why(
    grace, nora, ago, late
):
    happened = MONDAY - ago
    if late:
        with pytest.raises(ValidationError, match="only now"):
            signed(grace, nora, happened_at=happened)
    note = signed(grace, nora, happened_at=happened, reason="The network was down.")
    assert (note.relation == Relation.LATE_ENTRY) is late
    assert bool(note.reason) is late


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"body": "  \n"}, "body"),
        ({"body": "x" * 12_001}, "body"),
        ({"happened_at": MONDAY + timedelta(minutes=1)}, "happened_at"),
    ],
)
def test_what_cannot_be_signed(grace, nora, wrong, field):
    with pytest.raises(ValidationError) as refused:
        signed(grace, nora, **wrong)
    assert list(refused.value.error_dict) == [field]
    assert not Note.objects.exists()


def test_a_record_that_was_merged_takes_no_notes(grace, nora):
    type(grace).objects.filter(pk=grace.pk).update(merged_into=patient("Grace", "O"))
    with pytest.raises(ValidationError, match="merged"):
        signed(grace, nora)


def test_the_same_text_from_two_tabs_is_one_note(client, grace, nora, monday):
    client.force_login(nora)
    address = reverse("patients:note_add", args=[grace.pk])
    assert client.post(address, form()).status_code == 302
    answer = client.post(address, form())
    assert "You signed this very text at 09:00" in answer.content.decode()
    assert f"{SAID}</textarea>" in answer.content.decode()
    assert Note.objects.count() == 1
    monday.shift(SAME_WITHIN + timedelta(seconds=1))
    assert client.post(address, form()).status_code == 302
    assert Note.objects.count() == 2


def test_the_button_pressed_twice_signs_once(client, grace, nora):
    client.force_login(nora)
    sent = form()
    address = reverse("patients:note_add", args=[grace.pk])
    assert [client.post(address, sent).status_code for _again in "12"] == [302, 302]
    assert Note.objects.count() == 1


# As it was signed


def test_nothing_of_a_signed_note_changes_but_whose_it_is(grace, nora):
    note = signed(grace, nora)
    rows = Note.objects.filter(pk=note.pk)
    for change in (
        {"body": "Something else."},
        {"author": member_of_staff("ben", Role.NURSE)},
        {"signed_at": MONDAY + timedelta(days=1)},
        {"sensitive": "violence"},
        {"hash": "0" * 64},
    ):
        with (
            pytest.raises(IntegrityError, match="takes new rows only"),
            transaction.atomic(),
        ):
            rows.update(**change)
    with (
        pytest.raises(IntegrityError, match="takes new rows only"),
        transaction.atomic(),
    ):
        rows.delete()
    rows.update(patient=patient("Tomás", "Silva", phone="+16175550144"))
    assert list(altered_notes()) == []


@pytest.mark.django_db(transaction=True)
def test_a_note_changed_past_the_triggers_is_found(grace, nora, capsys):
    note = signed(grace, nora)
    signed(grace, nora, body="Another one.")
    call_command("verify_notes")
    triggers.lift()
    Note.objects.filter(pk=note.pk).update(body="Calf hot and swollen.")
    assert list(altered_notes()) == [note.pk]
    with pytest.raises(SystemExit):
        call_command("verify_notes")
    assert f"Note {note.pk} is not as it was signed." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_every_day_notes_are_held_against_what_was_signed(grace, nora, caplog):
    note = signed(grace, nora)
    verify_audit()
    assert b'clinic_rows_altered{what="notes"} 0.0' in generate_latest(registry)
    triggers.lift()
    Note.objects.filter(pk=note.pk).update(body="Calf hot and swollen.")
    verify_audit()
    assert b'clinic_rows_altered{what="notes"} 1.0' in generate_latest(registry)
    assert "rows were changed that never may be" in caplog.messages


def test_an_erased_note_is_not_taken_for_an_altered_one(grace, nora):
    note = signed(grace, nora)
    Note.objects.filter(pk=note.pk).update(body="")
    # The triggers let a text become blank; of somebody who is still here it may not.
    assert list(altered_notes()) == [note.pk]
    erase_patient(patient_id=grace.pk, reason="They asked us to.", by=nora)
    assert list(altered_notes()) == []


# What follows a note


def test_anybody_may_add_what_is_new(client, grace, nora, rao, monday):
    note = signed(grace, nora)
    monday.shift(timedelta(hours=1))
    client.force_login(rao)
    address = reverse("patients:note_addend", args=[grace.pk, note.pk])
    client.post(address, {"body": "Ultrasound: no clot.", "client_key": uuid.uuid4()})
    addendum = Note.objects.get(relates_to=note)
    assert (addendum.author, addendum.relation) == (rao, Relation.ADDENDUM)
    shown = page(client, nora, note)
    assert SAID in shown
    assert "Ultrasound: no clot." in shown
    assert "<del" not in shown


@pytest.mark.parametrize("relation", [Relation.CORRECTION, Relation.ERROR])
def test_only_its_author_corrects_a_note_or_takes_it_back(grace, nora, rao, relation):
    note = signed(grace, nora)
    with pytest.raises(ValidationError, match="Only Nora can do this"):
        follow_note(note=note, by=rao, relation=relation, body="No.", reason="Wrong.")
    assert Note.objects.count() == 1


@pytest.mark.parametrize("relation", [Relation.CORRECTION, Relation.ERROR])
def test_they_say_why(grace, nora, relation):
    note = signed(grace, nora)
    with pytest.raises(ValidationError, match="Say why"):
        follow_note(note=note, by=nora, relation=relation, body="Left.", reason=" ")


def test_a_correction_strikes_through_and_both_are_kept(client, grace, nora):
    note = signed(grace, nora, body="Right knee.")
    correction = follow_note(
        note=note,
        by=nora,
        relation=Relation.CORRECTION,
        body="Left knee.",
        reason="Wrong side.",
    )
    shown = page(client, nora, note)
    assert '<del class="note-text">Right knee.</del>' in shown
    assert "Left knee." in shown
    assert "Wrong side." in shown
    with pytest.raises(ValidationError, match="Correct the correction"):
        follow_note(
            note=note, by=nora, relation=Relation.CORRECTION, body="Both.", reason="x"
        )
    follow_note(
        note=correction,
        by=nora,
        relation=Relation.CORRECTION,
        body="Both knees.",
        reason="Both were seen.",
    )
    assert seen(nora, correction).corrected_by_note


def test_a_correction_in_error_corrects_nothing(grace, nora):
    note = signed(grace, nora)
    more = {"by": nora, "reason": "Wrong."}
    correction = follow_note(
        note=note, relation=Relation.CORRECTION, body="Left.", **more
    )
    follow_note(note=correction, relation=Relation.ERROR, **more)
    assert seen(nora, note).corrected_by_note is None
    assert follow_note(note=note, relation=Relation.CORRECTION, body="Left!", **more)


def test_entered_in_error_hides_the_note_and_all_that_followed(
    client, grace, nora, rao
):
    note = signed(grace, nora, body="HIV negative.")
    added = follow_note(
        note=note, by=rao, relation=Relation.ADDENDUM, body="Told him so."
    )
    again = follow_note(
        note=added, by=nora, relation=Relation.ADDENDUM, body="Called too."
    )
    follow_note(
        note=note, by=nora, relation=Relation.ERROR, reason="Of another patient."
    )
    for one in (note, added, again):
        shown = page(client, nora, one)
        assert one.body not in shown
        assert "Entered in error by Nora: Of another patient." in shown
    for one in (note, added, again):
        with pytest.raises(ValidationError, match="stays as it is"):
            follow_note(
                note=one, by=one.author, relation=Relation.ADDENDUM, body="More."
            )
    # Nothing of it is on the patient's page, not even for those who may read all.
    client.force_login(rao)
    listed = client.get(f"/patients/{grace.pk}/notes/").content.decode()
    assert "HIV" not in listed
    assert "Of another patient." in listed
    before = AuditEvent.objects.filter(subject=f"note:{note.pk}", verb="read").count()
    assert '<del class="note-text">HIV negative.</del>' in page(client, rao, note)
    after = AuditEvent.objects.filter(subject=f"note:{note.pk}", verb="read").count()
    assert (before, after) == (0, 1)


# Sensitive notes


def test_who_reads_a_sensitive_note(client, grace, nora, rao):
    lin = member_of_staff("lin", Role.NURSE)
    ada = member_of_staff("ada", Role.MANAGER)
    note = signed(grace, nora, body="Afraid of her son.", sensitive="violence")
    for user, reads in ((nora, True), (rao, True), (lin, False), (ada, False)):
        shown = page(client, user, note)
        assert ("Afraid of her son." in shown) is reads
        assert ("Violence" in shown) is reads
        assert ("Visit summary" in shown) is reads
        assert ("A sensitive note by Nora, 23 Nov 2026" in shown) is not reads
        on_page = client.get(f"/patients/{grace.pk}/").content.decode()
        assert ("Afraid of her son." in on_page) is reads
        assert "Note" in on_page


def test_what_follows_a_sensitive_note_is_as_sensitive(grace, nora, rao):
    lin = member_of_staff("lin", Role.NURSE)
    note = signed(grace, nora, sensitive="substance")
    added = follow_note(note=note, by=rao, relation=Relation.ADDENDUM, body="Stopped.")
    assert seen(lin, added).hidden == "sensitive"
    assert seen(nora, added).hidden == "sensitive"
    assert seen(rao, added).hidden == ""


def test_nobody_adds_to_what_they_may_not_read(client, grace, nora):
    note = signed(grace, nora, sensitive="violence")
    client.force_login(member_of_staff("lin", Role.NURSE))
    address = reverse("patients:note_addend", args=[grace.pk, note.pk])
    answer = client.post(address, {"body": "Me too.", "client_key": uuid.uuid4()})
    assert answer.status_code == 302
    assert Note.objects.count() == 1


def test_the_front_desk_sees_no_notes(client, grace, nora):
    note = signed(grace, nora)
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    assert SAID not in client.get(f"/patients/{grace.pk}/").content.decode()
    for address in (
        f"/patients/{grace.pk}/notes/",
        f"/patients/{grace.pk}/notes/add/",
        f"/patients/{grace.pk}/notes/{note.pk}/",
    ):
        assert client.get(address).status_code == 403


def test_in_an_emergency_notes_are_read_and_written_but_no_sensitive_ones(
    client, grace, rao, monday
):
    plain = signed(grace, rao)
    note = signed(grace, rao, body="Afraid of her son.", sensitive="violence")
    noor = member_of_staff(
        "noor", Role.CLINICIAN, SiteFactory(name="Harbour Clinic North")
    )
    grant = grant_access(user=noor, patient=grace, reason="Brought in unconscious.")
    assert SAID in page(client, noor, plain)
    assert "Afraid of her son." not in page(client, noor, note)
    address = reverse("patients:note_add", args=[grace.pk])
    assert client.post(address, form(body="Fainted at home.")).status_code == 302
    end_access(grant_id=grant.pk)
    assert client.get(address).status_code == 404


def test_a_note_under_another_patients_address_is_not_there(client, grace, nora):
    note = signed(grace, nora)
    tomas = patient("Tomás", "Silva", phone="+16175550144")
    client.force_login(nora)
    for name in ("note_detail", "note_addend", "note_correct", "note_take_back"):
        address = reverse(f"patients:{name}", args=[tomas.pk, note.pk])
        assert client.get(address).status_code == 404
    assert AuditEvent.objects.filter(verb="refused", subject=f"note:{note.pk}").exists()


# Reading many


def test_notes_come_page_by_page_the_latest_first(client, grace, nora, monday):
    for number in range(25):
        monday.shift(timedelta(minutes=20))
        signed(grace, nora, body=f"Note number {number}.")
    first, more = page_of_notes(grace, nora)
    assert more
    assert [n.body for n in first[:2]] == ["Note number 24.", "Note number 23."]
    rest, more = page_of_notes(grace, nora, before=first[-1])
    assert not more
    assert len(first) + len(rest) == 25
    client.force_login(nora)
    shown = client.get(f"/patients/{grace.pk}/notes/").content.decode()
    assert f"?before={first[-1].pk}" in shown


def test_a_page_of_notes_costs_the_same_with_one_and_with_many(
    client, grace, nora, monday, django_assert_max_num_queries
):
    client.force_login(nora)
    for number in range(3):
        monday.shift(timedelta(minutes=20))
        note = signed(grace, nora, body=f"Note number {number}.")
        follow_note(note=note, by=nora, relation=Relation.ADDENDUM, body=f"{number}")
    with django_assert_max_num_queries(15):
        client.get(f"/patients/{grace.pk}/notes/")


# Drafts


def write(user, who, body=SAID) -> Draft:
    draft = save_draft(
        user=user, key=draft_key(who), text={"type": "visit", "body": body}
    )
    assert draft is not None
    return draft


def test_the_author_finds_the_draft_again_and_nobody_else_sees_it(
    client, grace, nora, rao, monday
):
    write(nora, grace)
    monday.shift(timedelta(minutes=41))
    client.force_login(nora)
    assert "Draft, saved 09:00" in client.get(f"/patients/{grace.pk}/").content.decode()
    shown = client.get(f"/patients/{grace.pk}/notes/add/").content.decode()
    assert f"{SAID}</textarea>" in shown
    assert '<option value="visit" selected>' in shown
    assert SAID in client.get(reverse("patients:note_draft_list")).content.decode()
    client.force_login(rao)
    for address in (
        f"/patients/{grace.pk}/",
        f"/patients/{grace.pk}/notes/add/",
        reverse("patients:note_draft_list"),
    ):
        shown = client.get(address).content.decode()
        assert SAID not in shown
        assert "Draft, saved" not in shown


def test_signing_ends_the_draft(client, grace, nora):
    write(nora, grace)
    client.force_login(nora)
    client.post(reverse("patients:note_add", args=[grace.pk]), form())
    assert not Draft.objects.exists()


def test_a_draft_is_dropped_by_its_author_alone(client, grace, nora, rao):
    draft = write(nora, grace)
    address = reverse("patients:note_draft_drop", args=[draft.pk])
    client.force_login(rao)
    client.post(address, {"client_key": uuid.uuid4()})
    assert Draft.objects.exists()
    client.force_login(nora)
    client.post(address, {"client_key": uuid.uuid4()})
    assert not Draft.objects.exists()


def test_the_draft_of_a_patient_out_of_reach_can_still_be_dropped(client, grace, nora):
    draft = write(nora, grace)
    grace.sites.set([SiteFactory(name="Harbour Clinic North")])
    client.force_login(nora)
    shown = client.get(reverse("patients:note_draft_list")).content.decode()
    assert "A patient you no longer see" in shown
    assert "Okafor" not in shown
    assert reverse("patients:note_draft_drop", args=[draft.pk]) in shown


def test_a_draft_forgotten_for_a_week_becomes_work_for_its_author(
    client, grace, nora, rao, monday
):
    write(nora, grace)
    monday.shift(timedelta(days=7))
    run_pass()
    assert not WorkItem.objects.exists()
    monday.shift(timedelta(minutes=1))
    for _again in "12":
        run_pass()
    item = WorkItem.objects.get(kind="draft_note")
    assert item in items_of(nora)
    assert item not in items_of(rao)
    assert item not in items_of(member_of_staff("femi", Role.FRONT_DESK))
    client.force_login(nora)
    answer = client.get(reverse("worklist:item_close", args=[item.pk]))
    assert answer.url == reverse("patients:note_draft_list")
    client.post(reverse("patients:note_add", args=[grace.pk]), form())
    assert item not in items_of(nora)
    run_pass()
    item.refresh_from_db()
    assert item.closed_by_rule == "The draft is no longer there."


def test_a_draft_without_a_word_is_no_work(grace, nora, monday):
    write(nora, grace, body=" ")
    monday.shift(timedelta(days=8))
    run_pass()
    assert not WorkItem.objects.exists()


def test_the_draft_of_an_addendum_is_work_too(grace, nora, rao, monday):
    note = signed(grace, nora)
    save_draft(
        user=rao, key=draft_key(note, Relation.ADDENDUM), text={"body": "No clot."}
    )
    monday.shift(timedelta(days=8))
    run_pass()
    assert WorkItem.objects.get().patient == grace


def test_a_draft_about_somebody_of_another_site_names_nobody(nora, monday):
    # Whoever types the key of a draft may type any number.
    leo = patient("Leo", "Duarte", phone="")
    leo.sites.set([SiteFactory(name="Harbour Clinic North")])
    write(nora, leo)
    monday.shift(timedelta(days=8))
    run_pass()
    item = items_of(nora).get()
    assert (item.patient, item.site) == (None, None)


def test_no_draft_of_a_note_is_swept_before_its_author_was_told(grace, nora, monday):
    write(nora, grace)
    save_draft(user=nora, key="close:1", text={"note": "Will ring."})
    monday.shift(timedelta(days=31))
    assert sweep_drafts() == 1
    assert Draft.objects.get().key == draft_key(grace)
    run_pass()
    assert Draft.objects.exists()
    monday.shift(timedelta(days=15))
    assert sweep_drafts() == 1
    run_pass()
    assert not items_of(nora).exists()


def test_what_a_leaver_left_is_swept(grace, nora, monday):
    write(nora, grace)
    type(nora).objects.filter(pk=nora.pk).update(is_active=False)
    monday.shift(timedelta(days=31))
    run_pass()
    assert not Draft.objects.exists()
    assert not WorkItem.objects.exists()


def test_of_too_many_drafts_those_of_notes_go_last(grace, nora):
    write(nora, grace)
    for number in range(MOST + 1):
        save_draft(user=nora, key=f"close:{number + 1}", text={"note": "Will ring."})
    assert Draft.objects.filter(key=draft_key(grace)).exists()
    assert Draft.objects.count() == MOST


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(client, grace, nora):
    client.force_login(nora)
    yesterday = datetime(2026, 11, 22, 8).isoformat(timespec="minutes")
    address = reverse("patients:note_add", args=[grace.pk])
    shown = client.post(address, form(happened_at=yesterday)).content.decode()
    assert "Say why it is written down only now" in shown
    assert f"{SAID}</textarea>" in shown
    assert f'value="{yesterday}"' in shown
    answer = client.post(address, form(happened_at=yesterday, reason="Power cut."))
    assert answer.status_code == 302
    note = Note.objects.get()
    assert note.relation == Relation.LATE_ENTRY
    assert timezone.localtime(note.happened_at).hour == 8


@pytest.mark.parametrize("before", ["9" * 30, "9" * 5000, "²", "-1", "x"])
def test_a_number_no_note_has_begins_at_the_latest(client, grace, rao, before):
    signed(grace, rao)
    client.force_login(rao)
    url = reverse("patients:note_list", args=[grace.pk])
    assert SAID in client.get(url, {"before": before}).content.decode()
