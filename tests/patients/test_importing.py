"""Patient lists as clinics have them, read and written, once and again."""

import io
import json
import time
from datetime import date
from pathlib import Path

import pytest
from django.db import DataError
from django.utils import timezone

from accounts.roles import Role
from core.versions import StaleError
from messaging.models import Notice
from patients.importing import Problem, UnreadableFile, import_files
from patients.importing.compare import REPLACED
from patients.importing.rows import LISTED
from patients.importing.run import CHUNK
from patients.importing.tables import open_text
from patients.models import (
    Consent,
    ContactPerson,
    ContactPoint,
    HistoryEntry,
    Identifier,
    Patient,
    PatientTerm,
)
from patients.profile import change_profile, correct_death
from patients.queries import consents_of
from patients.search import find_patients
from patients.services import NO_CONSENT_YET, record_consent
from tests.factories import GRACE, SiteFactory, booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

COLUMNS = (
    "identifier,given_name,family_name,preferred_name,birth_date,sex,phone,email,"
    "language,time_zone,consent_sms,consent_email"
)
GRACE_ROW = (
    "H-1001,Grace,Okafor,Gigi,1959-03-14,female,(617) 555-0143,"
    "Grace@Example.COM,en,,yes,no"
)
TOMAS_ROW = "H-1002,Tomás,Silva,,02/11/1980,m,617 555 0144,,es,America/Denver,yes,"
SYNTHEA = Path(__file__).parents[3] / "shared" / "data" / "synthea10"


def bring(*rows: str, header: str = COLUMNS, dry_run: bool = False, **more):
    """Import rows under a header at Harbour Clinic."""
    text = "\n".join((header, *rows)) + "\n"
    return bring_text(text, dry_run=dry_run, **more)


def bring_text(text: str, *, name: str = "list.csv", dry_run: bool = False, **more):
    more.setdefault("site", SiteFactory())
    return import_files([(name, text)], by=None, dry_run=dry_run, **more)


def counts(result) -> tuple[int, int, int, int, int]:
    """(created, updated, unchanged, rejected, warnings)"""
    return (
        result.created,
        result.updated,
        result.unchanged,
        result.rejected,
        result.warnings,
    )


def told(result) -> list[tuple[int, str, str]]:
    return [(p.row, p.field, p.reason) for p in result.problems]


def whole_database() -> list[list[tuple]]:
    models = (Patient, Identifier, ContactPoint, Consent, PatientTerm, HistoryEntry)
    rows = [list(m.objects.order_by("pk").values_list()) for m in models]
    return [*rows, sorted(Patient.sites.through.objects.values_list())]


def grace() -> Patient:
    return Patient.objects.get(identifiers__value="H-1001")


def points(somebody: Patient) -> list[tuple[str, bool, str]]:
    """Numbers, best first, then email addresses."""
    rows = somebody.contact_points.order_by("-channel", "rank", "id")
    return [(p.address, p.usable, p.why_not) for p in rows]


def test_a_list_brings_people_with_all_that_the_file_says():
    result = bring(GRACE_ROW, TOMAS_ROW)

    assert counts(result) == (2, 0, 0, 0, 0)
    assert result.accepted == 2
    who = grace()
    assert who.sites.get() == SiteFactory()
    assert (who.full_name, who.preferred_name) == ("Grace Okafor", "Gigi")
    assert (who.birth_date, who.sex) == (date(1959, 3, 14), "female")
    assert (who.language, who.zone, who.is_demo) == ("en", "", False)
    assert points(who) == [(GRACE, True, ""), ("Grace@example.com", True, "")]
    assert consents_of([who.pk]) == {
        (who.pk, "sms", "care"): True,
        (who.pk, "email", "care"): False,
    }
    consent = who.consents.get(channel="sms")
    assert (consent.method, consent.evidence) == ("import", "list.csv 2")
    tomas = Patient.objects.get(given_name="Tomás")
    # Eleven February: the clinic is in the United States.
    assert (tomas.birth_date, tomas.zone) == (date(1980, 2, 11), "America/Denver")
    assert (tomas.language, tomas.sex) == ("es", "male")
    assert Identifier.objects.get(patient=tomas).system == "mrn"


def test_twice_changes_nothing():
    bring(GRACE_ROW, TOMAS_ROW)
    before = whole_database()

    result = bring(GRACE_ROW, TOMAS_ROW)

    assert counts(result) == (0, 0, 2, 0, 0)
    assert whole_database() == before


def test_dry_run_says_the_same_and_writes_nothing():
    dry = bring(GRACE_ROW, TOMAS_ROW, ",No,Number", dry_run=True)

    assert whole_database() == [[]] * 7
    real = bring(GRACE_ROW, TOMAS_ROW, ",No,Number")
    assert counts(dry) == counts(real) == (2, 0, 0, 1, 0)
    assert dry.problems == real.problems


def test_who_was_brought_is_found():
    bring(GRACE_ROW, TOMAS_ROW)
    femi = member_of_staff("femi", Role.FRONT_DESK)

    for text in ("okafor grace", "gigi", "H-1001", "5550143", "+16175550143", "0143"):
        assert find_patients(femi, text, month_first=True).patients == [grace()], text
    for text in ("617555", "+1617555", "16175"):
        assert len(find_patients(femi, text, month_first=True).found) == 2, text


