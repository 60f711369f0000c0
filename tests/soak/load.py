"""What people do meanwhile: they book, move, cancel, change numbers, answer, stop."""

import random
from datetime import datetime, time, timedelta
from http.client import HTTPException

from django.core.exceptions import ValidationError
from django.utils import timezone

from appointments.models import Appointment
from appointments.services import cancel_appointment, move_appointment
from patients.models import ContactPoint, Patient
from tests.factories import booked, patient
from tests.fakes.twilio import FakeTwilio

SAID = ("1", "1", "1", "2", "3", "yes", "thank you", "STOP")


class People:
    """Patients with visits, and what was true of them from when on."""

    def __init__(self, seed: int, webhook: str) -> None:
        self.dice = random.Random(seed)
        self.webhook = webhook
        self.addresses: dict[int, list[tuple[datetime, str]]] = {}
        self.versions: dict[int, list[tuple[datetime, int]]] = {}
        self.visits: list[int] = []
        self._numbers = iter(range(2_000_000, 9_999_999))
        # Only its voice: it signs what we post, and nobody calls it.
        self._phone = FakeTwilio()

    def new_visit(self) -> None:
        """Book somebody new a visit some weeks ahead: no reminder comes in our time."""
        number = f"+1617{next(self._numbers)}"
        email = f"p{number[1:]}@example.com" if self.dice.random() < 0.3 else ""
        who = patient(f"Given{number[-4:]}", phone=number, email=email)
        self.addresses[who.pk] = [(timezone.now(), number)]
        visit = booked(who, at=self._some_time(), overbooked=True)
        self.visits.append(visit.pk)
        self._note(visit)

    def something_else(self) -> None:
        """Have something else happen to somebody."""
        if not self.visits:
            return
        # Of late: their texts are on the way.
        pk = self.dice.choice(self.visits[-60:])
        visit = Appointment.objects.get(pk=pk)
        deed = self.dice.choice(
            (self._move, self._cancel, self._renumber, self._answer)
        )
        try:
            deed(visit)
        except (ValidationError, OSError, HTTPException):
            # Refused; or the web server is away, and the text is lost on the way.
            return

    def _some_time(self) -> datetime:
        day = timezone.now().date() + timedelta(days=self.dice.randint(20, 40))
        return datetime.combine(day, time(self.dice.randint(8, 17)))

    def _note(self, visit: Appointment) -> None:
        self.versions.setdefault(visit.pk, []).append((timezone.now(), visit.version))

    def _move(self, visit: Appointment) -> None:
        self._note(
            move_appointment(
                appointment_id=visit.pk, by=None, local_start=self._some_time()
            )
        )

    def _cancel(self, visit: Appointment) -> None:
        self._note(cancel_appointment(appointment_id=visit.pk, by=None))

    def _renumber(self, visit: Appointment) -> None:
        number = f"+1617{next(self._numbers)}"
        ContactPoint.objects.filter(patient=visit.patient, channel="sms").update(
            address=number, usable=True, why_not=""
        )
        self.addresses[visit.patient_id].append((timezone.now(), number))

    def _answer(self, visit: Appointment) -> None:
        number = self.addresses[visit.patient_id][-1][1]
        self._phone.reply(self.webhook, number, "+16175550100", self.dice.choice(SAID))

    def learn_versions(self) -> None:
        """Note what the patients' own answers made of their visits."""
        now = timezone.now()
        known = {pk: rows[-1][1] for pk, rows in self.versions.items()}
        for pk, version in Appointment.objects.values_list("pk", "version"):
            if known.get(pk) != version:
                self.versions.setdefault(pk, []).append((now, version))

    @property
    def patients(self) -> int:
        """How many there are."""
        return Patient.objects.count()
