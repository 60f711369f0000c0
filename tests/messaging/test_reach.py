"""What somebody wishes and what keeps them safe: the ladder and the gate obey both."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Message, Notice
from messaging.promises import broken_promises
from messaging.reach import next_within, who_receives
from messaging.services import suppress
from patients.models import Channel, Consent, ContactPerson, ContactPoint
from patients.safe_contact import make_plan
from tests.factories import (
    GRACE,
    SiteFactory,
    booked,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)
WEDNESDAY_10 = datetime(2026, 11, 25, 10)
NEW_YORK = ZoneInfo("America/New_York")
SAFE = "+16175550190"


def under_a_plan(somebody, **fields):
    nora = member_of_staff(f"nora{somebody.pk}", Role.NURSE)
    return make_plan(
        patient_id=somebody.pk,
        by=nora,
        region="US",
        **{"channel": "sms", "reason": "asked for it"} | fields,
    )


def sent() -> list[tuple[str, str]]:
    out = Message.objects.filter(direction="out", accepted_at__isnull=False)
    return list(out.order_by("id").values_list("channel", "address"))


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=NEW_YORK)


def why() -> str:
    return WorkItem.objects.open().get(kind="unreached").sentence


# Wishes


def test_who_likes_email_best_gets_an_email_first(monday):
    booked(patient(email="grace@example.com", preferred_way="email"), at=TOMORROW_10)
    run_pass()
    assert sent() == [("email", "grace@example.com")]


def test_without_consent_to_email_the_text_goes_after_all(monday):
    grace = patient(email="grace@example.com", preferred_way="email")
    Consent.objects.create(
        patient=grace,
        channel="email",
        given=False,
        method="spoken",
        at=timezone.now() + timedelta(seconds=1),
    )
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert sent() == [("sms", GRACE)]


def test_an_email_that_settles_nothing_goes_on_by_text(monday, mailbox):
    grace = patient(email="grace@example.com", preferred_way="email")
    booked(grace, at=TOMORROW_10)
    ContactPoint.objects.filter(channel="email").update(usable=False)
    run_pass()
    assert sent() == [("sms", GRACE)]


@pytest.mark.parametrize(
    ("way", "says"), [("call", "prefers a phone call"), ("letter", "prefers a letter")]
)
def test_who_wants_no_messages_goes_straight_to_a_person(monday, way, says):
    booked(patient(preferred_way=way), at=TOMORROW_10)
    run_pass()
    assert sent() == []
    assert why().endswith(f"({says})")
    assert broken_promises() == []


def test_a_wish_that_changes_while_a_text_is_silent_breaks_nothing(monday, twilio):
    grace = patient(email="grace@example.com")
    booked(grace, at=TOMORROW_10)
    run_pass()
    grace.preferred_way = "call"
    grace.save()
    monday.shift(timedelta(minutes=31))
    run_pass()
    assert "prefers a phone call" in why()


def test_never_a_number_that_is_not_safe_to_text(monday):
    grace = patient()
    grace.contact_points.update(safe_to_text=False)
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert sent() == []
    assert "Text: not safe to text" in why()


@pytest.mark.parametrize(
    ("best", "goes_at"),
    [
        ((time(17), time(19)), at(17, day=24)),
        ((time(17), None), at(17, day=24)),
        # It is ten already: that is within their hours.
        ((time(9), time(12)), at(10, day=24)),
        # Decent hours win: nobody is texted at six.
        ((time(6), time(7)), at(10, day=24)),
        ((time(22), time(6)), at(10, day=24)),
        # Too late for the visit at ten: better now than never.
        ((time(9, 45), time(9, 50)), at(10, day=24)),
    ],
)
def test_a_reminder_waits_for_their_best_hours_if_there_is_time(monday, best, goes_at):
    grace = patient(best_from=best[0], best_until=best[1])
    booked(grace, at=WEDNESDAY_10, tell=False)
    monday.move_to(at(10, day=24))
    open_due()
    assert Message.objects.get().not_before == goes_at
    assert broken_promises() == []


def test_what_they_arrange_this_minute_they_hear_this_minute(monday):
    booked(patient(best_from=time(17), best_until=time(19)), at=TOMORROW_10)
    run_pass()
    assert sent() == [("sms", GRACE)]


# Safe contact plans


def test_a_plan_lets_nothing_go_elsewhere(monday):
    grace = patient(email="grace@example.com")
    ContactPoint.objects.create(patient=grace, channel="sms", address=SAFE, rank=1)
    under_a_plan(grace, address=SAFE)
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert sent() == [("sms", SAFE)]


def test_when_the_safe_number_fails_nothing_else_is_tried(monday, twilio):
    grace = patient(email="grace@example.com")
    under_a_plan(grace, address=GRACE)
    grace.contact_points.filter(channel="sms").update(usable=False)
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert (sent(), twilio.ledger) == ([], [])
    assert "Email: a safe contact plan forbids it" in why()


def test_a_plan_without_a_channel_goes_straight_to_a_person(monday):
    grace = patient(email="grace@example.com", preferred_way="email")
    under_a_plan(grace, channel="")
    booked(grace, at=TOMORROW_10)
    run_pass()
    assert sent() == []
    assert why().endswith("(safe contact plan: nothing is sent, call them)")


@pytest.mark.parametrize(
    ("hours", "now", "goes_at"),
    [
        ((time(13), time(15)), at(12, 59), at(13)),
        ((time(13), time(15)), at(13), at(13)),
        ((time(13), time(15)), at(14, 59), at(14, 59)),
        # Over midnight, and at hours that are theirs though not decent.
        ((time(22), time(2)), at(21, 59), at(22)),
        ((time(22), time(2)), at(1, 59, day=24), at(1, 59, day=24)),
        ((time(22), time(2)), at(23, 30), at(23, 30)),
    ],
)
def test_only_in_the_safe_hours(monday, hours, now, goes_at):
    monday.move_to(now)
    grace = patient()
    under_a_plan(grace, safe_from=hours[0], safe_until=hours[1])
    booked(grace, at=WEDNESDAY_10)
    run_pass()
    message = Message.objects.get()
    if goes_at > now:
        assert (message.state, message.not_before) == (Message.State.QUEUED, goes_at)
        monday.move_to(goes_at)
        run_pass()
    assert sent() == [("sms", GRACE)]


def test_no_safe_hour_before_the_visit_is_a_call(monday):
    grace = patient()
    under_a_plan(grace, safe_from=time(20), safe_until=time(21))
    booked(grace, at=datetime(2026, 11, 23, 16))
    run_pass()
    assert sent() == []
    assert "Text: no safe hour in time" in why()


def test_a_plan_made_while_a_text_waits_stops_it(monday):
    grace = patient(email="grace@example.com")
    booked(grace, at=TOMORROW_10)
    open_due()
    under_a_plan(grace, channel="email")
    run_pass()
    withdrawn = Message.objects.get(channel="sms")
    assert (withdrawn.state, withdrawn.why) == (
        Message.State.WITHDRAWN,
        "a safe contact plan forbids it",
    )
    assert sent() == [("email", "grace@example.com")]


def test_hours_put_in_force_while_a_text_waits_hold_it(monday):
    grace = patient()
    booked(grace, at=TOMORROW_10)
    open_due()
    under_a_plan(grace, safe_from=time(13), safe_until=time(15))
    run_pass()
    message = Message.objects.get()
    assert (message.state, message.why) == (Message.State.QUEUED, "not a safe hour")
    assert message.not_before == at(13)


@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_a_neutral_text_names_neither_clinic_nor_clinician(monday, when):
    SiteFactory(name="Harbour Clinic")
    grace = patient()
    grace.sites.update(neutral_name="Pier St office")
    if when == "before":
        under_a_plan(grace)
    booked(grace, at=TOMORROW_10)
    open_due()
    if when != "before":
        assert "Harbour" in Message.objects.get().body
        under_a_plan(grace)
    run_pass()
    message = Message.objects.get()
    assert message.state == Message.State.DELIVERED
    assert message.body.startswith(
        "Pier St office: Grace, your visit is Tue 24 Nov 10:00am with us."
    )
    assert "Harbour" not in message.body
    assert "Rao" not in message.body


def test_a_neutral_mail_comes_from_a_bare_address(monday, mailbox, settings):
    settings.DEFAULT_FROM_EMAIL = "Harbour Clinic <visits@example.com>"
    grace = patient(email="grace@example.com")
    under_a_plan(grace, channel="email")
    booked(grace, at=TOMORROW_10)
    run_pass()
    (mail,) = mailbox.messages
    assert (mail["From"], mail["Subject"]) == ("visits@example.com", "Your visit")
    assert "Harbour" not in mail.as_string()


def test_a_reply_from_an_unsafe_phone_is_not_answered_there(monday):
    grace = patient(email="grace@example.com")
    booked(grace, at=TOMORROW_10)
    run_pass()
    under_a_plan(grace, channel="email")
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="1",
    )
    run_pass()
    assert sent() == [("sms", GRACE)]
    assert not Notice.objects.filter(purpose="reply", state="reached").exists()


def test_but_an_emergency_is_and_neutrally(monday):
    grace = patient(email="grace@example.com")
    under_a_plan(grace, channel="email")
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="I have chest pain",
    )
    run_pass()
    answer = Message.objects.get(direction="out")
    assert answer.state == Message.State.DELIVERED
    assert "911" in answer.body
    assert "Harbour" not in answer.body


def test_hours_are_wall_time_and_may_pass_midnight():
    def until(hour, opens, closes):
        found = next_within(at(hour), NEW_YORK, opens, closes)
        return found.astimezone(NEW_YORK).time()

    assert until(12, time(22), time(6)) == time(22)
    assert until(3, time(22), time(6)) == time(3)
    assert until(6, time(22), time(6)) == time(22)
    assert until(5, None, time(6)) == time(5)
    assert until(7, None, time(6)) == time(0)
    assert until(3, time(9), None) == time(9)
    assert until(3, time(9), time(9)) == time(3)


def test_hours_survive_the_night_the_clocks_change():
    # 8 March 2026, New York: 02:30 does not exist.
    before = datetime(2026, 3, 8, 1, 0, tzinfo=NEW_YORK)
    opens = next_within(before, NEW_YORK, time(2, 30), time(4))
    assert opens == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)


# Who will receive this


def test_who_receives_says_what_the_ladder_does(monday):
    leo = patient("Leo", "Duarte", birth_date=date(2016, 5, 1), language="es")
    ana = ContactPerson.objects.create(
        patient=leo,
        name="Ana Duarte",
        relation="mother",
        is_responsible=True,
        scopes=["schedule"],
    )
    ContactPoint.objects.create(
        contact_person=ana, channel="sms", address="+16175550161"
    )
    found = who_receives(leo, "visit_booked")
    assert found.recipient.contact_person == ana
    assert (found.channel, found.address) == ("sms", "+16175550161")
    assert found.language == "Spanish"
    booked(leo, at=TOMORROW_10)
    run_pass()
    assert sent() == [(found.channel, found.address)]


def test_who_receives_says_why_nobody_does(monday):
    grace = patient()
    suppress(address=GRACE, channel=Channel.SMS, cause="texted stop")
    found = who_receives(grace, "visit_booked")
    assert (found.address, found.matters) == ("", True)
    assert found.why == "Text: they asked us to stop; Email: no address"
    grace.deceased_on = date(2026, 11, 1)
    assert who_receives(grace, "visit_booked").recipient is None


@pytest.mark.parametrize(("plan", "most"), [(None, 3), ({"address": GRACE}, 4)])
def test_who_receives_costs_the_same_for_one_address_and_ten(monday, plan, most):
    grace = patient()
    if plan:
        under_a_plan(grace, **plan)
    for number in range(9):
        ContactPoint.objects.create(
            patient=grace, channel="sms", address=f"+1617555017{number}"
        )
    with CaptureQueriesContext(connection) as queries:
        who_receives(grace, "visit_reminder")
    assert len(queries) <= most
