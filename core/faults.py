"""One bad row must not hold up the others, and a passing fault is tried again."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@contextmanager
def logged(what: str) -> Iterator[None]:
    """Log an error and go on: for the rows of a sweep, each of its own transaction.

    What stays undone is found by the next sweep and, when it is late, by
    ``check_promises``. ``what`` names the row by its id and nothing of a patient.
    """
    try:
        yield
    except Exception:
        logger.exception("skipped", extra={"what": what})


def persistently(step: Callable[[], Result], what: str) -> Result:
    """Run a whole transaction, up to three times while the database gives way under it.

    For deadlocks, which end one of the two at random, and connections that broke.
    ``step`` opens its own transaction and touches nothing outside the database. Raises
    the third OperationalError.
    """
    for _time in range(2):
        try:
            return step()
        except OperationalError:
            logger.warning("the database gave way: again", extra={"what": what})
    return step()
