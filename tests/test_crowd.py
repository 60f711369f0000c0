"""A desk, patients, receipts and workers all at once: nobody waits for ever."""

import random
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import (
    book_appointment,
    cancel_appointment,
    move_appointment,
)
from messaging.inbound import receive
from messaging.models import Message
from messaging.promises import broken_promises
from messaging.status import receive_status
from tests.factories import (
    SiteFactory,
    clinician,
    member_of_staff,
    patient,
    visit_type,
)
from worklist.models import WorkItem
from worklist.services import close_item

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

Deed = Callable[[random.Random], object]


def test_everybody_at_once(caplog):
    people = [
        patient(f"Given{n}", phone=f"+1617555{n:04d}", email=f"g{n}@example.com")
        for n in range(12)
    ]
    doctors = [clinician(f"Dr {n}") for n in range(3)]
    site, kind = SiteFactory(), visit_type()
    femi = member_of_staff("femi", Role.FRONT_DESK)
    tomorrow = datetime.now() + timedelta(days=1)  # noqa: DTZ005 - wall time at the site

    def some_time(dice: random.Random) -> datetime:
        day = tomorrow + timedelta(days=dice.randrange(2))
        return day.replace(
            hour=dice.randrange(9, 18),
            minute=dice.choice([0, 20, 40]),
            second=0,
            microsecond=0,
        )

    def book(dice: random.Random) -> None:
        book_appointment(
            patient=dice.choice(people),
            clinician=dice.choice(doctors),
            site=site,
            visit_type=kind,
            local_start=some_time(dice),
            by=None,
            tell=dice.random() < 0.7,
        )

    def change(dice: random.Random) -> None:
        ahead = list(Appointment.objects.filter(state="booked").values_list("pk")[:99])
        if not ahead:
            return
        (chosen,) = dice.choice(ahead)
        if dice.random() < 0.3:
            cancel_appointment(appointment_id=chosen, by=None)
        else:
            move_appointment(
                appointment_id=chosen,
                by=None,
                clinician=dice.choice(doctors),
                local_start=some_time(dice),
            )

    def answer(dice: random.Random) -> None:
        receive(
            provider="simulated",
            provider_id=uuid.uuid4().hex,
            channel="sms",
            from_address=f"+1617555{dice.randrange(12):04d}",
            to_address="",
            body=dice.choice(["1", "2", "3", "4", "ok", "hello", "chest pain"]),
        )

    def report_and_close(dice: random.Random) -> None:
        sent = Message.objects.exclude(provider_id="").filter(direction="out")
        message = sent.order_by("?").first()
        if message:
            receive_status(
                provider="simulated",
                provider_id=message.provider_id,
                ref=None,
                status=dice.choice(["undelivered", "delivered"]),
            )
        item = WorkItem.objects.open().filter(kind="unreached").order_by("?").first()
        if item:
            close_item(item_id=item.pk, outcome="told", by=femi)

    deeds: list[tuple[Deed, int]] = [
        (book, 30),
        (book, 30),
        (change, 30),
        (change, 30),
        (answer, 40),
        (report_and_close, 60),
        (lambda _dice: run_pass(), 4),
        (lambda _dice: run_pass(), 4),
    ]
    faults: list[Exception] = []

    def do(deed: Deed, times: int, seed: int) -> None:
        dice = random.Random(seed)
        for _time in range(times):
            try:
                deed(dice)
            except ValidationError:
                pass  # the slot is taken, the visit is over
            except Exception as fault:
                faults.append(fault)
        connection.close()

    threads = [
        threading.Thread(target=do, args=(deed, times, seed))
        for seed, (deed, times) in enumerate(deeds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _again in range(3):
        run_pass()

    assert faults == []
    assert [r.getMessage() for r in caplog.records if r.exc_info] == []
    assert broken_promises() == []
    texts = Message.objects.filter(direction="out", notices__isnull=False)
    assert texts.count() > 20
