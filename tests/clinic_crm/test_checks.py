"""A clinic server refuses to start half set up, and says which half."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 60,
    "ALLOWED_HOSTS": "clinic.example",
    "PUBLIC_BASE_URL": "https://clinic.example",
    "SMS_GATEWAY": "simulated",
    "EMAIL_GATEWAY": "simulated",
}


def check(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import clinic_crm.wsgi"],
        cwd=ROOT,
        env={"DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_set_it_starts(tmp_path):
    assert check(tmp_path, **GOOD).returncode == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is missing or too short"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"PUBLIC_BASE_URL": "http://clinic.example"}, "PUBLIC_BASE_URL"),
        ({"SMS_GATEWAY": ""}, "SMS_GATEWAY is not named"),
        ({"EMAIL_GATEWAY": ""}, "EMAIL_GATEWAY is not named"),
        ({"SMS_GATEWAY": "pigeon"}, "SMS_GATEWAY is unknown"),
        ({"SMS_GATEWAY": "twilio"}, "without its account"),
        ({"SMS_SEGMENT_PRICE": "free"}, "SMS_SEGMENT_PRICE is no price"),
        ({"MAIL_IN_URL": "pop3://mail.example"}, "MAIL_IN_URL is no mailbox"),
        ({"MAIL_IN_URL": "imap://mail.example"}, "in the clear"),
        ({"MAIL_IN_ADDRESS": "clinic@example.org"}, "MAIL_IN_ADDRESS cannot"),
        (
            {
                "MAIL_IN_URL": "imaps://mail.example",
                "MAIL_IN_ADDRESS": f"{'x' * 24}@example.org",
            },
            "at most 23 letters",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, change, told):
    refused = check(tmp_path, **GOOD | change)
    assert refused.returncode != 0
    assert told in refused.stderr
