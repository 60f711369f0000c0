"""The clock of Celery: nothing to remember, due at once, and a heartbeat."""

import pytest
from celery import Celery
from django.conf import settings as configured
from django.db import OperationalError
from django.utils import timezone

from accounts import scheduler as module
from accounts import ticks
from accounts.models import Heartbeat
from accounts.scheduler import BEAT_EVERY, HouseScheduler

pytestmark = pytest.mark.django_db


@pytest.fixture
def beat_of_celery(monday, monkeypatch):
    """Our scheduler on a broker in memory; the clock stands still."""
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = configured.CELERY_BEAT_SCHEDULE
    app.conf.timezone = "UTC"
    # It may be used again by the next test.
    monkeypatch.setattr(module.connection, "close", lambda: None)
    scheduler = HouseScheduler(app=app)
    yield scheduler
    scheduler.close()


def sent(scheduler: HouseScheduler) -> list[str]:
    """Return which tasks go out before it next wants to sleep."""
    before = {name: e.total_run_count for name, e in scheduler.schedule.items()}
    while scheduler.tick() == 0:
        pass
    return sorted(
        name
        for name, entry in scheduler.schedule.items()
        if entry.total_run_count > before[name]
    )


def test_all_is_due_at_the_start_and_then_in_its_time(beat_of_celery, monday):
    assert sent(beat_of_celery) == ["jobs", "tick", "verify_audit"]
    assert sent(beat_of_celery) == []
    monday.shift(configured.TICK_SECONDS)
    assert sent(beat_of_celery) == ["jobs", "tick"]


def test_it_says_that_it_lives_but_not_all_the_time(beat_of_celery, monkeypatch):
    seconds = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    beat_of_celery.tick()
    first = Heartbeat.objects.get(key="beat")
    assert first.at == timezone.now()
    Heartbeat.objects.all().delete()
    seconds[0] += BEAT_EVERY - 1
    beat_of_celery.tick()
    assert not Heartbeat.objects.exists()
    seconds[0] += 1
    beat_of_celery.tick()
    assert Heartbeat.objects.filter(key="beat").exists()


def test_a_database_that_is_away_does_not_stop_it(beat_of_celery, monkeypatch, caplog):
    def away(key: str) -> None:
        raise OperationalError

    monkeypatch.setattr(ticks, "beat", away)
    assert sent(beat_of_celery) == ["jobs", "tick", "verify_audit"]
    assert [record.message for record in caplog.records] == [
        "beat could not be noted: the database is away"
    ]


def test_celery_uses_it():
    from clinic_crm.celery import app  # noqa: PLC0415 - the name of the module is taken

    assert app.conf.beat_scheduler == f"{module.__name__}.{HouseScheduler.__name__}"
