"""The proof on live data finds every way a promise can be forgotten, and no other."""

import json
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Heartbeat
from accounts.roles import Role
from accounts.ticks import run_pass
from core import triggers
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import DutyAlert, Hold, Message, Notice
from messaging.promises import broken_promises, watch
from tests.factories import GRACE, MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import claim_item, raise_item

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


def test_a_hold_nobody_looks_at(monday):
    grace = patient()
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="?",
    )
    Message.objects.update(handled_at=MONDAY)
    hold = Hold.objects.create(
        kind="bereavement", patient=grace, message=Message.objects.get(), at=MONDAY
    )
    monday.shift(timedelta(minutes=15))
    assert whys() == []
    monday.shift(1)
    assert whys() == [f"hold {hold.pk} waits for nobody"]
    WorkItem.objects.create(
        kind="bereavement",
        severity=WorkItem.Severity.AMBER,
        reason="Speaks of a death.",
        opened_at=MONDAY,
        subject_kind="message",
        subject_id=hold.message_id,
        dedupe_key="bereavement",
        due_at=MONDAY,
    )
    assert whys() == []


def a_red_item(site=None) -> WorkItem:
    return raise_item(
        kind="red_flag",
        severity=WorkItem.Severity.RED,
        reason="May be an emergency.",
        subject_kind="message",
        subject_id=1,
        dedupe_key="red",
        due_at=MONDAY,
        site=site,
    )


def told(item: WorkItem, **fields) -> DutyAlert:
    return DutyAlert.objects.create(
        user=member_of_staff("maya", Role.NURSE),
        step="duty",
        items=[item.pk],
        token_hash="hash",
        at=MONDAY,
        until=MONDAY + timedelta(minutes=5),
        **fields,
    )


def test_urgent_work_of_which_nobody_was_told(monday):
    item = a_red_item()
    monday.shift(timedelta(minutes=15))
    assert whys() == []
    monday.shift(1)
    assert whys() == [f"urgent work {item.pk}: nobody was told"]
    claim_item(item_id=item.pk, by=member_of_staff("rao", Role.CLINICIAN))
    assert whys() == []


def test_who_was_told_and_does_not_come_is_no_broken_promise(monday):
    told(a_red_item())
    monday.shift(timedelta(hours=2))
    assert whys() == []


def test_urgent_work_whose_alert_went_nowhere(monday):
    item = a_red_item()
    booked(at=TOMORROW_10)
    notice = Notice.objects.get()
    Notice.objects.update(state="expired")
    told(item, notice=notice)
    monday.shift(timedelta(minutes=16))
    assert whys() == [f"urgent work {item.pk}: nobody was told"]
    # Somebody was asked to put a colleague on duty.
    raise_item(
        kind="duty",
        severity=WorkItem.Severity.AMBER,
        reason="Nobody could be told.",
        subject_kind="duty",
        subject_id=0,
        dedupe_key="duty",
        due_at=MONDAY,
    )
    assert whys() == []


def test_a_letter_that_is_owed_is_with_a_person(monday):
    somebody = patient(
        preferred_way="letter", address_line="1 Pier St", city="Boston", country="US"
    )
    booked(somebody, at=datetime(2026, 12, 21, 10))
    run_pass()
    assert WorkItem.objects.open().get().kind in ("letter", "unreached")
    assert whys() == []
    triggers.lift()
    WorkItem.objects.all().delete()
    assert whys() == ["with staff, but on nobody's list"]


def test_looking_costs_the_same_however_much_there_is(monday):
    costs = []
    for numbers in (range(1), range(1, 4)):
        for n in numbers:
            somebody = patient(f"Given{n}", phone=f"+1617555012{n}")
            booked(somebody, at=datetime(2026, 11, 24, 10 + n))
        a_red_item()
        monday.shift(timedelta(minutes=16))
        with CaptureQueriesContext(connection) as queries:
            assert broken_promises()
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 10
