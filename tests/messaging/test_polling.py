"""What the webhooks missed, from Twilio's list: everything once, nothing twice."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Heartbeat
from accounts.ticks import run_pass
from messaging import polling
from messaging.channels import twilio as channel_module
from messaging.inbound import receive
from messaging.models import CurrentSuppression, Message, Notice, StatusEvent, Tally
from messaging.polling import poll
from messaging.promises import broken_promises
from messaging.status import receive_status
from patients.models import Channel
from tests.factories import GRACE, MONDAY, booked, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

CLINIC = "+16175550100"
TOMORROW_10 = datetime(2026, 11, 24, 10)
A_MOMENT = timedelta(minutes=5, seconds=1)


def replies() -> list[Message]:
    return list(Message.objects.filter(direction="in").order_by("id"))


def tallied() -> dict[str, int]:
    return dict(Tally.objects.values_list("key", "count"))


class TestTexts:
    def test_one_whose_webhook_never_came_is_taken_in_once(self, monday, twilio):
        poll()
        sid = twilio.receive(GRACE, CLINIC, "Running late", num_media=1)
        for _ in range(3):
            monday.shift(A_MOMENT)
            poll()
        (reply,) = replies()
        assert (reply.provider_id, reply.body, reply.media_count) == (
            sid,
            "Running late",
            1,
        )
        assert (reply.address, reply.sender) == (GRACE, CLINIC)
        assert tallied() == {"webhook_missed": 1}

    def test_it_stands_where_it_was_written_and_is_acted_on(self, monday, twilio):
        booked(at=TOMORROW_10)
        run_pass()
        twilio.receive(GRACE, CLINIC, "STOP")
        monday.shift(A_MOMENT)
        run_pass()
        run_pass()
        (reply,) = replies()
        assert reply.at == MONDAY
        assert reply.handled_at == timezone.now()
        assert CurrentSuppression.objects.get().address == GRACE
        assert broken_promises() == []

    def test_the_webhook_is_given_its_time(self, monday, twilio):
        twilio.receive(GRACE, CLINIC, "Hello")
        poll()
        assert replies() == []

    def test_what_the_webhook_brought_is_not_new(self, monday, twilio):
        sid = twilio.receive(GRACE, CLINIC, "Hello")
        bring(sid, "Hello")
        monday.shift(A_MOMENT)
        assert poll() == 0
        bring(sid, "Hello")
        assert len(replies()) == 1
        assert tallied() == {}

    def test_a_webhook_that_comes_after_all_is_no_second_text(self, monday, twilio):
        sid = twilio.receive(GRACE, CLINIC, "Hello")
        monday.shift(A_MOMENT)
        poll()
        assert not bring(sid, "Hello")
        assert len(replies()) == 1

    def test_a_change_of_mind_keeps_its_order(self, monday, twilio, monkeypatch):
        monkeypatch.setattr(polling, "CHUNK", 2)
        monkeypatch.setattr(channel_module, "RECENT_PAGE_SIZE", 2)
        poll()
        for body in "12345":
            twilio.receive(GRACE, CLINIC, body)
            monday.shift(1)
        monday.shift(A_MOMENT)
        assert poll() == 5
        assert [reply.body for reply in replies()] == list("12345")

    def test_one_that_breaks_holds_up_no_other(self, monday, twilio, monkeypatch):
        bad = twilio.receive(GRACE, CLINIC, "bad")
        twilio.receive(GRACE, CLINIC, "good")
        store = polling._store

        def fragile(one):
            if one.provider_id == bad:
                raise RuntimeError
            return store(one)

        monkeypatch.setattr(polling, "_store", fragile)
        monday.shift(A_MOMENT)
        poll()
        assert [reply.body for reply in replies()] == ["good"]
        monkeypatch.undo()
        monday.shift(A_MOMENT)
        poll()
        assert [reply.body for reply in replies()] == ["good", "bad"]

    def test_nothing_is_raised_for_a_person_by_the_poll_itself(self, monday, twilio):
        twilio.receive(GRACE, CLINIC, "Hello")
        monday.shift(A_MOMENT)
        poll()
        assert not WorkItem.objects.exists()

    def test_nul_and_overrides_come_this_way_too(self, monday, twilio):
        twilio.receive(GRACE, CLINIC, "a\x00b\u202ec" + "x" * 10_500)
        monday.shift(A_MOMENT)
        poll()
        (reply,) = replies()
        assert reply.body.startswith("abcx")
        assert len(reply.body) == 10_000


def bring(sid: str, body: str) -> bool:
    return receive(
        provider="twilio",
        provider_id=sid,
        channel=Channel.SMS,
        from_address=GRACE,
        to_address=CLINIC,
        body=body,
    )


class TestStatuses:
    def test_a_receipt_that_was_lost_comes_before_the_next_rung(
        self, monday, twilio, mailbox
    ):
        booked(patient(email="grace@example.com"), at=TOMORROW_10)
        run_pass()
        twilio.set_status(twilio.ledger[0].sid, "delivered")
        for _ in range(7):
            monday.shift(A_MOMENT)
            run_pass()
        assert mailbox.messages == []
        assert Notice.objects.get(purpose="visit_booked").state == "reached"
        assert tallied() == {"status_missed": 1}

    def test_a_failure_that_was_lost_goes_on(self, monday, twilio, mailbox):
        booked(patient(email="grace@example.com"), at=TOMORROW_10)
        run_pass()
        twilio.set_status(twilio.ledger[0].sid, "undelivered", error_code=30006)
        monday.shift(A_MOMENT)
        run_pass()
        run_pass()
        assert len(mailbox.messages) == 1

    def test_one_that_is_known_or_says_less_is_left_alone(self, monday, twilio):
        booked(at=TOMORROW_10)
        run_pass()
        sid = twilio.ledger[0].sid
        receive_status(provider="twilio", provider_id=sid, ref=None, status="delivered")
        twilio.set_status(sid, "sent")
        monday.shift(A_MOMENT)
        assert poll() == 0
        assert StatusEvent.objects.count() == 1

    def test_what_others_sent_from_the_account_is_not_ours(self, monday, twilio):
        booked(at=TOMORROW_10)
        run_pass()
        Message.objects.update(provider_id="SMother")
        twilio.set_status(twilio.ledger[0].sid, "failed", error_code=30006)
        monday.shift(A_MOMENT)
        assert poll() == 0
        assert not StatusEvent.objects.exists()

    def test_a_phone_that_was_off_all_night_is_looked_at_again(self, monday, twilio):
        booked(at=datetime(2026, 12, 7, 10))
        run_pass()
        monday.shift(timedelta(hours=11))
        poll()
        twilio.set_status(twilio.ledger[0].sid, "delivered")
        monday.shift(timedelta(hours=1))
        assert poll() == 1


class TestWhen:
    def test_every_five_minutes_and_no_sooner(self, monday, twilio, monkeypatch):
        asked = []
        monkeypatch.setattr(polling, "_since", lambda now: asked.append(now) or now)
        for _ in range(11):
            poll()
            monday.shift(60)
        assert len(asked) == 3

    def test_nobody_is_asked_where_texts_are_simulated(self, monday, settings):
        settings.SMS_GATEWAY = "simulated"
        assert poll() == 0
        assert not Heartbeat.objects.exists()

    def test_a_list_that_cannot_be_had_is_read_further_back_later(
        self, monday, twilio, caplog
    ):
        poll()
        twilio.receive(GRACE, CLINIC, "Hello")
        twilio.stop()
        for _ in range(12):
            monday.shift(timedelta(hours=1))
            run_pass()
        twilio.start()
        monday.shift(timedelta(hours=1))
        poll()
        assert [reply.body for reply in replies()] == ["Hello"]

    @pytest.mark.parametrize(
        ("read", "back"),
        [
            (None, timedelta(hours=3)),
            (timedelta(minutes=5), timedelta(hours=3, minutes=5)),
            (timedelta(minutes=31), timedelta(hours=36)),
            (timedelta(days=2), timedelta(days=2, hours=3)),
            (timedelta(days=60), timedelta(days=7)),
        ],
    )
    def test_how_far_back_it_looks(self, read, back):
        now = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
        if read is not None:
            Heartbeat.objects.create(key=polling.READ, at=now - read)
        assert polling._since(now) == now - back

    def test_of_two_workers_one_asks(self, monday, twilio):
        assert polling._is_due()
        assert not polling._is_due()
        monday.shift(A_MOMENT)
        assert polling._is_due()
        assert not polling._is_due()

    def test_a_thousand_messages_cost_two_queries(
        self, monday, twilio, django_assert_max_num_queries
    ):
        poll()
        for n in range(300):
            sid = twilio.receive(GRACE, CLINIC, f"text {n}")
            Message.objects.create(
                direction="in",
                channel="sms",
                address=GRACE,
                body="",
                state="received",
                encoding="GSM-7",
                not_before=timezone.now(),
                at=timezone.now(),
                provider="twilio",
                provider_id=sid,
            )
        monday.shift(A_MOMENT)
        with django_assert_max_num_queries(9):
            poll()
