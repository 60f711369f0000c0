"""Grace asks for her record: all of it, readable, and for nobody else's eyes."""

import io
import json
import stat
import zipfile
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import CharField, JSONField, TextField
from django.urls import reverse
from django.utils import timezone

from accounts.jobs import run_jobs, sweep_jobs
from accounts.models import AuditEvent, Job
from accounts.roles import Role
from accounts.ticks import run_pass
from core.sayings import say
from patients.erasing import erase_patient
from patients.exporting import LABELS, export_patient, in_words, label_of
from patients.intake import take_intake
from patients.models import ContactPerson, HistoryEntry, Identifier
from patients.notes import sign_note
from patients.personal import personal
from tests.evidence import Page
from tests.factories import SiteFactory, booked, come_in, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db

#: By what a row of another system is known again, and what stands in the reason itself.
MACHINERY = {"external_system", "external_id", "last_imported", "reason_places"}


@pytest.fixture
def ada():
    return member_of_staff("ada", Role.MANAGER)


@pytest.fixture
def nora():
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def rao():
    return member_of_staff("rao", Role.CLINICIAN)


def with_a_record(**fields):
    grace = patient(email="grace@example.org", birth_date=date(1959, 3, 14), **fields)
    Identifier.objects.create(patient=grace, system="mrn", value="HC-1")
    HistoryEntry.objects.create(
        patient=grace,
        kind="allergy",
        label="Penicillin",
        details={"reaction": "rash"},
        status="active",
        source="patient",
        recorded_at=timezone.now(),
    )
    return grace


def exported(grace, by=None):
    files = export_patient(patient_id=grace.pk, by=by)
    return files, json.loads(files["patient.json"])


def part(data, key):
    return next(one for one in data["parts"] if one["key"] == key)


def test_the_data_hold_every_table_and_every_field(monday):
    grace = with_a_record()
    booked(grace, at=datetime(2026, 11, 24, 10))
    run_pass()
    _files, data = exported(grace)
    assert data["format"] == 1
    assert {one["key"] for one in data["parts"]} == {
        key for key, kept in personal if kept.exports
    }
    (profile,) = part(data, "patient")["rows"]
    assert (profile["given_name"], profile["birth_date"]) == ("Grace", "1959-03-14")
    (allergy,) = part(data, "history")["rows"]
    assert allergy["details"] == {"reaction": "rash"}
    (text,) = part(data, "message")["rows"]
    assert text["address"] == "+16175550143"
    (visit,) = part(data, "appointment")["rows"]
    assert visit["clinician"]["name"] == "Dr Rao"
    assert {row["address"] for row in part(data, "contact_point")["rows"]} == {
        "+16175550143",
        "grace@example.org",
    }


def test_the_pages_are_readable_and_hold_no_script(monday):
    grace = with_a_record(what_matters="<script>alert(1)</script>")
    files, _data = exported(grace)
    pages = {name: text for name, text in files.items() if name.endswith(".html")}
    whole = "".join(pages.values())
    assert "<script" not in whole
    assert "&lt;script&gt;" in whole
    for text in ("Grace Okafor", "14 Mar 1959", "Penicillin", "reaction: rash", "HC-1"):
        assert text in whole
    # Every page there is can be reached from the first, and nothing else is asked for.
    targets = set(Page(files["index.html"]).addresses) - {"style.css"}
    assert targets == set(pages) - {"index.html"}
    assert "style.css" in files


@pytest.mark.parametrize("key", [key for key, kept in personal if kept.exports])
def test_what_tells_of_a_person_has_a_name_on_the_pages(key):
    """Machinery stands in the data alone; nothing anybody said or wrote does."""
    kept = personal[key]
    for field in kept.model._meta.concrete_fields:
        is_text = isinstance(field, CharField | TextField | JSONField)
        if is_text and field.name not in kept.keeps | kept.hides:
            assert label_of(field) or field.name in MACHINERY, field.name


def test_every_name_for_the_pages_is_of_a_field():
    fields = {
        field.name
        for _key, kept in personal
        for field in kept.model._meta.concrete_fields
    }
    assert set(LABELS) <= fields


