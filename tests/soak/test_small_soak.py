"""A small soak in every run of the suite: real processes, killed while they send."""

import os
import subprocess
import sys
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def test_killed_while_sending_nobody_is_forgotten_or_told_twice():
    """A worker on PostgreSQL, passes as cron has them on SQLite; two are killed."""
    words = ["-n", "150", "--seed", "7", "--workers", "1", "--every", "1"]
    words += ["--only-kills", "--blows", "2"]
    env = dict(os.environ)
    env.pop("CELERY_BROKER_URL", None)
    if connection.vendor == "sqlite":
        words += ["--sqlite"]
        env.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "lost" in done.stdout
