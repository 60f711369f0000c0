"""``manage.py prepare``: what the embedded run does before its parts start.

One process for all of it, since each start of the stack costs most of a second.
"""

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from kombu.exceptions import OperationalError

from accounts.models import Heartbeat, User
from accounts.tasks import tick
from clinic_crm.demo import DEMO_LOGINS


class Command(BaseCommand):
    """Migrate, fill an empty database with the demo clinic, and wake the worker."""

    help = "Bring the database up to date and fill an empty one with the demo clinic."
    # The web server runs them all before it serves; here they would cost a second.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --patients."""
        parser.add_argument(
            "--patients",
            type=int,
            default=300,
            help="How many patients a new demo clinic gets (300).",
        )

    def handle(self, *args: Any, patients: int, **options: Any) -> None:
        """Do it, with the talk on standard error, and answer with one JSON object."""
        call_command("migrate", interactive=False, stdout=sys.stderr)
        empty = not User.objects.exists()
        if empty:
            call_command("seed_demo", patients=patients, stdout=sys.stderr)
        # Whatever an earlier run left there would make this one look ready too soon.
        Heartbeat.objects.filter(key="tick").delete()
        try:
            tick.delay()
        except OperationalError:
            self.stderr.write("No broker answers; the first tick is the worker's own.")
        users = User.objects.filter(is_active=True).in_bulk(
            [name for name, _ in DEMO_LOGINS], field_name="username"
        )
        logins = [(name, role) for name, role in DEMO_LOGINS if name in users]
        # One check of a password is slow by design, and one login stands for all.
        opens = bool(logins) and users[logins[0][0]].check_password(
            settings.DEMO_PASSWORD
        )
        answer = {"seeded": empty, "logins": logins, "password": opens}
        self.stdout.write(json.dumps(answer))
