"""Letters: owed where the post still helps, posted, or turned into a call."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import cancel_appointment
from messaging.ladder import note_progress
from messaging.letters import POST_TAKES, POSTED_WITHIN
from messaging.models import Hold, Message, Notice, Template
from messaging.promises import broken_promises
from messaging.status import receive_status
from patients.models import ContactPerson, Patient, SafeContactPlan
from tests.factories import MONDAY, UserFactory, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import claim_item, close_item

pytestmark = pytest.mark.django_db

HOME = {"address_line": "4 Pier Street", "city": "Boston", "postal_code": "02110"}
IN_TWO_WEEKS = datetime(2026, 12, 7, 10)
SAYS = (
    "Harbour Clinic: Grace, your visit is Mon 7 Dec 10:00am with Dr Rao. To move it or "
    "if you can't come, call 617 555 0100"
)


def at_home(**fields) -> Patient:
    """Return Grace, who likes letters best."""
    return patient(**{"preferred_way": "letter", **HOME, **fields})


def owed() -> WorkItem:
    return WorkItem.objects.open().get()


def told() -> Notice:
    return Notice.objects.get(purpose="visit_booked")


@pytest.fixture
def femi(client):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def test_whoever_likes_letters_best_is_owed_one(monday, twilio):
    booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    item = owed()
    assert (item.kind, item.title) == ("letter", "A letter is owed")
    assert item.sentence == (
        "Not told of the visit Mon 7 Dec, 10:00 with Dr Rao (prefers a letter)"
    )
    assert item.reason_places["letter"] == SAYS
    assert item.due_at == MONDAY + POSTED_WITHIN
    assert told().state == Notice.State.WITH_STAFF
    assert twilio.ledger == []
    assert broken_promises() == []


def test_it_speaks_their_language(monday):
    booked(at_home(given="Tomás", language="es"), at=IN_TWO_WEEKS)
    run_pass()
    assert owed().reason_places["letter"] == (
        "Harbour Clinic: Tomás, su cita es el lun 7 dic 10:00 con Dr Rao. Para "
        "cambiarla o si no puede venir, llame al 617 555 0100"
    )


def test_texts_and_mails_that_failed_end_in_one(monday, twilio):
    booked(patient(**HOME), at=IN_TWO_WEEKS)
    run_pass()
    receive_status(
        provider="twilio",
        provider_id=Message.objects.get().provider_id,
        ref=Message.objects.get().ref,
        status="undelivered",
        code="30006",
    )
    item = owed()
    assert item.kind == "letter"
    assert item.sentence.endswith("(Text: Not delivered; Email: no address)")


def _plan(who: Patient) -> None:
    SafeContactPlan.objects.create(
        patient=who, reason="at home", made_by=UserFactory(), made_at=timezone.now()
    )


def _moved_out(who: Patient) -> None:
    Patient.objects.filter(pk=who.pk).update(address_line="")


def _street_alone(who: Patient) -> None:
    Patient.objects.filter(pk=who.pk).update(city="", postal_code="")


def _rather_called(who: Patient) -> None:
    Patient.objects.filter(pk=who.pk).update(preferred_way="call")


def _said_to_be_dead(who: Patient) -> None:
    heard = Message.objects.create(
        direction="in",
        channel="sms",
        address="+16175550143",
        body="he has died",
        encoding="GSM-7",
        state="received",
        not_before=timezone.now(),
        at=timezone.now(),
    )
    Hold.objects.create(
        kind=Hold.Kind.BEREAVEMENT, patient=who, message=heard, at=timezone.now()
    )


def _words_with_a_hole(who: Patient) -> None:
    Template.objects.create(
        key="visit_booked_no_digits",
        language="en",
        version=2,
        subject="Your visit",
        body="{nonsense}",
    )


@pytest.mark.parametrize(
    "change",
    [
        _plan,
        _moved_out,
        _street_alone,
        _rather_called,
        _said_to_be_dead,
        _words_with_a_hole,
    ],
)
def test_where_no_letter_may_go_somebody_calls(monday, change):
    grace = at_home()
    booked(grace, at=IN_TWO_WEEKS)
    change(grace)
    run_pass()
    assert owed().kind == "unreached"


def test_what_is_confidential_is_not_laid_into_the_letter_box(monday):
    grace = at_home()
    booked(grace, at=IN_TWO_WEEKS)
    Notice.objects.update(confidential=True)
    run_pass()
    assert owed().kind == "unreached"


def test_of_a_parents_home_nothing_is_known(monday):
    leo = patient("Leo", phone="", birth_date=datetime(2020, 5, 1).date(), **HOME)
    ContactPerson.objects.create(
        patient=leo,
        name="Ben Duarte",
        relation="father",
        is_responsible=True,
        scopes=["schedule"],
    )
    booked(leo, at=IN_TWO_WEEKS)
    run_pass()
    assert owed().kind == "unreached"


@pytest.mark.parametrize(
    ("ahead", "kind"),
    [
        (POSTED_WITHIN + POST_TAKES, "letter"),
        (POSTED_WITHIN + POST_TAKES - timedelta(seconds=1), "unreached"),
    ],
)
def test_a_week_is_enough_for_the_post_and_a_second_less_is_not(monday, ahead, kind):
    visit = booked(at_home(), at=IN_TWO_WEEKS)
    Appointment.objects.filter(pk=visit.pk).update(starts_at=MONDAY + ahead)
    run_pass()
    assert owed().kind == kind


def test_a_letter_that_was_posted_tells_them(monday, femi):
    booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    close_item(item_id=owed().pk, outcome="posted", by=femi)
    assert (told().state, told().why) == (Notice.State.SETTLED, "by letter")
    assert not WorkItem.objects.open().exists()
    assert broken_promises() == []


def test_one_that_could_not_be_posted_becomes_a_call(monday, femi):
    booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    close_item(item_id=owed().pk, outcome="not posted", by=femi)
    call = owed()
    assert (call.kind, call.due_at) == ("unreached", MONDAY + timedelta(hours=2))
    assert call.sentence.endswith("(prefers a letter; the letter could not be posted)")
    assert "letter" not in call.reason_places
    assert told().state == Notice.State.WITH_STAFF
    close_item(item_id=call.pk, outcome="told", by=femi)
    assert told().state == Notice.State.SETTLED


@pytest.mark.parametrize("outcome", ["told", "not needed"])
def test_or_they_heard_of_it_otherwise(monday, femi, outcome):
    booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    close_item(item_id=owed().pk, outcome=outcome, by=femi)
    assert (told().state, told().why) == (Notice.State.SETTLED, outcome)


@pytest.mark.parametrize(
    ("left", "kind"),
    [
        (POST_TAKES, "letter"),
        (POST_TAKES - timedelta(seconds=1), "unreached"),
    ],
)
def test_one_nobody_begins_becomes_a_call_when_the_post_is_too_slow(monday, left, kind):
    visit = booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    monday.move_to(visit.starts_at - left)
    run_pass()
    (item,) = WorkItem.objects.open().filter(subject_kind="notice")
    assert item.kind == kind
    if kind == "unreached":
        assert item.sentence.endswith("(prefers a letter; too late for a letter)")
        assert not item.is_late
        closed = WorkItem.objects.get(kind="letter")
        assert closed.closed_by_rule == "too late for a letter"
        run_pass()
        assert WorkItem.objects.filter(subject_kind="notice").count() == 2
    assert broken_promises() == []


def test_one_that_somebody_took_on_is_theirs(monday, femi):
    visit = booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    claim_item(item_id=owed().pk, by=femi)
    monday.move_to(visit.starts_at - timedelta(days=3))
    run_pass()
    (item,) = WorkItem.objects.open().filter(subject_kind="notice")
    assert (item.kind, item.is_late) == ("letter", True)


def test_a_late_receipt_closes_a_letter_nobody_has_taken_on(monday, twilio):
    booked(patient(**HOME), at=IN_TWO_WEEKS)
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert owed().kind == "letter"
    arrived()
    assert told().state == Notice.State.REACHED
    assert WorkItem.objects.get().closed_by_rule == "delivered after all"


def test_but_not_one_that_is_being_written(monday, twilio, femi):
    booked(patient(**HOME), at=IN_TWO_WEEKS)
    run_pass()
    monday.shift(timedelta(minutes=31))
    run_pass()
    claim_item(item_id=owed().pk, by=femi)
    arrived()
    assert told().state == Notice.State.WITH_STAFF


def arrived() -> None:
    message = Message.objects.get()
    message.state, message.rank = Message.State.DELIVERED, 5
    message.save()
    note_progress(message)


def test_a_visit_that_is_cancelled_takes_its_letter_along(monday):
    visit = booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    cancel_appointment(appointment_id=visit.pk, by=None, tell=False)
    assert not WorkItem.objects.open().exists()
    assert told().state == Notice.State.SUPERSEDED


def test_its_page_says_where_it_goes_and_what_it_says(monday, client, femi):
    booked(at_home(), at=IN_TWO_WEEKS)
    run_pass()
    page = reverse("worklist:item_close", args=[owed().pk])
    shown = client.get(page).content.decode()
    assert "4 Pier Street" in shown
    assert "your visit is Mon 7 Dec 10:00am with Dr Rao" in shown
    client.post(page, {"outcome": "posted"})
    shown = client.get(page).content.decode()
    assert "Letter posted" in shown
    # Where somebody lives is looked up where it is kept.
    assert "4 Pier Street" not in shown


def test_another_kind_of_work_has_no_letter(monday, client, femi):
    booked(patient(phone=""), at=IN_TWO_WEEKS)
    run_pass()
    page = reverse("worklist:item_close", args=[owed().pk])
    assert "The letter" not in client.get(page).content.decode()
