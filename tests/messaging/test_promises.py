"""The proof on live data finds every way a promise can be forgotten, and no other."""

import json
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command

from accounts.models import Heartbeat
from accounts.ticks import run_pass
from core import triggers
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Message, Notice
from messaging.promises import broken_promises, watch
from tests.factories import GRACE, MONDAY, booked, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def whys() -> list[str]:
    return [one.why for one in broken_promises()]


def test_all_is_well_along_the_whole_way(monday):
    assert whys() == []
    booked(at=TOMORROW_10)
    assert whys() == []
    open_due()
    assert whys() == []
    run_pass()
    assert whys() == []


def test_a_machine_that_stood_still(monday):
    booked(at=TOMORROW_10)
    monday.shift(timedelta(minutes=16))
    assert whys() == ["planned, due and never opened"]


def test_a_deadline_nobody_saw(monday):
    booked(at=TOMORROW_10)
    Notice.objects.update(not_before=MONDAY + timedelta(days=3))
    monday.shift(timedelta(days=2))
    assert whys() == ["past its deadline, neither reached nor with a person"]


def test_under_way_without_a_message(monday):
    booked(at=TOMORROW_10)
    open_due()
    Message.objects.update(state="withdrawn")
    assert whys() == ["under way, but nothing is going and nothing is awaited"]


def test_a_receipt_awaited_too_long(monday):
    booked(at=TOMORROW_10)
    open_due()
    Message.objects.update(state="sent")
    Notice.objects.update(rung_until=MONDAY - timedelta(minutes=16))
    assert whys() == ["under way, but nothing is going and nothing is awaited"]


def test_with_staff_but_on_nobodys_list(monday):
    booked(patient(consent=False), at=TOMORROW_10)
    run_pass()
    assert whys() == []
    triggers.lift()
    WorkItem.objects.all().delete()
    assert whys() == ["with staff, but on nobody's list"]


def test_a_text_that_waits_without_a_reason(monday):
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=16))
    assert whys() == ["its message waits without a reason"]


def test_a_lease_nobody_took_back(monday):
    booked(at=TOMORROW_10)
    open_due()
    Message.objects.update(state="submitting", lease_until=MONDAY)
    monday.shift(timedelta(minutes=16))
    assert whys() == ["a worker holds its message past the lease"]


def test_an_unknown_nobody_settled(monday):
    booked(at=TOMORROW_10)
    open_due()
    Message.objects.update(state="unknown", submitting_at=MONDAY)
    monday.shift(timedelta(minutes=31))
    assert whys() == ["nobody knows whether its message went out"]


def test_a_reply_nobody_handled(monday):
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="1",
    )
    monday.shift(timedelta(minutes=16))
    (why,) = whys()
    assert why.endswith("was stored and never handled")


def test_a_reminder_nobody_promised(monday):
    visit = booked(at=datetime(2026, 11, 25, 10), tell=False)
    Notice.objects.all().delete()
    monday.shift(timedelta(minutes=16))
    assert whys() == [f"never promised: visit:{visit.pk}:v1:1d"]


def test_the_command_says_it_as_json(monday, capsys):
    booked(at=TOMORROW_10)
    call_command("check_promises", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "notices": {"planned": 1},
        "messages": {},
        "broken": [],
    }
    monday.shift(timedelta(minutes=16))
    with pytest.raises(SystemExit) as ended:
        call_command("check_promises", "--json")
    assert ended.value.code == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["broken"] == [
        {"notice": Notice.objects.get().pk, "why": "planned, due and never opened"}
    ]


def test_and_in_words(monday, capsys):
    call_command("check_promises")
    assert capsys.readouterr().out == (
        "notices: none\nmessages: none\nNo promise is broken.\n"
    )


def test_a_pass_keeps_the_count_for_today(monday, django_assert_num_queries):
    booked(at=TOMORROW_10)
    monday.shift(timedelta(minutes=16))
    watch()
    assert Heartbeat.objects.get(key="promises").value == 1
    with django_assert_num_queries(1):
        watch()
