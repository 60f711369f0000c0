"""What a worker's lines say: which task, and nothing of what it was given."""

import io
import json
import logging

import pytest
from celery import signals

from clinic_crm.celery import app, keep_our_logging
from core.logs import LineFormatter, LineHandler


@pytest.fixture
def failing():
    """A task that fails, for as long as the test lasts."""

    @app.task(name="tests.failing")
    def fail(text: str) -> None:
        logging.getLogger("messaging").warning("within")
        raise RuntimeError(text)

    yield fail
    app.tasks.unregister("tests.failing")


def test_a_line_names_its_task_and_a_failure_its_place(failing):
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter(as_json=True))
    logging.getLogger().addHandler(handler)
    try:
        done = failing.apply(args=["Grace Okafor"], kwargs={})
        logging.getLogger("messaging").warning("after")
    finally:
        logging.getLogger().removeHandler(handler)
    within, failed, after = [
        json.loads(line) for line in stream.getvalue().split("\n")[:-1]
    ]
    assert (within["task"], within["task_id"]) == ("tests.failing", done.id)
    assert failed["logger"] == "celery.app.trace"
    assert failed["exception"].endswith("builtins.RuntimeError")
    assert "task" not in after
    assert "Grace" not in stream.getvalue()


def test_celery_leaves_our_logging_as_it_is():
    assert keep_our_logging in [
        found for _key, found in signals.setup_logging.receivers
    ]
