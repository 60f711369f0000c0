"""What becomes of a message: reports doubled, reversed, early, late, or unheard of."""

import threading
import uuid
from datetime import datetime, timedelta
from itertools import permutations, product

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.ticks import run_pass
from messaging import status
from messaging.channels import HandedOver
from messaging.codes import TWILIO, Failure
from messaging.dispatch import record
from messaging.models import Breaker, CurrentSuppression, Message, Notice, StatusEvent
from messaging.promises import broken_promises
from messaging.settling import settle_unknown
from messaging.status import STATES, adopt_orphans, receive_status
from patients.models import ContactPoint
from tests.factories import GRACE, booked, patient
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

IN_TWO_WEEKS = datetime(2026, 12, 7, 10)
BEN = "+16175550145"


def report(message: Message, said: str, code: str = "", **other) -> bool:
    return receive_status(
        **{
            "provider": "twilio",
            "provider_id": message.provider_id,
            "ref": message.ref,
            "status": said,
            "code": code,
        }
        | other
    )


def texts() -> list[Message]:
    return list(Message.objects.filter(direction="out", channel="sms").order_by("id"))


@pytest.fixture
def text(monday, twilio) -> Message:
    """A text to Grace that Twilio took, about a visit in two weeks."""
    booked(patient(email="grace@example.com"), at=IN_TWO_WEEKS)
    run_pass()
    return texts()[0]


def now_of(message: Message) -> tuple[str, str, str]:
    message.refresh_from_db()
    return message.state, message.error_code, told().state


def told() -> Notice:
    return Notice.objects.get(purpose="visit_booked")


class TestOrder:
    @pytest.mark.parametrize(
        ("said", "state", "code", "notice"),
        [
            (["queued", "sent", "delivered", "read"], "read", "", "reached"),
            (["accepted", "sending", "sent", "sent"], "sent", "", "open"),
            (["queued", "sent", "undelivered 30006"], "undelivered", "30006", "open"),
            (["sent", "undelivered 30003", "delivered"], "delivered", None, "reached"),
            (["sending", "failed 30007", "failed"], "failed", "30007", "open"),
            (["queued", "partially_delivered", "flying"], "sent", "", "open"),
        ],
    )
    def test_every_order_ends_the_same(self, text, mailbox, said, state, code, notice):
        for order in permutations(said):
            place = transaction.savepoint()
            for one in order:
                report(text, *one.split())
            now = now_of(text)
            assert (now[0], now[2]) == (state, notice), order
            assert code is None or now[1] == code, order
            transaction.savepoint_rollback(place)

    def test_doubled_reports_are_kept_and_applied_once(self, text):
        assert report(text, "undelivered", "30006")
        assert not report(text, "undelivered", "30006")
        assert StatusEvent.objects.count() == 1
        assert len(texts()) == 1

    def test_a_code_is_not_lost_to_a_report_without_one(self, text):
        report(text, "failed", "30007")
        report(text, "failed")
        assert now_of(text)[1] == "30007"

    def test_a_code_that_comes_later_is_kept(self, text):
        report(text, "undelivered")
        report(text, "undelivered", "30005")
        assert now_of(text)[1] == "30005"
        assert not ContactPoint.objects.get(address=GRACE).usable

    def test_a_phone_that_took_it_is_not_called_dead(self, text):
        report(text, "delivered")
        report(text, "undelivered", "30005")
        assert now_of(text)[0] == "delivered"
        assert ContactPoint.objects.get(address=GRACE).usable

    @pytest.mark.parametrize("said", ["", "flying", "received", "DELIVERED", "é" * 24])
    def test_a_status_nobody_knows_is_kept_and_changes_nothing(self, text, said):
        before = now_of(text)
        assert report(text, said)
        assert now_of(text) == before
        assert StatusEvent.objects.get().message == text

    def test_every_status_of_twilio_has_a_state(self):
        from tests.fakes.twilio import STATUS_RANK  # noqa: PLC0415

        assert set(STATES) >= set(STATUS_RANK)


