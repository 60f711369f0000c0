"""The table of reasons to write: whole, and at one with itself."""

from datetime import timedelta

import pytest

from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Message
from messaging.purposes import PURPOSES, RANKS
from patients.models import Channel, Consent, ContactPerson
from patients.registry import topics

#: Reasons that need no consent: answers to what somebody has just written, and words
#: among colleagues or to oneself.
UNASKED = {
    "reply",
    "emergency_reply",
    "crisis_reply",
    "opted_out",
    "duty_alert",
    "test_send",
}

each = pytest.mark.parametrize(
    "purpose", [pytest.param(p, id=key) for key, p in PURPOSES.items()]
)


@each
def test_a_ladder_has_rungs_and_no_channel_twice(purpose):
    channels = [rung.channel for rung in purpose.ladder]
    assert channels
    assert len(set(channels)) == len(channels)


@each
def test_its_waits_leave_a_person_time_before_a_visit_of_tomorrow(purpose):
    """A reminder goes a day ahead, by 21 at the latest: three hours on it is known."""
    waits = [rung.settles_after or rung.wait for rung in purpose.ladder]
    assert all(wait > timedelta(0) for wait in waits)
    assert sum(waits, timedelta(0)) <= timedelta(hours=3)


@each
def test_reached_is_something_a_message_can_come_to(purpose):
    for rung in purpose.ladder:
        assert RANKS[Message.State(rung.reached_at)] in (1, 5, 6)
        # Email has no receipts: only that no bounce came tells that a patient has it.
        # A colleague says so by a tap.
        if purpose.scope is not None:
            assert (rung.channel == Channel.EMAIL) is (rung.settles_after is not None)


@each
def test_a_reason_is_named_and_so_is_the_right_to_hear_of_it(purpose):
    assert str(purpose.title)
    assert purpose.scope is None or purpose.scope in ContactPerson.Scope
    assert purpose.consent is None or purpose.consent in Consent.Purpose


def test_what_needs_no_consent_is_meant_so():
    unasked = {key for key, p in PURPOSES.items() if p.consent is None}
    assert unasked <= UNASKED


def test_pages_know_every_reason_to_write_to_patients():
    known = {key: topic.title for key, topic in topics}
    assert known == {k: p.title for k, p in PURPOSES.items() if p.scope is not None}


def test_what_matters_to_a_patient_has_more_than_one_way():
    for key, purpose in PURPOSES.items():
        if purpose.matters and key not in UNASKED:
            assert len(purpose.ladder) > 1, key


def test_what_asks_for_digits_can_also_ask_for_none():
    """An address with an open question, or an email, gets the text without digits."""
    for key, shipped in DEFAULT_TEXTS.items():
        if "d1" in shipped.fields and key in ("visit_booked", "visit_reminder"):
            assert "d1" not in DEFAULT_TEXTS[f"{key}_no_digits"].fields