def test_a_change_touches_what_the_file_says_and_no_more():
    bring(GRACE_ROW)
    Patient.objects.update(address_line="12 Quay St")

    result = bring("H-1001,Grace,Okafor-Lind,,,,,,es,,,")

    assert counts(result) == (0, 1, 0, 0, 0)
    who = grace()
    assert (who.family_name, who.language) == ("Okafor-Lind", "es")
    assert (who.preferred_name, who.birth_date) == ("Gigi", date(1959, 3, 14))
    assert who.address_line == "12 Quay St"
    assert points(who)[0] == (GRACE, True, "")
    words = set(who.terms.filter(kind="word").values_list("term", flat=True))
    assert words == {"grace", "gigi", "okafor", "lind"}


def test_somebody_of_another_site_comes_to_this_one_as_well():
    bring(GRACE_ROW)
    north = SiteFactory(name="Harbour Clinic North")

    assert counts(bring(GRACE_ROW, site=north)) == (0, 1, 0, 0, 0)
    assert counts(bring(GRACE_ROW, site=north)) == (0, 0, 1, 0, 0)
    assert set(grace().sites.all()) == {SiteFactory(), north}


def test_a_merged_patient_is_written_to_who_was_kept():
    bring(GRACE_ROW, "H-9,Gracie,Okafor,,1959-03-14,,,,,,,")
    lost = Patient.objects.get(given_name="Gracie")
    Patient.objects.filter(pk=lost.pk).update(merged_into=grace())

    result = bring("H-9,Grace,Okafor,,1959-03-14,,,,es,,,", GRACE_ROW)

    assert (result.updated, result.rejected) == (1, 1)
    assert told(result) == [(3, "identifier", "is the same person as row 2")]
    assert grace().language == "es"


def test_columns_in_any_order_by_other_names_and_unknown_ones_named():
    header = (
        "Shoe size;E-MAIL;Mobile;D.O.B.;Last Name;first_name;Patient-ID;SMS consent"
    )
    row = "38;grace@example.com;617.555.0143;14 Mar 1959;Okafor;Grace;H-1001;Y"

    result = bring(row, header=header)

    assert counts(result) == (1, 0, 0, 0, 0)
    assert result.unknown_columns == ["Shoe size"]
    assert grace().birth_date == date(1959, 3, 14)
    assert points(grace())[0] == (GRACE, True, "")
    assert consents_of([grace().pk])[grace().pk, "sms", "care"] is True


def test_columns_in_spanish():
    site = SiteFactory(name="Clínica", zone="Europe/Madrid", region="ES", language="es")
    header = (
        "Nº,Identificador,Nombre,Apellidos,Fecha de nacimiento,Teléfono,Correo,Sexo"
    )
    row = "1,7,Núria,Ferrer Puig,05/03/1990,612 345 678,nuria@example.es,Mujer"

    result = bring(row, header=header, site=site)

    assert counts(result) == (1, 0, 0, 0, 0)
    nuria = Patient.objects.get()
    # The fifth of March, and a Spanish number: the site is in Spain.
    assert nuria.birth_date == date(1990, 3, 5)
    assert (nuria.language, nuria.sex) == ("es", "female")
    assert points(nuria)[0] == ("+34612345678", True, "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_line_ends_and_the_mark_of_utf_8(delimiter, end):
    lines = [
        delimiter.join(("MRN", "First name", "Last name")),
        delimiter.join(("H-1001", "Grace", '"Okafor"')),
        "",
        delimiter.join(("H-1002", "Tomás", "")),
        "",
    ]

    result = bring_text("\ufeff" + end.join(lines))

    assert counts(result) == (2, 0, 0, 0, 0)
    assert grace().family_name == "Okafor"


def test_excels_note_about_the_delimiter_is_passed_over():
    assert bring_text("sep=;\nMRN;Nombre\n1;Grace\n").created == 1


def test_several_numbers_are_kept_and_the_mobile_comes_first():
    bring(
        "1,Grace,617 555 0100,(617) 555-0143",
        header="id,first,home phone,mobile",
    )

    assert [p[0] for p in points(Patient.objects.get())] == [GRACE, "+16175550100"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "name,phone\nGrace,617\n",
        "H-1001,Grace,Okafor\n",
        "identifier,family_name\n1,Okafor\n",
        '{"resourceType": "Bundle", "entry": [',
        '{"hello": 1}\n',
        '"{"',
    ],
)
def test_a_file_without_what_is_needed_is_no_list(text):
    with pytest.raises(UnreadableFile):
        bring_text(text)


def test_the_message_names_what_is_missing():
    with pytest.raises(UnreadableFile, match=r"no column given_name.*Vorname"):
        bring("1,Grace", header="identifier,Vorname")


@pytest.mark.parametrize(
    ("sex", "stored"),
    [("F", "female"), ("Hombre", "male"), ("X", "other"), ("", "unknown")],
)
def test_sex(sex, stored):
    assert bring(f"1,Grace,{sex}", header="id,first,sex").warnings == 0
    assert Patient.objects.get().sex == stored


