"""Who wants no more texts, or wants them again."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from messaging.inbound import receive
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Message,
    Notice,
    Suppression,
)
from messaging.opting import NO_MORE
from messaging.services import suppress
from patients.models import Channel, Consent
from tests.factories import (
    GRACE,
    SiteFactory,
    booked,
    member_of_staff,
    patient,
)
from tests.messaging.test_inbound import TOMORROW_10, text, told, waiting
from worklist.models import WorkItem
from worklist.services import close_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def visit(monday) -> Appointment:
    """Grace's visit tomorrow, of which she has been told."""
    appointment = booked(at=TOMORROW_10)
    run_pass()
    return appointment


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


def is_off() -> bool:
    return CurrentSuppression.objects.filter(address=GRACE).exists()


def close(outcome: str, by) -> None:
    close_item(item_id=WorkItem.objects.open().get().pk, outcome=outcome, by=by)


@pytest.mark.parametrize("word", ["STOP", "Stop.", "revoke", "“STOP!”", "End"])
def test_stop_means_stop_and_is_not_answered_by_us(visit, word):
    text(word)
    assert is_off()
    booked(visit.patient, at=datetime(2026, 11, 26, 15))
    run_pass()
    assert len(told()) == 1
    assert WorkItem.objects.open().get().kind == "unreached"
    assert not waiting()


@pytest.mark.parametrize(
    "word", ["opt out", "ALTO", "no más", "please stop texting me"]
)
def test_in_other_words_than_the_providers_it_is_said_once_that_texts_end(visit, word):
    message = text(word)
    assert is_off()
    assert told()[-1].startswith("OK, no more texts to this number.")
    assert message.note == NO_MORE
    text(word)
    booked(visit.patient, at=datetime(2026, 11, 26, 15))
    run_pass()
    assert len(told()) == 2


def test_that_word_goes_within_five_minutes_or_not_at_all(visit, monday):
    receive(
        provider="simulated",
        provider_id="late",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="opt out",
    )
    monday.shift(timedelta(minutes=5))
    run_pass()
    assert is_off()
    assert not Notice.objects.filter(purpose="opted_out").exists()


def test_it_passes_no_other_suppression_than_its_own(visit):
    text("STOP")
    text("no more texts please")
    assert len(told()) == 1
    assert Notice.objects.get(purpose="opted_out").state == Notice.State.EXPIRED


def test_nobody_we_do_not_know_is_answered(monday):
    SiteFactory()
    text("no more texts please", "+16175550190")
    assert CurrentSuppression.objects.get().address == "+16175550190"
    assert not Notice.objects.exists()


def test_a_short_phrase_is_obeyed_and_looked_at(visit, nora):
    text("please stop texting me")
    item = WorkItem.objects.open().get()
    assert (item.kind, item.patient) == ("opt_out", visit.patient)
    assert "please stop texting me" in item.sentence
    assert not waiting()
    close("right", nora)
    assert is_off()


def test_not_meant_and_texts_go_again(visit, nora):
    text("stop it please")
    close("again", nora)
    assert not is_off()
    lifted = Suppression.objects.get(on=False)
    assert (lifted.by, lifted.message.body) == (nora, "stop it please")
    assert Consent.objects.count() == 1


def test_a_stop_since_then_stands_whatever_the_phrase_meant(visit, nora):
    text("stop it please")
    text("STOP")
    close("again", nora)
    assert is_off()


@pytest.mark.parametrize("said", ["I'll stop by at 5", "please don't stop my meds"])
def test_a_sentence_stops_nothing_and_a_person_reads_it_the_same_day(visit, said):
    text(said)
    assert not is_off()
    item = WorkItem.objects.open().get()
    assert item.kind == "may_stop"
    assert item.due_at == timezone.now() + timedelta(hours=8)
    assert waiting()


def test_a_person_may_read_in_it_that_texts_are_to_end(visit, nora):
    said = "I told you people twice now to stop texting me about all of this"
    text(said)
    close("stop", nora)
    assert is_off()
    assert Suppression.objects.get().by == nora
    text("START")
    assert not is_off()


def test_or_that_they_are_not(visit, nora):
    text("should I stop the aspirin before the visit?")
    close("other", nora)
    assert not is_off()


def test_one_such_item_at_a_time(visit, nora):
    text("should I stop the aspirin before the visit?")
    text("or only stop the other one, the white pill?")
    close("other", nora)
    assert not WorkItem.objects.open().exists()
    text("so do I stop now, before the visit, or not?")
    assert WorkItem.objects.open().count() == 1


