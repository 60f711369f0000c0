"""What patients write: effects on every text, routed once, nobody left unanswered."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import mark_appointment, move_appointment
from messaging import inbound
from messaging.inbound import handle_received, receive
from messaging.ladder import open_due
from messaging.models import (
    Conversation,
    Message,
    Question,
)
from messaging.promises import broken_promises
from patients.models import ContactPerson, ContactPoint
from tests.factories import GRACE, SiteFactory, booked, clinician, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def text(body: str, number: str = GRACE, sid: str = "") -> Message:
    """Let a number write to us, and let the pass act on it."""
    count = Message.objects.count()
    receive(
        provider="simulated",
        provider_id=sid or f"SIM{count}",
        channel="sms",
        from_address=number,
        to_address="",
        body=body,
    )
    run_pass()
    return Message.objects.filter(direction="in").order_by("-id")[0]


def told() -> list[str]:
    """Return what went out, without the clinic's name in front."""
    sent = Message.objects.filter(direction="out", state="delivered").order_by("id")
    return [body.partition(": ")[2] for body in sent.values_list("body", flat=True)]


@pytest.fixture
def visit(monday) -> Appointment:
    """Grace's visit tomorrow, of which she has been told."""
    appointment = booked(at=TOMORROW_10)
    run_pass()
    return appointment


def waiting() -> bool:
    return Conversation.objects.filter(state="waiting").exists()


@pytest.mark.parametrize("said", ["1", "1.", "ok", "Sí", "👍", "Yes!"])
def test_all_the_ways_to_say_yes(visit, said):
    text(said)
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert not waiting()
    assert told()[-1] == "Thank you, Grace. See you Tue 24 Nov 10:00am at Pier St."


def test_saying_it_twice_is_thanked_once(visit):
    text("1")
    text("1")
    assert len(told()) == 2


def test_one_but_my_cut_leaks(visit):
    message = text("1 but my cut leaks")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert waiting()
    assert message.note == "come"


def test_two_asks_for_a_call_and_keeps_the_visit(visit):
    text("2")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert WorkItem.objects.open().get().kind == "visit_move"
    assert told()[-1].startswith("OK, Grace. We will call you to find another time.")


def test_three_is_asked_once_more_and_five_keeps_it(visit):
    text("3")
    assert WorkItem.objects.open().get().kind == "visit_cancel"
    text("5")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert not WorkItem.objects.open().exists()
    assert told()[-1] == "Good, your visit stays Tue 24 Nov 10:00am at Pier St."


def test_no_answer_to_the_second_question_leaves_it_with_a_person(visit):
    text("3")
    assert WorkItem.objects.open().get().reason.startswith("Cannot come.")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED


def test_people_change_their_minds(visit):
    text("1")
    text("3")
    text("4")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CANCELLED