@pytest.mark.parametrize(
    ("language", "stored"),
    [
        ("English", "en"),
        ("en-US", "en"),
        ("Español", "es"),
        ("es_MX", "es"),
        ("", "en"),
    ],
)
def test_language(language, stored):
    assert bring(f"1,Grace,{language}", header="id,first,language").warnings == 0
    assert Patient.objects.get().language == stored


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("yes", True),
        ("Y", True),
        ("TRUE", True),
        ("1", True),
        ("sí", True),
        ("no", False),
        ("0", False),
        ("False", False),
        ("", None),
    ],
)
def test_consent_words(word, given):
    result = bring(f"1,Grace,6175550143,{word}", header="id,first,phone,consent_sms")

    assert result.warnings == 0
    stored = Consent.objects.values_list("given", flat=True)
    assert list(stored) == ([] if given is None else [given])


def test_what_is_doubtful_is_a_warning_and_the_person_is_taken():
    result = bring(
        "1,Grace,Okafor,,,robot,617 555 01,grace@,tlh,Mars/Base,perhaps,",
        "2,Leo,Okafor,,,,,,,,yes,yes",
    )

    assert counts(result) == (2, 0, 0, 0, 8)
    assert told(result) == [
        (2, "sex", "robot is not known here"),
        (2, "language", "tlh is not known here"),
        (2, "time_zone", "Mars/Base is not a time zone"),
        (2, "phone", "617 555 01: not a valid number"),
        (2, "email", "grace@: not a valid email address"),
        (2, "consent_sms", "perhaps is neither yes nor no"),
        (3, "consent_sms", "they agreed, but there is no phone"),
        (3, "consent_email", "they agreed, but there is no email"),
    ]
    who = Patient.objects.get(given_name="Grace")
    assert (who.sex, who.language, who.zone) == ("unknown", "en", "")
    assert points(who) == [
        ("617 555 01", False, "not a valid number"),
        ("grace@", False, "not a valid email address"),
    ]


def test_the_second_look_at_a_bad_number_changes_nothing():
    header = "id,first,phone,consent_sms"
    bring("1,Grace,555-0143,yes", header=header)
    before = whole_database()

    assert counts(bring("1,Grace,555-0143,yes", header=header)) == (0, 0, 1, 0, 1)
    assert whole_database() == before


def test_a_family_shares_a_number():
    result = bring(GRACE_ROW, "H-1003,Leo,Okafor,,2015-06-01,m,617-555-0143,,,,no,")

    assert counts(result) == (2, 0, 0, 0, 0)
    assert ContactPoint.objects.filter(address=GRACE, usable=True).count() == 2


def test_formulas_controls_and_overrides_are_only_text():
    result = bring('H-1001,"=HYPERLINK(""x"")",@SUM(1)\x00,\u202eabc,1959-03-14,,,,,,,')

    assert counts(result) == (1, 0, 0, 0, 0)
    who = grace()
    assert who.given_name == '=HYPERLINK("x")'
    assert (who.family_name, who.preferred_name) == ("@SUM(1)", "abc")


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (",Grace,Okafor,,,", "identifier", "is missing"),
        ("1,,Okafor,,,", "given_name", "is missing"),
        ("1, \t ,,,,", "given_name", "is missing"),
        ("1,Grace,,,yesterday,", "birth_date", "yesterday is not a date"),
        ("1,Grace,,,1959-02-30,", "birth_date", "1959-02-30 is not a date"),
        ("1,Grace,,,2031-01-01,", "birth_date", "2031-01-01 lies ahead"),
        ("1,Grace,,,1850-01-01,", "birth_date", "1850-01-01 is too long ago"),
        (f"1,{'G' * 81},,,,", "given_name", "is longer than 80 characters"),
        (f"1,Grace,{'O' * 81},,,", "family_name", "is longer than 80 characters"),
        (f"{'1' * 121},Grace,,,,", "identifier", "is longer than 120 characters"),
    ],
)
def test_rejected_rows(monday, row, field, reason):
    result = bring(row, TOMAS_ROW)

    assert counts(result) == (1, 0, 0, 1, 0)
    assert told(result) == [(2, field, reason)]
    assert result.problems[0].is_rejection
    assert Patient.objects.get().given_name == "Tomás"


def test_a_rejected_row_keeps_its_cells_for_the_rejects_file():
    result = bring(",Grace,Okafor,Gigi,,,,,,,,")

    assert result.problems == [
        Problem(
            row=2,
            field="identifier",
            reason="is missing",
            is_rejection=True,
            source="list.csv",
            raw=dict(
                zip(
                    COLUMNS.split(","),
                    ["", "Grace", "Okafor", "Gigi", "", "", "", "", "", "", "", ""],
                    strict=True,
                )
            ),
        )
    ]


