"""A real browser and, for the story, the real embedded clinic."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(
    (
        p
        for p in map(Path, ("/usr/bin/chromium", "/usr/bin/google-chrome"))
        if p.exists()
    ),
    None,
)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("no Chromium found: install the package named chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A desk-sized tab which fails the test on any script error or blocked resource."""
    context = chromium.new_context(
        viewport={"width": 1360, "height": 900}, locale="en-US"
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type == "error" else None,
    )
    yield page
    context.close()
    assert complaints == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Clinic:
    """The embedded clinic, started as `make run` starts it."""

    url: str
    data: Path
    env: dict[str, str]
    process: subprocess.Popen[str]

    def manage(self, *words: str) -> str:
        """Run a manage.py command beside the running clinic and return what it says."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def promises(self) -> dict[str, object]:
        return dict(json.loads(self.manage("check_promises", "--json")))


@pytest.fixture
def start_clinic(tmp_path: Path) -> Iterator[object]:
    running: list[subprocess.Popen[str]] = []

    def start(**settings: str) -> Clinic:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        clean = {
            key: value
            for key, value in os.environ.items()
            if key
            not in {"DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}
        }
        env = clean | {
            "DATA_DIR": str(tmp_path),
            "PORT": str(port),
            "PUBLIC_BASE_URL": url,
            "DEMO_PASSWORD": "harbour-demo-1",
            "DEMO_PATIENTS": "12",
        }
        env |= settings
        process = subprocess.Popen(
            [sys.executable, "-m", "embedded"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if re.search(r"Open http", line):
                break
        else:
            pytest.fail("the clinic did not come up:\n" + "".join(said))
        assert requests.get(f"{url}/readyz", timeout=5).status_code == 200
        return Clinic(url=url, data=tmp_path, env=env, process=process)

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
