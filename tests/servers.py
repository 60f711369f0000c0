"""Run a command beside a PostgreSQL and a Redis of its own.

``python -m tests.servers COMMAND…`` starts both from the installed binaries in a
temporary folder, sets ``DATABASE_URL`` and ``CELERY_BROKER_URL`` for the command, and
takes everything down again. What is already set is used as it is.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psycopg
import redis

from embedded.config import RunError
from embedded.parts import end_with_parent
from embedded.run import broker_program

START_WITHIN = 30.0
#: Durability is for data that outlives the test.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "jit=off")


class MissingError(Exception):
    """A server that is not installed here."""


def say(text: str) -> None:
    """Print a line at once, even into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path:
    """Return the folder of PostgreSQL's server programs; Debian's are not in PATH."""
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: float(path.parts[-3]), default=None)
    if newest is None:
        raise MissingError("PostgreSQL's server programs (initdb) were not found")
    return newest.parent


def unprivileged() -> int | None:
    """Return whom PostgreSQL shall run as, since it refuses root; ``None`` for us."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    return names.get("postgres", names.get("nobody"))


@contextlib.contextmanager
def running(
    words: list[str], log: Path, answers: Callable[[], bool], user: int | None = None
) -> Iterator[None]:
    """Keep a server running for as long as the block lasts."""
    with log.open("w") as output:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            user=user,
            process_group=0,
            preexec_fn=end_with_parent(),
        )
    try:
        patience = time.monotonic() + START_WITHIN
        while not answers():
            if process.poll() is not None or time.monotonic() > patience:
                raise SystemExit(f"{words[0]} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        # What PostgreSQL calls a fast shutdown; Redis knows it as well.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def private_postgres(folder: Path) -> Iterator[str]:
    """Run a fresh PostgreSQL and yield its address."""
    programs = postgres_programs()
    user = unprivileged()
    home = folder / "postgres"
    home.mkdir(mode=0o700)
    if user is not None:
        os.chown(home, user, -1)
    data = home / "data"
    words = ["--auth=trust", "--username=clinic", "--encoding=UTF8", "--no-sync"]
    subprocess.run(
        [str(programs / "initdb"), *words, "--locale=C.UTF-8", f"--pgdata={data}"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
        user=user,
    )
    port = free_port()
    words = [str(programs / "postgres"), "-D", str(data), "-k", str(home)]
    words += ["-h", "127.0.0.1", "-p", str(port)]
    for setting in FAST:
        words += ["-c", setting]
    address = f"postgres://clinic@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    with running(words, folder / "postgres.log", answers, user):
        yield address


@contextlib.contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """Run a fresh Redis, or the embedded broker in its place, and yield its address."""
    port = free_port()
    try:
        program = shutil.which("redis-server") or broker_program()
    except RunError as reason:
        raise MissingError("redis-server was not found") from reason
    words = [program, "--bind", "127.0.0.1", "--port", str(port)]
    words += ["--save", "", "--dir", str(folder)]

    def answers() -> bool:
        try:
            with redis.Redis(port=port, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    with running(words, folder / "redis.log", answers):
        yield f"redis://127.0.0.1:{port}/0"


def versions(environment: dict[str, str]) -> str:
    """Say what the two servers are."""
    with psycopg.connect(environment["DATABASE_URL"]) as database:
        number = database.info.server_version // 10000
    with redis.Redis.from_url(environment["CELERY_BROKER_URL"]) as broker:
        known = broker.info("server")
    kind = known.get("server_name", "redis").capitalize()
    release = known.get("valkey_version") or known["redis_version"]
    return f"PostgreSQL {number} and {kind} {release}"


def main(words: list[str]) -> int:
    """Run the command with both servers; return its exit code."""
    signal.signal(signal.SIGTERM, _end)
    environment = dict(os.environ)
    needed = {"DATABASE_URL": private_postgres, "CELERY_BROKER_URL": private_redis}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # The user PostgreSQL runs as must be able to pass through.
        folder.chmod(0o711)
        try:
            for name, start in needed.items():
                if not environment.get(name):
                    environment[name] = stack.enter_context(start(folder))
        except MissingError as reason:
            say(f"NOT run on PostgreSQL and Redis: {reason}.")
            say("Install them, or name them in DATABASE_URL and CELERY_BROKER_URL.")
            # Nobody reads the output of a machine that was meant to have them.
            return 1 if environment.get("CI") else 0
        servers = versions(environment)
        code = subprocess.run(words, env=environment, check=False).returncode
    say(f"{'Ran' if code == 0 else 'FAILED'} on {servers}.")
    return code


def _end(number: int, frame: FrameType | None) -> None:
    """Take the servers down on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
