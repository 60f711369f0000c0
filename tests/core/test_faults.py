"""What a passing fault of the database does to a transaction."""

import pytest
from django.db import OperationalError

from core.faults import persistently


def failing(times: int):
    """Return a step that gives way so many times, and the list of its tries."""
    tries = []

    def step():
        tries.append(1)
        if len(tries) <= times:
            raise OperationalError("deadlock detected")
        return "done"

    return step, tries


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_passing_fault_is_tried_again(times):
    step, tries = failing(times)
    assert persistently(step, "the gate") == "done"
    assert len(tries) == times + 1


def test_a_lasting_fault_is_told_after_the_third_try():
    step, tries = failing(9)
    with pytest.raises(OperationalError):
        persistently(step, "the gate")
    assert len(tries) == 3


def test_what_is_no_fault_of_the_database_is_never_repeated():
    tries = []

    def step():
        tries.append(1)
        raise LookupError

    with pytest.raises(LookupError):
        persistently(step, "the gate")
    assert len(tries) == 1