class TestWhose:
    def test_a_report_may_come_before_we_wrote_the_id_down(self, text):
        sid, text.provider_id = text.provider_id, ""
        Message.objects.update(provider_id="", state="submitting", rank=0)
        report(text, "delivered", provider_id=sid)
        assert now_of(text)[0] == "delivered"
        record(text, HandedOver(sid, "+16175550100"), None)
        assert now_of(text)[0] == "delivered"
        assert (text.provider_id, text.sender) == (sid, "+16175550100")

    def test_an_orphan_waits_for_its_message(self, text):
        sid = text.provider_id
        Message.objects.update(provider_id="", state="submitting", rank=0)
        receive_status(provider="twilio", provider_id=sid, ref=None, status="sent")
        receive_status(provider="twilio", provider_id=sid, ref=None, status="delivered")
        assert StatusEvent.objects.filter(message=None).count() == 2
        text.refresh_from_db()
        record(text, HandedOver(sid, ""), None)
        assert now_of(text)[0] == "delivered"
        assert not StatusEvent.objects.filter(message=None).exists()

    def test_one_that_slipped_in_between_is_adopted(self, text):
        StatusEvent.objects.create(
            provider="twilio",
            provider_id=text.provider_id,
            status="delivered",
            at=timezone.now(),
        )
        assert adopt_orphans() == 1
        assert now_of(text)[0] == "delivered"
        assert adopt_orphans() == 0

    def test_what_is_nobodys_stays_an_orphan_and_is_left_alone(self, text, monday):
        assert report(text, "sent", provider_id="SMelse", ref=None)
        assert adopt_orphans() == 0
        assert StatusEvent.objects.get().message is None

    def test_a_reference_does_not_bring_a_second_id(self, text):
        before = now_of(text)
        assert report(text, "failed", provider_id="SMother")
        assert now_of(text) == before
        assert StatusEvent.objects.get().message is None

    def test_an_id_that_is_anothers_stays_with_it(self, monday, twilio):
        for given, phone in (("Grace", GRACE), ("Ben", BEN)):
            booked(patient(given, phone=phone), at=IN_TWO_WEEKS, overbooked=True)
        run_pass()
        one, two = texts()
        sid = one.provider_id
        Message.objects.filter(pk=two.pk).update(
            provider_id="", state="unknown", rank=0
        )
        two.refresh_from_db()
        assert report(two, "delivered", provider_id=sid)
        one.refresh_from_db()
        two.refresh_from_db()
        assert (one.state, two.state) == ("delivered", "unknown")

    def test_a_reply_has_no_status(self, text):
        Message.objects.update(direction="in")
        assert report(text, "failed")
        assert StatusEvent.objects.get().message is None

    def test_a_report_that_cannot_be_applied_is_kept(self, text, monkeypatch):
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(status, "note_progress", broken)
        assert report(text, "delivered")
        assert now_of(text)[0] == "accepted"
        monkeypatch.undo()
        assert adopt_orphans() == 1
        assert now_of(text) == ("delivered", "", "reached")


class TestAddresses:
    @pytest.mark.parametrize("code", ["21610", "63033"])
    def test_they_told_the_provider_to_stop(self, text, code):
        report(text, "failed", code)
        assert CurrentSuppression.objects.get().address == GRACE

    def test_the_same_said_late_counts_all_the_same(self, text):
        report(text, "delivered")
        report(text, "failed", "21610")
        assert CurrentSuppression.objects.get().address == GRACE

    @pytest.mark.parametrize(
        "code", [str(c) for c, m in TWILIO.items() if m.failure is Failure.BAD_ADDRESS]
    )
    def test_a_number_that_is_none(self, text, code):
        report(text, "undelivered", code)
        assert (
            ContactPoint.objects.get(address=GRACE).why_not == f"not reachable ({code})"
        )


class TestAgain:
    @pytest.mark.parametrize(
        ("code", "minutes"), [("30003", 120), ("30008", 30), ("30453", 240)]
    )
    def test_the_same_words_go_once_more_later(
        self, text, monday, twilio, mailbox, code, minutes
    ):
        report(text, "undelivered", code)
        again = texts()[1]
        assert again.not_before == timezone.now() + timedelta(minutes=minutes)
        assert (again.address, again.body) == (GRACE, text.body)
        assert list(again.notices.all()) == [told()]
        monday.shift(timedelta(minutes=minutes - 1))
        run_pass()
        assert broken_promises() == []
        assert (len(twilio.ledger), mailbox.messages) == (1, [])
        monday.shift(timedelta(minutes=2))
        run_pass()
        assert len(twilio.ledger) == 2
        report(texts()[1], "undelivered", code)
        run_pass()
        assert len(twilio.ledger) == 2
        assert len(mailbox.messages) == 1

    def test_a_full_queue_is_tried_three_times(self, text, monday, twilio, mailbox):
        for tries in range(1, 5):
            assert len(twilio.ledger) == tries
            report(texts()[-1], "failed", "30001")
            monday.shift(timedelta(minutes=6))
            run_pass()
        assert len(twilio.ledger) == 4
        assert len(mailbox.messages) == 1

    def test_not_when_there_is_no_time_for_it_and_for_a_person(
        self, monday, twilio, mailbox
    ):
        booked(patient(email="grace@example.com"), at=datetime(2026, 11, 23, 13, 29))
        run_pass()
        report(texts()[0], "undelivered", "30003")
        run_pass()
        assert len(mailbox.messages) == 1

    @pytest.mark.parametrize("code", ["30004", "30005", "30007", "99999", ""])
    def test_what_does_not_pass_goes_another_way_at_once(self, text, mailbox, code):
        report(text, "undelivered", code)
        run_pass()
        assert len(texts()) == 1
        assert len(mailbox.messages) == 1

    def test_another_number_of_theirs_is_tried_at_once(self, monday, twilio):
        grace = patient()
        ContactPoint.objects.create(patient=grace, channel="sms", address=BEN, rank=1)
        booked(grace, at=IN_TWO_WEEKS)
        run_pass()
        report(texts()[0], "undelivered", "30003")
        run_pass()
        assert [accepted.to for accepted in twilio.ledger] == [GRACE, BEN]
        report(texts()[1], "undelivered", "30003")
        assert [one.address for one in texts()] == [GRACE, BEN, BEN]

    def test_a_receipt_that_was_slower_takes_the_second_one_back(
        self, text, monday, twilio
    ):
        report(text, "undelivered", "30008")
        report(text, "delivered")
        monday.shift(timedelta(hours=1))
        run_pass()
        assert len(twilio.ledger) == 1
        assert told().state == "reached"
        assert texts()[1].state == "withdrawn"

    def test_a_late_report_starts_nothing_anew(self, text, monday, twilio, mailbox):
        monday.shift(timedelta(minutes=31))
        run_pass()
        assert len(mailbox.messages) == 1
        report(text, "undelivered", "30003")
        monday.shift(timedelta(hours=3))
        run_pass()
        assert len(twilio.ledger) == 1

    def test_an_answer_is_not_said_again(self, text, monday, twilio):
        Notice.objects.filter(pk=told().pk).update(purpose="reply")
        report(text, "undelivered", "30003")
        assert len(texts()) == 1