def test_the_same_identifier_twice_in_a_file():
    result = bring(GRACE_ROW, TOMAS_ROW, "H-1001,Other,Person,,,,,,,,,")

    assert counts(result) == (2, 0, 0, 1, 0)
    assert told(result) == [(4, "identifier", "H-1001 stands in row 2 already")]
    again = bring(GRACE_ROW, TOMAS_ROW, "H-1001,Other,Person,,,,,,,,,")
    assert counts(again) == (0, 0, 2, 1, 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_same_identifier_twice_far_apart(dry_run):
    rows = [f"{n},P{n}" for n in range(CHUNK + 5)]

    result = bring(*rows, "3,Again", header="id,first", dry_run=dry_run)

    assert counts(result) == (CHUNK + 5, 0, 0, 1, 0)
    assert result.problems[0].row == CHUNK + 7


def test_the_same_person_in_two_files_is_written_twice():
    files = [
        (f"{name}.csv", f"id,first,language\nH-1001,Grace,{language}\n")
        for name, language in (("a", "en"), ("b", "es"))
    ]

    result = import_files(files, site=SiteFactory(), by=None, dry_run=False)

    assert counts(result) == (1, 1, 0, 0, 0)
    assert grace().language == "es"


def test_an_identifier_given_to_somebody_else_is_not_written_over():
    bring(GRACE_ROW)
    before = whole_database()

    result = bring("H-1001,Henry,Marsh,,1971-09-09,,617 555 0199,,,,yes,")

    assert counts(result) == (0, 0, 0, 1, 0)
    assert told(result) == [
        (
            2,
            "identifier",
            "belongs to somebody of another name and another date of birth",
        )
    ]
    assert whole_database() == before
    # A new name after a wedding, or a corrected date, is still Grace.
    assert bring("H-1001,Grace,Marsh,,1959-04-13,,,,,,,").updated == 1


def test_broken_lines_take_no_others_along():
    text = (
        "id,first,last,notes\n"
        '1,Grace,"Okafor,\n'
        "2,Tomás,Silva,\n"
        "3,Ann,Lee,likes tea, and cake\n"
        '4,Leo,Okafor,"two\nlines"\n'
        '5,Eve,Ng,"oh\n'
    )

    result = bring_text(text)

    assert counts(result) == (2, 0, 0, 3, 0)
    assert [(p.row, p.field) for p in result.problems] == [
        (2, "line"),
        (4, "line"),
        (6, "line"),
    ]
    assert result.problems[0].raw == {"id": '1,Grace,"Okafor,'}
    assert set(Patient.objects.values_list("given_name", flat=True)) == {"Tomás", "Leo"}


def test_a_row_the_database_refuses_is_left_out_alone(monkeypatch):
    def refuse_grace(*args, **kwargs):
        if Patient.objects.filter(given_name="Grace").exists():
            raise DataError("a value nobody thought of")

    monkeypatch.setattr("patients.importing.writer.insert_terms", refuse_grace)

    result = bring(GRACE_ROW, TOMAS_ROW)

    assert counts(result) == (1, 0, 0, 1, 0)
    assert told(result) == [(2, "row", "could not be stored")]
    assert Patient.objects.get().given_name == "Tomás"


def test_a_hundred_bad_rows_are_all_heard_and_the_first_ones_listed():
    heard = []
    rows = [f",P{n}" for n in range(LISTED + 10)]

    result = bring(*rows, header="id,first", on_row=heard.append)

    assert result.rejected == len(heard) == LISTED + 10
    assert (len(result.problems), result.unlisted) == (LISTED, 10)


def test_a_yes_never_lifts_a_withdrawal():
    bring(GRACE_ROW)
    femi = member_of_staff("femi", Role.FRONT_DESK)
    record_consent(
        patient=grace(), channel="sms", given=False, method="spoken", by=femi
    )

    result = bring(GRACE_ROW)

    assert counts(result) == (0, 0, 1, 0, 1)
    assert told(result) == [
        (2, "consent_sms", "they said no before; only a person can note a new yes")
    ]
    assert consents_of([grace().pk])[grace().pk, "sms", "care"] is False


def test_a_no_of_the_file_withdraws_and_its_repetition_does_not():
    bring(GRACE_ROW)
    withdrawn = GRACE_ROW.replace("yes,no", "no,no")
    assert counts(bring(withdrawn)) == (0, 1, 0, 0, 0)
    assert consents_of([grace().pk])[grace().pk, "sms", "care"] is False
    # Then Grace agrees at the desk; the next morning's file still says no.
    record_consent(patient=grace(), channel="sms", given=True, method="spoken", by=None)

    assert counts(bring(withdrawn)) == (0, 0, 1, 0, 0)
    assert consents_of([grace().pk])[grace().pk, "sms", "care"] is True


def test_a_new_number_with_a_new_yes_takes_the_place_of_the_old_one():
    bring(GRACE_ROW)
    moved = GRACE_ROW.replace("0143", "0177")

    assert counts(bring(moved)) == (0, 1, 0, 0, 0)
    assert points(grace()) == [
        ("+16175550177", True, ""),
        (GRACE, False, REPLACED),
        ("Grace@example.com", True, ""),
    ]
    # A new number needs a new consent.
    assert grace().consents.filter(channel="sms", given=True).count() == 2
    assert counts(bring(moved)) == (0, 0, 1, 0, 0)
    # And back: the file names the old one again.
    assert counts(bring(GRACE_ROW)) == (0, 1, 0, 0, 0)
    assert points(grace())[0] == (GRACE, True, "")
    assert counts(bring(GRACE_ROW)) == (0, 0, 1, 0, 0)


def test_a_new_number_without_a_yes_waits_for_one():
    header = "id,first,phone,consent_sms"
    bring("H-1001,Grace,617 555 0143,yes", header=header)

    result = bring("H-1001,Grace,617 555 0177,", header=header)

    assert told(result) == [
        (2, "phone", "is new, and not used before they agree to it")
    ]
    assert points(grace()) == [
        ("+16175550177", False, NO_CONSENT_YET),
        (GRACE, False, REPLACED),
    ]
    assert counts(bring("H-1001,Grace,617 555 0177,", header=header))[:3] == (0, 0, 1)
    assert counts(bring("H-1001,Grace,617 555 0177,yes", header=header))[:2] == (0, 1)
    assert points(grace())[0] == ("+16175550177", True, "")
    assert counts(bring("H-1001,Grace,617 555 0177,yes", header=header))[:3] == (
        0,
        0,
        1,
    )


def test_what_staff_know_of_a_number_outlives_the_file():
    bring(GRACE_ROW)
    ContactPoint.objects.filter(address=GRACE).update(
        usable=False, why_not="wrong number"
    )

    assert counts(bring(GRACE_ROW)) == (0, 0, 1, 0, 0)
    assert points(grace())[0] == (GRACE, False, "wrong number")


def test_somebody_not_safe_to_text_is_not_on_a_new_number_either():
    bring(GRACE_ROW)
    ContactPoint.objects.filter(address=GRACE).update(safe_to_text=False)

    bring(GRACE_ROW.replace("0143", "0177"))

    assert ContactPoint.objects.get(address="+16175550177").safe_to_text is False


def test_a_bad_new_number_leaves_the_good_one():
    bring(GRACE_ROW)

    assert counts(bring(GRACE_ROW.replace("555-0143", "55"))) == (0, 1, 0, 0, 1)
    assert points(grace())[0] == (GRACE, True, "")


@pytest.mark.parametrize("rows", [1, 30])
def test_a_chunk_is_as_many_queries_however_many_rows(rows, django_assert_num_queries):
    site = SiteFactory()
    text = [f"{n},P{n},,,1980-01-01,,617 555 {n:04},,,,yes," for n in range(rows)]
    with django_assert_num_queries(13):
        bring(*text, site=site)
    with django_assert_num_queries(8):
        bring(*text, site=site)


def test_a_child_is_found_by_the_number_of_who_answers_for_it():
    leo = patient("Leo", phone="")
    mother = ContactPerson.objects.create(patient=leo, name="Ada", relation="mother")
    ContactPoint.objects.create(contact_person=mother, channel="sms", address=GRACE)
    Identifier.objects.create(patient=leo, system="mrn", value="7")

    bring("7,Leon", header="id,first")

    femi = member_of_staff("femi", Role.FRONT_DESK)
    assert find_patients(femi, "5550143", month_first=True).patients == [leo]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "list.csv"
    path.write_text(f"{COLUMNS}\n{TOMAS_ROW}\n", encoding=encoding)

    with open_text(path) as text:
        result = bring_text(text)

    assert counts(result) == (1, 0, 0, 0, 0)
    assert Patient.objects.get().given_name == "Tomás"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04\x14\x00", "workbook or a document.*CSV UTF-8.*Text CSV"),
        (b"\xd0\xcf\x11\xe0\xa1", "workbook or a document"),
        (b"%PDF-1.7", "workbook or a document"),
        (b"\x81\x8d\x8f\x90\x9d", "is not a text file"),
    ],
)
def test_a_spreadsheet_or_a_picture_is_no_text(tmp_path, content, says):
    path = tmp_path / "list.xlsx"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=says):
        open_text(path)


