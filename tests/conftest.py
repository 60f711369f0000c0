"""What every test may use, and the walls around all of them."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import TransactionTestCase

from core import triggers
from messaging.dispatch import forget_clients
from tests.factories import MONDAY
from tests.fakes.mailbox import Mailbox
from tests.fakes.twilio import FakeTwilio

# The tick, the planner and the gate all ask the clock; no test may wait for it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

_flush = TransactionTestCase._fixture_teardown


def _lift_triggers_and_flush(case: TransactionTestCase) -> None:
    """Empty the database although some tables refuse; migrating brings them back."""
    triggers.lift()
    _flush(case)


TransactionTestCase._fixture_teardown = _lift_triggers_and_flush


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the concurrency tests on PostgreSQL only, the browser ones on SQLite only."""
    postgres = connection.vendor == "postgresql"
    for item in items:
        if item.get_closest_marker("postgres") and not postgres:
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
        if item.get_closest_marker("browser") and postgres:
            item.add_marker(pytest.mark.skip(reason="runs on the embedded set-up"))


@pytest.fixture
def monday() -> Iterator[time_machine.Traveller]:
    """Monday 23 November 2026, 09:00 in New York; ``shift`` and ``move_to`` travel."""
    with time_machine.travel(MONDAY, tick=False) as traveller:
        yield traveller


@pytest.fixture
def twilio(settings: Any) -> Iterator[FakeTwilio]:
    """Twilio as the gateway: the real client over HTTP to a scriptable fake."""
    with FakeTwilio() as fake:
        settings.SMS_GATEWAY = "twilio"
        settings.TWILIO_API_BASE_URL = fake.url
        settings.TWILIO_ACCOUNT_SID = fake.account_sid
        settings.TWILIO_AUTH_TOKENS = [fake.auth_token]
        settings.TWILIO_FROM_NUMBER = "+16175550100"
        fake.callbacks = ()
        forget_clients()
        yield fake
        forget_clients()
        assert fake.violations == []


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    """An SMTP server as the gateway for email."""
    with Mailbox() as box:
        settings.EMAIL_GATEWAY = "smtp"
        settings.EMAIL_HOST, settings.EMAIL_PORT = box.host, box.port
        forget_clients()
        yield box
        forget_clients()
