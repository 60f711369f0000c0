"""``python -m tests.bench``: speed beside a baseline taken in the same run.

On the database that ``DATABASE_URL`` names, else on SQLite in a temporary folder; both
are filled anew and left as they are, so never name one that matters. Machines are
noisy: read the ratios.
"""

import argparse
import logging
import os
import tempfile

from tests.bench.measure import say


def main() -> None:
    """Fill a database and print every figure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument(
        "--patients", type=int, default=100_000, help="for the search or the import"
    )
    parser.add_argument(
        "--only",
        choices=("work", "send", "search", "import"),
        help="leave out the rest",
    )
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        os.environ |= {
            "DATA_DIR": data,
            "ENV_FILE": os.devnull,
            "DJANGO_SETTINGS_MODULE": "clinic_crm.settings",
        }
        # Only now: the settings read the lines above.
        import django  # noqa: PLC0415

        django.setup()
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connection  # noqa: PLC0415

        # Without a broker every booking would say that it is away.
        logging.getLogger("messaging.tasks").setLevel(logging.ERROR)
        logging.getLogger("core.requests").setLevel(logging.WARNING)
        call_command("migrate", verbosity=0)
        say(f"On {connection.vendor}, {os.cpu_count()} cores")
        from tests.bench import search, sending, work  # noqa: PLC0415

        if wanted.only == "import":
            work.import_patients(wanted.patients)
            return
        if wanted.only in (None, "work"):
            work.import_patients()
            work.plan_reminders()
        if wanted.only in (None, "work", "send"):
            sending.everything()
        if wanted.only in (None, "search"):
            search.search(wanted.patients)


if __name__ == "__main__":
    main()