def test_a_stream_that_cannot_go_back_is_read_as_well():
    class Pipe(io.StringIO):
        def seekable(self) -> bool:
            return False

    assert bring_text(Pipe(f"{COLUMNS}\n{GRACE_ROW}\n")).created == 1


PERSON = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-12-3456"},
        {"type": {"coding": [{"code": "DL"}]}, "system": "urn:x", "value": "S9"},
        {"type": {"coding": [{"code": "PPN"}]}, "system": "urn:y", "value": "X5"},
        {"system": "urn:clinic:old", "value": "77"},
        {"type": {"coding": [{"code": "MR"}]}, "system": "urn:mrn", "value": "M-1"},
    ],
    "name": [
        {"use": "maiden", "family": "Eze", "given": ["Grace"]},
        {"use": "official", "family": "Okafor", "given": ["Grace", "Ada"]},
        {"use": "nickname", "given": ["Gigi"]},
    ],
    "telecom": [
        {"system": "phone", "use": "home", "value": "617-555-0100"},
        {"system": "phone", "use": "mobile", "value": "tel:+1-617-555-0143"},
        {"system": "phone", "use": "old", "value": "617-555-0111"},
        {"system": "email", "value": "grace@example.com"},
        {"system": "fax", "value": "617-555-0112"},
    ],
    "gender": "female",
    "birthDate": "1959-03-14",
    "address": [
        {
            "line": ["12 Quay St", "Apt 3"],
            "city": "Boston",
            "state": "MA",
            "postalCode": "02110",
            "country": "us",
        }
    ],
    "communication": [
        {"language": {"coding": [{"code": "en"}]}},
        {"language": {"coding": [{"code": "es-MX"}]}, "preferred": True},
    ],
}
ALLERGY = {
    "resourceType": "AllergyIntolerance",
    "id": "a1",
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "verificationStatus": {"coding": [{"code": "confirmed"}]},
    "criticality": "high",
    "code": {"coding": [{"system": "urn:rx", "code": "7980", "display": "Penicillin"}]},
    "patient": {"reference": "Patient/p1"},
    "recordedDate": "1996-12-27T23:21:52-05:00",
    "reaction": [{"manifestation": [{"text": "Hives"}]}],
}


