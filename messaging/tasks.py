"""Celery's way in; each task only says "process what is due"."""

import logging

from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


@shared_task
def work() -> None:
    """Open, send and handle what is due now."""
    from messaging.ticks import run_messaging  # the pass imports what wakes this

    run_messaging()


def wake() -> None:
    """Hint on commit that there is work; the next tick finds it without the hint."""
    transaction.on_commit(_hint, robust=True)


def _hint() -> None:
    try:
        work.delay()
    except OperationalError:
        logger.warning("the broker is away; the next tick will do")
