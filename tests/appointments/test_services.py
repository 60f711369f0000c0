"""Booking, moving, cancelling, and what the patient hears of it."""

import threading
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import (
    book_appointment,
    cancel_appointment,
    confirm_appointment,
    mark_appointment,
    move_appointment,
)
from messaging.models import Message, Notice
from messaging.status import receive_status
from tests.factories import (
    MONDAY,
    SiteFactory,
    booked,
    clinician,
    patient,
    visit_type,
)
from worklist.models import WorkItem

TOMORROW_10 = datetime(2026, 11, 24, 10)


def texts() -> list[str]:
    sent = Message.objects.filter(direction="out", state="delivered").order_by("id")
    return list(sent.values_list("body", flat=True))


@pytest.mark.django_db
class TestBooking:
    def test_a_clinician_is_in_one_place_at_a_time(self, monday):
        booked(at=TOMORROW_10)
        with pytest.raises(ValidationError, match="Dr Rao is not free then"):
            booked(patient("Leo", phone=""), at=TOMORROW_10 + timedelta(minutes=19))
        booked(patient("Ana", phone=""), at=TOMORROW_10 + timedelta(minutes=20))
        assert Appointment.objects.count() == 2

    def test_so_is_a_patient(self, monday):
        grace = patient()
        booked(grace, at=TOMORROW_10)
        with pytest.raises(ValidationError, match="another visit then"):
            booked(grace, at=TOMORROW_10, clinician=clinician("Dr Lin"))

    def test_overbooking_is_possible_when_meant(self, monday):
        booked(at=TOMORROW_10)
        booked(patient("Leo", phone=""), at=TOMORROW_10, overbooked=True)
        assert Appointment.objects.count() == 2

    def test_the_past_cannot_be_booked(self, monday):
        with pytest.raises(ValidationError, match="past"):
            booked(at=datetime(2026, 11, 23, 8))

    def test_an_hour_the_clocks_skip_cannot_be_booked(self, monday):
        with pytest.raises(ValidationError, match="02:30 does not exist"):
            booked(at=datetime(2027, 3, 14, 2, 30))

    def test_told_at_the_desk_needs_no_text(self, monday):
        visit = booked(at=TOMORROW_10, tell=False)
        run_pass()
        assert visit.told_start == visit.starts_at
        assert texts() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_fifty_people_at_one_slot_book_one():
    site, rao, kind = SiteFactory(), clinician(), visit_type()
    crowd = [patient(f"Given{n}", phone="") for n in range(50)]
    tomorrow = datetime.now() + timedelta(days=2)  # noqa: DTZ005 - wall time at the site
    at = tomorrow.replace(hour=10, minute=0, second=0, microsecond=0)
    start = threading.Barrier(10)
    outcomes: list[str] = []

    def book(people) -> None:
        start.wait()
        for somebody in people:
            try:
                book_appointment(
                    patient=somebody,
                    clinician=rao,
                    site=site,
                    visit_type=kind,
                    local_start=at,
                    by=None,
                    tell=False,
                )
                outcomes.append("booked")
            except ValidationError:
                outcomes.append("refused")
        connection.close()

    threads = [threading.Thread(target=book, args=(crowd[n::10],)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("booked") == 1
    assert len(outcomes) == 50
    assert Appointment.objects.count() == 1


@pytest.mark.django_db
class TestMoving:
    def test_who_was_told_is_told_of_the_move(self, monday):
        visit = booked(at=TOMORROW_10)
        run_pass()
        move_appointment(
            appointment_id=visit.pk, by=None, local_start=TOMORROW_10.replace(hour=15)
        )
        run_pass()
        assert "your visit is now Tue 24 Nov 3:00pm with Dr Rao" in texts()[-1]
        visit.refresh_from_db()
        assert (visit.version, visit.told_start) == (2, visit.starts_at)

    def test_moved_and_moved_back_before_anything_went_says_nothing_new(self, monday):
        visit = booked(at=TOMORROW_10, tell=False)
        for hour in (15, 10):
            move_appointment(
                appointment_id=visit.pk,
                by=None,
                local_start=TOMORROW_10.replace(hour=hour),
            )
        run_pass()
        assert texts() == []

    def test_moving_nowhere_changes_nothing(self, monday):
        visit = booked(at=TOMORROW_10)
        moved = move_appointment(
            appointment_id=visit.pk, by=None, local_start=TOMORROW_10
        )
        assert moved.version == 1

    def test_who_has_not_heard_yet_hears_of_the_new_time(self, monday):
        visit = booked(at=datetime(2026, 12, 14, 10))
        move_appointment(
            appointment_id=visit.pk, by=None, local_start=datetime(2026, 12, 15, 11)
        )
        run_pass()
        assert texts()[0].startswith(
            "Harbour Clinic: Grace, your visit is Tue 15 Dec 11:00am"
        )
        assert len(texts()) == 1

    def test_whom_staff_were_to_call_is_not_forgotten_when_it_moves(self, monday):
        visit = booked(patient(phone=""), at=datetime(2026, 12, 14, 10))
        run_pass()
        move_appointment(
            appointment_id=visit.pk, by=None, local_start=datetime(2026, 12, 15, 11)
        )
        run_pass()
        assert "Tue 15 Dec, 11:00" in WorkItem.objects.open().get().sentence

    def test_moved_and_moved_back_while_undelivered_is_still_owed(self, monday, twilio):
        visit = booked(at=datetime(2026, 12, 14, 10))
        run_pass()
        message = Message.objects.get()
        receive_status(
            provider="twilio",
            provider_id=message.provider_id,
            ref=None,
            status="undelivered",
            code="30007",
        )
        for hour in (15, 10):
            move_appointment(
                appointment_id=visit.pk,
                by=None,
                local_start=datetime(2026, 12, 14, hour),
            )
        run_pass()
        assert Notice.objects.filter(state__in=["open", "with_staff"]).exists()

    def test_another_building_is_told_even_at_the_same_hour(self, monday):
        north = SiteFactory(name="Harbour Clinic North", place="Mill Rd")
        visit = booked(at=TOMORROW_10)
        run_pass()
        move_appointment(appointment_id=visit.pk, by=None, site=north)
        run_pass()
        assert texts()[-1].startswith("Harbour Clinic North: Grace, your visit is now")

    def test_the_old_text_is_taken_back_before_it_goes(self, monday):
        visit = booked(at=TOMORROW_10)
        move_appointment(
            appointment_id=visit.pk, by=None, local_start=TOMORROW_10.replace(hour=15)
        )
        states = Notice.objects.order_by("id").values_list("state", flat=True)
        assert states[0] == Notice.State.SUPERSEDED
        run_pass()
        assert all("10:00am" not in text for text in texts())

    def test_a_confirmed_visit_that_moves_is_to_be_confirmed_again(self, monday):
        visit = booked(at=TOMORROW_10)
        confirm_appointment(appointment_id=visit.pk)
        moved = move_appointment(
            appointment_id=visit.pk, by=None, local_start=TOMORROW_10.replace(hour=15)
        )
        assert moved.state == Appointment.State.BOOKED


@pytest.mark.django_db
class TestCancelling:
    def test_who_was_told_is_told_that_it_is_off(self, monday):
        visit = booked(at=TOMORROW_10)
        run_pass()
        cancel_appointment(appointment_id=visit.pk, by=None)
        run_pass()
        assert (
            "your visit Tue 24 Nov 10:00am is cancelled. Do not come in" in texts()[-1]
        )

    def test_who_never_heard_of_it_hears_nothing(self, monday):
        visit = booked(at=TOMORROW_10)
        cancel_appointment(appointment_id=visit.pk, by=None)
        run_pass()
        assert texts() == []

    def test_the_slot_is_free_again(self, monday):
        visit = booked(at=TOMORROW_10)
        cancel_appointment(appointment_id=visit.pk, by=None)
        booked(patient("Leo", phone=""), at=TOMORROW_10)


@pytest.mark.django_db
def test_a_cancelled_visit_cannot_arrive(monday):
    visit = booked(at=TOMORROW_10)
    mark_appointment(appointment_id=visit.pk, state=Appointment.State.ARRIVED, by=None)
    mark_appointment(appointment_id=visit.pk, state=Appointment.State.DONE, by=None)
    with pytest.raises(ValidationError, match="done cannot become that"):
        mark_appointment(
            appointment_id=visit.pk, state=Appointment.State.NOSHOW, by=None
        )
    assert [e.what for e in visit.events.all()] == ["booked", "arrived", "done"]
    assert visit.events.first().at == MONDAY