def ndjson(*resources) -> str:
    return "".join(json.dumps(resource) + "\n" for resource in resources)


def test_a_fhir_patient_with_everything():
    result = bring_text(ndjson(PERSON), name="Patient.ndjson")

    assert counts(result) == (1, 0, 0, 0, 0)
    who = Patient.objects.get()
    assert (who.given_name, who.family_name) == ("Grace Ada", "Okafor")
    assert (who.preferred_name, who.sex, who.language) == ("Gigi", "female", "es")
    assert (who.address_line, who.city) == ("12 Quay St, Apt 3", "Boston")
    assert (who.state, who.postal_code, who.country) == ("MA", "02110", "US")
    assert [p[0] for p in points(who)] == [GRACE, "+16175550100", "grace@example.com"]
    # Social security, driver's licence and passport stay where they were.
    assert list(who.identifiers.order_by("id").values_list("system", "value")) == [
        ("urn:mrn", "M-1"),
        ("urn:clinic:old", "77"),
        ("fhir/Patient", "p1"),
    ]
    assert not Consent.objects.exists()


def test_history_comes_imported_untold_and_once():
    result = bring_text(ndjson(ALLERGY, PERSON))

    assert (result.history.created, result.created) == (1, 1)
    entry = HistoryEntry.objects.get()
    assert entry.patient == Patient.objects.get()
    assert (entry.kind, entry.label, entry.status) == (
        "allergy",
        "Penicillin",
        "active",
    )
    assert (entry.code_system, entry.code) == ("urn:rx", "7980")
    assert (entry.source, entry.told_on) == ("imported", None)
    assert entry.happened_on == date(1996, 12, 27)
    assert (entry.verification, entry.verified_at) == ("confirmed", None)
    assert entry.details == {
        "criticality": "high",
        "reactions": "Hives",
    }
    before = whole_database()
    again = bring_text(ndjson(ALLERGY, PERSON))
    assert (again.history.unchanged, again.unchanged) == (1, 1)
    assert whole_database() == before


def test_history_in_a_later_file_finds_its_patient_by_what_is_stored():
    bring_text(ndjson(PERSON))
    by_number = ALLERGY | {
        "id": "a2",
        "patient": {"reference": "Patient?identifier=urn:mrn|M-1"},
    }
    stranger = ALLERGY | {"id": "a3", "patient": {"reference": "Patient/p9"}}

    result = bring_text(ndjson(ALLERGY, by_number, stranger), name="more.ndjson")

    assert (result.history.created, result.history.rejected) == (2, 1)
    assert told(result) == [(3, "subject", "this patient is not here")]


def test_a_changed_entry_is_brought_up_to_date_and_another_fact_is_untold():
    bring_text(ndjson(PERSON, ALLERGY))
    HistoryEntry.objects.update(told_on=date(2026, 1, 5), verified_at=timezone.now())
    resolved = ALLERGY | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}

    assert bring_text(ndjson(resolved)).history.updated == 1
    entry = HistoryEntry.objects.get()
    assert (entry.status, entry.told_on) == ("resolved", date(2026, 1, 5))

    other = resolved | {"code": {"coding": [{"code": "1191", "display": "Aspirin"}]}}
    assert bring_text(ndjson(other)).history.updated == 1
    entry.refresh_from_db()
    assert (entry.label, entry.told_on, entry.verified_at) == ("Aspirin", None, None)


def test_what_people_wrote_outlives_a_file_that_repeats_itself():
    bring_text(ndjson(PERSON, ALLERGY))
    HistoryEntry.objects.update(label="Penicillin tablets", status="inactive")

    assert bring_text(ndjson(ALLERGY)).history.unchanged == 1
    assert HistoryEntry.objects.get().label == "Penicillin tablets"

    resolved = ALLERGY | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    assert bring_text(ndjson(resolved)).history.updated == 1
    entry = HistoryEntry.objects.get()
    assert (entry.label, entry.status) == ("Penicillin tablets", "resolved")


def test_a_high_risk_medicine_is_known_by_its_code_or_name():
    warfarin = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "medicationCodeableConcept": {"text": "Warfarin 5 mg tablet"},
        "subject": {"reference": "Patient/p1"},
    }
    bring_text(ndjson(PERSON, warfarin))
    assert HistoryEntry.objects.get().risk_class == "blood_thinner"


def test_a_name_is_kept_without_its_tag_for_machines():
    asthma = {
        "resourceType": "Condition",
        "id": "c1",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"coding": [{"code": "195967001", "display": "Asthma (disorder)"}]},
        "subject": {"reference": "Patient/p1"},
    }
    bring_text(ndjson(PERSON, asthma))
    entry = HistoryEntry.objects.get()
    assert (entry.label, entry.clinical_name) == ("Asthma", "Asthma (disorder)")


