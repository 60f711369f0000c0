"""The embedded run as `make run` starts it: comes up, says what is wrong, and ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from embedded.config import ROOT, read_env_file
from tests.servers import free_port

pytestmark = [
    pytest.mark.skipif(
        bool(os.environ.get("DATABASE_URL")), reason="runs on the embedded set-up"
    ),
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"
    ),
]

#: Nothing of a developer's own shell may reach the run.
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG")


class EmbeddedRun:
    """One run of the clinic, and what it said so far."""

    def __init__(self, data: Path, port: int, **settings: str) -> None:
        self.data = data
        self.port = port
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        env |= {"DATA_DIR": str(data), "PORT": str(port), "DEMO_PATIENTS": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "embedded"],
            cwd=ROOT,
            env=env | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def until_up(self) -> str:
        """Read until it says that it is up."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C ends it" in line:
                return self.said
        pytest.fail(f"it did not come up:\n{self.said}")

    def until_ended(self) -> int:
        """Wait for the end; return the exit code."""
        self.said += self.process.communicate(timeout=30)[0]
        return self.process.returncode

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.until_ended()

    def parts(self) -> dict[int, str]:
        """Return every process of this run that is left, by its number."""
        mark = f"DATA_DIR={self.data}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    found[int(folder.name)] = b" ".join(words).decode()
            except OSError:
                continue  # ended meanwhile
        return found


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[EmbeddedRun]:
    """A run with its own empty data; it has just been started."""
    run = EmbeddedRun(tmp_path / "data", free_port())
    yield run
    if run.process.poll() is None:
        run.process.kill()
        run.until_ended()


def test_start_warm_start_and_a_killed_part(clinic: EmbeddedRun) -> None:
    first = clinic.until_up()
    assert "filled with the demo clinic" in first
    assert f"Open http://127.0.0.1:{clinic.port}\n" in first
    assert f"http://127.0.0.1:{clinic.port}/phone/" in first
    assert re.findall(
        r"^  (\w+) +(?:Front desk|Nurse|Clinician|Manager|Auditor)$",
        first,
        re.MULTILINE,
    ) == ["femi", "maya", "rao", "ada", "otto"]
    assert clinic.stop() == 0
    assert clinic.parts() == {}

    again = EmbeddedRun(clinic.data, clinic.port)
    second = again.until_up()
    assert "filled" not in second
    password = re.compile(r"with the password (\S+) as")
    assert password.findall(second) == password.findall(first)
    with urlopen(f"http://127.0.0.1:{clinic.port}/readyz") as answer:
        assert answer.status == 200

    beside = EmbeddedRun(clinic.data, free_port())
    assert beside.until_ended() == 1
    assert f"running already (process {again.process.pid})" in beside.said

    worker = min(pid for pid, words in again.parts().items() if "celery" in words)
    os.kill(worker, signal.SIGKILL)
    assert again.until_ended() == 1
    assert "The worker was ended by SIGKILL. Its log is" in again.said
    assert again.parts() == {}


def test_a_run_killed_outright_leaves_nothing_behind(clinic: EmbeddedRun) -> None:
    clinic.until_up()
    assert len(clinic.parts()) > 3
    clinic.process.kill()
    clinic.until_ended()
    patience = time.monotonic() + 15
    while clinic.parts() and time.monotonic() < patience:
        time.sleep(0.1)
    assert clinic.parts() == {}


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = EmbeddedRun(tmp_path, port)
        assert run.until_ended() == 1
    assert run.said.startswith(f"Port {port} is taken")
    assert f"make run PORT={port + 1}" in run.said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DEBUG": "0"}, "DEBUG=0 means a clinic server"),
        ({"PORT": "http"}, "PORT must be a whole number, not 'http'."),
    ],
)
def test_a_wrong_setting_is_said(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    run = EmbeddedRun(tmp_path, free_port(), **settings)
    assert run.until_ended() == 1
    assert run.said.startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_env_file_is_read_like_the_settings_read_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# PORT=1\n\nexport PORT=8001\nDEMO_PASSWORD='a=b c'\nTIME_ZONE=\n")
    assert read_env_file(file) == {
        "PORT": "8001",
        "DEMO_PASSWORD": "a=b c",
        "TIME_ZONE": "",
    }
    assert read_env_file(tmp_path / "none") == {}