def test_the_answer_beside_it_still_counts(visit):
    text("1 and I'll stop by the pharmacy")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    assert WorkItem.objects.open().get().kind == "may_stop"
    assert waiting()


def test_cancel_stops_texts_and_asks_somebody_about_the_visit(visit):
    text("CANCEL")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert is_off()
    assert WorkItem.objects.open().get().kind == "cancel_word"
    assert len(told()) == 1


def test_please_cancel_means_the_visit_and_stops_no_texts(visit):
    text("please cancel my appointment")
    assert not is_off()
    item = WorkItem.objects.open().get()
    assert item.kind == "cancel_word"
    assert "please cancel my appointment" in item.sentence
    assert waiting()


def test_start_lifts_it_keeps_the_record_and_makes_no_consent(visit):
    text("STOP")
    text("START")
    assert not is_off()
    assert [s.on for s in Suppression.objects.order_by("id")] == [True, False]
    assert Consent.objects.count() == 1


def test_start_without_consent_brings_no_texts(monday):
    grace = patient(consent=False)
    text("START")
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert told() == []


def test_start_opens_what_the_carrier_closed(visit):
    suppress(address=GRACE, channel=Channel.SMS, cause="twilio 21610")
    text("unstop")
    assert not is_off()


def test_start_does_not_undo_what_a_colleague_closed(visit, nora):
    suppress(address=GRACE, channel=Channel.SMS, cause="asked by phone", by=nora)
    text("START")
    assert is_off()
    assert waiting()


def test_yes_confirms_where_texts_go(visit):
    text("YES")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED


def test_yes_to_a_question_confirms_nothing_where_they_do_not(visit):
    text("STOP")
    text("YES")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert is_off()
    assert waiting()


def test_yes_to_no_question_is_start(visit):
    text("1")
    text("STOP")
    text("Yes")
    assert not is_off()


def test_yes_where_nothing_was_asked_nor_stopped_goes_to_a_person(monday):
    patient()
    text("Yes")
    assert waiting()
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("hint", "off"), [("provider: stop", True), ("provider: help", False), ("", False)]
)
def test_what_the_provider_took_it_for_counts(visit, hint, off):
    receive(
        provider="twilio",
        provider_id="SM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="ya estuvo",
        note=hint,
    )
    run_pass()
    assert is_off() is off
    note = Message.objects.get(direction="in").note
    assert note == (NO_MORE if off else "")


def test_an_email_that_says_stop_ends_emails_and_not_texts(visit):
    receive(
        provider="imap",
        provider_id="<1@example.org>",
        channel="email",
        from_address="grace@example.org",
        to_address="",
        body="Please stop emailing me\n\n> Your visit is Tue. Text STOP to end texts.",
    )
    run_pass()
    closed = CurrentSuppression.objects.get()
    assert (closed.channel, closed.address) == ("email", "grace@example.org")


@pytest.mark.parametrize("body", ["START", "yes", "please don't stop my medicine"])
def test_an_email_opens_nothing_and_raises_nothing(visit, body):
    suppress(address="grace@example.org", channel=Channel.EMAIL, cause="one click")
    receive(
        provider="imap",
        provider_id="<1@example.org>",
        channel="email",
        from_address="grace@example.org",
        to_address="",
        body=body,
    )
    run_pass()
    assert CurrentSuppression.objects.exists()
    assert not WorkItem.objects.exists()
    assert Conversation.objects.filter(state="waiting").exists()


@pytest.mark.parametrize("word", ["HELP", "ayuda", "Info"])
def test_help_is_answered_once_and_read_by_a_person(visit, word):
    text(word)
    text(word)
    assert told()[-1].startswith(
        "We read texts when we are open. Call us: 617 555 0100"
    )
    assert len(told()) == 2
    assert waiting()


@pytest.mark.parametrize(("word", "answers"), [("HELP", 0), ("AYUDA", 1)])
def test_what_twilio_answers_itself_we_do_not_answer_too(visit, word, answers):
    receive(
        provider="twilio",
        provider_id="SM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body=word,
    )
    run_pass()
    assert Notice.objects.filter(template_key="help").count() == answers
    assert waiting()


def test_help_from_a_stranger_is_not_answered(monday):
    SiteFactory()
    text("HELP", "+16175550190")
    assert not Notice.objects.exists()
    assert waiting()
