"""``manage.py tick``: one pass of everything due, without Celery."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.jobs import run_jobs
from accounts.ticks import run_pass

#: A pass that still moves something after so many has a bug, not a backlog.
MOST_PASSES = 1000


class Command(BaseCommand):
    """Plan, dispatch, sweep and reconcile what is due; then the jobs that wait."""

    help = "One pass of everything due (plan, dispatch, sweep, reconcile)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --until-idle."""
        parser.add_argument(
            "--until-idle",
            action="store_true",
            help="Go on until a pass finds nothing to do.",
        )

    def handle(self, *args: Any, until_idle: bool, **options: Any) -> None:
        """Run the passes and the jobs, and say what each moved."""
        for _ in range(MOST_PASSES if until_idle else 1):
            moved = run_pass() | {"accounts.run_jobs": run_jobs()}
            talk = ", ".join(f"{key} {count}" for key, count in moved.items() if count)
            self.stderr.write(talk or "nothing due")
            if not any(count > 0 for count in moved.values()):
                break
        if any(count < 0 for count in moved.values()):
            raise SystemExit(1)
