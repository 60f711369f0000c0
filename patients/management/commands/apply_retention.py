"""``manage.py apply_retention``: what is older than the clinic keeps it goes."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from patients.retention import apply_rule, outlook


class Command(BaseCommand):
    """Apply the rules in force to their end, or say what they would do."""

    help = "Remove what is older than the rules in force say; --dry-run only counts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run and --json."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Count; change nothing."
        )
        parser.add_argument("--json", action="store_true", help="One JSON object.")

    def handle(
        self, *args: Any, dry_run: bool, json: bool = False, **options: Any
    ) -> None:
        """Say of each kind how many rows; batch by batch, until nothing is due."""
        told = {}
        for one in outlook():
            state = "on" if one.rule.is_on else "off"
            gone = 0
            while not dry_run and one.rule.is_on and (count := apply_rule(one.rule)):
                gone += count
            told[one.kind] = {
                "days": one.rule.days,
                "in_force": one.rule.is_on,
                "due": one.count,
                "examples": list(one.examples),
                "gone": gone,
            }
            first = ", ".join(map(str, one.examples)) or "none"
            self.stderr.write(
                f"{one.kind} ({state}, {one.rule.days} days): {one.count} due "
                f"(first: {first}), {gone} gone"
            )
        if json:
            self.stdout.write(_as_json(told))


def _as_json(told: dict[str, Any]) -> str:
    return json.dumps(told)