def test_an_old_digit_never_gets_a_new_meaning(visit):
    booked(
        visit.patient,
        at=datetime(2026, 11, 26, 15),
        clinician=clinician("Dr Lin"),
    )
    run_pass()
    assert "Reply 4 if you will come, 5 to move it, 6 if you can't" in told()[-1]
    text("1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    text("4")
    assert Appointment.objects.filter(state="confirmed").count() == 2


def test_there_is_one_open_question_an_address(visit):
    booked(visit.patient, at=datetime(2026, 11, 26, 15))
    run_pass()
    asked = Question.objects.filter(opened_at__isnull=False, closed_at=None)
    assert [q.options for q in asked] == [{"4": "come", "5": "move", "6": "cannot"}]


def test_when_the_digits_run_out_a_text_asks_nothing(visit):
    for day in (25, 26, 27):
        booked(visit.patient, at=datetime(2026, 11, day, 15))
        run_pass()
    assert told()[-1] == (
        "Grace, your visit is Fri 27 Nov 3:00pm with Dr Rao. To move it or if you "
        "can't come, call 617 555 0100"
    )


def test_a_text_that_waited_takes_no_digit_given_since(visit, monday):
    booked(visit.patient, at=datetime(2026, 11, 26, 15), clinician=clinician("Dr Lin"))
    open_due()
    Message.objects.filter(state="queued").update(
        not_before=timezone.now() + timedelta(hours=1)
    )
    text("3")
    monday.shift(3601)
    run_pass()
    assert any("Reply 6 if you will come" in said for said in told())
    text("4")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CANCELLED
    other = Appointment.objects.exclude(pk=visit.pk).get()
    assert other.state == Appointment.State.BOOKED


def test_four_days_of_fever_cancels_nothing(visit):
    text("3")
    text("4 days of fever now, should I still come?")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert waiting()
    assert WorkItem.objects.open().get().kind == "visit_cancel"


def test_a_wish_made_again_after_it_was_settled_waits_again(visit):
    for said in ("2", "1", "2"):
        text(said)
    assert WorkItem.objects.open().get().kind == "visit_move"
    text("2")
    assert WorkItem.objects.open().count() == 1


def test_an_answer_about_a_visit_that_has_begun_reaches_a_person(visit):
    mark_appointment(appointment_id=visit.pk, state=Appointment.State.ARRIVED, by=None)
    text("3")
    assert waiting()


def test_ok_on_a_family_phone_confirms_nobody_by_chance(visit):
    booked(patient("Leo", "Duarte"), at=datetime(2026, 11, 24, 12))
    run_pass()
    text("ok")
    assert not Appointment.objects.filter(state="confirmed").exists()
    assert waiting()


def test_a_mothers_text_is_about_the_child_she_answers_for(monday):
    leo = patient("Leo", phone="")
    ana = ContactPerson.objects.create(
        patient=leo, name="Ana", relation="mother", is_responsible=True
    )
    ContactPoint.objects.create(
        contact_person=ana, channel="sms", address="+16175550161"
    )
    message = text("Leo can't breathe", "+16175550161")
    assert message.patient == leo
    item = WorkItem.objects.open().get(kind="red_flag")
    assert item.site == leo.sites.get()


def test_a_digit_that_answers_nothing_goes_to_a_person(visit):
    message = text("7")
    assert waiting()
    assert message.patient == visit.patient
    assert len(told()) == 1


def test_a_question_from_the_patient_goes_to_the_inbox(visit):
    text("Can I bring my son?")
    assert waiting()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED


def test_an_answer_after_the_visit_moved_means_nothing(visit):
    move_appointment(
        appointment_id=visit.pk, by=None, local_start=TOMORROW_10.replace(hour=16)
    )
    text("1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert waiting()


def test_a_red_flag_reaches_a_person_and_says_whom_to_call(visit):
    text("1 but I have chest pain")
    item = WorkItem.objects.open().get(kind="red_flag")
    assert item.severity == WorkItem.Severity.RED
    assert any(
        said.startswith("What you wrote may be an emergency. Call 911 now.")
        for said in told()
    )
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED


def test_an_unknown_sender_gets_a_conversation_of_their_own(monday):
    SiteFactory()
    message = text("who is this", "+16175550190")
    assert message.patient is None
    assert message.conversation.address == "+16175550190"
    assert waiting()


def test_two_people_on_one_phone_are_told_apart_by_the_question(visit):
    leo = patient("Leo", "Duarte")
    booked(leo, at=datetime(2026, 11, 24, 12))
    run_pass()
    text("4")
    assert Appointment.objects.get(patient=leo).state == Appointment.State.CONFIRMED
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    message = text("hello?")
    assert message.patient is None


def test_nul_broken_and_endless_texts_are_kept(monday):
    SiteFactory()
    message = text("a\x00b\ud800\u202ec\u2066\u2028" + "x" * 20_000)
    assert message.body.startswith("abc\nx")
    assert len(message.body) == 10_000
    assert waiting()


def test_the_same_message_twice_is_one(visit):
    for _again in range(5):
        text("2", sid="SMsame")
    assert Message.objects.filter(direction="in").count() == 1
    assert handle_received() == 0
    assert broken_promises() == []


@pytest.mark.parametrize(
    "said", ["(1)", "#1", "1️⃣", "Option 1", "opción 1", "uno", "One, please", "ok 1"]
)
def test_all_the_ways_to_choose_one(visit, said):
    text(said)
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert not waiting()


@pytest.mark.parametrize(
    "said",
    ["1 or 2?", "1 2", "10", "1 hour late", "2 weeks ago it began", "3 pm", "$3", "9"],
)
def test_what_chooses_nothing_is_read_by_a_person(visit, said):
    text(said)
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert waiting()
    assert not WorkItem.objects.exists()
    assert len(told()) == 1


def test_a_thank_you_beside_the_digit_needs_nobody(visit):
    text("1, thank you!")
    assert not waiting()


def test_a_digit_comes_too_late_when_its_question_has_ended(visit, monday):
    question = Question.objects.get()
    monday.move_to(question.expires_at - timedelta(seconds=1))
    text("1")
    assert not waiting()
    Appointment.objects.update(state=Appointment.State.BOOKED)
    monday.move_to(question.expires_at)
    text("1")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert waiting()


def test_an_email_answers_no_question(visit):
    ContactPoint.objects.create(
        patient=visit.patient, channel="email", address="grace@example.org"
    )
    Question.objects.update(address="grace@example.org")
    receive(
        provider="imap",
        provider_id="<1@example.org>",
        channel="email",
        from_address="grace@example.org",
        to_address="",
        body="1",
    )
    run_pass()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert waiting()


def test_a_machine_that_answers_our_answers_is_left_to_a_person(visit):
    for _turn in range(14):
        text("2")
    answers = Message.objects.filter(notices__purpose="reply").count()
    assert answers == inbound.MOST_ANSWERS
    assert WorkItem.objects.open().filter(kind="reply_loop").count() == 1
    assert waiting()


def test_an_hour_later_it_is_answered_again(visit, monday):
    for _turn in range(12):
        text("2")
    monday.shift(timedelta(hours=1, seconds=1))
    text("1")
    answers = Message.objects.filter(notices__purpose="reply").count()
    assert answers == inbound.MOST_ANSWERS + 1
