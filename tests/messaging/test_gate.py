"""The gate: nothing passes that should not, and every refusal has an heir."""

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.services import cancel_appointment
from messaging.dispatch import claim
from messaging.gate import pass_gate
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Message, Notice, Template
from messaging.purposes import DAILY_CAP
from messaging.services import lift_suppression, suppress
from patients.models import Channel, Consent, ContactPerson, ContactPoint
from tests.factories import GRACE, MONDAY, booked, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def withdraw_consent(somebody, channel=Channel.SMS) -> None:
    Consent.objects.create(
        patient=somebody,
        channel=channel,
        given=False,
        method="spoken",
        at=timezone.now() + timedelta(seconds=1),
    )


def between_writing_and_sending(change) -> Message:
    """Write Grace's text, let something happen, then let the dispatcher go on."""
    visit = booked(patient(email=""), at=TOMORROW_10)
    open_due()
    change(visit)
    run_pass()
    return Message.objects.filter(direction="out").order_by("id")[0]


def _die(visit) -> None:
    visit.patient.deceased_on = timezone.localdate()
    visit.patient.save()


def _change_number(visit) -> None:
    ContactPoint.objects.update(address="+16175550199")


@pytest.mark.parametrize(
    ("change", "why", "heir"),
    [
        (_die, "the patient has died", Notice.State.SUPERSEDED),
        (
            _change_number,
            "the address is no longer theirs or not usable",
            Notice.State.REACHED,
        ),
        (
            lambda visit: ContactPoint.objects.update(usable=False),
            "the address is no longer theirs or not usable",
            Notice.State.WITH_STAFF,
        ),
        (
            lambda visit: ContactPoint.objects.update(safe_to_text=False),
            "the address is no longer theirs or not usable",
            Notice.State.WITH_STAFF,
        ),
        (
            lambda visit: withdraw_consent(visit.patient),
            "not agreed to",
            Notice.State.WITH_STAFF,
        ),
        (
            lambda visit: suppress(
                address=GRACE, channel=Channel.SMS, cause="texted stop"
            ),
            "they asked us to stop",
            Notice.State.WITH_STAFF,
        ),
    ],
)
def test_what_changes_after_the_text_was_written_stops_it(monday, change, why, heir):
    message = between_writing_and_sending(change)
    assert (message.state, message.why) == (Message.State.WITHDRAWN, why)
    assert Notice.objects.get(purpose="visit_booked").state == heir
    expected = 1 if heir == Notice.State.WITH_STAFF else 0
    assert WorkItem.objects.open().filter(kind="unreached").count() == expected


def test_a_new_number_gets_the_text_the_old_one_did_not(monday):
    between_writing_and_sending(_change_number)
    sent = Message.objects.filter(state="delivered").values_list("address", flat=True)
    assert list(sent) == ["+16175550199"]


def test_a_text_that_cannot_be_written_reaches_a_person_and_holds_nobody_up(monday):
    Template.objects.create(
        key="visit_reminder", language="es", version=2, body="{nonsense}"
    )
    tomas = patient("Tomás", phone="+16175550144", language="es")
    booked(tomas, at=datetime(2026, 11, 25, 9), tell=False)
    booked(at=datetime(2026, 11, 25, 9, 30), tell=False)
    monday.move_to(MONDAY + timedelta(days=1, hours=1))
    run_pass()
    assert Message.objects.get().address == GRACE
    assert "its text cannot be written" in WorkItem.objects.open().get().sentence


def test_nor_when_it_breaks_in_the_gate(monday):
    grace = patient()
    first = booked(grace, at=datetime(2026, 11, 25, 10), tell=False)
    booked(grace, at=datetime(2026, 11, 25, 14), tell=False)
    monday.move_to(MONDAY + timedelta(days=1, hours=1))
    open_due()
    cancel_appointment(appointment_id=first.pk, by=None, tell=False)
    Template.objects.create(
        key="visit_reminder", language="en", version=2, body="{nonsense}"
    )
    run_pass()
    assert Message.objects.get().why == "its text cannot be written"
    assert WorkItem.objects.open().get().kind == "unreached"


def test_a_relative_who_may_no_longer_know_is_not_told(monday):
    leo = patient("Leo", phone=GRACE, birth_date=date(2020, 5, 1))
    father = ContactPerson.objects.create(
        patient=leo,
        name="Ben Duarte",
        relation="father",
        is_responsible=True,
        scopes=["schedule"],
    )
    ContactPoint.objects.create(
        contact_person=father, channel="sms", address="+16175550162"
    )
    booked(leo, at=TOMORROW_10)
    open_due()
    assert Message.objects.get().address == "+16175550162"
    father.is_responsible = False
    father.save()
    run_pass()
    sent = Message.objects.filter(state="delivered").values_list("address", flat=True)
    assert list(sent) == [GRACE]


def test_a_widow_who_texts_from_a_shared_phone_is_answered(monday):
    patient(deceased_on=date(2026, 11, 1))
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="I have chest pain",
    )
    run_pass()
    assert "911" in Message.objects.get(direction="out", state="delivered").body


