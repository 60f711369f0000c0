"""The calendar that lives elsewhere: read again and never over our moves."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError
from django.db.models import F

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments import services
from appointments.importing import MOST_TOLD, import_calendar
from appointments.models import Appointment, AppointmentEvent, VisitType
from messaging.models import Notice
from patients.importing import UnreadableFile
from patients.models import Identifier
from patients.terms import index_patients
from tests.factories import (
    SiteFactory,
    clinician,
    member_of_staff,
    patient,
    visit_type,
)
from worklist.models import WorkItem
from worklist.services import claim_item

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday")]

COLUMNS = "external_id,patient_identifier,clinician,visit_type,start,minutes,status"
#: Grace, Tuesday in a week at ten.
ROW = "A-1,H-1001,Dr Rao,Consultation,2026-12-01T10:00,20,booked"


@pytest.fixture(autouse=True)
def clinic():
    """Harbour Clinic with Dr Rao, Dr Lind, and two patients who have numbers."""
    site = SiteFactory()
    rao = clinician("Dr Rao")
    rao.user = member_of_staff("rao", Role.CLINICIAN)
    rao.save()
    clinician("Dr Lind")
    visit_type(3, 1)
    for number, somebody in (
        ("H-1001", patient("Grace")),
        ("H-1002", patient("Tomás", "Silva", phone="+16175550144")),
    ):
        Identifier.objects.create(patient=somebody, system="mrn", value=number)
    return site


def bring(*rows: str, header: str = COLUMNS, dry_run: bool = False, **more):
    """Import rows of the other calendar at Harbour Clinic."""
    return import_calendar(
        "calendar.csv",
        "\n".join((header, *rows)) + "\n",
        site=SiteFactory(),
        by=None,
        dry_run=dry_run,
        **more,
    )


def counts(result) -> dict[str, int]:
    """Every count that is not zero."""
    names = (
        "created moved cancelled updated unchanged rejected waiting conflicts warnings"
    )
    return {name: n for name in names.split() if (n := getattr(result, name))}


def told(result) -> list[tuple[int, str, str]]:
    return [(p.row, p.field, p.reason) for p in result.problems]


def visit(external_id: str = "A-1") -> Appointment:
    return Appointment.objects.get(external_id=external_id)


def when(external_id: str = "A-1") -> tuple[str, str, int, str]:
    """(local start, clinician, version, state)"""
    one = visit(external_id)
    start = f"{one.local_date} {one.local_time:%H:%M}"
    return start, one.clinician.name, one.version, one.state


def events() -> list[tuple[str, int]]:
    return list(AppointmentEvent.objects.values_list("what", "version"))


def promised() -> list[tuple[str, int]]:
    """(purpose, version) of notices that still stand."""
    notices = Notice.objects.exclude(state=Notice.State.SUPERSEDED).order_by("id")
    return list(notices.values_list("purpose", "cause_version"))


def tell_everybody() -> None:
    """Everybody was told of their visit, as a reminder or at the desk."""
    Appointment.objects.update(told_start=F("starts_at"))


def whole_database() -> list[list[tuple]]:
    return [
        list(model.objects.order_by("pk").values_list())
        for model in (Appointment, AppointmentEvent, Notice, WorkItem)
    ]


def test_a_row_becomes_a_visit_of_which_nobody_is_told():
    result = bring(ROW)

    assert counts(result) == {"created": 1}
    one = visit()
    assert when() == ("2026-12-01 10:00", "Dr Rao", 1, "booked")
    # Ten o'clock in New York.
    assert one.starts_at == datetime(2026, 12, 1, 15, tzinfo=UTC)
    assert one.ends_at - one.starts_at == timedelta(minutes=20)
    assert (one.source, one.told_start, one.overbooked) == ("import", None, False)
    assert one.patient.given_name == "Grace"
    assert one.last_imported == {
        "patient_identifier": "H-1001",
        "clinician": one.clinician_id,
        "visit_type": one.visit_type_id,
        "site": one.site_id,
        "start": "2026-12-01T10:00",
        "minutes": 20,
        "status": "booked",
    }
    assert events() == [("booked", 1)]
    assert promised() == []


def test_twice_changes_nothing():
    bring(ROW)
    before = whole_database()

    assert counts(bring(ROW)) == {"unchanged": 1}
    # The same said in other words.
    assert counts(
        bring("A-1,H-1001,RAO,consultation,12/01/2026 10:00 AM,20 min,Scheduled")
    ) == {"unchanged": 1}
    assert whole_database() == before


def test_dry_run_says_the_same_and_writes_nothing():
    bring(ROW)
    before = whole_database()
    rows = (
        ROW.replace("10:00", "11:00"),
        "A-2,H-1002,Dr Rao,Consultation,2026-12-01T12:00,20,booked",
        "A-3,H-1002,Dr Nobody,Consultation,2026-12-01T12:00,20,booked",
    )

    dry = bring(*rows, dry_run=True)

    assert whole_database() == before
    assert counts(dry) == counts(bring(*rows))
    assert counts(dry) == {"created": 1, "moved": 1, "rejected": 1}


def test_a_reminder_of_an_imported_visit_is_planned():
    bring("A-1,H-1001,Dr Rao,Consultation,2026-11-27T10:00,20,booked")

    # Three days before is tomorrow at ten.
    (notice,) = Notice.objects.all()
    assert notice.purpose == "visit_reminder"
    assert notice.not_before == datetime(2026, 11, 24, 15, tzinfo=UTC)


def test_moves_there_are_moves_here_each_with_its_version():
    bring(ROW)
    assert counts(bring(ROW.replace("T10:00", "T11:00"))) == {"moved": 1}
    assert counts(bring(ROW.replace("Dr Rao", "Dr Lind"))) == {"moved": 1}
    assert counts(bring(ROW.replace(",20,", ",40,"))) == {"moved": 1}

    assert when() == ("2026-12-01 10:00", "Dr Rao", 4, "booked")
    assert events() == [("booked", 1), ("moved", 2), ("moved", 3), ("moved", 4)]
    # Nobody was told of it before, so nobody hears of a change.
    assert promised() == []


def test_who_was_told_is_told_of_the_move_and_of_the_cancel():
    bring(ROW)
    tell_everybody()

    assert bring(ROW.replace("T10:00", "T11:00")).told == 1
    assert promised() == [("visit_changed", 2)]

    assert counts(bring(ROW.replace("booked", "canceled"))) == {"cancelled": 1}
    assert promised() == [("visit_changed", 3)]
    assert visit().state == "cancelled"


def test_states_follow():
    bring(ROW)
    for status, state in (
        ("Confirmed", "confirmed"),
        ("Checked-In", "arrived"),
        ("fulfilled", "done"),
    ):
        assert counts(bring(ROW.replace("booked", status))) == {"updated": 1}
        assert visit().state == state
    assert [what for what, _version in events()] == [
        "booked",
        "confirmed",
        "arrived",
        "done",
    ]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("", "booked"),
        ("Scheduled", "booked"),
        ("pendiente", "booked"),
        ("Confirmada", "confirmed"),
        ("checked in", "arrived"),
        ("Completed", "done"),
        ("seen", "done"),
        ("No-Show", "noshow"),
        ("DNA", "noshow"),
        ("no asistió", "noshow"),
    ],
)
def test_statuses_of_visits_that_are_new(status, state):
    assert counts(bring(ROW.replace("booked", status))) == {"created": 1}
    assert visit().state == state


def test_a_cancelled_visit_we_never_had_is_not_stored():
    assert counts(bring(ROW.replace("booked", "deleted"))) == {"unchanged": 1}
    assert not Appointment.objects.exists()
    assert counts(bring(ROW)) == {"created": 1}


def test_a_visit_of_last_month_is_stored_with_its_state_and_tells_nobody():
    rows = (
        "A-1,H-1001,Dr Rao,Consultation,2026-10-20T10:00,20,done",
        "A-2,H-1002,Dr Rao,Consultation,2026-10-20T11:00,20,booked",
    )

    assert counts(bring(*rows)) == {"created": 2}
    assert (visit("A-1").state, visit("A-2").state) == ("done", "booked")
    run_pass()
    assert promised() == []


def test_another_type_is_no_move():
    VisitType.objects.create(name="Wound check")
    bring(ROW)

    assert counts(bring(ROW.replace("Consultation", "wound check"))) == {"updated": 1}
    assert visit().visit_type.name == "Wound check"
    assert when() == ("2026-12-01 10:00", "Dr Rao", 1, "booked")


def test_without_minutes_the_type_says_how_long():
    row = ROW.replace(",20,", ",,")
    bring(row)
    assert visit().ends_at - visit().starts_at == timedelta(minutes=20)
    VisitType.objects.update(minutes=30)

    assert counts(bring(row)) == {"unchanged": 1}
    assert counts(bring(row.replace("booked", "arrived"))) == {"updated": 1}


def test_a_site_by_name_or_place_has_its_own_hours_and_dates():
    SiteFactory(
        name="Harbour Madrid", place="Calle 1", zone="Europe/Madrid", region="ES"
    )
    header = f"{COLUMNS},site"

    bring(
        "A-1,H-1001,rao,Consultation,01/12/2026 10:00,20,,Harbour Madrid",
        "A-2,H-1001,rao,Consultation,2026-12-02T10:00Z,20,,calle 1",
        header=header,
    )

    assert visit("A-1").starts_at == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert visit("A-2").starts_at == datetime(2026, 12, 2, 10, tzinfo=UTC)
    assert when("A-2")[0] == "2026-12-02 11:00"


@pytest.mark.parametrize(
    "start",
    [
        "2026-12-01T10:00",
        "2026-12-01 10:00:00",
        "2026-12-01T15:00Z",
        "2026-12-01T16:00+01:00",
        "20261201T1000",
        "12/1/2026 10:00 am",
        "1 Dec 2026, 10:00",
        "1.12.2026 10.00",
    ],
)
def test_ways_to_write_a_start(start):
    bring(ROW.replace("2026-12-01T10:00", f'"{start}"'))
    assert when()[0] == "2026-12-01 10:00"


def test_day_and_time_apart_and_other_names_of_columns():
    result = bring(
        "Yes;20;10:00;2026-12-01;Consultation;Rao;H-1001;A-1",
        header="New?;Duration;Time;Date;Appointment type;Provider;MRN;Appt ID",
    )

    assert counts(result) == {"created": 1}
    assert result.unknown_columns == ["New?"]
    assert when()[0] == "2026-12-01 10:00"


def test_a_row_that_stayed_the_same_says_nothing_though_we_moved_the_visit():
    bring(ROW)
    services.move_appointment(
        appointment_id=visit().pk, local_start=datetime(2026, 12, 3, 9), by=None
    )

    assert counts(bring(ROW)) == {"unchanged": 1}
    assert when()[0] == "2026-12-03 09:00"
    assert not WorkItem.objects.exists()


def test_moved_on_both_sides_goes_to_a_person_once():
    bring(ROW)
    services.move_appointment(
        appointment_id=visit().pk, local_start=datetime(2026, 12, 3, 9), by=None
    )

    theirs = ROW.replace("2026-12-01", "2026-12-02")
    result = bring(theirs)

    assert counts(result) == {"unchanged": 1, "conflicts": 1, "warnings": 1}
    assert when() == ("2026-12-03 09:00", "Dr Rao", 2, "booked")
    item = WorkItem.objects.get()
    assert (item.kind, item.patient.given_name) == ("import_conflict", "Grace")
    assert item.sentence == (
        "The other calendar says Wed 2 Dec, 10:00, Dr Rao, Booked, "
        "ours says Thu 3 Dec, 09:00, Dr Rao, Booked."
    )
    assert visit().last_imported["start"] == "2026-12-02T10:00"
    assert counts(bring(theirs)) == {"unchanged": 1}
    # Grace confirms, and the calendars still disagree.
    services.confirm_appointment(appointment_id=visit().pk, by_patient=True)
    assert WorkItem.objects.open().count() == 1

    # Somebody enters our time over there.
    assert counts(bring(ROW.replace("2026-12-01T10:00", "2026-12-03T09:00"))) == {
        "updated": 1
    }
    assert not WorkItem.objects.open().exists()
    assert when()[3] == "confirmed"


def test_cancelled_here_and_moved_there_goes_to_a_person():
    bring(ROW)
    services.cancel_appointment(appointment_id=visit().pk, by=None)

    assert counts(bring(ROW.replace("T10:00", "T11:00")))["conflicts"] == 1
    assert visit().state == "cancelled"


def test_cancelled_on_both_sides_is_no_conflict():
    bring(ROW)
    services.cancel_appointment(appointment_id=visit().pk, by=None, by_patient=True)

    assert counts(bring(ROW.replace("booked", "cancelled"))) == {"updated": 1}
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Appointment.State.DONE, ROW.replace("booked", "noshow")),
        (Appointment.State.NOSHOW, ROW.replace("booked", "cancelled")),
        (Appointment.State.DONE, ROW.replace("T10:00", "T11:00")),
    ],
)
def test_ended_here_and_otherwise_there_goes_to_a_person(ours, theirs):
    bring(ROW)
    services.mark_appointment(appointment_id=visit().pk, state=ours, by=None)

    assert counts(bring(theirs))["conflicts"] == 1
    assert visit().state == ours
    assert WorkItem.objects.get().kind == "import_conflict"


def test_back_on_over_there_goes_to_a_person():
    bring(ROW)
    bring(ROW.replace("booked", "cancelled"))

    assert counts(bring(ROW))["conflicts"] == 1
    assert visit().state == "cancelled"


def test_the_other_calendar_may_double_book():
    rows = (
        "A-1,H-1001,Dr Rao,Consultation,2026-12-01T10:00,20,booked",
        "A-2,H-1002,Dr Rao,Consultation,2026-12-01T10:10,20,booked",
    )

    result = bring(*rows)

    assert counts(result) == {"created": 2, "warnings": 1}
    assert told(result) == [(3, "start", "double booked: Dr Rao is not free then.")]
    assert (visit("A-1").overbooked, visit("A-2").overbooked) == (False, True)
    assert counts(bring(*rows)) == {"unchanged": 2}


def test_a_day_that_moves_as_a_whole_is_not_double_booked():
    rows = [
        f"A-{n},H-100{n},Dr Rao,Consultation,2026-12-01T10:{20 * n:02},20,booked"
        for n in (1, 2)
    ]
    bring(*rows)
    later = [row.replace("T10:4", "T11:0").replace("T10:2", "T10:4") for row in rows]

    assert counts(bring(*later)) == {"moved": 2}
    assert not Appointment.objects.filter(overbooked=True).exists()
    assert [when(f"A-{n}")[0][-5:] for n in (1, 2)] == ["10:40", "11:00"]


def crowd(count: int, *, start: str, status: str = "booked") -> list[str]:
    """Rows of so many patients, one after the other from half past eight."""
    rows = []
    for n in range(count):
        number = f"C-{n:03}"
        if not Identifier.objects.filter(value=number).exists():
            Identifier.objects.create(
                patient=patient(f"P{n}", phone=""), system="mrn", value=number
            )
        at = datetime.fromisoformat(start) + timedelta(minutes=20 * n)
        who = "Dr Lind"
        rows.append(
            f"{number},{number},{who},Consultation,{at.isoformat()},20,{status}"
        )
    return rows


def test_an_import_that_would_tell_more_than_twenty_waits_for_a_yes():
    bring(ROW, *crowd(MOST_TOLD + 1, start="2026-12-02T08:30"))
    tell_everybody()
    Appointment.objects.filter(external_id="A-1").update(told_start=None)
    new = "A-9,H-1002,Dr Rao,Consultation,2026-12-04T10:00,20,booked"
    rows = (
        ROW.replace("T10:00", "T11:00"),
        *crowd(MOST_TOLD + 1, start="2026-12-03T08:30"),
        new,
    )

    held = bring(*rows)

    # What tells nobody is done: a move of a visit nobody was told of, a new one.
    assert counts(held) == {"created": 1, "moved": 1, "waiting": 21}
    assert held.told == 21
    assert when("A-1")[0] == "2026-12-01 11:00"
    assert when("C-000")[0] == "2026-12-02 08:30"
    assert promised() == []
    item = WorkItem.objects.get()
    assert (item.kind, item.site) == ("import_held", SiteFactory())
    assert "would tell 21 patients of a change" in item.sentence
    # Run again by the clock: still waiting, still one item.
    assert counts(bring(*rows)) == {"unchanged": 2, "waiting": 21}
    assert WorkItem.objects.count() == 1
    claim_item(item_id=item.pk, by=member_of_staff("femi", Role.FRONT_DESK))

    assert counts(bring(*rows, sure=True)) == {"unchanged": 2, "moved": 21}
    assert when("C-000")[0] == "2026-12-03 08:30"
    assert promised() == [("visit_changed", 2)] * 21
    assert not WorkItem.objects.open().exists()


def test_an_import_that_tells_twenty_goes_through():
    bring(*crowd(MOST_TOLD, start="2026-12-02T08:30"))
    tell_everybody()

    result = bring(*crowd(MOST_TOLD, start="2026-12-02T08:30", status="cancelled"))

    assert counts(result) == {"cancelled": MOST_TOLD}
    assert len(promised()) == MOST_TOLD


def test_moves_of_visits_that_are_past_tell_nobody_and_wait_for_nobody(monday):
    bring(*crowd(MOST_TOLD + 1, start="2026-11-24T08:30"))
    tell_everybody()
    monday.shift(timedelta(days=3))

    result = bring(*crowd(MOST_TOLD + 1, start="2026-11-24T08:30", status="done"))

    assert counts(result) == {"updated": MOST_TOLD + 1}


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("A-1", "", "external_id", "is missing"),
        ("A-1", "A" * 121, "external_id", "is longer than 120 characters"),
        ("H-1001", "H-7", "patient_identifier", "no H-7 here"),
        ("Dr Rao", "Dr Who", "clinician", "no Dr Who here"),
        ("Consultation", "Séance", "visit_type", "no Séance here"),
        ("booked", "perhaps", "status", "perhaps is not known here"),
        ("20,", "0,", "minutes", "0 is no number of minutes"),
        ("20,", "half an hour,", "minutes", "half an hour is no number of minutes"),
        ("2026-12-01T10:00", "tomorrow", "start", "tomorrow is no day and time"),
        ("2026-12-01T10:00", "2026-12-01", "start", "2026-12-01 is no day and time"),
        ("2026-12-01T10:00", "12/1/2026 13:00 pm", "start", None),
        ("2026-12-01T10:00", "2026-12-01T25:00", "start", None),
        (
            "2026-12-01T10:00",
            "2027-03-14T02:30",
            "start",
            "the clocks change that night: 02:30 does not exist",
        ),
        (
            "2026-12-01T10:00",
            "2027-11-07T01:30-05:00",
            "start",
            "the clocks change that night: 01:30 comes twice, this is the second",
        ),
    ],
)
def test_rejected_rows_leave_the_others(old, new, field, reason):
    other = "A-2,H-1002,Dr Lind,Consultation,2026-12-01T12:00,20,booked"

    result = bring(ROW.replace(old, new), other)

    assert counts(result) == {"created": 1, "rejected": 1}
    assert told(result)[0][:2] == (2, field)
    assert reason in (None, told(result)[0][2])


def test_who_is_meant_must_be_clear():
    clinician("Rao")
    twins = [patient("Ana"), patient("Eva")]
    for twin in twins:
        Identifier.objects.create(patient=twin, system=f"urn:{twin}", value="X-1")
    Identifier.objects.create(patient=twins[0], system="urn:c", value="H-1001")
    index_patients([twin.pk for twin in twins])

    result = bring(
        ROW.replace("Dr Rao", "rao"),
        ROW.replace("H-1001", "X-1").replace("A-1", "A-2"),
        # Our own number goes before somebody else's equal one.
        ROW.replace("A-1", "A-3"),
    )

    assert told(result) == [
        (2, "clinician", "rao may be several people"),
        (3, "patient_identifier", "X-1 may be several people"),
    ]
    assert visit("A-3").patient.given_name == "Grace"


def test_a_patient_is_known_by_the_number_of_another_system_too():
    grace = Identifier.objects.get(value="H-1001").patient
    Identifier.objects.create(patient=grace, system="urn:hospital", value="HX-77")
    index_patients([grace.pk])

    assert counts(bring(ROW.replace("H-1001", "HX-77"))) == {"created": 1}
    assert visit().patient == grace


def test_a_visit_does_not_wander_to_another_patient():
    bring(ROW)
    result = bring(ROW.replace("H-1001", "H-1002"))
    assert told(result) == [
        (2, "patient_identifier", "A-1 is a visit of somebody else")
    ]
    assert visit().patient.given_name == "Grace"


def test_the_same_visit_twice_in_a_file():
    result = bring(ROW, ROW.replace("T10:00", "T11:00"))

    assert counts(result) == {"created": 1, "rejected": 1}
    assert told(result) == [(3, "external_id", "A-1 stands in row 2 already")]


def test_a_row_the_database_refuses_is_left_out_alone(monkeypatch):
    book = services.book_appointment

    def refuse_grace(**arguments):
        made = book(**arguments)
        if arguments["patient"].given_name == "Grace":
            raise DataError("a value nobody thought of")
        return made

    monkeypatch.setattr("appointments.importing.apply.book_appointment", refuse_grace)
    other = "A-2,H-1002,Dr Lind,Consultation,2026-12-01T12:00,20,booked"

    result = bring(ROW, other)

    assert counts(result) == {"created": 1, "rejected": 1}
    assert visit("A-2").patient.given_name == "Tomás"


@pytest.mark.parametrize(
    "header",
    ["a,b,c", COLUMNS.replace("start", "x"), COLUMNS.replace("clinician", "x")],
)
def test_a_file_without_what_is_needed_is_no_calendar(header):
    with pytest.raises(UnreadableFile, match="There is no column"):
        bring(ROW, header=header)


def run(*args: object) -> tuple[dict, str]:
    """Return (the JSON object, all the talk)."""
    out, err = io.StringIO(), io.StringIO()
    call_command(
        "import_appointments", *map(str, args), "--json", stdout=out, stderr=err
    )
    return json.loads(out.getvalue()), err.getvalue()


def test_the_answer_in_json_and_the_rejected_row_in_a_file(tmp_path):
    path = tmp_path / "calendar.csv"
    path.write_text(
        f"{COLUMNS}\n{ROW}\n{ROW.replace('A-1', 'A-2').replace('Dr', 'Mr')}\n"
    )

    answer, talk = run(path)

    rejects = tmp_path / "calendar.rejects.csv"
    assert answer == {
        "created": 1,
        "moved": 0,
        "cancelled": 0,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
        "rejects_file": str(rejects),
    }
    assert "calendar.csv row 3: clinician: no Mr Rao here" in talk
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["clinician"], row["reason"]) == ("Mr Rao", "clinician: no Mr Rao here")


def test_the_command_says_what_waits_and_takes_the_yes(tmp_path):
    bring(*crowd(MOST_TOLD + 1, start="2026-12-02T08:30"))
    tell_everybody()
    path = tmp_path / "calendar.csv"
    rows = crowd(MOST_TOLD + 1, start="2026-12-03T08:30")
    path.write_text("\n".join((COLUMNS, *rows)))

    answer, talk = run(path)
    assert (answer["moved"], answer["waiting"]) == (0, 21)
    assert "21 patients would be told of a change" in talk
    assert "--yes" in talk

    answer, talk = run(path, "--dry-run", "--yes")
    assert (answer["moved"], "waiting" in answer) == (21, False)
    assert promised() == []

    answer, talk = run(path, "--yes")
    assert answer["moved"] == 21
    assert "21 patients are told of a change." in talk


def test_a_file_that_cannot_be_read_ends_with_2(tmp_path):
    with pytest.raises(CommandError, match="cannot be opened") as error:
        run(tmp_path / "missing.csv")
    assert error.value.returncode == 2
