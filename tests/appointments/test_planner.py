"""Reminders: promised once, at the same wall time the day before."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.ticks import run_pass
from appointments.planner import missing_reminders, plan_reminders
from appointments.services import move_appointment
from messaging.models import Message, Notice
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    clinician,
    patient,
    visit_type,
)

pytestmark = pytest.mark.django_db


def reminders() -> list[Notice]:
    return list(
        Notice.objects.filter(purpose="visit_reminder").order_by("not_before", "id")
    )


# Delivery facts §6: "same wall day before" for New York, spring and autumn.
@pytest.mark.parametrize(
    ("local", "expected"),
    [
        (datetime(2026, 3, 8, 10), datetime(2026, 3, 7, 15, tzinfo=UTC)),
        (datetime(2026, 11, 1, 10), datetime(2026, 10, 31, 14, tzinfo=UTC)),
        (datetime(2026, 3, 9, 2, 30), datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        (datetime(2026, 11, 2, 1, 30), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        (datetime(2026, 7, 1, 9), datetime(2026, 6, 30, 13, tzinfo=UTC)),
    ],
)
def test_same_wall_time_the_day_before(monday, local, expected):
    monday.move_to(local.replace(tzinfo=UTC) - timedelta(days=4))
    booked(at=local, tell=False)
    monday.move_to(local.replace(tzinfo=UTC) - timedelta(days=2))
    assert plan_reminders() == 1
    (reminder,) = reminders()
    assert reminder.not_before == expected
    assert plan_reminders() == 0


def test_booking_inside_the_horizon_plans_at_once(monday):
    booked(at=datetime(2026, 11, 25, 9), tell=False)
    (reminder,) = reminders()
    assert reminder.not_before == datetime(2026, 11, 24, 14, tzinfo=UTC)
    assert reminder.deadline == datetime(2026, 11, 25, 13, tzinfo=UTC)


def test_moved_and_moved_back_reminds_once_at_the_right_time(monday):
    visit = booked(at=datetime(2026, 11, 25, 10), tell=False)
    for hour in (11, 10):
        move_appointment(
            appointment_id=visit.pk, by=None, local_start=datetime(2026, 11, 25, hour)
        )
    monday.move_to(datetime(2026, 11, 24, 15, tzinfo=UTC))
    run_pass()
    run_pass()
    sent = Message.objects.filter(direction="out", state="delivered")
    assert [m.body[:50] for m in sent] == [
        "Harbour Clinic: Grace, see you Wed 25 Nov 10:00am "
    ]


def test_a_step_already_past_is_skipped_when_a_later_one_will_come(monday):
    kind = visit_type(3, 1)
    booked(at=datetime(2026, 11, 25, 10), tell=False, visit_type=kind)
    (reminder,) = reminders()
    assert reminder.dedupe_key.endswith(":1d")


def test_who_was_told_at_booking_is_not_told_again_within_hours(monday):
    booked(at=datetime(2026, 11, 24, 10), tell=True)
    assert reminders() == []


def test_a_visit_nobody_told_them_of_is_told_late_rather_than_never(monday):
    monday.move_to(MONDAY + timedelta(hours=6))
    booked(
        at=datetime(2026, 11, 24, 10),
        tell=False,
        source="import",
        external_id="A-1",
        last_imported={},
    )
    (reminder,) = reminders()
    assert reminder.not_before < reminder.created_at
    run_pass()
    reminder.refresh_from_db()
    assert reminder.state == Notice.State.REACHED


def test_within_the_hour_before_the_visit_there_is_no_reminder(monday):
    booked(
        at=datetime(2026, 11, 23, 9, 30),
        tell=False,
        source="import",
        external_id="A-1",
        last_imported={},
    )
    assert reminders() == []


def test_each_step_of_a_cadence_has_its_own_day(monday):
    booked(at=datetime(2026, 12, 1, 10), tell=False, visit_type=visit_type(2, 1))
    for _hour in range(8 * 24):
        monday.shift(3600)
        run_pass()
    sent = Message.objects.order_by("id").values_list("accepted_at", flat=True)
    assert [at.day for at in sent] == [29, 30]


def test_two_visits_at_two_sites_are_two_texts(monday):
    grace = patient()
    north = SiteFactory(name="Harbour Clinic North", place="Mill Rd")
    booked(grace, at=datetime(2026, 11, 25, 10), tell=False)
    booked(grace, at=datetime(2026, 11, 25, 14), tell=False, site=north)
    monday.move_to(datetime(2026, 11, 24, 20, tzinfo=UTC))
    run_pass()
    sent = Message.objects.filter(notices__purpose="visit_reminder")
    assert sorted(m.body.partition(" at ")[2][:7] for m in sent) == [
        "Mill Rd",
        "Pier St",
    ]


def test_two_visits_of_a_day_make_one_text(monday):
    grace = patient()
    booked(grace, at=datetime(2026, 11, 25, 10), tell=False)
    booked(
        grace,
        at=datetime(2026, 11, 25, 14),
        tell=False,
        clinician=clinician("Dr Lin"),
    )
    monday.move_to(datetime(2026, 11, 24, 15, tzinfo=UTC))
    run_pass()
    (sent,) = Message.objects.filter(direction="out", address=GRACE)
    assert "see you Wed 25 Nov 10:00am and 2:00pm at Pier St" in sent.body
    assert sent.notices.count() == 2
    assert {n.state for n in reminders()} == {Notice.State.REACHED}


def test_what_the_planner_forgot_is_found(monday):
    booked(at=datetime(2026, 11, 25, 9), tell=False)
    Notice.objects.all().delete()
    assert len(missing_reminders(MONDAY)) == 1
    plan_reminders()
    assert missing_reminders(MONDAY) == []


def test_planning_costs_the_same_for_one_visit_and_three(
    monday, django_assert_num_queries
):
    for place in range(3):
        booked(
            patient(f"Given{place}", phone=f"+1617555012{place}"),
            at=datetime(2026, 11, 25, 9 + place),
            tell=False,
        )
    with django_assert_num_queries(3):
        plan_reminders()
