"""What the clinic's machinery does, beside the least that could do it."""

import csv
import io
import resource
from datetime import timedelta
from pathlib import Path

from tests.bench.measure import rate_of, say, show

IMPORTED, PLANNED = 5_000, 20_000


def import_patients(count: int = IMPORTED) -> None:
    """Import a list with everything, beside one bare row a patient; and its memory."""
    from patients.importing import import_files  # noqa: PLC0415
    from patients.models import Patient  # noqa: PLC0415
    from tests.factories import SiteFactory  # noqa: PLC0415

    header = "identifier,given_name,family_name,birth_date,phone,email,consent_sms"
    text = "\n".join(
        [header]
        + [
            f"B-{n},Given{n % 977},Family{n % 1301},19{n % 80 + 10}-03-14,"
            f"617 555 {n % 10000:04d},p{n}@example.com,yes"
            for n in range(count)
        ]
    )

    def bare() -> None:
        rows = csv.DictReader(io.StringIO(text))
        Patient.objects.bulk_create(
            [
                Patient(given_name=r["given_name"], family_name=r["family_name"])
                for r in rows
            ],
            batch_size=500,
        )

    baseline = rate_of(count, bare)
    Patient.objects.all().delete()
    site = SiteFactory()
    before = _memory()
    rate = rate_of(
        count,
        lambda: import_files([("b.csv", text)], site=site, by=None, dry_run=False),
    )
    show("import of patients", rate, "csv and bulk_create, 1 row each", baseline)
    say(f"  memory: {before:.0f} MiB before {count:,} rows, {_memory():.0f} MiB after")


def _memory() -> float:
    """Return how much memory this process holds now, in MiB; Linux alone says so."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def plan_reminders() -> None:
    """Plan reminders of many visits, beside copying the planned rows at once."""
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from appointments import planner  # noqa: PLC0415
    from appointments.models import Appointment  # noqa: PLC0415
    from messaging.models import Notice  # noqa: PLC0415
    from patients.models import Patient  # noqa: PLC0415
    from tests.factories import SiteFactory, clinician, visit_type  # noqa: PLC0415

    site, rao, kind = SiteFactory(), clinician(), visit_type()
    people = list(Patient.objects.values_list("pk", flat=True))
    start = timezone.now() + timedelta(hours=40)
    Appointment.objects.bulk_create(
        [
            Appointment(
                patient_id=people[n % len(people)],
                clinician=rao,
                site=site,
                visit_type=kind,
                local_date=start.date(),
                local_time=start.time(),
                zone=site.zone,
                tzdata="",
                starts_at=start,
                ends_at=start + timedelta(minutes=20),
                version_at=start - timedelta(days=30),
                overbooked=True,
            )
            for n in range(PLANNED)
        ],
        batch_size=500,
    )
    rate = rate_of(PLANNED, planner.plan_reminders)
    assert Notice.objects.filter(purpose="visit_reminder").count() == PLANNED
    assert planner.plan_reminders() == 0

    def copy() -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE bench_copy AS SELECT * FROM messaging_notice")
            cursor.execute("DROP TABLE bench_copy")

    show("planning", rate, "the same rows, copied unindexed", rate_of(PLANNED, copy))
    Notice.objects.all().delete()
    Appointment.objects.all().delete()
