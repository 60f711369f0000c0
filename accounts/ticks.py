"""One pass of everything due: what beat, cron and ``manage.py tick`` all run.

The database holds what is due; a pass may run twice, late, or beside another.
"""

import logging
from collections.abc import Callable

from django.utils import timezone

from accounts.models import Heartbeat
from core.registry import Registry

logger = logging.getLogger(__name__)

#: What a pass does, in order. Each returns how many things it moved on.
ticks: Registry[Callable[[], int]] = Registry("ticks")


def run_pass() -> dict[str, int]:
    """Run every registered tick once and return how much each moved.

    One that fails is logged and counted as -1, and does not keep the others from
    running: a broken planner must not hold back a reminder that is ready.
    """
    moved = {}
    for key, step in ticks:
        try:
            moved[key] = step()
        except Exception:
            logger.exception("a tick failed", extra={"tick": key})
            moved[key] = -1
    beat("tick")
    return moved


def beat(key: str, value: int | None = None) -> None:
    """Note that a part of the machinery is alive, and what it found; one write."""
    Heartbeat.objects.update_or_create(
        key=key, defaults={"at": timezone.now(), "value": value}
    )