def test_without_consent_nobody_is_texted_and_somebody_is_asked_to_call(monday):
    booked(patient(consent=False), at=TOMORROW_10)
    run_pass()
    assert not Message.objects.exists()
    (item,) = WorkItem.objects.open()
    assert item.sentence == (
        "Not told of the visit Tue 24 Nov, 10:00 with Dr Rao "
        "(Text: not agreed to; Email: no address)"
    )


def test_a_suppression_lifted_is_no_consent(monday):
    suppress(address=GRACE, channel=Channel.SMS, cause="texted stop")
    assert lift_suppression(address=GRACE, channel=Channel.SMS, cause="texted start")
    booked(patient(consent=False), at=TOMORROW_10)
    run_pass()
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("hour", "goes_at"),
    [
        # Reminders are held at night, in the recipient's zone, 8:00 to 21:00.
        (datetime(2026, 11, 25, 7, 59), datetime(2026, 11, 24, 8)),
        (datetime(2026, 11, 25, 8, 0), datetime(2026, 11, 24, 8)),
        (datetime(2026, 11, 25, 20, 59), datetime(2026, 11, 24, 20, 59)),
        (datetime(2026, 11, 25, 21, 0), datetime(2026, 11, 25, 8)),
    ],
)
def test_reminders_keep_decent_hours(monday, hour, goes_at):
    booked(at=hour, tell=False)
    due = hour - timedelta(days=1)
    offset = timedelta(hours=5)
    monday.move_to((due + offset).replace(tzinfo=MONDAY.tzinfo))
    run_pass()
    message = Message.objects.get(direction="out")
    going = message.not_before if message.state == "queued" else message.accepted_at
    assert going == (goes_at + offset).replace(tzinfo=MONDAY.tzinfo)


def test_a_booking_made_late_is_told_at_once(monday):
    monday.move_to(MONDAY.replace(hour=3) + timedelta(days=1))
    booked(at=datetime(2026, 11, 24, 10))
    run_pass()
    assert Message.objects.get(direction="out").state == Message.State.DELIVERED


def test_no_more_than_a_few_reminders_a_day_go_to_one_number(monday):
    for place in range(DAILY_CAP + 1):
        booked(
            patient(f"Given{place}"),
            at=datetime(2026, 11, 25, 9 + place),
            tell=False,
        )
    monday.move_to(MONDAY + timedelta(days=1, hours=5))
    run_pass()
    states = Message.objects.filter(direction="out").values_list("state", flat=True)
    assert sorted(states) == ["delivered"] * DAILY_CAP + ["queued"]


def test_too_late_is_not_sent(monday):
    booked(at=TOMORROW_10)
    open_due()
    monday.move_to(MONDAY + timedelta(days=2))
    run_pass()
    assert Message.objects.get(direction="out").state == Message.State.WITHDRAWN
    assert WorkItem.objects.open().count() == 1


def test_a_part_that_dies_is_left_out_of_the_text(monday):
    grace = patient()
    first = booked(grace, at=datetime(2026, 11, 25, 10), tell=False)
    booked(grace, at=datetime(2026, 11, 25, 14), tell=False)
    monday.move_to(MONDAY + timedelta(days=1, hours=1))
    open_due()
    cancel_appointment(appointment_id=first.pk, by=None)
    run_pass()
    (sent,) = Message.objects.filter(notices__purpose="visit_reminder")
    assert "see you Wed 25 Nov 2:00pm at" in sent.body
    assert sent.state == Message.State.DELIVERED


def test_judging_costs_the_same_for_one_message_and_six(
    monday, django_assert_num_queries
):
    for place in range(7):
        booked(
            patient(f"Given{place}", phone=f"+1617555012{place}"),
            at=datetime(2026, 11, 24, 9 + place),
        )
    open_due()
    for count in (1, 6):
        token = claim(count)
        messages = list(Message.objects.filter(lease_token=token))
        assert len(messages) == count
        with django_assert_num_queries(19):
            assert len(pass_gate(messages)) == count


def test_nor_does_it_matter_who_answers_for_them(monday, django_assert_num_queries):
    for place in range(4):
        leo = patient(f"Leo{place}", phone="", birth_date=date(2020, 5, 1))
        father = ContactPerson.objects.create(
            patient=leo,
            name=f"Ben{place} Duarte",
            relation="father",
            is_responsible=True,
            scopes=["schedule"],
        )
        ContactPoint.objects.create(
            contact_person=father, channel="sms", address=f"+1617555016{place}"
        )
        Consent.objects.create(
            patient=leo, channel="sms", given=True, method="form", at=timezone.now()
        )
        booked(leo, at=datetime(2026, 11, 24, 9 + place))
    open_due()
    for count in (1, 3):
        messages = list(Message.objects.filter(lease_token=claim(count)))
        with django_assert_num_queries(22):
            assert len(pass_gate(messages)) == count
