"""Nothing is lost, doubled or sent to the wrong person, whatever happens in between.

A clinic's days drawn by dice: visits are booked, moved and cancelled, numbers change,
people answer and opt out, the provider misbehaves in every way it can, callbacks are
lost, doubled, reversed or too early, and the worker dies at any point of its work. Then
all is well for long enough, and what phones truly got is held against the database.
"""

import os
import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import cancel_appointment, move_appointment
from messaging import dispatch, inbound, ladder, recording, settling, status
from messaging.channels import twilio as channel
from messaging.models import Message
from patients.models import ContactPoint
from tests.factories import MONDAY, booked, patient
from tests.fakes.twilio import Accepted, Behaviour, FakeTwilio, sign
from tests.soak.ledger import Text, examine

pytestmark = pytest.mark.django_db

#: Each is a story of its own, and always the same one; PROOF_SEEDS=50 tells more.
SEEDS = range(int(os.environ.get("PROOF_SEEDS", "2")))
STEPS = 90
PEOPLE = 15
FAULTS = (
    Behaviour.error(429, 20429, retry_after="20"),
    Behaviour.error(429, 20429),
    Behaviour.error(401, 20003),
    Behaviour.error(503, 20503),
    Behaviour.SERVER_ERROR_BEFORE,
    Behaviour.SERVER_ERROR_AFTER,
    Behaviour.CUT_BEFORE,
    Behaviour.CUT_AFTER,
    Behaviour.HANG_BEFORE,
    Behaviour.HANG_AFTER,
    Behaviour.UNPARSABLE_AFTER,
)
REFUSALS = (Behaviour.error(400, 21211), Behaviour.error(400, 21610))
SAID = ("1", "1", "2", "3", "yes", "hello", "ok thanks", "STOP", "START")
FATES = ("all", "all", "all", "lost", "doubled", "reversed", "half")
#: Where a worker may die: before the function it is about to call, or after it.
DEATHS = (
    (dispatch, "_gate", "before"),
    (dispatch, "pass_gate", "after"),
    (dispatch, "leave_links", "after"),
    (dispatch, "_send", "before"),
    (dispatch, "_send", "before"),
    (dispatch, "record_all", "before"),
    (dispatch, "record_all", "before"),
    (recording, "update_rows", "after"),
    (recording, "note_taken", "after"),
    (recording, "record_failure", "after"),
    (recording, "note_progress", "before"),
    (recording, "_tell_gateways", "before"),
    (settling, "start_rung", "after"),
    (settling, "give_up", "after"),
    (settling, "record", "before"),
    (ladder, "write", "after"),
    (ladder, "start_rung", "after"),
    (ladder, "give_up", "after"),
    (status, "note_progress", "after"),
    (inbound, "obey", "after"),
    (inbound, "screen", "after"),
)


class KilledError(BaseException):
    """The worker is gone: nothing catches it, open transactions fall back."""


