"""Trouble with sending becomes work for a manager, and ends when it is over."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.ladder import open_due
from messaging.models import Message, Notice, Tally
from messaging.promises import watch
from messaging.vigilance import look
from tests.factories import MONDAY, booked, member_of_staff
from worklist.models import WorkItem
from worklist.queries import items_of
from worklist.services import claim_item, close_item

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


def the_item() -> WorkItem:
    return WorkItem.objects.open().get(kind="sending")


def test_all_is_well(monday, django_assert_max_num_queries):
    booked(at=TOMORROW_10)
    run_pass()
    with django_assert_max_num_queries(5):
        assert look(timezone.now()) == 0
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize(("minutes", "raised"), [(5, 0), (6, 1)])
def test_messages_that_could_go_and_do_not(monday, minutes, raised):
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=minutes))
    assert look(timezone.now()) == raised
    if raised:
        assert the_item().sentence == (
            "Messages that could go have waited for more than 5 minutes."
        )


def test_it_ends_by_itself(monday):
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=6))
    look(timezone.now())
    assert look(timezone.now()) == 0
    run_pass()
    look(timezone.now())
    item = WorkItem.objects.get(kind="sending")
    assert item.closed_by_rule == "it is over"


def test_what_a_colleague_took_on_they_close(monday):
    ada = member_of_staff("ada", Role.MANAGER)
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=6))
    look(timezone.now())
    claim_item(item_id=the_item().pk, by=ada)
    run_pass()
    assert look(timezone.now()) == 0
    assert the_item().owner == ada


def test_closed_by_hand_it_comes_back_within_the_hour_and_not_at_once(monday):
    ada = member_of_staff("ada", Role.MANAGER)
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=6))
    look(timezone.now())
    close_item(item_id=the_item().pk, outcome="no harm", by=ada)
    assert look(timezone.now()) == 0
    monday.shift(timedelta(minutes=60))
    assert look(timezone.now()) == 1


def test_unknown_for_too_long_and_with_nobody(monday):
    booked(at=TOMORROW_10)
    open_due()
    Message.objects.update(state="unknown", submitting_at=MONDAY)
    monday.shift(timedelta(minutes=30))
    assert look(timezone.now()) == 0
    monday.shift(1)
    assert look(timezone.now()) == 1
    assert "whether 1 messages went out" in the_item().sentence
    # Somebody has it now.
    Notice.objects.filter(state="open").update(state="with_staff")
    look(timezone.now())
    assert not WorkItem.objects.open().exists()


def test_webhooks_nobody_signed(monday):
    tally = Tally.objects.create(key="webhook_unsigned", day=MONDAY.date(), count=20)
    assert look(timezone.now()) == 0
    tally.count = 21
    tally.save()
    assert look(timezone.now()) == 1
    assert "21 webhooks today" in the_item().sentence
    monday.shift(timedelta(days=1))
    look(timezone.now())
    assert not WorkItem.objects.open().exists()


def test_only_managers_see_it(monday):
    Tally.objects.create(key="webhook_unsigned", day=MONDAY.date(), count=21)
    look(timezone.now())
    assert items_of(member_of_staff("ada", Role.MANAGER)).count() == 1
    assert items_of(member_of_staff("femi", Role.FRONT_DESK)).count() == 0


def test_a_pass_looks_once_a_minute(monday, django_assert_num_queries):
    Tally.objects.create(key="webhook_unsigned", day=MONDAY.date(), count=21)
    assert watch() == 1
    with django_assert_num_queries(1):
        assert watch() == 0
