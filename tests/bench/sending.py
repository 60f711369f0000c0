"""Texts and mails out, beside the client alone and one task for each message."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.bench import receiving
from tests.bench.measure import (
    Cost,
    cost_of,
    most_memory,
    say,
    show_cost,
)
from tests.bench.tasks import task_by_task

#: How many texts wait at once, each size with as many sent before.
SIZES = (500, 2_000, 8_000)
#: For the baselines, and for mails.
FEW = 1_000
#: How long a provider takes to answer, in seconds.
LATENCY = 0.05

_numbers = itertools.count(2_000_000)


def texts() -> None:
    """Print what texts cost: ours at three sizes, the client alone, task by task."""
    from messaging.dispatch import dispatch_due  # noqa: PLC0415
    from messaging.models import Message  # noqa: PLC0415

    with served(_serve_twilio) as (link, *account):
        _use_twilio(*account)
        alone = _client_alone(FEW)
        show_cost("Twilio's client alone, 8 threads", alone)
        _queue(FEW)
        queued = Message.objects.filter(state="queued").order_by("id")
        by_task = task_by_task(list(queued.values_list("pk", flat=True)), *account)
        show_cost("a Celery task for each message", by_task)
        for size in SIZES:
            _queue(size)
            cost = cost_of(size, _until_done(dispatch_due))
            waiting = Message.objects.filter(
                direction="out", state__in=("queued", "claimed", "submitting")
            )
            assert not waiting.exists()
            show_cost(
                f"durable dispatch, {size:,} of {Message.objects.count():,}",
                cost,
                f"{cost.rate / alone.rate:.0%} of the client",
                f"{cost.rate / by_task.rate:.1f} x task by task",
                f"{most_memory():.0f} MB",
            )
        link.send(LATENCY)
        link.recv()
        _queue(FEW)
        cost = cost_of(FEW, _until_done(dispatch_due))
        show_cost(f"durable dispatch, {LATENCY * 1000:.0f} ms to the provider", cost)


def opening() -> None:
    """Print what it costs to open notices: who, which way, in which words."""
    from messaging.ladder import open_due  # noqa: PLC0415
    from messaging.models import Message, Notice  # noqa: PLC0415

    _queue(FEW)
    ids = list(Message.objects.filter(state="queued").values_list("pk", flat=True))
    from messaging.models import NoticeMessage, Question  # noqa: PLC0415

    notices = NoticeMessage.objects.filter(message__in=ids)
    planned = list(notices.values_list("notice", flat=True))
    Question.objects.filter(message__in=ids).delete()
    notices.delete()
    Message.objects.filter(pk__in=ids).delete()
    Notice.objects.filter(pk__in=planned).update(state=Notice.State.PLANNED)
    show_cost("opening notices", cost_of(FEW, _until_done(open_due)))
    assert Message.objects.filter(state="queued").count() == FEW
    Message.objects.filter(state="queued").update(state="withdrawn")


def mails() -> None:
    """Print what mails cost, through one mail server on this machine."""
    from django.conf import settings  # noqa: PLC0415

    from messaging.dispatch import dispatch_due, forget_clients  # noqa: PLC0415
    from messaging.models import Message  # noqa: PLC0415

    with served(_serve_mail) as (_link, host, port):
        settings.EMAIL_GATEWAY = "smtp"
        settings.EMAIL_HOST, settings.EMAIL_PORT = host, port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        forget_clients()
        _queue(FEW, channel="email")
        cost = cost_of(FEW, _until_done(dispatch_due))
        left = Message.objects.filter(channel="email").exclude(state="accepted")
        assert not left.exists(), left.values_list("state", "why", "error_code")[:3]
        show_cost("durable dispatch of mails", cost)


def _use_twilio(url: str, account: str, token: str) -> None:
    from django.conf import settings  # noqa: PLC0415

    from messaging.dispatch import forget_clients  # noqa: PLC0415

    settings.SMS_GATEWAY = "twilio"
    settings.TWILIO_API_BASE_URL, settings.TWILIO_ACCOUNT_SID = url, account
    settings.TWILIO_AUTH_TOKENS = [token]
    settings.TWILIO_FROM_NUMBER = "+16175550100"
    forget_clients()


def _until_done(step: Callable[[], int]) -> Callable[[], None]:
    def work() -> None:
        while step():
            pass

    return work


def _client_alone(count: int) -> Cost:
    """Return what the client takes that sends, and remembers nothing."""
    from messaging.clients import client_of  # noqa: PLC0415
    from messaging.dispatch import _outgoing  # noqa: PLC0415
    from messaging.models import Message  # noqa: PLC0415

    _queue(count)
    queued = Message.objects.filter(state="queued")
    outgoing = [_outgoing(message) for message in queued]
    channel = client_of("twilio")

    def send() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(channel.send, outgoing))

    cost = cost_of(count, send)
    queued.update(state="withdrawn")
    return cost


def _queue(count: int, channel: str = "sms") -> None:
    """Queue texts of booked visits, each to a patient and number of its own.

    As ``writing.write`` leaves them, without asking who is to get them.
    """
    from django.utils import timezone  # noqa: PLC0415

    from appointments.models import Appointment  # noqa: PLC0415
    from messaging.models import (  # noqa: PLC0415
        Conversation,
        Message,
        Notice,
        NoticeMessage,
        Question,
    )
    from patients.models import Consent, ContactPoint, Patient  # noqa: PLC0415
    from tests.factories import SiteFactory, clinician, visit_type  # noqa: PLC0415

    now = timezone.now()
    site, rao, kind = SiteFactory(), clinician(), visit_type()
    places = [next(_numbers) for _text in range(count)]
    start = now + timedelta(days=20)

    def made(model: Any, rows: Iterator[Any]) -> list[Any]:
        return model.objects.bulk_create(list(rows), batch_size=500)

    people = made(
        Patient,
        (Patient(given_name=f"Given{n}", family_name="Family") for n in places),
    )
    addresses = [
        f"+1617{n:07d}" if channel == "sms" else f"p{n}@example.com" for n in places
    ]
    made(
        ContactPoint,
        (
            ContactPoint(patient=who, channel=channel, address=address)
            for who, address in zip(people, addresses, strict=True)
        ),
    )
    made(
        Consent,
        (
            Consent(patient=who, channel=channel, given=True, method="form", at=now)
            for who in people
        ),
    )
    visits = made(
        Appointment,
        (
            Appointment(
                patient=who,
                clinician=rao,
                site=site,
                visit_type=kind,
                local_date=start.date(),
                local_time=start.time(),
                zone=site.zone,
                tzdata="",
                starts_at=start,
                ends_at=start + timedelta(minutes=20),
                version_at=now,
                overbooked=True,
            )
            for who in people
        ),
    )
    notices = made(
        Notice,
        (
            Notice(
                purpose="visit_booked",
                template_key="visit_booked",
                patient=visit.patient,
                about_patient=visit.patient,
                cause_kind="appointment",
                cause_id=visit.pk,
                cause_version=visit.version,
                dedupe_key=f"bench:{visit.pk}",
                zone=site.zone,
                not_before=now,
                deadline=start,
                matters=True,
                state=Notice.State.OPEN,
                created_at=now,
            )
            for visit in visits
        ),
    )
    threads = made(Conversation, (Conversation(patient=who) for who in people))
    messages = made(
        Message,
        (
            Message(
                direction="out",
                conversation=thread,
                patient=thread.patient,
                channel=channel,
                address=address,
                subject="Your visit",
                body="Harbour Clinic: Grace, see you Tue 24 Nov 10:00am with Dr Rao at "
                "Pier St. Reply 1 to confirm, 2 to move it, 3 if you cannot come.",
                encoding="GSM-7",
                state="queued",
                not_before=now,
                deadline=start,
                at=now,
            )
            for thread, address in zip(threads, addresses, strict=True)
        ),
    )
    pairs = list(zip(notices, messages, strict=True))
    made(NoticeMessage, (NoticeMessage(notice=n, message=m) for n, m in pairs))
    if channel == "sms":
        made(
            Question,
            (
                Question(
                    message=message,
                    handler="visit",
                    address=message.address,
                    form="digits",
                    options={"1": "come", "2": "move", "3": "cannot"},
                    yes_means="come",
                    expires_at=start,
                )
                for message in messages
            ),
        )


@contextmanager
def served(server: Callable[[Connection], None]) -> Iterator[tuple[Any, ...]]:
    """Run a fake in a process of its own; yield (link, *what it said of itself)."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=server, args=(theirs,))
    process.start()
    try:
        yield ours, *ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve_twilio(link: Connection) -> None:
    from tests.fakes.twilio import Behaviour, FakeTwilio  # noqa: PLC0415

    # Checking each request against the description would be most of the time.
    with FakeTwilio(spec_path=Path("missing")) as fake:
        fake.callbacks = ()
        link.send((fake.url, fake.account_sid, fake.auth_token))
        while (seconds := link.recv()) is not None:
            fake.always(Behaviour.hang_after(seconds))
            link.send(seconds)


def _serve_mail(link: Connection) -> None:
    from tests.fakes.mailbox import Mailbox  # noqa: PLC0415

    with Mailbox() as box:
        link.send((box.host, box.port))
        link.recv()


def everything() -> None:
    """Print all of it."""
    texts()
    receiving.webhooks()
    opening()
    mails()
    say(f"{'most memory of all benches':<40}{most_memory():>8,.0f} MB")
