"""Celery: the engine that wakes the work; the database says what the work is."""

import os
from typing import Any

from celery import Celery, signals
from structlog.contextvars import bind_contextvars, clear_contextvars

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic_crm.settings")

app = Celery("clinic_crm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect(weak=False)
def keep_our_logging(**_: Any) -> None:
    """Leave logging as the settings have it; Celery's own would print arguments."""


@signals.task_prerun.connect(weak=False)
def name_the_task(task_id: str, task: Any, **_: Any) -> None:
    """Put a task and its id on every line logged in it; never what it was given."""
    clear_contextvars()
    bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect(weak=False)
def forget_the_task(**_: Any) -> None:
    """Let the thread go on to other work without the task's name."""
    clear_contextvars()
