"""What is written: the locked footer, and for whom."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.ticks import run_pass
from messaging.inbound import handle_received, receive
from messaging.ladder import open_due
from messaging.models import Message
from messaging.services import promise
from messaging.writing import fill
from patients.models import Channel, SafeContactPlan
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    clinician,
    patient,
)
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

IN_TWO_WEEKS = datetime(2026, 12, 7, 10)
FOOTER = " Text STOP to end texts."
PIE = " STOP para no recibir textos."


def texts() -> list[Message]:
    return list(Message.objects.filter(direction="out", channel="sms").order_by("id"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("accepted", False),
        ("sent", False),
        ("delivered", False),
        ("read", False),
        # Whether anybody could read the first is not known, or it is that nobody did.
        ("queued", True),
        ("unknown", True),
        ("undelivered", True),
        ("failed", True),
        ("withdrawn", True),
    ],
)
def test_the_footer_is_left_out_only_once_one_has_gone(monday, first, second):
    grace = patient()
    booked(grace)
    open_due()
    (one,) = texts()
    assert one.body.endswith(FOOTER)
    one.state = first
    one.save()
    booked(grace, at=IN_TWO_WEEKS)
    open_due()
    assert texts()[1].body.endswith(FOOTER) is second


def test_two_written_at_once_both_carry_it(monday):
    grace = patient()
    booked(grace)
    booked(grace, at=IN_TWO_WEEKS)
    open_due()
    assert [text.body.endswith(FOOTER) for text in texts()] == [True, True]


def test_whoever_shares_the_number_has_read_it(monday, twilio):
    booked(patient())
    run_pass()
    booked(patient("Ben"), at=IN_TWO_WEEKS)
    run_pass()
    assert [text.body.endswith(FOOTER) for text in texts()] == [True, False]


def test_it_is_in_the_language_of_the_text(monday):
    booked(patient("Tomás", language="es"))
    open_due()
    assert texts()[0].body.endswith(PIE)


def test_somebody_unknown_reads_it_in_the_sites_language(monday, twilio):
    SiteFactory(language="es")
    receive(
        channel=Channel.SMS,
        from_address="+16175550177",
        to_address="",
        body="me duele el pecho",
        provider="twilio",
        provider_id="SM1",
    )
    handle_received()
    open_due()
    (answer,) = texts()
    assert answer.body.startswith("Harbour Clinic: Esto puede")
    assert answer.body.endswith(PIE)


def test_a_neutral_sender_carries_it_too_and_names_no_clinic(monday):
    rosa = patient("Rosa")
    SafeContactPlan.objects.create(
        patient=rosa,
        channel="sms",
        reason="at home",
        made_by=UserFactory(),
        made_at=MONDAY,
    )
    booked(rosa)
    open_due()
    (text,) = texts()
    assert text.neutral
    assert text.body.endswith(FOOTER)
    assert "Clinic" not in text.body


def test_a_mail_carries_none(monday):
    booked(patient(phone="", email="grace@example.com"))
    open_due()
    assert "STOP" not in Message.objects.get().body


def test_a_name_is_cut_in_a_text_and_whole_in_a_mail(monday):
    name = "Wolfeschlegelsteinhausenbergerdorff"
    booked(patient(name))
    grace = patient(name, phone="", email="grace@example.com")
    booked(grace, clinician=clinician("Dr Lin"))
    open_due()
    text, mail = Message.objects.order_by("channel").reverse()
    assert (text.channel, mail.channel) == ("sms", "email")
    assert name not in text.body
    assert name in mail.body


def test_a_colleague_is_not_asked_whether_they_want_texts(monday):
    femi = UserFactory()
    grace = patient()
    booked(grace)
    open_due()
    (text,) = texts()
    (notice,) = text.notices.all()
    notice.user, notice.patient = femi, None
    fill(text, [notice], digits_from=None)
    assert "STOP" not in text.body


@pytest.mark.parametrize("many", [2, 7])
def test_opening_many_reads_each_text_once(monday, many):
    for n in range(many):
        who = patient(f"P{n}", phone=f"+1617555{n:04}")
        booked(who, at=datetime(2026, 11, 24, 9 + n), clinician=clinician(f"Dr {n}"))
    with CaptureQueriesContext(connection) as queries:
        assert open_due() == many
    assert sum("messaging_template" in query["sql"] for query in queries) == 1


def test_a_promise_without_words_goes_to_a_person(monday, twilio):
    grace = patient()
    visit = booked(grace, tell=False)
    promise(
        purpose="visit_booked",
        template_key="nonsense",
        cause_kind="appointment",
        cause_id=visit.pk,
        dedupe_key="nonsense",
        deadline=MONDAY + timedelta(days=1),
        zone="America/New_York",
        patient=grace,
    )
    run_pass()
    assert texts() == []
    assert twilio.ledger == []
    assert "its text cannot be written" in WorkItem.objects.get().sentence
    assert GRACE not in WorkItem.objects.get().sentence
