"""``manage.py check_promises``: whether every promise is kept or with a person."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from messaging.promises import broken_promises, counts


class Command(BaseCommand):
    """Count by state; exit 1 and list when a promise is in no honest state."""

    help = "Prove on live data that no promise is forgotten."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="One JSON object.")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        """Print the counts and what is broken."""
        broken = broken_promises()
        states = counts()
        if json:
            self.stdout.write(_as_json(states, broken))
        else:
            for name, by_state in states.items():
                talk = ", ".join(
                    f"{count} {state}" for state, count in by_state.items()
                )
                self.stdout.write(f"{name}: {talk or 'none'}")
            for one in broken:
                self.stdout.write(f"broken: notice {one.notice}: {one.why}")
            if not broken:
                self.stdout.write("No promise is broken.")
        if broken:
            raise SystemExit(1)


def _as_json(states: dict[str, dict[str, int]], broken: list[Any]) -> str:
    return json.dumps(
        {
            "ok": not broken,
            **states,
            "broken": [{"notice": one.notice, "why": one.why} for one in broken],
        }
    )