class TestStaff:
    def test_a_sender_that_is_not_registered_closes_the_gateway(self, text, mailbox):
        report(text, "undelivered", "30034")
        run_pass()
        assert Breaker.objects.get().state == "open"
        assert WorkItem.objects.open().get().kind == "gateway"
        assert len(mailbox.messages) == 1

    def test_a_refused_text_is_one_item_for_all_who_were_to_get_it(
        self, monday, twilio, mailbox
    ):
        for given, phone in (("Grace", GRACE), ("Ben", BEN)):
            ben = patient(given, phone=phone, email=f"{given}@example.com")
            booked(ben, at=IN_TWO_WEEKS, overbooked=True)
        run_pass()
        for one in texts():
            report(one, "failed", "30019")
        run_pass()
        item = WorkItem.objects.open().get()
        assert (item.kind, item.patient) == ("refused_text", None)
        assert item.reason_places == {
            "gateway": "twilio",
            "text": "visit_booked",
            "code": "30019",
        }
        assert len(mailbox.messages) == 2


@pytest.mark.parametrize("taken", list(product([True, False], repeat=3)))
def test_same_words_to_one_number_are_told_apart_by_count(monday, twilio, taken):
    twilio.script(
        *(
            Behaviour.SERVER_ERROR_AFTER if was else Behaviour.SERVER_ERROR_BEFORE
            for was in taken
        )
    )
    for n in range(len(taken)):
        ben = patient(f"Ben{n}", phone=f"+1617555014{n}")
        booked(ben, at=IN_TWO_WEEKS, overbooked=True)
    run_pass()
    Message.objects.update(address=GRACE, body="The same")
    for resource in twilio._resources.values():
        resource.to, resource.body = GRACE, "The same"
    monday.shift(121)
    settle_unknown()
    linked = [one.provider_id for one in texts() if one.provider_id]
    assert sorted(linked) == sorted(accepted.sid for accepted in twilio.ledger)
    assert len(set(linked)) == sum(taken)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("said", ["delivered", "undelivered"])
def test_reports_and_our_own_record_at_once_end_the_same(twilio, said):
    booked(at=datetime(2030, 11, 1, 10))
    run_pass()
    text = texts()[0]
    sid = text.provider_id
    for _round in range(5):
        Notice.objects.update(state="open", rung_until=None)
        token = uuid.uuid4()
        Message.objects.filter(pk=text.pk).update(
            provider_id="", state="submitting", rank=0, lease_token=token
        )
        start = threading.Barrier(3)

        def tell(ref, sid=sid, round_=_round, start=start):
            start.wait()
            receive_status(
                provider="twilio",
                provider_id=sid,
                ref=ref,
                status=said,
                code=str(90000 + round_),
            )
            connection.close()

        def write(token=token, start=start):
            start.wait()
            record(text, HandedOver(sid, "+16175550100"), token)
            connection.close()

        threads = [
            threading.Thread(target=tell, args=(text.ref,)),
            threading.Thread(target=tell, args=(None,)),
            threading.Thread(target=write),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        adopt_orphans()
        text.refresh_from_db()
        assert (text.provider_id, text.state) == (sid, said)
