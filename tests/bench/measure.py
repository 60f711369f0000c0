"""How the benches count and print."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def say(line: str) -> None:
    """Print a line at once, even into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Cost:
    """What some work took: how many a second, and the processor's time for each."""

    rate: float
    cpu_ms: float


def cost_of(count: int, work: Callable[[], Any]) -> Cost:
    """Do some work and return what it took, all threads of this process together."""
    began, used = time.perf_counter(), time.process_time()
    work()
    passed, burnt = time.perf_counter() - began, time.process_time() - used
    return Cost(count / passed, burnt / count * 1000)


def rate_of(count: int, work: Callable[[], Any]) -> float:
    """Return how many a second."""
    return cost_of(count, work).rate


def most_memory() -> float:
    """Return the most memory this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(what: str, rate: float, beside: str, baseline: float) -> None:
    """Print a figure, the one beside it and their ratio."""
    say(f"{what:<24}{rate:>9,.0f}/s   {beside:<34}{baseline:>9,.0f}/s   "
         f"{rate / baseline:.2f}")  # fmt: skip


def show_cost(what: str, cost: Cost, *notes: str) -> None:
    """Print what something took, and what there is to say of it."""
    say(f"{what:<40}{cost.rate:>8,.0f}/s {cost.cpu_ms:>7.2f} ms CPU   "
         f"{'   '.join(notes)}".rstrip())  # fmt: skip
