"""What needs a person: taken on once, ended with an outcome."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.roles import Role
from tests.factories import SiteFactory, member_of_staff
from worklist.models import WorkItem
from worklist.queries import open_items
from worklist.services import claim_item, close_by_rule, close_item, raise_item

pytestmark = pytest.mark.django_db


def item(severity=WorkItem.Severity.AMBER, key="a", **fields) -> WorkItem:
    return raise_item(
        kind="cancel_word",
        severity=severity,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=1,
        dedupe_key=key,
        due_at=fields.pop("due_at", timezone.now()),
        **fields,
    )


@pytest.fixture
def nora():
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def femi():
    return member_of_staff("femi", Role.FRONT_DESK)


def test_the_same_thing_twice_is_one_item():
    assert item() == item()
    assert WorkItem.objects.count() == 1


def test_one_of_two_takes_it_on(nora, femi):
    first = item()
    claim_item(item_id=first.pk, by=nora)
    claim_item(item_id=first.pk, by=nora)
    with pytest.raises(ValidationError, match="Nora has it already"):
        claim_item(item_id=first.pk, by=femi)
    assert [e.what for e in first.events.all()] == ["opened", "claimed"]


def test_it_ends_with_an_outcome_and_a_name(nora):
    ended = close_item(item_id=item().pk, outcome="kept", by=nora, note="called her")
    assert (ended.outcome, ended.closed_by) == ("kept", nora)
    with pytest.raises(ValidationError, match="already done"):
        claim_item(item_id=ended.pk, by=nora)


def test_no_made_up_outcomes(nora):
    with pytest.raises(ValidationError, match="how it ended"):
        close_item(item_id=item().pk, outcome="whatever", by=nora)


def test_closing_twice_keeps_the_first_answer(nora, femi):
    first = item()
    close_item(item_id=first.pk, outcome="kept", by=nora)
    again = close_item(item_id=first.pk, outcome="cancelled", by=femi)
    assert (again.outcome, again.closed_by) == ("kept", nora)


def test_no_rule_closes_a_red_one():
    red = item(severity=WorkItem.Severity.RED)
    rule = {"subject_kind": "message", "subject_id": 1, "rule": "delivered"}
    assert close_by_rule(**rule, unclaimed=False) == 0
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkItem.objects.filter(pk=red.pk).update(
            closed_at=timezone.now(), outcome="x", closed_by_rule="delivered"
        )


def test_the_database_wants_an_outcome(nora):
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkItem.objects.filter(pk=item().pk).update(
            closed_at=timezone.now(), closed_by=nora
        )


def test_a_kind_nobody_registered_is_a_programming_error():
    with pytest.raises(KeyError, match="work_kinds: no 'nonsense'"):
        raise_item(
            kind="nonsense",
            severity=WorkItem.Severity.AMBER,
            reason="?",
            subject_kind="x",
            subject_id=1,
            dedupe_key="x",
            due_at=timezone.now(),
        )


def test_past_their_time_then_red_then_soonest(monday, nora):
    now = timezone.now()
    hour = timedelta(hours=1)
    site = SiteFactory()
    item(key="late", due_at=now - hour, site=site)
    item(WorkItem.Severity.RED, "red", due_at=now + hour, site=site)
    item(key="soon", due_at=now + hour, site=site)
    item(key="later", due_at=now + 2 * hour, site=site)
    item(key="elsewhere", due_at=now, site=SiteFactory(name="Harbour Clinic North"))
    assert [i.dedupe_key for i in open_items(nora)] == ["late", "red", "soon", "later"]
