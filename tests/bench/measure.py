"""How the benches count and print."""

import sys
import time
from collections.abc import Callable
from typing import Any


def say(line: str) -> None:
    """Print a line at once, even into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def rate_of(count: int, work: Callable[[], Any]) -> float:
    """Return how many a second."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def show(what: str, rate: float, beside: str, baseline: float) -> None:
    """Print a figure, the one beside it and their ratio."""
    say(f"{what:<24}{rate:>9,.0f}/s   {beside:<34}{baseline:>9,.0f}/s   "
         f"{rate / baseline:.2f}")  # fmt: skip
