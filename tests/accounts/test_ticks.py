"""One pass of everything due, by beat, cron or hand."""

from datetime import datetime

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import ticks as module
from accounts.models import Heartbeat
from accounts.tasks import tick
from accounts.ticks import run_pass, ticks
from messaging.models import Message
from tests.factories import booked

pytestmark = pytest.mark.django_db


def test_a_pass_plans_then_handles_then_sends():
    assert [key for key, _step in ticks] == [
        "appointments.plan_reminders",
        "messaging.handle_received",
        "messaging.reap",
        "messaging.settle_unknown",
        "messaging.climb",
        "messaging.overtaken_letters",
        "messaging.watch_red",
        "messaging.open_due",
        "messaging.dispatch_due",
        "messaging.watch",
        "messaging.poll",
        "messaging.read_mailbox",
        "worklist.note_drafts",
        "worklist.contact_persons",
        "worklist.untold",
        "patients.end_expired",
        "patients.follow_merges",
        "patients.retention",
        "accounts.sweep_throttles",
        "accounts.sweep_sessions",
        "accounts.sweep_submissions",
        "accounts.sweep_drafts",
        "accounts.sweep_jobs",
        "accounts.seal",
    ]


def test_a_step_that_fails_keeps_no_other_from_running(monday, monkeypatch, capsys):
    booked(at=datetime(2026, 11, 24, 10))

    def broken() -> int:
        raise RuntimeError("boom")

    monkeypatch.setitem(ticks._entries, "messaging.reap", broken)
    moved = run_pass()
    assert moved["messaging.reap"] == -1
    assert moved["messaging.dispatch_due"] == 1
    with pytest.raises(SystemExit) as ended:
        call_command("tick")
    assert ended.value.code == 1


def test_the_command_goes_on_until_idle(monday, capsys):
    booked(at=datetime(2026, 11, 24, 10))
    call_command("tick", "--until-idle")
    said = capsys.readouterr().err
    assert "messaging.dispatch_due 1" in said
    assert said.endswith("nothing due\n")
    assert Message.objects.get().state == "delivered"


def test_celerys_tick_is_the_same_pass(monday):
    booked(at=datetime(2026, 11, 24, 10))
    tick()
    assert Message.objects.get().state == "delivered"
    assert Heartbeat.objects.get(key="tick").at == timezone.now()
    assert module.run_pass()["messaging.dispatch_due"] == 0
