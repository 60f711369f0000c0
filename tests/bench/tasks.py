"""The usual way, for comparison: a Celery task for each message.

Claimed and saved by the ORM, with Twilio's client as it comes. Run by a worker of its
own (``python -m celery -A tests.bench.tasks worker``); never part of the product.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from clinic_crm.celery import app
from tests.bench.measure import Cost

#: Seconds for the worker to start, and for all of its tasks.
PATIENCE = 120


@cache
def _twilio() -> Any:
    from django.conf import settings
    from twilio.rest import Client

    client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKENS[0])
    client.api.base_url = settings.TWILIO_API_BASE_URL
    return client


@app.task(name="bench.send")
def send(pk: int) -> None:
    """Send one message."""
    from django.db import transaction
    from django.utils import timezone

    from messaging.models import Message

    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=pk)
        if message.state != Message.State.QUEUED:
            return
        message.state = Message.State.SUBMITTING
        message.submitting_at = timezone.now()
        message.save()
    answer = _twilio().messages.create(
        to=message.address, body=message.body, from_="+16175550100"
    )
    message.state, message.rank = Message.State.ACCEPTED, 1
    message.provider, message.provider_id = "twilio", answer.sid
    message.accepted_at = timezone.now()
    message.save()


def task_by_task(ids: list[int], *twilio: str) -> Cost:
    """Send these with a worker of two processes; return what it took."""
    from tests.servers import private_redis

    with tempfile.TemporaryDirectory() as folder, private_redis(Path(folder)) as broker:
        app.conf.broker_url = broker
        with _worker(broker, twilio) as pid:
            send.delay(ids[0])
            _wait_for(ids[:1])
            used, began = _burnt(pid), time.perf_counter()
            for pk in ids[1:]:
                send.delay(pk)
            _wait_for(ids)
            passed = time.perf_counter() - began
            return Cost(len(ids) / passed, (_burnt(pid) - used) / len(ids) * 1000)


@contextmanager
def _worker(broker: str, twilio: tuple[str, ...]) -> Iterator[int]:
    url, account, token = twilio
    words = (
        "-A tests.bench.tasks worker -c 2 -l ERROR --without-gossip --without-mingle"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", *words.split()],
        env=os.environ
        | {
            "CELERY_BROKER_URL": broker,
            "SMS_GATEWAY": "twilio",
            "TWILIO_API_BASE_URL": url,
            "TWILIO_ACCOUNT_SID": account,
            "TWILIO_AUTH_TOKEN": token,
        },
        process_group=0,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(ids: list[int]) -> None:
    from messaging.models import Message

    until = time.monotonic() + PATIENCE
    while Message.objects.filter(pk__in=ids, state="accepted").count() < len(ids):
        if time.monotonic() > until:
            raise SystemExit("the worker of the baseline does not work")
        time.sleep(0.05)


def _burnt(pid: int) -> float:
    """Return the seconds of processor a process and its children have had; Linux."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
