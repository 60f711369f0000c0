"""A text that may speak of a danger: who hears of it, by when, and what it is told."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Duty, Site
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.inbound import handle_received, receive
from messaging.models import DutyAlert, Message, Notice
from messaging.screening import EPISODE, RED_WITHIN, screen
from messaging.segments import count
from messaging.services import suppress
from messaging.texts import render
from patients.models import Channel, SafeContactPlan
from patients.registry import alarms
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.services import claim_item, close_item

pytestmark = pytest.mark.django_db

RED, REVIEW = WorkItem.Severity.RED, WorkItem.Severity.REVIEW
STRANGER = "+16175550190"


def write(body: str, number: str = GRACE, channel: str = "sms") -> Message:
    """Let somebody write to us, and let the pass act on it."""
    receive(
        provider="simulated",
        provider_id=f"SIM{Message.objects.count()}",
        channel=Channel(channel),
        from_address=number,
        to_address="",
        body=body,
    )
    run_pass()
    return Message.objects.filter(direction="in").latest("id")


def answers() -> list[str]:
    """Return what was answered automatically, without the clinic's name."""
    sent = Message.objects.filter(
        direction="out",
        state="delivered",
        notices__purpose="emergency_reply",
    )
    bodies = sent.order_by("id").values_list("body", flat=True)
    return [body.partition(": ")[2] for body in bodies]


def flags() -> list[WorkItem]:
    """Return the red flags there are, open or not."""
    return list(WorkItem.objects.filter(kind="red_flag").order_by("id"))


def named(item: WorkItem) -> list[str]:
    """Return the dangers that an item names."""
    return [place["text"] for place in item.reason_places["danger"]]


@pytest.fixture
def grace(monday):
    """Grace, who is known and may be texted."""
    return patient()


@pytest.fixture
def maya(grace):
    """Maya, who is on duty and can be reached."""
    maya = member_of_staff("maya", Role.NURSE)
    maya.phone = "+16175550160"
    maya.save()
    Duty.objects.create(
        site=SiteFactory(),
        user=maya,
        starts_at=MONDAY - timedelta(hours=1),
        ends_at=MONDAY + timedelta(hours=24),
    )
    return maya


def test_a_danger_reaches_a_person_and_the_sender_hears_whom_to_call(grace):
    message = write("I have chest pain and can't breathe")
    (item,) = flags()
    assert (item.severity, item.due_at - item.opened_at) == (RED, RED_WITHIN)
    assert (item.patient, item.subject_id) == (grace, message.pk)
    assert named(item) == ["hard to breathe", "chest pain"]
    assert "“I have chest pain and can't breathe”" in item.sentence
    (said,) = answers()
    assert said.startswith("What you wrote may be an emergency. Call 911 now.")
    assert "We may not see this yet" in said


def test_one_that_is_denied_is_read_within_a_day_and_not_answered(grace):
    write("no chest pain today")
    (item,) = flags()
    assert item.severity == REVIEW
    assert item.due_at - item.opened_at == timedelta(hours=24)
    assert answers() == []


def test_what_is_plain_is_named_and_what_is_denied_is_not(grace):
    write("no chest pain but I can't breathe")
    assert named(flags()[0]) == ["hard to breathe"]


def test_who_may_hurt_themselves_hears_of_the_crisis_line(grace):
    Site.objects.update(crisis_number="0800 111")
    write("I don't want to live anymore")
    (said,) = answers()
    assert "call 0800 111 now, or 911" in said
    assert flags()[0].severity == RED


def test_self_harm_is_never_lowered(grace):
    write("no, I don't want to hurt myself")
    assert flags()[0].severity == RED
    assert len(answers()) == 1


def test_violence_gets_no_answer_and_nobody_texts_back(maya):
    write("he hit me and I can't breathe")
    (item,) = flags()
    assert (item.severity, item.due_at - item.opened_at) == (RED, RED_WITHIN)
    assert "Do not text back" in item.sentence
    assert answers() == []
    assert DutyAlert.objects.get().items == [item.pk]


