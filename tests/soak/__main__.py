"""``make soak``: thousands of texts through a clinic that keeps falling down.

Real programs on PostgreSQL and a broker of their own: workers, clocks, passes as cron
has them, a web server, and a provider that misbehaves by dice. They are killed, stopped
past the lease, cut off from the database and the broker. Then all is well, the hours
that are left are travelled through, and what phones truly got is held against the
database. Exit 1 when anything was lost, doubled or wrong. Loopback only.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tests.soak.programs import (
    LEASE_SECONDS,
    Postgres,
    Programs,
    a_database,
    a_folder,
)

#: How long a text may be on its way after the gate: what is older is not handed over.
GRACE = timedelta(seconds=10)
#: Most seconds to let what is queued go, once all is well.
CALM_SECONDS = 90
#: Then the clock is moved on so far by so far, in seconds: past the looks at a
#: provider's list, the waits of a rung, a night.
TRAVEL = (130, 130, 600, 700, 700, 1900, 1900, 3600, 7300, 7300, *[10800] * 5)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Chaos:
    """What befalls the programs, one blow after the other."""

    def __init__(self, dice: random.Random, programs: Programs, database) -> None:
        self.dice, self.programs, self.database = dice, programs, database
        self.count: dict[str, int] = {}
        self.asleep: dict[str, threading.Timer] = {}
        self.ticks = 0
        self.only_kills = False

    def strike(self) -> None:
        """Do one harm, and mend what an earlier one did."""
        blows: list[Callable[[], None]] = [self.pass_as_cron_does, self.kill_a_pass]
        if self.only_kills:
            killed = "broker" in self.programs.all
            blows = [self.kill_a_worker if killed else self.kill_a_pass]
        elif "broker" in self.programs.all:
            blows += [
                *[self.kill_a_worker] * 5,
                self.stop_a_worker,
                self.kill_a_clock,
                self.kill_the_web,
                self.stop_the_provider,
                self.flush_the_broker,
                self.kill_the_broker,
            ]
        if isinstance(self.database, Postgres) and not self.only_kills:
            blows += [self.restart_the_database]
        self.hit(self.dice.choice(blows))

    def hit(self, blow: Callable[[], None]) -> None:
        """Do this harm."""
        name = blow.__name__.replace("_", " ")
        self.count[name] = self.count.get(name, 0) + 1
        blow()

    def mend(self, *, all_now: bool = False) -> None:
        """Begin anew what fell; with ``all_now`` wake what sleeps."""
        for timer in self.asleep.values() if all_now else ():
            timer.cancel()
        for name in self.asleep if all_now else ():
            self.programs.all[name].signal(signal.SIGCONT)
        for name, program in self.programs.all.items():
            if name.startswith(("worker", "beat", "web", "broker")):
                program.start()

    def _one(self, kind: str) -> str:
        names = [name for name in self.programs.all if name.startswith(kind)]
        return self.dice.choice(names)

    def kill_a_worker(self) -> None:
        self.programs.all[self._one("worker")].kill()

    def stop_a_worker(self) -> None:
        self._put_to_sleep(self._one("worker"), LEASE_SECONDS + 3)

    def stop_the_provider(self) -> None:
        self._put_to_sleep("provider", self.dice.choice((2, 18)))

    def _put_to_sleep(self, name: str, seconds: float) -> None:
        """Stop a program; a thread wakes it, for it may hold locks we wait for."""
        program = self.programs.all[name]
        program.signal(signal.SIGSTOP)
        timer = threading.Timer(seconds, program.signal, [signal.SIGCONT])
        timer.daemon = True
        timer.start()
        self.asleep[name] = timer

    def kill_a_clock(self) -> None:
        self.programs.all[self._one("beat")].kill()

    def kill_the_web(self) -> None:
        self.programs.all["web"].kill()

    def kill_the_broker(self) -> None:
        self.programs.all["broker"].kill()

    def flush_the_broker(self) -> None:
        self.programs.flush_broker()

    def pass_as_cron_does(self) -> None:
        self.ticks += 1
        self.programs.tick(f"tick{self.ticks % 2}-{self.ticks}")

    def kill_a_pass(self) -> None:
        self.ticks += 1
        program = self.programs.tick(f"tick-{self.ticks}")
        # Long enough to be at work: starting takes the most of it.
        time.sleep(self.dice.uniform(1.5, 3.5))
        program.kill()

    def restart_the_database(self) -> None:
        from django.db import connection  # noqa: PLC0415

        connection.close()
        self.database.restart()


def environment(folder: Path, database: str, seed: int) -> dict[str, str]:
    """Return the settings of this run, the same for all its programs."""
    return os.environ | {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": database,
        "DISPATCH_LEASE_SECONDS": str(LEASE_SECONDS),
        "SMS_GATEWAY": "twilio",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-auth-token",
        "TWILIO_FROM_NUMBER": "+16175550100",
        "EMAIL_GATEWAY": "simulated",
        "PYTHONHASHSEED": str(seed),
    }


def main(words: list[str]) -> int:
    """Run it all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("-n", type=int, default=10_000, help="how many visits")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument(
        "--every", type=float, default=3.0, help="seconds between blows"
    )
    parser.add_argument("--blows", type=int, default=1000, help="at most so many")
    parser.add_argument("--rate", type=float, default=40, help="most visits a second")
    parser.add_argument("--seconds", type=float, default=3600, help="of harm, at most")
    parser.add_argument("--only-kills", action="store_true", help="no other harm")
    parser.add_argument("--sqlite", action="store_true", help="passes by cron alone")
    options = parser.parse_args(words)
    say(f"seed {options.seed}, {options.n} visits")
    # Else what was begun anew would outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(a_folder())
        (folder / "data").mkdir()
        database: Postgres | None = None
        address = f"sqlite:///{folder / 'soak.sqlite3'}"
        if not options.sqlite:
            database = stack.enter_context(a_database(folder))
            address = database.address
        env = environment(folder, address, options.seed)
        programs = Programs(folder, env)
        stack.callback(programs.kill_all)
        env["CELERY_BROKER_URL"] = f"redis://127.0.0.1:{programs.broker_port}/0"
        env["PUBLIC_BASE_URL"] = f"http://127.0.0.1:{programs.web_port}"
        code = run(options, folder, programs, database)
        if code:
            for log in sorted(folder.glob("*.log")):
                faults = [
                    line
                    for line in log.read_text(errors="replace").splitlines()
                    if "Traceback" in line or "Error" in line
                ]
                say(f"{log.name}: {len(faults)} lines of errors, {faults[-1:]}")
        return code


