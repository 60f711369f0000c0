"""What the outside may rely on: a clinic run from the command line alone."""

import json
from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from appointments.models import Appointment
from messaging.models import Notice
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.django_db

PATIENTS = """\
identifier,given_name,family_name,phone,email,consent_sms,consent_email
H-1,Grace,Okafor,617 555 0143,,yes,
H-2,Tomás,Silva,617 555 0144,tomas@example.com,no,no
"""
CALENDAR = """\
external_id,patient_identifier,clinician,visit_type,start,minutes,status
A-1,H-1,Dr Rao,Consultation,{grace},20,booked
A-2,H-2,rao,consultation,2026-11-25T11:00,20,booked
"""


@pytest.fixture
def run(capsys, tmp_path):
    def run(command: str, *words: str, text: str = "") -> dict:
        if text:
            file = tmp_path / f"{command}.csv"
            file.write_text(text, encoding="utf-8")
            words = (str(file), *words)
        capsys.readouterr()
        call_command(command, *words, "--json")
        return json.loads(capsys.readouterr().out)

    return run


def test_a_day_at_the_command_line(monday, run, twilio: FakeTwilio):
    call_command("seed_demo", "--patients", "0")
    told = run("import_patients", text=PATIENTS)
    assert (told["created"], told["rejected"]) == (2, 0)
    assert run("import_patients", text=PATIENTS)["unchanged"] == 2

    told = run("import_appointments", text=CALENDAR.format(grace="2026-11-25 10:00"))
    assert (told["created"], told["rejected"], told["rejects_file"]) == (2, 0, None)
    for start, what in (("2026-11-25 11:30", "moved"), ("2026-11-25 10:00", "moved")):
        told = run("import_appointments", text=CALENDAR.format(grace=start))
        assert (told[what], told["unchanged"]) == (1, 1)
    assert Appointment.objects.get(external_id="A-1").version == 3

    # The day before, at ten: Grace is reminded once; Tomás said no and is called.
    monday.move_to(datetime(2026, 11, 24, 14, 59, tzinfo=UTC))
    call_command("tick", "--until-idle")
    assert twilio.ledger == []
    monday.move_to(datetime(2026, 11, 24, 15, 0, tzinfo=UTC))
    call_command("tick", "--until-idle")
    call_command("tick", "--until-idle")
    (sent,) = twilio.ledger
    assert (sent.to, "Wed 25 Nov 10:00am" in sent.body) == ("+16175550143", True)
    monday.move_to(datetime(2026, 11, 24, 16, 0, tzinfo=UTC))
    call_command("tick", "--until-idle")
    said = run("check_promises")
    assert said["ok"] is True
    assert said["broken"] == []
    assert Notice.objects.get(about_patient__given_name="Tomás").state == "with_staff"
