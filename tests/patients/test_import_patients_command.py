"""``manage.py import_patients`` as a script or a clinic's own hands use it."""

import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Site
from patients.models import HistoryEntry, Patient
from tests.factories import SiteFactory
from tests.patients.test_importing import ALLERGY, PERSON, ndjson

pytestmark = pytest.mark.django_db

LIST = """\
MRN,First name,Last name,DOB,Mobile,Consent SMS,Shoe size
H-1001,Grace,Okafor,1959-03-14,(617) 555-0143,yes,38
H-1002,Tomás,Silva,1980-02-11,555-0144,yes,42
H-1003,Leo,Okafor,never,+1 617 555 0143,no,30
"""


@pytest.fixture
def clinic() -> Site:
    return SiteFactory()


@pytest.fixture
def patients_csv(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(LIST, encoding="utf-8")
    return path


def run(*args: object) -> tuple[dict, str]:
    """Return (the JSON object, all the talk)."""
    out, err = io.StringIO(), io.StringIO()
    call_command("import_patients", *map(str, args), "--json", stdout=out, stderr=err)
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue()), err.getvalue()


def test_the_answer_in_json_and_the_rejected_row_in_a_file(clinic, patients_csv):
    answer, talk = run(patients_csv)

    rejects = patients_csv.with_name("patients.rejects.csv")
    assert answer == {
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
        "warnings": 1,
        "rejects_file": str(rejects),
        "history": {"created": 0, "unchanged": 0, "rejected": 0},
    }
    assert "patients.csv row 4: birth_date: never is not a date" in talk
    assert "Left out: Shoe size" in talk
    assert rejects.stat().st_mode & 0o077 == 0
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "MRN": "H-1003",
        "First name": "Leo",
        "Last name": "Okafor",
        "DOB": "never",
        # No spreadsheet takes it for a formula.
        "Mobile": "'+1 617 555 0143",
        "Consent SMS": "no",
        "Shoe size": "30",
        "reason": "birth_date: never is not a date",
    }


def test_the_rejects_put_right_come_back_as_they_were(clinic, patients_csv):
    run(patients_csv)
    rejects = patients_csv.with_name("patients.rejects.csv")
    rejects.write_text(rejects.read_text("utf-8-sig").replace("never", "2015-06-01"))

    answer, _talk = run(rejects)

    assert (answer["created"], answer["rejects_file"]) == (1, None)
    leo = Patient.objects.get(given_name="Leo")
    assert leo.contact_points.get().address == "+16175550143"


def test_again_changes_nothing(clinic, patients_csv):
    run(patients_csv)
    answer, _talk = run(patients_csv)
    assert (answer["created"], answer["updated"], answer["unchanged"]) == (0, 0, 2)


def test_dry_run_writes_no_patient(clinic, patients_csv):
    answer, talk = run(patients_csv, "--dry-run")

    assert (answer["created"], answer["rejected"]) == (2, 1)
    assert "Dry run" in talk
    assert not Patient.objects.exists()


def test_without_json_nothing_stands_on_standard_output(clinic, patients_csv, capsys):
    call_command("import_patients", str(patients_csv))
    out, err = capsys.readouterr()
    assert out == ""
    assert "Patients: 2 created, 0 updated, 0 unchanged, 1 rejected; 1 warnings" in err


def test_people_come_before_their_history_in_any_order_of_files(clinic, tmp_path):
    history, people = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    history.write_text(ndjson(ALLERGY, ALLERGY | {"id": "a2", "code": {}}))
    people.write_text(ndjson(PERSON))

    answer, _talk = run(history, people)

    assert answer["created"] == 1
    assert answer["history"] == {"created": 1, "unchanged": 0, "rejected": 1}
    assert HistoryEntry.objects.get().patient == Patient.objects.get()
    with Path(answer["rejects_file"]).open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["row"]) == ("a.ndjson", "2")
    assert row["reason"] == "code: is missing"
    assert json.loads(row["resource"])["id"] == "a2"


def test_the_answer_says_when_history_changed(clinic, tmp_path):
    file = tmp_path / "a.ndjson"
    file.write_text(ndjson(PERSON, ALLERGY))
    run(file)
    file.write_text(ndjson(PERSON, ALLERGY | {"criticality": "low"}))

    answer, _talk = run(file)

    assert answer["history"] == {
        "created": 0,
        "unchanged": 0,
        "rejected": 0,
        "updated": 1,
    }


def test_a_folder_that_cannot_be_written_to(
    clinic, patients_csv, tmp_path, monkeypatch
):
    # A read-only folder, also for the superuser tests may run as.
    beside = patients_csv.with_name("patients.rejects.csv")
    beside.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    answer, _talk = run(patients_csv)

    assert answer["rejects_file"] == str(elsewhere / "patients.rejects.csv")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.csv", None, "missing.csv cannot be opened: no such file"),
        ("empty.csv", b"", "The file is empty"),
        ("list.xlsx", b"PK\x03\x04rest", "is a workbook or a document. Save it as CSV"),
        ("list.csv", b"Name;Telefon\nGrace;1\n", "no column identifier, given_name"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_2(clinic, tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CommandError, match=says) as error:
        call_command("import_patients", str(path), stderr=io.StringIO())

    assert error.value.returncode == 2


def test_without_a_site_it_says_what_to_do(patients_csv):
    with pytest.raises(CommandError, match="seed_demo --patients 0") as error:
        run(patients_csv)
    assert error.value.returncode == 2


def test_among_several_sites_the_first_or_the_one_that_is_named(clinic, patients_csv):
    north = SiteFactory(name="Harbour Clinic North")

    _answer, talk = run(patients_csv, "--dry-run")
    assert "This goes to Harbour Clinic; --site names another one." in talk

    run(patients_csv, "--site", "harbour clinic north")
    assert list(Patient.objects.first().sites.all()) == [north]
    with pytest.raises(CommandError, match="There is no site East"):
        run(patients_csv, "--site", "East")