@pytest.mark.parametrize(
    ("extension", "needed"),
    [
        ({"url": ".../patient-interpreterRequired", "valueBoolean": True}, True),
        (
            {
                "url": ".../us-core-interpreter-needed",
                "valueCoding": {"code": "373067005"},
            },
            False,
        ),
        ({"url": ".../us-core-interpreter-needed", "valueCoding": "yes"}, None),
        ({"url": ".../us-core-race"}, None),
    ],
)
def test_whether_a_fhir_patient_needs_an_interpreter(extension, needed):
    bring_text(ndjson(PERSON | {"extension": [extension]}))
    assert Patient.objects.get().needs_interpreter is needed


def test_a_language_nobody_here_writes_is_spoken_all_the_same():
    vietnamese = [{"language": {"coding": [{"code": "vi"}]}}]
    bring_text(ndjson(PERSON | {"communication": vietnamese}))
    somebody = Patient.objects.get()
    assert (somebody.language, somebody.spoken_language) == ("en", "vi")


def test_what_was_entered_in_error_is_taken_back_and_not_taken_up():
    error = ALLERGY | {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    assert bring_text(ndjson(PERSON, error)).history.rejected == 1
    bring_text(ndjson(ALLERGY))
    assert bring_text(ndjson(error)).history.updated == 1
    assert HistoryEntry.objects.get().status == "entered-in-error"


def test_an_entry_does_not_wander_to_another_patient():
    bring_text(ndjson(PERSON, ALLERGY))
    leo = PERSON | {"id": "p2", "identifier": [], "birthDate": "2015-06-01"}

    result = bring_text(ndjson(leo, ALLERGY | {"patient": {"reference": "Patient/p2"}}))

    assert told(result) == [(2, "subject", "it is somebody else's entry here")]
    assert HistoryEntry.objects.get().patient.birth_date == date(1959, 3, 14)


def test_a_bundle_with_references_of_its_own():
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": ALLERGY | {"patient": {"reference": "urn:uuid:1"}}},
            {"fullUrl": "urn:uuid:1", "resource": PERSON},
            {"resource": {"resourceType": "Encounter", "id": "e1"}},
            {"resource": None},
        ],
    }

    for text in (json.dumps(bundle), json.dumps(bundle, indent=2)):
        result = bring_text(text, name="bundle.json")
        assert result.accepted == 1
        assert result.history.created + result.history.unchanged == 1
        assert result.ignored == {"Encounter": 1, "None": 1}
    assert HistoryEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("death", "died_on"),
    [
        ({"deceasedDateTime": "1989-05-09T20:35:22-04:00"}, date(1989, 5, 9)),
        ({"deceasedBoolean": True}, date(2026, 11, 23)),
        ({"deceasedDateTime": "1989"}, date(2026, 11, 23)),
        ({"deceasedBoolean": False}, None),
    ],
)
def test_who_died(monday, death, died_on):
    bring_text(ndjson(PERSON | death))
    assert Patient.objects.get().deceased_on == died_on
    assert bring_text(ndjson(PERSON | death)).unchanged == 1


def test_a_death_in_a_file_takes_back_what_was_promised_and_asks_about_visits(monday):
    bring_text(ndjson(PERSON))
    booked(Patient.objects.get())
    died = ndjson(PERSON | {"deceasedDateTime": "2026-11-22"})
    bring_text(died)
    bring_text(died)
    notices = Notice.objects.values_list("state", "why")
    assert set(notices) == {("superseded", "the patient has died")}
    item = WorkItem.objects.get(kind="died")
    assert item.sentence == (
        "Has died. Cancel what still stands: Tue 24 Nov, 10:00 with Dr Rao"
    )


@pytest.mark.parametrize(
    "death", [{"deceasedDateTime": "2026-11-22"}, {"deceasedBoolean": True}]
)
def test_a_death_that_somebody_here_corrected_is_not_noted_anew(monday, death):
    died = ndjson(PERSON | death)
    bring_text(died)
    correct_death(
        patient_id=Patient.objects.get().pk,
        reason="She stands before me.",
        by=member_of_staff("nora", Role.NURSE),
    )
    again = bring_text(died)
    assert Patient.objects.get().deceased_on is None
    assert [problem.field for problem in again.problems] == ["deceased"]


def test_nobody_saves_an_old_page_over_what_a_file_brought():
    bring(GRACE_ROW)
    before = grace()
    bring(GRACE_ROW.replace("Gigi", "Gg"))
    with pytest.raises(StaleError):
        change_profile(
            patient_id=before.pk,
            version=before.version,
            preferred_name="Gigi",
            by=member_of_staff("nora", Role.NURSE),
        )
    after = grace().version
    bring(GRACE_ROW.replace("Gigi", "Gg"))
    assert grace().version == after


