"""What the clinic's machinery does, beside the least that could do it."""

import csv
import io
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from tests.bench.measure import rate_of, say, show

IMPORTED, PLANNED, SENT = 5_000, 20_000, 400


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


def dispatch() -> None:
    """Claim, gate, send and record texts, beside Twilio's client doing nothing else."""
    from django.conf import settings  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from messaging import dispatch as dispatcher  # noqa: PLC0415
    from messaging.ladder import open_due  # noqa: PLC0415
    from messaging.models import Message  # noqa: PLC0415
    from tests.factories import booked, patient  # noqa: PLC0415

    with _fake_in_its_own_process() as (url, account, token):
        settings.SMS_GATEWAY = "twilio"
        settings.TWILIO_API_BASE_URL, settings.TWILIO_ACCOUNT_SID = url, account
        settings.TWILIO_AUTH_TOKENS, settings.TWILIO_FROM_NUMBER = (
            [token],
            "+16175550100",
        )
        first = timezone.localdate() + timedelta(days=10)
        for n in range(SENT):
            at = datetime.combine(
                first + timedelta(days=n // 60), datetime.min.time()
            ) + timedelta(hours=8, minutes=10 * (n % 60))
            booked(
                patient(f"Given{n}", phone=f"+1617555{n:04d}"), at=at, overbooked=True
            )
        open_due()
        channel = dispatcher._client("twilio")
        outgoing = [dispatcher._outgoing(m) for m in Message.objects.all()]

        def client_alone() -> None:
            with ThreadPoolExecutor(dispatcher.THREADS) as pool:
                list(pool.map(channel.send, outgoing))

        baseline = rate_of(SENT, client_alone)
        rate = rate_of(SENT, dispatcher.dispatch_due)
        assert Message.objects.filter(state=Message.State.ACCEPTED).count() == SENT
        show("durable dispatch", rate, "Twilio's client alone, 8 threads", baseline)


@contextmanager
def _fake_in_its_own_process() -> Iterator[tuple[str, str, str]]:
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    yield ours.recv()
    ours.send("end")
    process.join()


def _serve(link: Connection) -> None:
    from tests.fakes.twilio import FakeTwilio  # noqa: PLC0415

    # Checking each request against the description would be most of the time.
    with FakeTwilio(spec_path=Path("missing")) as fake:
        fake.callbacks = ()
        link.send((fake.url, fake.account_sid, fake.auth_token))
        link.recv()
