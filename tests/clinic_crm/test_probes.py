"""What machines ask: does it live, is it ready, how is it doing."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Heartbeat
from accounts.roles import Role
from accounts.tasks import tick
from accounts.ticks import beat, run_pass
from clinic_crm import probes
from clinic_crm.probes import ALIVE_WITHIN, SENT_WITHIN
from messaging.gateways import trip
from messaging.ladder import open_due
from messaging.models import Message
from tests.factories import booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

EVERYTHING = {"database", "migrations", "tick", "beat", "messages"}


def unready(client) -> set[str]:
    """Return what is not ready, and hold the answer against its form."""
    answer = client.get("/readyz")
    parts = json.loads(answer.content)
    assert parts.keys() == EVERYTHING
    assert all(isinstance(value, bool) for value in parts.values())
    wrong = {key for key, is_ready in parts.items() if not is_ready}
    assert answer.status_code == (503 if wrong else 200)
    assert ("Retry-After" in answer) is bool(wrong)
    return wrong


def test_it_lives_without_a_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert client.get("/healthz").status_code == 200


def test_before_the_first_pass_it_is_not_ready(client):
    assert unready(client) == {"tick"}


def test_passes_of_cron_are_enough(client, monday):
    run_pass()
    assert unready(client) == set()
    monday.shift(ALIVE_WITHIN)
    assert unready(client) == {"tick"}


def test_with_celery_beat_must_live_too(client, monday):
    tick()
    assert unready(client) == {"beat"}
    beat("beat")
    assert unready(client) == set()
    monday.shift(ALIVE_WITHIN)
    run_pass()
    beat("worker")
    assert unready(client) == {"beat"}


def test_a_database_that_is_away_is_said(client, monkeypatch):
    def away() -> bool:
        raise OperationalError

    monkeypatch.setattr(probes, "_is_migrated", away)
    assert unready(client) == EVERYTHING


def test_a_message_nobody_sends_is_said(client, monday):
    booked()
    open_due()
    run = Message.objects.get()
    assert run.state == "queued"
    monday.shift(SENT_WITHIN - timedelta(seconds=1))
    beat("tick")
    assert unready(client) == set()
    monday.shift(1)
    assert unready(client) == {"messages"}


def test_a_gateway_that_refuses_takes_no_server_out_of_service(
    client, monday, settings
):
    booked()
    open_due()
    for _minute in range(20):
        trip("simulated", "20003")
        monday.shift(timedelta(seconds=59))
        beat("tick")
        assert unready(client) == set()


def test_asking_costs_the_same_with_more(client, monday):
    probes._migrated_once()
    costs = []
    for n in range(3):
        booked(
            patient(f"Given{n}", phone=f"+1617555012{n}"),
            at=datetime(2026, 11, 24, 10 + n),
        )
        open_due()
        beat(f"part {n}")
        with CaptureQueriesContext(connection) as queries:
            client.get("/readyz")
        costs.append(len(queries))
    assert costs == [3, 3, 3]


def test_figures_are_for_this_machine(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"clinic_dispatch_lag_seconds 0.0" in answer.content
    for address in ("203.0.113.5", "", "nonsense", "10.0.0.1"):
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_proxy_on_this_machine_speaks_for_others(client, header):
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_with_a_token_only_the_token_opens(client, settings):
    settings.METRICS_TOKEN = "f3-token"

    def ask(said: str | None, address: str) -> int:
        headers = {"Authorization": said} if said is not None else {}
        answer = client.get("/metrics", headers=headers, REMOTE_ADDR=address)
        return answer.status_code

    assert ask("Bearer f3-token", "203.0.113.5") == 200
    for said in (None, "", "Bearer ", "f3-token", "Bearer f3-tokeN", "Bearer é"):
        assert ask(said, "127.0.0.1") == 404


def test_figures_name_nobody(client, monday):
    booked()
    run_pass()
    told = client.get("/metrics").content.decode()
    assert 'clinic_messages{state="delivered"} 1.0' in told
    assert 'clinic_heartbeat_age_seconds{part="tick"} 0.0' in told
    for word in ("Grace", "Okafor", "6175550143", "Rao"):
        assert word not in told


def test_today_says_since_when_nothing_goes_out(client, monday):
    maya = member_of_staff("maya", Role.NURSE)
    client.force_login(maya)
    assert b"nothing has run yet" in client.get("/").content
    run_pass()
    assert b"not going out" not in client.get("/").content
    monday.move_to(datetime(2026, 11, 23, 14, 2, 1, tzinfo=UTC))
    client.force_login(maya)
    page = client.get("/").content.decode()
    assert "Messages are not going out; last pass 09:00." in page
    assert Heartbeat.objects.get(key="tick").at < timezone.now()
