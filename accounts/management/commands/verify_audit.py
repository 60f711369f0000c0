"""``manage.py verify_audit``: proof that nobody has touched the audit."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.audit.chain import verify_and_note


class Command(BaseCommand):
    """Walk the chain; exit 1 where it first breaks."""

    help = "Prove that no row of the audit was changed, removed or added."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --head and --json."""
        parser.add_argument(
            "--head",
            default="",
            metavar="HASH",
            help="A hash from the log that must be in the chain, or its end is gone.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object.")

    def handle(self, *args: Any, head: str, json: bool = False, **options: Any) -> None:
        """Print how much the chain holds, and the first thing wrong with it."""
        finding = verify_and_note(head)
        if json:
            self.stdout.write(_as_json(asdict(finding)))
        else:
            self.stdout.write(
                f"{finding.events} events, {finding.seals} seals, "
                f"{finding.unsealed} unsealed. Head: {finding.head or 'none'}"
            )
            self.stdout.write(finding.broken or "The chain is whole.")
        if finding.broken:
            raise SystemExit(1)


def _as_json(told: dict[str, Any]) -> str:
    return json.dumps({"ok": not told["broken"], **told})