def run(
    options: argparse.Namespace,
    folder: Path,
    programs: Programs,
    database: Postgres | None,
) -> int:
    """Start everything, do the harm, let it come to rest, and judge."""
    ledger = folder / "ledger.jsonl"
    provider = programs.start(
        "provider", "-m", "tests.soak.provider", str(ledger), str(options.seed)
    )
    assert provider.process is not None
    assert provider.process.stdout is not None
    programs.env["TWILIO_API_BASE_URL"] = provider.process.stdout.readline().strip()
    os.environ.update(programs.env)
    os.environ["DJANGO_SETTINGS_MODULE"] = "clinic_crm.settings"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        env=os.environ,
        check=True,
        timeout=120,
    )
    import django  # noqa: PLC0415

    django.setup()
    from tests.soak.judge import calm_down, judge  # noqa: PLC0415
    from tests.soak.load import People  # noqa: PLC0415

    programs.start_web()
    if not options.sqlite:
        programs.start_broker()
        programs.start_workers(options.workers, beats=2 if options.workers > 1 else 1)
    programs.wait_for_web()
    people = People(
        options.seed, f"http://127.0.0.1:{programs.web_port}/webhooks/twilio/inbound/"
    )
    chaos = Chaos(random.Random(options.seed), programs, database)
    chaos.only_kills = options.only_kills
    began = time.monotonic()
    next_blow = began + 2
    blows = 0
    while (
        len(people.visits) < options.n or blows < min(options.blows, 2)
    ) and time.monotonic() < began + options.seconds:
        if len(people.visits) < options.n:
            people.new_visit()
            if people.dice.random() < 0.15:
                people.something_else()
            # Not faster than their texts can be sent: they are to meet the harm.
            ahead = began + len(people.visits) / options.rate - time.monotonic()
            if ahead > 0:
                time.sleep(min(ahead, 0.5))
        else:
            time.sleep(0.2)
        chaos.mend()
        if time.monotonic() > next_blow and blows < options.blows:
            chaos.strike()
            blows += 1
            next_blow = time.monotonic() + options.every
    say(f"{len(people.visits)} visits in {time.monotonic() - began:.0f} s of harm")
    chaos.mend(all_now=True)
    assert provider.process.stdin is not None
    provider.process.stdin.write("be well\n")
    provider.process.stdin.flush()
    people.learn_versions()
    calm_down(programs, CALM_SECONDS, TRAVEL)
    for name, count in sorted(chaos.count.items()):
        say(f"  {name:24} {count:6}")
    return judge(ledger, people, GRACE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