def test_the_pages_say_in_words_what_the_file_for_machines_has_as_keys(monday, nora):
    grace = with_a_record(language="es", spoken_language="pt", needs=["large_print"])
    HistoryEntry.objects.filter(patient=grace).update(
        details={"reactions": "rash", "criticality": "high", "seen": "abroad"}
    )
    ContactPerson.objects.create(
        patient=grace, name="Tomás", relation="son", scopes=["schedule"]
    )
    take_intake(
        patient=grace,
        answers={"wants_to_know": "all", "procedure_none": "none_known"},
        source="patient",
        method="desk",
        by=nora,
    )
    booked(grace, at=datetime(2026, 11, 24, 10))
    run_pass()
    files, _data = exported(grace)
    whole = "".join(text for name, text in files.items() if name.endswith(".html"))
    for words in (
        "Portugués",
        "Letra grande",
        "Vigente",
        "Reacción: rash; Qué tan peligrosa es: Podría causar la muerte",
        "seen: abroad",
        "cuánto quiere saber: Todo",
        "Procedimientos: Ninguno conocido",
        "Se reservó una cita",
        "reservada",
    ):
        assert words in whole, words
    for key in ("large_print", "none_known", "visit_booked", "booked", "schedule"):
        assert key not in whole, key
        assert key in files["patient.json"], key


def test_work_says_its_reason_with_what_stands_in_it(monday):
    grace = with_a_record()
    raise_item(
        kind="red_flag",
        severity=WorkItem.Severity.RED,
        reason="Text may speak of an emergency (%(danger)s): “%(words)s”",
        reason_places={"danger": say("chest pain"), "words": "it hurts"},
        subject_kind="conversation",
        subject_id=1,
        dedupe_key="one",
        due_at=timezone.now(),
        patient=grace,
    )
    files, _data = exported(grace)
    (page,) = [text for name, text in files.items() if "work_item" in name]
    assert "May be an emergency" in page
    assert "(chest pain): “it hurts”" in page
    assert "%(" not in page


def test_the_pages_are_in_the_language_the_patient_reads():
    files, _data = exported(with_a_record(language="es"))
    assert 'lang="es"' in files["index.html"]
    assert "14 mar" in "".join(files.values()).casefold()


def test_nothing_of_anybody_else_is_in_it(monday):
    grace = with_a_record()
    leo = patient("Leo", "Elsewhere", phone="+16175550199")
    ContactPerson.objects.create(
        patient=leo, person=grace, name="Grace Okafor", relation="mother"
    )
    booked(leo, at=datetime(2026, 11, 24, 11))
    run_pass()
    files, _data = exported(grace)
    whole = "".join(files.values())
    assert "Elsewhere" not in whole
    assert "0199" not in whole


def test_records_merged_into_hers_are_part_of_hers():
    grace = with_a_record()
    twin = patient("Gracie", phone="+16175550177", merged_into=grace)
    _files, data = exported(grace)
    assert {row["id"] for row in part(data, "patient")["rows"]} == {grace.pk, twin.pk}
    numbers = {row["address"] for row in part(data, "contact_point")["rows"]}
    assert "+16175550177" in numbers


def test_secrets_of_the_machinery_stay(monday):
    grace = with_a_record()
    _files, data = exported(grace)
    for one in data["parts"]:
        for row in one["rows"]:
            assert not {"token_hash", "lease_token", "snapshot"} & set(row)


def test_what_a_manager_may_not_read_they_do_not_take_out(ada, rao):
    grace = with_a_record()
    sign_note(patient=grace, by=rao, type="call", body="Rang about her knee.")
    sign_note(
        patient=grace,
        by=rao,
        type="visit",
        body="Afraid of her husband.",
        sensitive="violence",
    )
    files, data = exported(grace, by=ada)
    assert "husband" not in "".join(files.values())
    assert part(data, "note")["withheld"] == 1
    assert "1 is left out" in "".join(files.values())
    for by in (rao, None):
        files, data = exported(grace, by=by)
        assert "husband" in "".join(files.values())
        assert part(data, "note")["withheld"] == 0


def test_it_says_that_somebody_has_to_talk_to_the_patient_first():
    grace = with_a_record()
    files, _data = exported(grace)
    assert "not noted as told" not in files["index.html"]
    HistoryEntry.objects.create(
        patient=grace,
        kind="condition",
        label="Something",
        status="active",
        source="imported",
        recorded_at=timezone.now(),
    )
    files, data = exported(grace)
    assert data["untold"] == 1
    assert (
        "1 condition in the medical history is not noted as told"
        in (files["index.html"])
    )


