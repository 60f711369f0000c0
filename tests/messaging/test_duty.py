"""Urgent work waits: who is told, who is next, and who took note."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Duty, User
from accounts.roles import Role
from accounts.roster import hand_over
from accounts.ticks import run_pass
from messaging.duty import alert_now, watch_red
from messaging.duty.links import address_of
from messaging.models import DutyAlert, Message, Notice
from messaging.promises import broken_promises
from messaging.services import suppress
from tests.factories import MONDAY, SiteFactory, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import claim_item, close_item, give_back_items, raise_item

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
PHONES = {
    "maya": "+16175550147",
    "rao": "+16175550148",
    "ada": "+16175550149",
    "ben": "+16175550146",
}
ROLES = {"rao": Role.CLINICIAN, "ada": Role.MANAGER}


def colleague(name: str, *sites, **fields) -> User:
    user = member_of_staff(name, ROLES.get(name, Role.NURSE), *sites)
    User.objects.filter(pk=user.pk).update(**{"phone": PHONES.get(name, "")} | fields)
    user.refresh_from_db()
    return user


def on_duty(user: User, backup: User | None = None, **fields) -> Duty:
    return Duty.objects.create(
        **{
            "site": SiteFactory(),
            "user": user,
            "backup": backup,
            "starts_at": MONDAY - 60 * MINUTE,
            "ends_at": MONDAY + 480 * MINUTE,
        }
        | fields
    )


def red(number: int = 1, **fields) -> WorkItem:
    return raise_item(
        **{
            "kind": "red_flag",
            "severity": WorkItem.Severity.RED,
            "reason": "Grace Okafor wrote of chest pain.",
            "subject_kind": "test",
            "subject_id": number,
            "dedupe_key": f"red:{number}",
            "due_at": timezone.now() + 15 * MINUTE,
            "site": SiteFactory(),
        }
        | fields
    )


def told() -> list[str]:
    """Return who got a text or an email about duty, in order."""
    who = {number: name for name, number in PHONES.items()}
    sent = Message.objects.filter(
        notices__purpose="duty_alert", submitting_at__isnull=False
    )
    return [who.get(m.address, m.address) for m in sent.order_by("id")]


def after(traveller, minutes: float) -> list[str]:
    """Return who has been told so many minutes after Monday 09:00."""
    traveller.move_to(MONDAY + minutes * MINUTE, tick=False)
    run_pass()
    return told()


@pytest.fixture
def cast(monday):
    """Maya is on duty, Rao her backup, Ada manages."""
    maya, rao, ada = colleague("maya"), colleague("rao"), colleague("ada")
    on_duty(maya, rao)
    return {"maya": maya, "rao": rao, "ada": ada}


def path_of(name: str) -> str:
    alert = DutyAlert.objects.filter(user__username=name).latest("id")
    return "/d/" + address_of(alert).split("/d/", 1)[1]


def taps(name: str) -> None:
    assert Client().post(path_of(name)).status_code == 303


def test_maya_does_not_answer_nor_rao_so_ada_is_told(cast, monday):
    red()
    assert after(monday, 0) == ["maya"]
    assert after(monday, 4.99) == ["maya"]
    assert after(monday, 5) == ["maya", "rao"]
    assert after(monday, 9.99) == ["maya", "rao"]
    assert after(monday, 10) == ["maya", "rao", "ada"]
    for later in (15, 30, 90, 150):
        assert after(monday, later) == ["maya", "rao", "ada"]
    passed = DutyAlert.objects.order_by("id").values_list("step", "passed_on_at")
    assert list(passed) == [
        ("duty", MONDAY + 5 * MINUTE),
        ("backup", MONDAY + 10 * MINUTE),
        ("manager", None),
    ]
    assert broken_promises() == []


def test_the_text_names_nobody(cast, monday):
    red(patient=patient())
    red(2)
    run_pass()
    text = Message.objects.get()
    assert text.body == (
        f"Harbour Clinic: 2 urgent waiting. Open http://127.0.0.1:8000{path_of('maya')}"
    )
    assert (text.segments, text.encoding) == (1, "GSM-7")
    assert (text.patient, text.conversation) == (None, None)


def test_it_speaks_the_language_of_who_reads_it(cast, monday):
    User.objects.filter(username="maya").update(language="es")
    red()
    run_pass()
    assert "1 urgente(s) en espera" in Message.objects.get().body
    page = Client().get(path_of("maya"))
    assert page["Content-Language"] == "es"


def test_amber_work_alarms_nobody(cast, monday):
    red(severity=WorkItem.Severity.AMBER)
    assert after(monday, 0) == []


def test_nobody_is_told_of_what_a_colleague_took_on(cast, monday):
    item = red()
    assert after(monday, 0) == ["maya"]
    claim_item(item_id=item.pk, by=cast["maya"])
    assert after(monday, 30) == ["maya"]


def test_nor_of_what_is_closed(cast, monday):
    item = red()
    run_pass()
    close_item(item_id=item.pk, outcome="advice", by=cast["maya"])
    assert after(monday, 30) == ["maya"]


def test_a_text_that_waits_is_not_sent_when_somebody_was_quicker(cast, monday):
    item = red()
    watch_red()
    claim_item(item_id=item.pk, by=cast["rao"])
    run_pass()
    assert told() == []
    assert Message.objects.get().state == "withdrawn"
    assert Notice.objects.get().state == "superseded"


def test_given_back_it_is_told_anew(cast, monday):
    item = red()
    run_pass()
    claim_item(item_id=item.pk, by=cast["maya"])
    monday.shift(60 * MINUTE)
    give_back_items(owner=cast["maya"], by=cast["ada"])
    assert after(monday, 60) == ["maya", "maya"]
    assert after(monday, 65) == ["maya", "maya", "rao"]


def test_several_make_one_text_and_a_new_one_makes_another(cast, monday):
    red(1)
    red(2)
    assert after(monday, 0) == ["maya"]
    monday.move_to(MONDAY + 3 * MINUTE, tick=False)
    red(3)
    assert after(monday, 3) == ["maya", "maya"]
    assert ": 3 urgent" in Message.objects.latest("id").body
    # The first ones do not wait longer for the third.
    assert after(monday, 5) == ["maya", "maya", "rao"]
    assert after(monday, 10) == ["maya", "maya", "rao", "ada"]


def test_each_site_has_its_own_people(cast, monday):
    north = SiteFactory(name="Harbour Clinic North")
    ben = colleague("ben", north)
    on_duty(ben, site=north)
    red(site=north)
    assert after(monday, 0) == ["ben"]
    red(2)
    assert after(monday, 0) == ["ben", "maya"]


def test_what_is_of_no_site_is_told_to_everybody_on_duty(cast, monday):
    north = SiteFactory(name="Harbour Clinic North")
    on_duty(colleague("ben", north), site=north)
    red(site=None)
    assert sorted(after(monday, 0)) == ["ben", "maya"]


def test_two_who_share_it_are_both_told(cast, monday):
    on_duty(colleague("ben"))
    red()
    assert after(monday, 0) == ["maya", "ben"]


def test_who_comes_on_duty_is_told_at_the_minute(cast, monday):
    Duty.objects.update(ends_at=MONDAY + 3 * MINUTE)
    on_duty(colleague("ben"), cast["ada"], starts_at=MONDAY + 3 * MINUTE)
    red()
    assert after(monday, 0) == ["maya"]
    assert after(monday, 2.99) == ["maya"]
    assert after(monday, 3) == ["maya", "ben"]
    # Ben has his own five minutes; then it is his backup's turn.
    assert after(monday, 7.99) == ["maya", "ben"]
    assert after(monday, 8) == ["maya", "ben", "ada"]


def test_what_is_handed_over_is_handed_over_with_what_waits(cast, monday):
    red()
    run_pass()
    monday.shift(MINUTE)
    ben = colleague("ben")
    hand_over(duty_id=Duty.objects.get().pk, to=ben, by=cast["ada"])
    assert after(monday, 1) == ["maya", "ben"]


def test_when_a_shift_ends_with_nobody_after_it_the_manager_is_told(cast, monday):
    Duty.objects.update(ends_at=MONDAY + 2 * MINUTE)
    red()
    run_pass()
    assert after(monday, 2) == ["maya", "ada"]


def test_five_minutes_are_five_when_clocks_go_back(cast, monday):
    back = datetime(2026, 11, 1, 5, 58, tzinfo=UTC)  # 01:58, and 01:00 again at 06:00
    monday.move_to(back, tick=False)
    Duty.objects.update(starts_at=back, ends_at=back + 60 * MINUTE)
    red()
    run_pass()
    assert "since 01:58" in Client().get(path_of("maya")).content.decode()
    monday.move_to(back + 4.9 * MINUTE, tick=False)
    run_pass()
    assert told() == ["maya"]
    monday.move_to(back + 5 * MINUTE, tick=False)
    run_pass()
    assert told() == ["maya", "rao"]


def test_at_night_and_however_many_texts_it_goes_at_once(cast, monday):
    night = MONDAY - timedelta(hours=6)
    monday.move_to(night, tick=False)
    Duty.objects.update(starts_at=night)
    for number in range(8):
        red(number)
        run_pass()
    assert told() == ["maya"] * 8


def test_with_nobody_on_duty_the_managers_are_told_and_work_says_so(monday):
    ada = colleague("ada")
    item = red()
    assert after(monday, 0) == ["ada"]
    (asks,) = WorkItem.objects.filter(kind="duty")
    assert "nobody is on duty" in asks.sentence
    assert (asks.site, asks.severity) == (item.site, WorkItem.Severity.AMBER)
    assert after(monday, 1) == ["ada"]
    assert WorkItem.objects.filter(kind="duty").count() == 1
    on_duty(colleague("maya"))
    assert after(monday, 2) == ["ada", "maya"]
    asks.refresh_from_db()
    assert asks.closed_by_rule == "somebody is on duty"
    assert ada.duty_alerts.get().step == "manager"


def test_a_leaver_is_not_told(cast, monday):
    User.objects.filter(username="maya").update(is_active=False)
    red()
    assert after(monday, 0) == ["ada"]


def test_without_a_mobile_it_goes_by_email(cast, monday, mailbox):
    User.objects.filter(username="maya").update(phone="", email="maya@example.com")
    red()
    assert after(monday, 0) == ["maya@example.com"]
    assert after(monday, 5) == ["maya@example.com", "rao"]


def test_who_cannot_be_told_at_all_costs_no_time(cast, monday):
    User.objects.filter(username="maya").update(phone="")
    red()
    assert after(monday, 0) == ["rao"]


def test_when_nobody_can_be_told_work_says_so_once(monday):
    on_duty(colleague("maya", phone=""))
    red()
    assert after(monday, 0) == []
    (asks,) = WorkItem.objects.filter(kind="duty")
    assert "nobody could be told" in asks.sentence
    after(monday, 30)
    assert WorkItem.objects.filter(kind="duty").count() == 1


def test_a_silent_phone_is_followed_by_an_email(cast, monday, twilio, mailbox):
    User.objects.filter(username="maya").update(email="maya@example.com")
    red()
    assert after(monday, 0) == ["maya"]
    assert after(monday, 1) == ["maya", "maya@example.com"]
    (mail,) = mailbox.messages_to("maya@example.com")
    assert mail["Subject"] == "Urgent work waiting"
    taps("maya")
    assert after(monday, 6) == ["maya", "maya@example.com"]


def test_a_silent_phone_alone_has_its_five_minutes(cast, monday, twilio):
    red()
    assert after(monday, 0) == ["maya"]
    assert after(monday, 4.9) == ["maya"]
    assert after(monday, 5) == ["maya", "rao"]


def test_a_number_that_asked_us_to_stop_is_not_written_to(cast, monday, mailbox):
    User.objects.filter(username="maya").update(email="maya@example.com")
    suppress(address=PHONES["maya"], channel="sms", cause="STOP")
    red()
    run_pass()
    assert after(monday, 0) == ["maya@example.com"]


def test_where_no_way_works_the_next_is_told_at_once(cast, monday):
    suppress(address=PHONES["maya"], channel="sms", cause="STOP")
    red()
    run_pass()
    assert after(monday, 0.1) == ["rao"]


def test_passes_run_as_often_as_they_like(cast, monday):
    item = red()
    for _again in range(3):
        watch_red()
        alert_now(item)
        run_pass()
    assert told() == ["maya"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_once(monday):
    on_duty(colleague("maya"), colleague("rao"))
    item = red()
    start = threading.Barrier(6)

    def work(step) -> None:
        try:
            start.wait()
            step()
        finally:
            connection.close()

    steps = [watch_red, lambda: alert_now(item), run_pass] * 2
    threads = [threading.Thread(target=work, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_pass()
    assert DutyAlert.objects.count() == 1
    assert told() == ["maya"]


def test_watching_costs_the_same_with_one_and_with_many(cast, monday):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            watch_red()
        return len(queries)

    nothing = cost()
    assert nothing <= 2
    red(1)
    watch_red()
    one = cost()
    for number in range(2, 9):
        red(number)
    watch_red()
    assert cost() == one