def test_both_answers_fit_one_text_in_both_languages(grace):
    for key in ("emergency_reply", "crisis_reply"):
        for language in ("en", "es"):
            _subject, body = render(
                key,
                language,
                clinic="Harbour Clinic",
                emergency="911",
                crisis="988",
                phone="617 555 0100",
            )
            counted = count(body)
            assert (counted.encoding, counted.segments) == ("GSM-7", 1)


def test_the_answer_is_in_the_patients_language(monday):
    patient("Rosa", "Vega", language="es")
    write("me falta el aire")
    assert answers()[0].startswith("Esto puede ser una emergencia. Llame al 911")


def test_it_goes_at_night_and_over_the_daily_cap(grace, monday):
    monday.move_to(datetime(2026, 11, 24, 8, 0, tzinfo=MONDAY.tzinfo))  # 3 in New York
    write("I can't breathe")
    assert len(answers()) == 1


def test_one_answer_to_a_number_in_half_an_hour(grace, monday):
    write("chest pain")
    monday.shift(timedelta(minutes=29))
    write("chest pain again")
    assert len(answers()) == 1
    monday.shift(timedelta(minutes=1))
    write("still chest pain")
    assert len(answers()) == 2


def test_the_crisis_line_is_named_although_an_answer_went_before(grace):
    write("chest pain")
    write("I want to die")
    write("I really want to die")
    assert ["988" in said for said in answers()] == [False, True]


def test_another_number_gets_its_own_answer(grace):
    write("chest pain")
    write("my dad has chest pain", STRANGER)
    assert len(answers()) == 2


def test_one_item_an_episode(grace, monday):
    write("chest pain")
    monday.shift(timedelta(minutes=10))
    write("now I cant breathe either")
    (item,) = flags()
    assert named(item) == ["hard to breathe", "chest pain"]
    assert "now I cant breathe either" in item.sentence
    assert item.due_at == MONDAY + RED_WITHIN
    event = item.events.get(what="wrote again")
    assert event.note == "now I cant breathe either"


def test_the_same_again_keeps_the_first_words(grace):
    write("chest pain, sweating")
    write("chest pain")
    (item,) = flags()
    assert "chest pain, sweating" in item.sentence


def test_a_denial_does_not_lower_what_was_said(grace):
    write("chest pain")
    before = flags()[0].sentence
    write("ok no chest pain now")
    (item,) = flags()
    assert (item.severity, item.sentence) == (RED, before)
    assert item.events.filter(what="wrote again").count() == 1


def test_one_that_was_denied_rises(grace, monday):
    nora = member_of_staff("nora", Role.NURSE)
    write("no chest pain")
    claim_item(item_id=flags()[0].pk, by=nora)
    monday.shift(timedelta(hours=9))
    write("chest pain now, bad")
    (item,) = flags()
    assert item.severity == RED
    assert item.due_at == timezone.now() + RED_WITHIN
    assert item.owner is None
    assert [e.what for e in item.events.all()][-2:] == ["wrote again", "given back"]
    assert len(answers()) == 1


def test_whoever_has_a_red_one_keeps_it(grace):
    nora = member_of_staff("nora", Role.NURSE)
    write("chest pain")
    claim_item(item_id=flags()[0].pk, by=nora)
    write("chest pain is worse")
    assert flags()[0].owner == nora


def test_after_it_is_closed_a_new_episode_begins(grace):
    nora = member_of_staff("nora", Role.NURSE)
    write("chest pain")
    close_item(item_id=flags()[0].pk, outcome="advice", by=nora)
    write("chest pain again")
    write("and again chest pain")
    first, second = flags()
    assert first.closed_at
    assert second.closed_at is None


def test_a_forgotten_item_swallows_no_new_danger(grace, monday):
    write("chest pain")
    monday.shift(RED_WITHIN + EPISODE - timedelta(seconds=1))
    write("chest pain")
    assert len(flags()) == 1
    monday.shift(timedelta(seconds=1))
    write("chest pain")
    assert len(flags()) == 2
    write("no chest pain")
    assert len(flags()) == 2