def test_that_it_left_is_in_the_trail(ada):
    grace = with_a_record()
    exported(grace, by=ada)
    told = AuditEvent.objects.get(verb="export")
    assert (told.actor, told.patient_ids) == ("ada", [grace.pk])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (date(2026, 11, 3), "3 Nov 2026"),
        (time(9, 5), "09:05"),
        (datetime(2026, 11, 23, 14, 0, tzinfo=UTC), "23 Nov 2026, 09:00"),
        ({"side": "left", "none": ""}, "side: left"),
        (["a", "", "b"], "a, b"),
    ],
)
def test_a_value_reads_as_people_write_it(settings, value, says):
    settings.TIME_ZONE = "America/New_York"
    with timezone.override("America/New_York"):
        assert in_words(value) == says


def test_the_command_writes_files_nobody_else_can_read(tmp_path):
    grace = with_a_record()
    folder = tmp_path / "grace"
    call_command("export_patient", str(grace.pk), str(folder))
    assert json.loads((folder / "patient.json").read_text())["patient"] == grace.pk
    assert (folder / "index.html").exists()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_command_mixes_nobody_with_somebody_else(tmp_path):
    grace = with_a_record()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(CommandError, match="not an empty folder"):
        call_command("export_patient", str(grace.pk), str(tmp_path))
    with pytest.raises(CommandError, match="There is no patient 999"):
        call_command("export_patient", "999", str(tmp_path / "new"))
    # Nothing left the house, so nothing says that it did.
    assert not AuditEvent.objects.filter(verb="export").exists()


def taken_out(client, grace):
    page = reverse("patients:patient_record", args=[grace.pk])
    assert "Put it together" in client.get(page).content.decode()
    started = client.post(page)
    run_jobs()
    assert "Download" in client.get(started.url).content.decode()
    return Job.objects.get()


def test_a_manager_takes_it_out_on_the_page(client, ada):
    grace = with_a_record()
    come_in(client, ada)
    job = taken_out(client, grace)
    # What waits in the row tells nobody anything.
    assert "Okafor" not in json.dumps([job.work, job.result])
    answer = client.get(reverse("patients:record_file", args=[job.pk]))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert "Okafor" not in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert "Penicillin" in archive.read("patient.json").decode()
    told = AuditEvent.objects.filter(verb="export", subject=f"job:{job.pk}").get()
    assert (told.actor, told.patient_ids) == ("ada", [grace.pk])


def test_the_file_is_for_whoever_asked_for_it_alone(client, ada):
    grace = with_a_record()
    come_in(client, ada)
    job = taken_out(client, grace)
    file = reverse("patients:record_file", args=[job.pk])
    assert client.get(file).status_code == 200
    come_in(client, member_of_staff("ben", Role.MANAGER))
    assert client.get(file).status_code == 404
    come_in(client, member_of_staff("nora", Role.NURSE))
    assert client.get(file).status_code == 403
    # Who went to another site has no business with it any more.
    ada.sites.set([SiteFactory(name="Harbour Clinic North")])
    come_in(client, ada)
    assert client.get(file).status_code == 404


def test_the_file_is_gone_after_a_day(client, ada, monday):
    grace = with_a_record()
    come_in(client, ada)
    job = taken_out(client, grace)
    file = reverse("patients:record_file", args=[job.pk])
    monday.shift(timedelta(hours=23))
    come_in(client, ada)
    assert client.get(file).status_code == 200
    monday.shift(timedelta(hours=1, seconds=1))
    come_in(client, ada)
    assert client.get(file).status_code == 404
    sweep_jobs()
    job.refresh_from_db()
    assert job.work == {}
    page = client.get(reverse("job_detail", args=[job.pk])).content.decode()
    assert "It is no longer here" in page


def test_the_file_is_gone_when_the_patient_is_erased(client, ada):
    grace = with_a_record()
    come_in(client, ada)
    job = taken_out(client, grace)
    erase_patient(patient_id=grace.pk, reason="She asked in writing.", by=ada)
    job.refresh_from_db()
    assert job.work == {}
    file = reverse("patients:record_file", args=[job.pk])
    assert client.get(file).status_code == 404
