"""Celery's way in; each task only says "process what is due"."""

import logging

from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from accounts.audit.chain import verify_and_note
from accounts.audit.proofs import prove_all
from accounts.ticks import beat, run_pass

logger = logging.getLogger(__name__)


@shared_task
def tick() -> None:
    """Run one pass of everything due."""
    beat("worker")
    run_pass()


@shared_task
def run_jobs() -> None:
    """Run the jobs that are due: apart from the pass, which must not wait for them."""
    from accounts.jobs import run_jobs as run  # starting a job wakes this

    run()


@shared_task
def verify_audit() -> None:
    """Walk along the audit's chain, as somebody should daily, and prove the rest."""
    verify_and_note()
    prove_all()


def wake_jobs() -> None:
    """Hint on commit that a job waits; the next beat finds it without the hint."""
    transaction.on_commit(_hint, robust=True)


def _hint() -> None:
    try:
        run_jobs.delay()
    except OperationalError:
        logger.warning("the broker is away: the job waits for the next beat")