def test_the_living_are_not_brought_back_by_a_file_that_says_nothing():
    bring_text(ndjson(PERSON | {"deceasedDateTime": "2020-01-01"}))
    bring_text(ndjson(PERSON))
    assert Patient.objects.get().deceased_on == date(2020, 1, 1)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"resourceType": "Patient", "id"', "line"),
        ("[" * 100_000, "line"),
        (json.dumps({"resourceType": "Patient"}), "identifier"),
        (json.dumps(PERSON | {"name": "Grace"}), "given_name"),
        (json.dumps(PERSON | {"birthDate": "1959"}), "birth_date"),
        (json.dumps(PERSON | {"link": [{"type": "replaced-by"}]}), "link"),
        (json.dumps(ALLERGY | {"id": 7}), "id"),
        (json.dumps(ALLERGY | {"code": []}), "code"),
        (json.dumps({k: v for k, v in ALLERGY.items() if k != "patient"}), "subject"),
    ],
)
def test_a_bad_resource_costs_only_itself(line, field):
    leo = PERSON | {"id": "p2", "identifier": [], "name": [{"text": "Leo Okafor"}]}

    result = bring_text(ndjson(leo) + line + "\n")

    assert result.created == 1
    assert (result.rejected + result.history.rejected) == 1
    rejection = next(p for p in result.problems if p.is_rejection)
    assert (rejection.row, rejection.field) == (2, field)
    assert str(Patient.objects.get()) == "Leo Okafor"


def test_shapes_nobody_expects_do_not_stop_the_import():
    odd = {
        "resourceType": "Patient",
        "id": "odd",
        "identifier": {"value": "x"},
        "name": [None, {"given": ["Ann", 5, None], "family": ["Lee"]}],
        "telecom": [{"system": "phone", "value": 5, "rank": "first"}, "x"],
        "address": [[], {"line": "12 Quay St"}],
        "communication": [{"language": "en"}],
        "deceasedBoolean": "no",
        "link": {},
    }

    assert bring_text(ndjson(odd)).created == 1
    assert str(Patient.objects.get()) == "Ann"


def test_a_broken_first_line_does_not_hide_the_others():
    result = bring_text('{"resourceType": "Patient", "id": "x"\n' + ndjson(PERSON))

    assert counts(result) == (1, 0, 0, 1, 0)
    assert told(result) == [(1, "line", "is not JSON")]


@pytest.mark.skipif(
    not SYNTHEA.is_dir(), reason="the sample data is not beside the repo"
)
def test_the_sample_of_thirteen_patients():
    def bring_all(*, dry_run: bool = False):
        # History before people: the order given does not matter.
        files = sorted(SYNTHEA.glob("*.ndjson"))
        assert files[0].stem == "AllergyIntolerance"
        return import_files(
            [(file.name, file.read_text(encoding="utf-8")) for file in files],
            site=SiteFactory(),
            by=None,
            dry_run=dry_run,
        )

    for result in (bring_all(dry_run=True), bring_all()):
        assert counts(result) == (13, 0, 0, 0, 13)
        assert (result.history.created, result.history.rejected) == (4367, 0)
    assert {p.field for p in result.problems} == {"phone"}
    kinds = [
        HistoryEntry.objects.filter(kind=kind).count()
        for kind in ("allergy", "condition", "medicine", "procedure")
    ]
    assert kinds == [11, 555, 1745, 2056]
    assert not HistoryEntry.objects.exclude(told_on=None).exists()
    assert Patient.objects.exclude(deceased_on=None).count() == 3
    assert Patient.objects.filter(given_name="Sumiko254 Larue605").exists()
    assert ContactPoint.objects.filter(usable=False).count() == 13
    assert not Identifier.objects.filter(value__contains="999-").exists()
    before = whole_database()

    again = bring_all()

    assert counts(again) == (0, 0, 13, 0, 13)
    assert (again.history.created, again.history.unchanged) == (0, 4367)
    assert whole_database() == before


def test_needs_and_the_postal_address_are_taken():
    header = (
        "id,first,last,pronouns,habla,intérprete,preferred contact,"
        "street,town,state,zip,country"
    )
    bring(
        "7,Rosa,Alvarez,she/her,español,sí,letter,Pier St 4,Boston,MA,02110,us",
        header=header,
    )

    rosa = Patient.objects.get()
    assert (rosa.pronouns, rosa.spoken_language, rosa.needs_interpreter) == (
        "she/her",
        "es",
        True,
    )
    assert (rosa.preferred_way, rosa.address_line, rosa.city) == (
        "letter",
        "Pier St 4",
        "Boston",
    )
    assert (rosa.state, rosa.postal_code, rosa.country) == ("MA", "02110", "US")


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("speaks", "Klingon"),
        ("interpreter", "perhaps"),
        ("contact method", "pigeon"),
        ("country", "Utopia"),
    ],
)
def test_a_need_nobody_understands_is_a_warning(column, cell):
    result = bring(f"7,Rosa,{cell}", header=f"id,first,{column}")
    assert counts(result) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("a," * 600, "more than 500 columns"),
        ("given_name," + "x" * 200_000, "cannot be read"),
        # Each of these would once read all those behind it: minutes for one cell.
        ("given_name," + "(" * 130_000, "no column"),
    ],
)
def test_a_first_line_that_is_a_trap_is_refused_at_once(header, says):
    started = time.monotonic()
    with pytest.raises(UnreadableFile, match=says):
        bring("Grace", header=header)
    assert time.monotonic() - started < 5