def test_an_opted_out_sender_is_called_at_once(maya):
    suppress(address=GRACE, channel=Channel.SMS, cause="texted stop")
    write("I can't breathe")
    (item,) = flags()
    assert item.due_at == item.opened_at
    assert "they have opted out" in item.sentence
    assert DutyAlert.objects.get().user == maya
    assert answers() == []


def test_an_opt_out_later_in_an_episode_is_told(grace):
    write("chest pain")
    suppress(address=GRACE, channel=Channel.SMS, cause="texted stop")
    write("chest pain")
    (item,) = flags()
    assert "they have opted out" in item.sentence
    assert item.due_at == timezone.now()


def test_a_duty_that_cannot_be_told_holds_up_no_danger(maya, monkeypatch):
    monkeypatch.setattr("messaging.screening.alert_now", lambda item: 1 / 0)
    write("he hit me")
    assert len(flags()) == 1
    assert Message.objects.get(direction="in").handled_at


def test_a_hidden_patient_is_not_to_be_texted_from_another_phone(grace):
    SafeContactPlan.objects.create(
        patient=grace,
        channel=Channel.SMS,
        address="+16175550177",
        reason="An ex reads her phone.",
        made_by=member_of_staff("nora", Role.NURSE),
        made_at=timezone.now(),
    )
    write("chest pain")
    assert "Do not text back" in flags()[0].sentence
    # Only the number that wrote; it says nothing of the patient.
    sent = Message.objects.filter(direction="out", notices__purpose="emergency_reply")
    assert [one.address for one in sent] == [GRACE]


def test_an_email_is_screened_and_not_answered(monday):
    patient(email="grace@example.org")
    write("I have chest pain", "grace@example.org", "email")
    assert flags()[0].severity == RED
    assert not Notice.objects.filter(purpose="emergency_reply").exists()


def test_an_unknown_sender_is_everybodys_and_has_one_item(monday):
    SiteFactory()
    write("chest pain", STRANGER)
    write("cant breathe", STRANGER)
    write("chest pain", "+16175550191")
    first, second = flags()
    assert (first.patient, first.site) == (None, None)
    assert named(first) == ["hard to breathe", "chest pain"]
    assert second.subject_id != first.subject_id
    assert STRANGER not in first.dedupe_key


def test_two_on_one_phone_are_told_to_each_of_their_sites(grace):
    leo = patient("Leo", "Duarte")
    leo.sites.set([SiteFactory(name="Hill Clinic")])
    write("chest pain")
    write("chest pain")
    items = flags()
    assert {item.site.name for item in items} == {"Harbour Clinic", "Hill Clinic"}
    assert [item.patient for item in items] == [None, None]
    assert len(answers()) == 1


def test_two_patients_two_episodes(grace):
    patient("Leo", "Duarte", phone="+16175550177")
    write("chest pain")
    write("chest pain", "+16175550177")
    assert len(flags()) == 2


def test_an_answer_with_a_danger_does_both(monday):
    visit = booked(at=datetime(2026, 11, 24, 10))
    run_pass()
    write("1 but I have chest pain")
    visit.refresh_from_db()
    assert visit.state == "confirmed"
    assert flags()[0].severity == RED


def test_an_intake_is_asked_the_same(monday):
    asked = dict(alarms)["messaging"]
    assert asked("no puedo rspirar")
    assert asked("no chest pain")
    assert not asked("penicillin gives me a rash")


def test_a_few_queries_screen_a_text(grace, django_assert_max_num_queries):
    message = write("hello")
    with django_assert_max_num_queries(0):
        screen(message)
    message.body = "chest pain"
    with django_assert_max_num_queries(20):
        screen(message)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_make_one_item_of_one_persons_texts(monday):
    patient()
    for n in range(6):
        receive(
            provider="simulated",
            provider_id=f"SIM{n}",
            channel=Channel.SMS,
            from_address=GRACE,
            to_address="",
            body="chest pain",
        )

    def work() -> None:
        handle_received()
        connection.close()

    workers = [threading.Thread(target=work) for _n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    handle_received()
    assert not Message.objects.filter(direction="in", handled_at=None).exists()
    (item,) = flags()
    assert item.events.filter(what="wrote again").count() == 5
    assert Notice.objects.filter(purpose="emergency_reply").count() == 1