class Story:
    """One clinic, its dice, and what truly became of its people and visits."""

    def __init__(
        self, seed: int, twilio: FakeTwilio, clock, patches: pytest.MonkeyPatch
    ) -> None:
        self.dice = random.Random(seed)
        self.twilio, self.clock, self.patches = twilio, clock, patches
        self.told: list[str] = []
        self.addresses: dict[int, list] = {}
        self.versions: dict[int, list] = {}
        self.numbers = (f"+1617555{n:04d}" for n in range(1000, 9999))
        self.callbacks: list[tuple[Accepted, str]] = []
        self.heard = self.deaths = 0
        self.client = Client()
        for number in range(PEOPLE):
            phone = next(self.numbers)
            email = f"p{number}@example.com" if number % 2 else ""
            who = patient(f"Given{number}", phone=phone, email=email)
            self.addresses[who.pk] = [(timezone.now(), phone)]
            self.people = [*getattr(self, "people", []), who]

    def note(self, visit: Appointment) -> None:
        visit.refresh_from_db()
        self.versions.setdefault(visit.pk, []).append((timezone.now(), visit.version))

    def some_visit(self) -> Appointment | None:
        ahead = Appointment.objects.filter(
            starts_at__gt=timezone.now(), state__in=("booked", "confirmed")
        )
        visits = list(ahead.order_by("pk"))
        return self.dice.choice(visits) if visits else None

    def some_time(self) -> datetime:
        day = timezone.now() + timedelta(days=self.dice.randint(0, 3))
        hour, minute = self.dice.randint(8, 17), self.dice.choice((0, 20, 40))
        return datetime(day.year, day.month, day.day, hour, minute)

    def book(self) -> None:
        who = self.dice.choice(self.people)
        self.note(booked(who, at=self.some_time(), overbooked=True))

    def move(self) -> None:
        if visit := self.some_visit():
            move_appointment(
                appointment_id=visit.pk, by=None, local_start=self.some_time()
            )
            self.note(visit)

    def cancel(self) -> None:
        if visit := self.some_visit():
            cancel_appointment(appointment_id=visit.pk, by=None)
            self.note(visit)

    def change_number(self) -> None:
        who, phone = self.dice.choice(self.people), next(self.numbers)
        ContactPoint.objects.filter(patient=who, channel="sms").update(
            address=phone, usable=True, why_not=""
        )
        self.addresses[who.pk].append((timezone.now(), phone))

    def answer(self) -> None:
        who = self.dice.choice(self.people)
        said = self.dice.choice(SAID)
        phone = self.addresses[who.pk][-1][1]
        times = self.dice.choice((1, 1, 2))
        sid = f"SM{uuid.UUID(int=self.dice.getrandbits(128)).hex}"
        for _time in range(times):
            self.post("inbound", MessageSid=sid, From=phone, Body=said)

    def misbehave(self) -> None:
        # What ends an address is rare, or soon nobody would be left to write to.
        if self.dice.random() < 0.1:
            self.twilio.script(self.dice.choice(REFUSALS))
            return
        many = self.dice.choice((1, 1, 1, 2, 9))
        self.twilio.script(*[self.dice.choice(FAULTS)] * many)

    def die(self) -> None:
        self.book()
        module, name, when = self.dice.choice(DEATHS)
        self.told.append(f"  dies {when} {module.__name__}.{name}")
        real = getattr(module, name)

        def deadly(*args, **kwargs):
            if name == "record_all":
                list(args[0])
            if name == "_send":
                # Some of the chunk went.
                list(real(args[0][: self.dice.randint(0, len(args[0]))]))
            elif when == "after":
                real(*args, **kwargs)
            raise KilledError

        with self.patches.context() as patch:
            patch.setattr(module, name, deadly)
            try:
                self.tick()
            except KilledError:
                self.deaths += 1
                self.told.append("  died")

    def hear_early(self) -> None:
        """Have every callback come before the answer to its own request is written."""
        real = dispatch.record_all

        def late(answers, token):
            outcomes = list(answers)
            self.hear()
            real(outcomes, token)

        with self.patches.context() as patch:
            patch.setattr(dispatch, "record_all", late)
            self.tick()

    def tick(self) -> None:
        run_pass()

    def hear(self, *, honest: bool = False) -> None:
        """Have callbacks come: all in order, or lost, doubled, reversed, failing."""
        fresh = self.twilio.ledger[self.heard :]
        self.heard += len(fresh)
        for accepted in fresh:
            ends = ["delivered"] * 6 + ["undelivered:30003", "failed:30008"]
            plan = ["sent", "delivered" if honest else self.dice.choice(ends)]
            fate = "all" if honest else self.dice.choice(FATES)
            final, _, code = plan[-1].partition(":")
            self.twilio.set_status(
                accepted.sid, final, error_code=int(code) if code else None
            )
            if fate == "doubled":
                plan = [plan[0], plan[0], plan[1], plan[1]]
            elif fate == "reversed":
                plan.reverse()
            elif fate == "half":
                plan = plan[:1]
            for word in [] if fate == "lost" else plan:
                self.report(accepted, word)

    def report(self, accepted: Accepted, word: str) -> None:
        word, _, code = word.partition(":")
        params = {"MessageSid": accepted.sid, "MessageStatus": word}
        if code:
            params["ErrorCode"] = code
        query = (accepted.status_callback or "").partition("?")[2]
        self.post("status", query, **params)

    def post(self, door: str, query: str = "", **params: str) -> None:
        path = f"/webhooks/twilio/{door}/" + (f"?{query}" if query else "")
        params |= {"AccountSid": self.twilio.account_sid, "To": "", "NumMedia": "0"}
        signature = sign(
            self.twilio.auth_token, f"https://clinic.example{path}", params.items()
        )
        answer = self.client.post(
            path, params, headers={"X-Twilio-Signature": signature}
        )
        assert answer.status_code == 200

    def wait(self) -> None:
        self.clock.shift(self.dice.choice((5, 40, 100, 130, 660, 1900, 4 * 3600)))

    def live(self) -> None:
        deeds: list[Callable[[], None]] = [
            self.book, self.book, self.book, self.book, self.move, self.cancel,
            self.change_number, self.answer, self.misbehave, self.die, self.die,
            self.die, self.hear_early, self.tick, self.hear, self.wait,
        ]  # fmt: skip
        for _step in range(STEPS):
            deed = self.dice.choice(deeds)
            self.told.append(f"{timezone.now():%d %H:%M:%S} {deed.__name__}")
            try:
                deed()
            except ValidationError as refused:
                self.told.append(f"  refused: {refused.messages}")
            self.twilio.release()
            self.clock.shift(1)

    def calm_down(self) -> None:
        """Let all be well until every visit is over and nothing can be due."""
        self.twilio._script.clear()
        pauses = [30] * 2 + [130] * 5 + [700] * 3 + [1900] * 3 + [8 * 3600] * 13
        for pause in pauses:
            run_pass()
            self.hear(honest=True)
            self.clock.shift(pause)
        run_pass()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_nobody_is_forgotten(
    seed, monday, twilio, settings, monkeypatch
):
    settings.PUBLIC_BASE_URL = "https://clinic.example"
    monkeypatch.setattr(channel, "READ_TIMEOUT", 0.1)
    story = Story(seed, twilio, monday, monkeypatch)
    assert timezone.now() == MONDAY
    story.live()
    story.calm_down()
    verdict = examine(
        map(Text.of, twilio.ledger),
        addresses=story.addresses,
        versions=story.versions,
    )
    assert not verdict.faults, "\n".join([*verdict.faults, *story.told])
    assert verdict.unsettled == 0
    assert verdict.texts > 10
    assert story.deaths > 5
    assert not Message.objects.filter(state__in=("claimed", "submitting")).exists()
