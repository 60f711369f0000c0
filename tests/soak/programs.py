"""The programs of a clinic's server, and the many ways to take them down."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import redis

from embedded.parts import end_with_parent
from embedded.run import broker_program
from tests.servers import free_port, postgres_programs, private_postgres, unprivileged

#: What a worker may hold a message for: longer than the client waits for an answer,
#: and short enough to wait it out.
LEASE_SECONDS = 20
ROOT = Path(__file__).resolve().parents[2]


class Program:
    """One of the programs, in a process group of its own, begun anew when it fell."""

    def __init__(self, name: str, words: list[str], folder: Path, env: dict) -> None:
        self.name, self.words, self.env = name, words, env
        self.log = folder / f"{name}.log"
        self.kills = 0
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.words,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.name == "provider" else log,
                stderr=log,
                text=True,
                process_group=0,
                preexec_fn=end_with_parent(),
            )

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill it as a machine that loses its power does."""
        self.kills += 1
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def end(self) -> None:
        """Let it finish, and kill it where it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=LEASE_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.kill()


class Postgres:
    """A database: a server of our own, or one of our own on a server that is there."""

    def __init__(self, address: str, mine: bool) -> None:
        self.address, self.mine = address, mine
        self.restarts = 0
        self.data = self._ask("SHOW data_directory") if mine else ""

    def _ask(self, query: str) -> str:
        with psycopg.connect(self.address, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return str(row[0]) if row else ""

    def restart(self) -> None:
        """Crash the server and bring it back; one that is not ours loses our guests."""
        self.restarts += 1
        if not self.mine:
            self._ask(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        log = str(Path(self.data).parent / "again.log")
        # With the port and the options it had.
        self._control("restart", "-m", "immediate", "-w", "-l", log)

    def _control(self, *words: str) -> None:
        subprocess.run(
            [str(postgres_programs() / "pg_ctl"), "-D", self.data, *words],
            user=unprivileged(),
            cwd=Path(self.data).parent,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def close(self) -> None:
        """End a server that was begun anew: nobody else knows of it."""
        if self.mine and self.restarts:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._control("stop", "-m", "immediate")


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    """Make a folder that the database's user may pass through, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def a_database(folder: Path) -> Iterator[Postgres]:
    """Run a fresh database: on the server of DATABASE_URL, else on one of our own."""
    given = os.environ.get("DATABASE_URL", "")
    if not given:
        with private_postgres(folder) as address:
            mine = Postgres(address, mine=True)
            # Faster without, but then a crash may take back what was committed.
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(
                    "ALTER DATABASE postgres SET synchronous_commit = on"
                )
            try:
                yield mine
            finally:
                mine.close()
        return
    name, server = f"soak_{os.getpid()}", given.rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield Postgres(f"{server}/{name}", mine=False)
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Programs:
    """All that runs, begun in order and ended whatever happens."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.all: dict[str, Program] = {}
        self.broker_port = free_port()
        self.web_port = free_port()

    def start(self, name: str, *words: str) -> Program:
        """Start one of Python's programs under a name."""
        known = self.all[name] = Program(
            name, [sys.executable, *words], self.folder, self.env
        )
        return known

    def start_broker(self) -> None:
        """Start the broker, with nothing in it."""
        program = shutil.which("redis-server") or broker_program()
        words = [program, "--bind", "127.0.0.1", "--port", str(self.broker_port)]
        words += ["--save", "", "--dir", str(self.folder)]
        self.all["broker"] = Program("broker", words, self.folder, self.env)

    def flush_broker(self) -> None:
        """Have the broker forget everything."""
        with (
            contextlib.suppress(redis.ConnectionError, redis.TimeoutError),
            redis.Redis(port=self.broker_port, socket_timeout=2) as broker,
        ):
            broker.flushall()

    def start_web(self) -> None:
        """Start the web server that the provider calls."""
        options = ["--bind", f"127.0.0.1:{self.web_port}", "--workers", "1"]
        options += ["--worker-class", "gthread", "--threads", "8"]
        options += ["--log-level", "warning", "--no-control-socket"]
        self.start("web", "-m", "gunicorn", "clinic_crm.wsgi", *options)

    def start_workers(self, workers: int, beats: int) -> None:
        """Start so many workers, and clocks, of which one would be enough."""
        celery = ["-m", "celery", "--quiet", "-A", "clinic_crm"]
        calm = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        pool = ["--pool", "threads", "--concurrency", "2"]
        for number in range(workers):
            host = ["--hostname", f"w{number}@soak"]
            self.start(f"worker{number}", *celery, "worker", *pool, *calm, *host)
        for number in range(beats):
            place = str(self.folder / f"beat{number}")
            self.start(f"beat{number}", *celery, "beat", "--schedule", place)

    def tick(self, name: str) -> Program:
        """Start one pass, as cron does."""
        return self.start(name, "manage.py", "tick")

    def wait_for_web(self, within: float = 30) -> None:
        """Wait until the web server answers."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.web_port), 1).close()
                return
            time.sleep(0.1)
        raise TimeoutError("the web server does not answer")

    def end(self, *kinds: str) -> None:
        """End all, or all whose names begin so."""
        for name, program in list(self.all.items()):
            if not kinds or name.startswith(kinds):
                program.end()

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for program in self.all.values():
            program.signal(signal.SIGKILL)
            if program.process is not None:
                program.process.wait()
