"""What is looked through daily beside the chain: rows that must not have changed."""

import logging
from collections.abc import Callable, Iterable

from accounts.ticks import beat
from core.faults import logged
from core.registry import Registry

logger = logging.getLogger(__name__)

#: Walks through rows that never change; yields the number of each that did.
proofs: Registry[Callable[[], Iterable[int]]] = Registry("proofs")
#: What the heartbeat of each begins with; it holds how many rows had changed.
PROVED = "proof."


def prove_all() -> None:
    """Look through all of them, and note in the database and the log what was found.

    One that breaks keeps no other from being looked through.
    """
    for key, changed in proofs:
        with logged(f"proof {key}"):
            count = sum(1 for _row in changed())
            beat(f"{PROVED}{key}", value=count)
            if count:
                logger.critical(
                    "rows were changed that never may be",
                    extra={"what": key, "count": count},
                )
