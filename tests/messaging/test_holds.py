"""Nothing goes by itself where somebody wrote of a wrong number or of a death."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from messaging.inbound import handle_received, receive
from messaging.models import Conversation, Hold, Message, Notice
from messaging.promises import broken_promises
from patients.erasing import erase_patient
from patients.merging.services import undo_merge
from patients.models import ContactPerson, ContactPoint, SafeContactPlan
from patients.personal import personal, whose
from patients.profile import record_death
from tests.factories import (
    GRACE,
    SiteFactory,
    booked,
    clinician,
    come_in,
    member_of_staff,
    patient,
)
from tests.messaging.test_inbound import TOMORROW_10, text, told, waiting
from tests.patients.merging_scene import merge
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


def another(visit: Appointment, hour: int = 15) -> Appointment:
    """Book Grace once more, with something to tell her."""
    return booked(
        visit.patient,
        at=TOMORROW_10.replace(day=26, hour=hour),
        clinician=clinician("Dr Lin"),
    )


def held() -> list[Hold]:
    return list(Hold.objects.filter(ended_at=None))


def the_item() -> WorkItem:
    return WorkItem.objects.open().get(kind__in=Hold.Kind.values)


def close(outcome: str, by) -> None:
    close_item(item_id=the_item().pk, outcome=outcome, by=by)


# A wrong number


@pytest.mark.parametrize("said", ["Wrong number", "No soy Grace", "this isn't Grace"])
def test_a_wrong_number_is_held_until_a_person_has_looked(visit, said):
    text(said)
    (hold,) = held()
    assert (hold.kind, hold.address, hold.patient) == ("wrong_number", GRACE, None)
    assert hold.message.body == said
    item = the_item()
    assert (item.kind, item.severity) == ("wrong_number", WorkItem.Severity.AMBER)
    assert item.due_at == timezone.now() + timedelta(hours=2)
    assert said in item.sentence
    another(visit)
    run_pass()
    assert len(told()) == 1
    assert waiting()
    assert broken_promises() == []


def test_theirs_after_all_and_what_waited_goes(visit, nora, monday):
    text("wrong number")
    another(visit)
    run_pass()
    close("theirs", nora)
    assert held() == []
    assert Hold.objects.get().ended_by == nora
    monday.shift(timedelta(minutes=6))
    run_pass()
    assert len(told()) == 2


def test_not_theirs_is_never_written_to_again(visit, nora, monday):
    text("wrong number")
    another(visit)
    run_pass()
    close("not theirs", nora)
    point = ContactPoint.objects.get(address=GRACE)
    assert (point.usable, point.why_not) == (False, "wrong number")
    monday.shift(timedelta(minutes=6))
    run_pass()
    assert len(told()) == 1
    assert {item.kind for item in WorkItem.objects.open()} == {"unreached"}


def test_what_is_not_theirs_is_so_for_everybody_who_has_it(visit, nora):
    patient("Leo", "Duarte")
    text("wrong number")
    close("not theirs", nora)
    assert not ContactPoint.objects.filter(address=GRACE, usable=True).exists()


def test_meanwhile_news_finds_another_way(monday):
    grace = patient(email="grace@example.org")
    booked(grace, at=TOMORROW_10)
    run_pass()
    text("wrong number")
    booked(grace, at=TOMORROW_10.replace(day=26), clinician=clinician("Dr Lin"))
    run_pass()
    for _hours in range(4):
        monday.shift(timedelta(minutes=50))
        run_pass()
    gone = Message.objects.filter(direction="out").exclude(state="withdrawn")
    assert [message.channel for message in gone.order_by("id")] == ["sms", "email"]


def test_a_digit_never_says_wrong_number(visit):
    for digit in "3456789":
        text(digit)
    assert held() == []


def test_a_digit_beside_it_does_nothing(visit):
    text("1 but wrong number")
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED
    assert len(held()) == 1


def test_saying_it_again_makes_no_second_item(visit, nora):
    text("wrong number")
    text("I said WRONG NUMBER")
    assert len(held()) == 1
    close("theirs", nora)
    text("wrong number!!")
    assert len(held()) == 1
    assert the_item().sentence != ""


def test_from_a_number_that_is_nobodys_there_is_nothing_to_hold(monday):
    SiteFactory()
    text("wrong number", "+16175550190")
    assert held() == []
    assert not WorkItem.objects.exists()
    assert waiting()


def test_an_emergency_is_answered_all_the_same(visit):
    text("wrong number")
    text("I have chest pain")
    assert any("911" in said for said in told())


def test_a_number_that_a_safe_contact_plan_names_needs_a_new_plan_first(visit, nora):
    plan = SafeContactPlan.objects.create(
        patient=visit.patient,
        channel="sms",
        address=GRACE,
        reason="x",
        made_by=nora,
        made_at=timezone.now(),
    )
    text("wrong number")
    with pytest.raises(ValidationError, match="Change the plan first"):
        close("not theirs", nora)
    assert len(held()) == 1
    plan.ended_at = timezone.now()
    plan.save()
    close("not theirs", nora)
    assert held() == []


def test_two_sites_each_hear_of_it_and_one_of_them_settles_it(visit, nora):
    north = SiteFactory(name="Harbour Clinic North")
    patient("Leo", "Duarte").sites.set([north])
    text("wrong number")
    ours, theirs = WorkItem.objects.open().order_by("id")
    assert {ours.site, theirs.site} == {SiteFactory(), north}
    close_item(item_id=ours.pk, outcome="theirs", by=nora)
    theirs.refresh_from_db()
    assert theirs.closed_by_rule == "somebody has looked"
    assert held() == []


def test_both_ends_stand_in_the_audit(visit, nora):
    text("wrong number")
    close("theirs", nora)
    about = AuditEvent.objects.filter(
        subject="contact_point", details__state__in=["held", "released"]
    ).order_by("id")
    assert [(e.actor, e.details["state"], e.patient_ids) for e in about] == [
        ("patient", "held", [visit.patient_id]),
        ("nora", "released", [visit.patient_id]),
    ]


# A death


@pytest.mark.parametrize(
    "said", ["Grace passed away on Sunday", "mi mamá murió ayer", "She died"]
)
def test_a_death_holds_everything_about_them(visit, said):
    text(said)
    (hold,) = held()
    assert (hold.kind, hold.patient, hold.address) == (
        "bereavement",
        visit.patient,
        "",
    )
    item = the_item()
    assert (item.kind, item.patient) == ("bereavement", visit.patient)
    assert item.due_at == timezone.now() + timedelta(hours=2)
    another(visit)
    run_pass()
    assert len(told()) == 1
    assert waiting()


def test_whose_death_it_is_a_person_finds_out(visit, nora, monday):
    text("My mother died, can I move my visit?")
    another(visit)
    run_pass()
    assert len(told()) == 1
    close("alive", nora)
    monday.shift(timedelta(minutes=6))
    run_pass()
    assert len(told()) == 2


def test_a_death_is_noted_on_their_page_first(visit, nora):
    text("Grace passed away")
    with pytest.raises(ValidationError, match="Note the death"):
        close("died", nora)
    record_death(
        patient_id=visit.patient_id,
        died_on=date(2026, 11, 22),
        told_by="her son",
        by=nora,
    )
    close("died", nora)
    assert held() == []
    another_text = text("She died, I told you")
    assert another_text.patient == visit.patient
    assert held() == []


def test_the_page_of_the_item_says_what_is_missing(client, visit):
    nora = member_of_staff("nora", Role.NURSE)
    come_in(client, nora)
    text("Grace passed away")
    page = f"/worklist/{the_item().pk}/close/"
    assert "Grace passed away" in client.get(page).content.decode()
    answer = client.post(page, {"outcome": "died", "note": ""})
    assert "Note the death" in answer.content.decode()
    assert len(held()) == 1


def test_everybody_the_address_may_speak_of_is_held(visit, nora):
    leo = patient("Leo", "Duarte")
    mother = ContactPerson.objects.create(
        patient=patient("Mia", phone=""), name="Grace", relation="mother"
    )
    ContactPoint.objects.create(contact_person=mother, channel="sms", address=GRACE)
    text("he has died")
    assert {hold.patient for hold in held()} == {visit.patient, leo, mother.patient}
    record_death(patient_id=leo.pk, died_on=date(2026, 11, 22), told_by="x", by=nora)
    close("died", nora)
    assert held() == []


def test_only_the_one_a_question_was_about_where_it_answers_one(visit):
    leo = patient("Leo", "Duarte")
    booked(leo, at=TOMORROW_10.replace(hour=12))
    run_pass()
    text("6 he has died")
    assert [hold.patient for hold in held()] == [leo]


def test_another_relative_adds_nothing_while_it_is_held(visit):
    son = ContactPerson.objects.create(
        patient=visit.patient, name="Ben", relation="son"
    )
    ContactPoint.objects.create(
        contact_person=son, channel="sms", address="+16175550161"
    )
    text("Grace died")
    text("my mother died", "+16175550161")
    assert len(held()) == 1
    assert WorkItem.objects.count() == 1


def test_a_stranger_who_writes_of_a_death_is_read_in_time(monday):
    SiteFactory()
    text("my husband John passed away", "+16175550190")
    text("he died on Monday", "+16175550190")
    assert held() == []
    assert the_item().kind == "bereavement"
    close_item(
        item_id=the_item().pk,
        outcome="died",
        by=member_of_staff("nora", Role.NURSE),
    )


@pytest.mark.parametrize("said", ["my phone died", "the pain died down", "my dog died"])
def test_what_is_no_death_holds_nothing(visit, said):
    text(said)
    assert held() == []
    assert waiting()


def test_the_screen_and_stop_still_run(visit):
    text("STOP")
    text("She died and now I have chest pain")
    kinds = set(WorkItem.objects.open().values_list("kind", flat=True))
    assert {"bereavement", "red_flag"} <= kinds


def test_a_hold_nobody_lifts_goes_to_a_person_and_nowhere_else(monday):
    grace = patient(email="grace@example.org")
    booked(grace, at=TOMORROW_10)
    run_pass()
    text("She died")
    booked(grace, at=TOMORROW_10.replace(day=26), clinician=clinician("Dr Lin"))
    for _hours in range(5):
        run_pass()
        monday.shift(timedelta(minutes=45))
    run_pass()
    gone = Message.objects.filter(direction="out").exclude(state="withdrawn")
    assert gone.count() == 1
    assert Notice.objects.filter(state=Notice.State.WITH_STAFF).exists()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "wrong number",
            "May be a wrong number: nothing goes until somebody has looked",
        ),
        ("She died", "May have died: nothing goes until somebody has looked"),
    ],
)
def test_their_page_says_that_nothing_goes(client, visit, said, shown):
    come_in(client, member_of_staff("nora", Role.NURSE))
    page = f"/patients/{visit.patient_id}/"
    assert shown not in client.get(page).content.decode()
    text(said)
    assert shown in client.get(page).content.decode()


# One record of two, and none


def test_it_follows_into_another_record_and_back(visit):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    kept = patient("Gracie", "Okafor", phone="+16175550144")
    text("Grace passed away")
    made = merge(kept, visit.patient, femi)
    assert [hold.patient for hold in held()] == [kept]
    undo_merge(merge_id=made.pk, by=femi)
    assert [hold.patient for hold in held()] == [visit.patient]


def test_erasing_lets_go_and_leaves_no_number(visit, nora):
    text("wrong number")
    text("She died")
    shown = personal["hold"].rows(whose(visit.patient))
    assert shown.count() == 2
    Appointment.objects.all().update(state=Appointment.State.CANCELLED)
    erase_patient(
        patient_id=visit.patient_id, reason="asked for it in writing", by=nora
    )
    assert held() == []
    assert set(Hold.objects.values_list("address", flat=True)) == {"", "erased"}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_and_one_hold(monday):
    """Two texts of one address, handled at once: one after the other."""
    patient()
    for sid in "ABCDEF":
        receive(
            provider="simulated",
            provider_id=sid,
            channel="sms",
            from_address=GRACE,
            to_address="",
            body="wrong number",
        )

    def worker(_n: int) -> int:
        try:
            return handle_received()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as workers:
        list(workers.map(worker, range(3)))
    handle_received()
    assert Hold.objects.count() == 1
    assert WorkItem.objects.count() == 1
    assert not Conversation.objects.filter(state="quiet").exists()
