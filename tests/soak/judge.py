"""The end of a soak: rest, the hours that are left, and the verdict."""

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import time_machine
from django.db import connection
from django.utils import timezone

from accounts.ticks import run_pass
from messaging.models import Message, Notice
from tests.soak.ledger import Text, examine
from tests.soak.load import People
from tests.soak.programs import Programs
from tests.soak.provider import read_ledger

MOVING = ("queued", "claimed", "submitting")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def moving() -> int:
    """Return how many messages are due and not yet gone, and texts not yet handled."""
    due = Message.objects.filter(state__in=MOVING, not_before__lte=timezone.now())
    unopened = Notice.objects.filter(state="planned", not_before__lte=timezone.now())
    unread = Message.objects.filter(direction="in", handled_at=None)
    return due.count() + unopened.count() + unread.count()


def calm_down(programs: Programs, seconds: float, travel: Sequence[int]) -> None:
    """Let the programs finish what is due, then travel through the hours that are left.

    The web server stays: the provider still has callbacks to post.
    """
    connection.close()
    until = time.monotonic() + seconds
    quiet = 0
    while time.monotonic() < until and quiet < 3:
        if not any(name.startswith("worker") for name in programs.all):
            programs.tick("last-tick").process.wait(60)  # type: ignore[union-attr]
        time.sleep(0.5)
        quiet = quiet + 1 if moving() == 0 else 0
    programs.end("worker", "beat", "tick", "last")
    say(f"at rest with {moving()} still moving; now the hours that are left")
    moment = timezone.now()
    for seconds_on in travel:
        moment += timedelta(seconds=seconds_on)
        sent = 0
        with time_machine.travel(moment, tick=True):
            for _pass in range(40):
                moved = run_pass()
                sent += moved["messaging.dispatch_due"]
                if not any(count > 0 for count in moved.values()):
                    break
        # For the callbacks of what this sent.
        time.sleep(1 if sent else 0)


def judge(ledger: Path, people: People, grace: timedelta) -> int:
    """Print what came of it; return 1 when anything was lost, doubled or wrong."""
    verdict = examine(
        map(Text.of, read_ledger(ledger)),
        addresses=people.addresses,
        versions=people.versions,
        grace=grace,
    )
    rows = {
        "patients": people.patients,
        "notices": verdict.notices,
        "texts that truly went out": verdict.texts,
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "to the wrong person": len(verdict.wrong),
        "resent once, as the rules have it": verdict.resent,
        "again after a passing failure": verdict.again,
        "unknown for good, with a person": verdict.unknown,
        "unknown, and nobody was told": verdict.unsettled,
    }
    for name, count in rows.items():
        say(f"{name:36} {count:8,}")
    for state in Notice.State:
        say(f"  notices {state:12} {Notice.objects.filter(state=state).count():8,}")
    for state in Message.State:
        count = Message.objects.filter(direction="out", state=state).count()
        if count:
            say(f"  messages {state:11} {count:8,}")
    for fault in verdict.faults[:40]:
        say(f"FAULT {fault}")
    return int(bool(verdict.faults or verdict.unsettled))
