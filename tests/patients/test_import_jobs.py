"""Bringing in a patient list in the browser: looked through, then taken over."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts import jobs
from accounts.jobs import cancel_job, claim, run_jobs, sweep_jobs
from accounts.models import AuditEvent, Job
from accounts.roles import Role
from patients.importing import jobs as importing
from patients.importing import run
from patients.importing.rows import ImportResult, Problem
from patients.models import HistoryEntry, Patient
from tests.factories import SiteFactory, member_of_staff

pytestmark = pytest.mark.django_db

IMPORT = reverse("patients:patient_import")
COLUMNS = "identifier,given_name,family_name,phone,shoe"
GRACE = "H-1,Grace,Okafor,617 555 0143,38"
NOBODY = "H-2,,Silva,617 555 0144,42"
CSV = f"{COLUMNS}\n{GRACE}\n"


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


@pytest.fixture
def harbour(femi):
    return femi.sites.get()


def upload(client, site, content: str | bytes, **more):
    raw = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("list.csv", raw)
    return client.post(IMPORT, {"file": file, "site": site.pk} | more)


def checked(client, site, content: str | bytes = CSV) -> Job:
    """Upload a list, let the worker look through it, and return the job."""
    answer = upload(client, site, content)
    assert answer.status_code == 302, answer.context["form"].errors
    run_jobs()
    return Job.objects.get(kind=importing.CHECK)


def take_over(client, job: Job, **more):
    return client.post(IMPORT, {"checked": job.pk} | more)


def page_of(client, job: Job) -> str:
    page = client.get(reverse("job_detail", args=[job.pk])).content.decode()
    return re.sub(r"\s+", " ", page)


def many(count: int) -> str:
    rows = [f"H-{n},Given{n},Okafor,,38" for n in range(count)]
    return "\n".join([COLUMNS, *rows]) + "\n"


def test_a_list_is_first_shown_then_taken_over(client, harbour):
    job = checked(client, harbour, f"{COLUMNS}\n{GRACE}\n{NOBODY}\n")
    assert (job.state, job.done, job.total) == ("done", 2, 2)
    page = page_of(client, job)
    for told in ("list.csv", "1 accepted", "1 rejected", "is missing", "shoe"):
        assert told in page
    assert not Patient.objects.exists()

    answer = take_over(client, job)
    real = Job.objects.get(kind=importing.IMPORT)
    assert answer["Location"] == reverse("job_detail", args=[real.pk])
    run_jobs()
    assert Patient.objects.get().full_name == "Grace Okafor"
    page = page_of(client, real)
    assert "1 row was taken over" in page
    assert reverse("patients:patient_list") in page


def test_the_text_waits_in_the_job_until_it_is_taken_over(client, harbour):
    job = checked(client, harbour)
    assert job.work["text"] == CSV
    take_over(client, job)
    job.refresh_from_db()
    assert job.work == {}
    run_jobs()
    assert Job.objects.get(kind=importing.IMPORT).work == {}
    assert "Grace" not in json.dumps(list(Job.objects.values_list("result", flat=True)))


def test_or_for_a_day(client, harbour, monday, femi):
    job = checked(client, harbour)
    monday.shift(timedelta(days=1))
    assert sweep_jobs() == 1
    client.force_login(femi)
    answer = take_over(client, job)
    assert answer["Location"] == IMPORT
    assert b"no longer here" in client.get(IMPORT).content


def test_a_second_press_takes_over_once(client, harbour):
    job = checked(client, harbour)
    key = str(uuid.uuid4())
    first = take_over(client, job, client_key=key)
    again = take_over(client, job, client_key=key)
    other_tab = take_over(client, job, client_key=str(uuid.uuid4()))
    assert first["Location"] == again["Location"] == other_tab["Location"]
    assert Job.objects.filter(kind=importing.IMPORT).count() == 1
    assert "See the import" in page_of(client, job)


def test_a_second_press_looks_once(client, harbour):
    key = str(uuid.uuid4())
    places = {upload(client, harbour, CSV, client_key=key)["Location"] for _ in "12"}
    assert len(places) == Job.objects.count() == 1


def test_a_list_is_ones_own(client, harbour):
    job = checked(client, harbour)
    client.force_login(member_of_staff("maya", Role.NURSE, harbour))
    assert take_over(client, job)["Location"] == IMPORT
    assert not Job.objects.filter(kind=importing.IMPORT).exists()


@pytest.mark.parametrize("checked_id", ["", "x", "9" * 40, "-1"])
def test_nonsense_takes_nothing_over(client, harbour, checked_id):
    assert client.post(IMPORT, {"checked": checked_id})["Location"] == IMPORT


def test_stopped_between_chunks_it_says_how_many_were_taken(
    client, harbour, monkeypatch
):
    monkeypatch.setattr(run, "CHUNK", 10)
    monkeypatch.setattr(jobs, "TOLD_EVERY", timedelta(0))
    take_over(client, checked(client, harbour, many(30)))
    job = Job.objects.get(kind=importing.IMPORT)
    write = jobs.Progress._write

    def stop_after_twenty(progress, now):
        if progress._job.done == 20:
            cancel_job(job=job)
        return write(progress, now)

    monkeypatch.setattr(jobs.Progress, "_write", stop_after_twenty)
    run_jobs()
    job.refresh_from_db()
    assert (job.state, job.work) == ("cancelled", {})
    assert Patient.objects.count() == 20
    assert "20 rows were taken over before it stopped" in page_of(client, job)


def test_begun_anew_after_a_death_nobody_is_there_twice(
    client, harbour, monday, monkeypatch
):
    monkeypatch.setattr(run, "CHUNK", 10)
    take_over(client, checked(client, harbour, many(30)))
    # Dies after its second chunk.
    first = claim()

    def die(done: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing.import_list(first, die)
    assert Patient.objects.count() == 20
    monday.shift(jobs.LEASE)
    run_jobs()
    job = Job.objects.get(kind=importing.IMPORT)
    assert (job.state, Patient.objects.count()) == ("done", 30)
    counts = job.result["counts"]
    assert (counts["created"], counts["unchanged"]) == (10, 20)
    page = page_of(client, job)
    assert "30 rows were taken over" in page
    assert "It was interrupted" in page


def test_a_list_of_a_site_one_has_left_is_refused(client, harbour, femi):
    upload(client, harbour, CSV)
    femi.sites.clear()
    run_jobs()
    assert Job.objects.get().state == "failed"
    assert "no longer work at the site" in page_of(client, Job.objects.get())


def test_a_bundle_that_is_none_is_refused_in_words(client, harbour):
    job = checked(client, harbour, '{"shoe": 38}')
    assert job.state == "failed"
    assert "neither FHIR NDJSON nor a bundle" in page_of(client, job)


def test_a_file_of_history_alone_is_taken_over_too(client, harbour):
    name = {"given": ["Grace"], "family": "Okafor"}
    who = {"resourceType": "Patient", "id": "p1", "name": [name]}
    people = [("p.ndjson", json.dumps(who))]
    run.import_files(people, by=None, dry_run=False, site=harbour)
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/p1"},
        "code": {"text": "Hypertension"},
    }
    job = checked(client, harbour, json.dumps(condition) + "\n")
    page = page_of(client, job)
    assert "1 new entries, 0 changed" in page
    assert "Import the medical history" in page
    take_over(client, job)
    run_jobs()
    assert HistoryEntry.objects.get().label == "Hypertension"
    real = Job.objects.filter(kind=importing.IMPORT).latest("pk")
    assert "The medical history was taken over." in page_of(client, real)
    upload(client, harbour, json.dumps(condition) + "\n")
    run_jobs()
    again = page_of(client, Job.objects.latest("pk"))
    assert "Import the medical history" not in again


def test_nobody_knows_how_much_fhir_there_is(client, harbour):
    upload(client, harbour, '{"resourceType": "Patient", "id": "1"}\n')
    assert Job.objects.get().total is None
    assert "so far" in page_of(client, Job.objects.get())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        ("shoe\n38\n", "only one column"),
        ("\x00\x01", ""),
        (b"PK\x03\x04rest", "Save it as CSV first"),
        (b"\xff\xfea", "not a text file"),
    ],
)
def test_what_cannot_be_read_is_said_beside_the_file(client, harbour, content, told):
    answer = upload(client, harbour, content)
    assert answer.status_code == 200
    assert told in str(answer.context["form"].errors["file"])
    assert not Job.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_list_is_read_as_whichever_program_saved_it(client, harbour, encoding):
    text = CSV.replace("Grace", "Tomás")
    take_over(client, checked(client, harbour, text.encode(encoding)))
    run_jobs()
    assert Patient.objects.get().given_name == "Tomás"


def test_no_file_is_said_beside_the_file(client, harbour):
    answer = client.post(IMPORT, {"site": harbour.pk})
    assert answer.context["form"].errors == {"file": ["Choose a file."]}


def test_a_file_that_is_too_large_is_said_beside_the_file(client, harbour, monkeypatch):
    monkeypatch.setattr("patients.forms.imports.LARGEST_FILE", 10)
    answer = upload(client, harbour, CSV)
    assert "larger than 20 MB" in str(answer.context["form"].errors["file"])


def test_nobody_imports_into_anothers_site(client, femi):
    answer = upload(client, SiteFactory(name="Harbour Clinic North"), CSV)
    assert "site" in answer.context["form"].errors


def test_a_result_is_kept_without_the_rows_and_read_back():
    raw = {"given_name": "Grace"}
    result = ImportResult(created=2, rejected=1, unknown_columns=["shoe\x00"])
    result.problems.append(Problem(3, "identifier", "is\x00 missing", True, "a", raw))
    result.ignored["Device\x00"] = 4
    result.history.created = 5
    kept = importing.as_json(result)
    assert "Grace" not in json.dumps(kept)
    back = importing.from_json(json.loads(json.dumps(kept)))
    assert (back.created, back.accepted, back.history.created) == (2, 2, 5)
    assert back.problems == [Problem(3, "identifier", "is missing", True)]
    assert back.ignored == {"Device": 4}
    assert back.unknown_columns == ["shoe"]


STRANGE = "Chart;Christian name;Surname;Shoe\nH-1;Grace;Okafor;38\nH-2;;Silva;42\n"


def say_columns(client, job: Job, *names: str):
    places = {f"column_{place}": name for place, name in enumerate(names)}
    return client.post(reverse("patients:import_columns", args=[job.pk]), places)


def test_somebody_says_which_column_is_which(client, harbour):
    job = checked(client, harbour, STRANGE)
    assert job.result == {"name": "list.csv", "missing": ["given_name"]}
    assert "No column is understood as: Given name" in page_of(client, job)
    assert take_over(client, job)["Location"] == IMPORT

    page = client.get(reverse("patients:import_columns", args=[job.pk]))
    fields = page.context["form"]
    assert [fields[f"column_{n}"].initial for n in range(4)] == [
        "identifier",
        "",
        "family_name",
        "",
    ]
    assert "Okafor · Silva" in page.content.decode()

    answer = say_columns(client, job, "identifier", "given_name", "family_name", "")
    again = Job.objects.get(pk=answer["Location"].rstrip("/").rpartition("/")[2])
    run_jobs()
    again.refresh_from_db()
    assert (again.result["counts"]["created"], again.result["counts"]["rejected"]) == (
        1,
        1,
    )
    assert "See the later check" in page_of(client, job)
    take_over(client, again)
    run_jobs()
    assert Patient.objects.get().full_name == "Grace Okafor"


def test_a_wrong_guess_is_put_right(client, harbour):
    job = checked(client, harbour, "id,first,last\nH-1,Okafor,Grace\n")
    assert "Columns as understood" in page_of(client, job)
    say_columns(client, job, "identifier", "family_name", "given_name")
    run_jobs()
    take_over(client, Job.objects.filter(kind=importing.CHECK).latest("pk"))
    run_jobs()
    assert Patient.objects.get().full_name == "Grace Okafor"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["identifier", "", "family_name", ""], "which column is the Given name"),
        (["identifier", "given_name", "given_name", ""], "Two columns say this"),
        (["identifier", "given_name", "shoe", ""], "not one of the available choices"),
    ],
)
def test_columns_that_cannot_be_are_refused_beside_them(client, harbour, names, says):
    job = checked(client, harbour, STRANGE)
    answer = say_columns(client, job, *names)
    assert says in answer.content.decode()
    assert Job.objects.count() == 1


def test_a_list_that_was_taken_over_has_no_columns_to_correct(client, harbour):
    job = checked(client, harbour)
    take_over(client, job)
    where = reverse("patients:import_columns", args=[job.pk])
    assert client.get(where)["Location"] == IMPORT
    assert client.post(where, {"column_0": "identifier"})["Location"] == IMPORT


@pytest.mark.parametrize("kind", [importing.CHECK, importing.IMPORT])
def test_rejected_rows_come_back_as_a_file_to_put_right(client, harbour, kind):
    job = checked(client, harbour, f"{COLUMNS}\n{GRACE}\nH-2,,=cmd(),617 555 0144,42\n")
    if kind == importing.IMPORT:
        take_over(client, job)
        run_jobs()
        job = Job.objects.get(kind=kind)
    where = reverse("patients:import_rejects", args=[job.pk])
    assert where in page_of(client, job)
    answer = client.get(where)
    assert answer["Content-Disposition"] == 'attachment; filename="list.rejects.csv"'
    table = answer.content.decode("utf-8-sig")
    assert table.splitlines() == [
        f"{COLUMNS},reason",
        "H-2,,'=cmd(),617 555 0144,42,given_name: is missing",
    ]
    event = AuditEvent.objects.filter(verb=AuditEvent.Verb.EXPORT).get()
    assert event.subject == f"import:{job.pk}"

    mended = table.replace("H-2,,", "H-2,Tomás,")
    job = checked_last(client, harbour, mended)
    assert (job.result["counts"]["created"], job.result["counts"]["rejected"]) == (1, 0)
    assert job.result["counts"]["unknown_columns"] == ["shoe"]


def checked_last(client, site, content: str) -> Job:
    upload(client, site, content)
    run_jobs()
    return Job.objects.filter(kind=importing.CHECK).latest("pk")


def test_rejected_rows_are_their_owners_and_go_after_a_day(client, harbour, monday):
    job = checked(client, harbour, f"{COLUMNS}\n{NOBODY}\n")
    where = reverse("patients:import_rejects", args=[job.pk])
    client.force_login(member_of_staff("nora", Role.FRONT_DESK))
    assert client.get(where).status_code == 404
    client.force_login(job.user)
    assert client.get(where).status_code == 200
    monday.shift(timedelta(days=1))
    sweep_jobs()
    client.force_login(job.user)
    assert client.get(where).status_code == 404
    assert "as a file" not in page_of(client, job)
