"""``python -m tests.pictures``: the pictures of the documents, from the demo clinic.

A Monday morning at 09:52, whatever the hour is now.
"""

import os
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import time_machine
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
MORNING = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
PASSWORD = "harbour-demo-1"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main() -> None:
    """Fill a clinic, serve it, and take every picture anew."""
    with tempfile.TemporaryDirectory() as data:
        os.environ |= {
            "DATA_DIR": data,
            "ENV_FILE": os.devnull,
            "DEMO_PASSWORD": PASSWORD,
            "DJANGO_SETTINGS_MODULE": "clinic_crm.settings",
        }
        # Only now: the settings read the lines above.
        from clinic_crm.wsgi import application  # noqa: PLC0415

        with time_machine.travel(MORNING, tick=True):
            rosa = _fill()
            server = make_server("127.0.0.1", 0, application, _Server, _Quiet)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS
                )
                _take(browser, f"http://127.0.0.1:{server.server_port}", rosa)
            server.shutdown()


def _fill() -> int:
    from django.core.management import call_command  # noqa: PLC0415

    from patients.models import Patient  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    call_command("seed_demo")
    call_command("tick", "--until-idle")
    return Patient.objects.get(given_name="Rosa", family_name="Alvarez").pk


def _take(browser: Browser, url: str, rosa: int) -> None:
    for name, path, size, scheme in [
        ("today", "/", DESK, "light"),
        ("today-dark", "/", DESK, "dark"),
        ("today-narrow", "/", PHONE, "light"),
        ("patient", f"/patients/{rosa}/", DESK, "light"),
        ("worklist", "/worklist/", DESK, "light"),
        ("schedule", "/schedule/", DESK, "light"),
        ("inbox", "/inbox/", DESK, "light"),
    ]:
        context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        tab = context.new_page()
        tab.goto(f"{url}/accounts/login/?next={path}")
        tab.get_by_label("Username").fill("maya")
        tab.get_by_label("Password").fill(PASSWORD)
        tab.get_by_role("button", name="Sign in").click()
        tab.get_by_role("heading", level=1).wait_for()
        tab.screenshot(path=FOLDER / f"{name}.png")
        context.close()


if __name__ == "__main__":
    main()
