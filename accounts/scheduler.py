"""The clock of Celery: beat with a schedule that never changes, and a heartbeat."""

import logging
import time
from datetime import timedelta
from typing import Any

from celery.beat import Scheduler
from django.db import Error, connection
from django.utils import timezone

logger = logging.getLogger(__name__)

#: How often beat says that it lives, in seconds.
BEAT_EVERY = 15.0


class HouseScheduler(Scheduler):
    """Keeps its schedule in memory and notes in the database that it lives.

    The schedule stands in the settings and every task only says "process what is due",
    so there is nothing to remember on a disk, and all of it is due at the start.
    """

    _beat_at = -BEAT_EVERY

    def setup_schedule(self) -> None:
        """Take the settings' schedule, due at once."""
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = timezone.now() - timedelta(days=1)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return after how many seconds to look again."""
        wait: float = super().tick(*args, **kwargs)
        if time.monotonic() - self._beat_at >= BEAT_EVERY:
            self._beat_at = time.monotonic()
            note_beat()
        return wait


def note_beat() -> None:
    """Note that beat lives; a database that is away does not stop it."""
    from accounts.ticks import beat  # noqa: PLC0415 - Celery imports this before the apps are ready

    try:
        beat("beat")
    except Error:
        logger.warning("beat could not be noted: the database is away")
    finally:
        # Nothing holds a connection open for one write in so many seconds, and none
        # that broke is used again.
        connection.close()
