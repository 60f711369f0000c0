"""The way out through Twilio: what each answer means, and what its list can tell."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.channels import ChannelError, Failure, Outgoing
from messaging.channels import twilio as module
from messaging.channels.twilio import TwilioChannel, classify
from messaging.codes import TWILIO, meaning_of
from tests.factories import GRACE, MONDAY
from tests.fakes.twilio import Behaviour, FakeTwilio

CLINIC = "+16175550100"
TEXT = "Your visit is tomorrow at 10:00."


@pytest.fixture(autouse=True)
def at_nine():
    with time_machine.travel(MONDAY, tick=False) as traveller:
        yield traveller


@pytest.fixture
def fake():
    with FakeTwilio() as fake:
        fake.callbacks = ()
        yield fake
        assert fake.violations == []


@pytest.fixture
def channel(fake):
    return channel_of(fake)


def channel_of(fake, *tokens: str, service: str = "") -> TwilioChannel:
    return TwilioChannel(
        account_sid=fake.account_sid,
        auth_tokens=tokens or [fake.auth_token],
        base_url=fake.url,
        messaging_service_sid=service,
        from_number=CLINIC,
        connections=2,
    )


def outgoing(body: str = TEXT, *, minutes: float = 60) -> Outgoing:
    return Outgoing(
        ref="1",
        first_ref="1",
        to=GRACE,
        body=body,
        subject="",
        deadline=datetime.now(UTC) + timedelta(minutes=minutes),
        status_url="https://clinic.example/webhooks/twilio/status/?ref=1",
    )


def refused(channel: TwilioChannel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        channel.send(outgoing())
    return caught.value


def find(channel, body=TEXT, known=(), since=MONDAY - timedelta(minutes=1)):
    found = channel.find(GRACE, body, since, set(known))
    return found and found.provider_id


class TestWhatAnAnswerMeans:
    @pytest.mark.parametrize("code", sorted(TWILIO))
    def test_every_code_of_the_table_means_at_the_door_what_it_means_later(self, code):
        error = classify(400, code)
        assert error.failure is meaning_of("twilio", str(code)).failure
        assert error.code == str(code)

    @pytest.mark.parametrize(
        ("code", "failure"),
        [
            (21610, Failure.OPTED_OUT),
            (21211, Failure.BAD_ADDRESS),
            (21635, Failure.BAD_ADDRESS),
            (30007, Failure.REFUSED),
            (21408, Failure.REFUSED),
            (21617, Failure.CONTENT),
            (20429, Failure.TRY_LATER),
            (21611, Failure.TRY_LATER),
            (30022, Failure.TRY_LATER),
            (20003, Failure.CONFIG),
            (21608, Failure.CONFIG),
            (30034, Failure.CONFIG),
            (99999, Failure.REFUSED),
        ],
    )
    def test_classes_of_codes(self, code, failure):
        assert classify(400, code).failure is failure

    @pytest.mark.parametrize(
        ("status", "code", "failure"),
        [
            (400, None, Failure.REFUSED),
            (409, 12345, Failure.REFUSED),
            (422, "twelve", Failure.REFUSED),
            (429, None, Failure.TRY_LATER),
            (302, None, Failure.CONFIG),
            (401, None, Failure.CONFIG),
            (403, None, Failure.CONFIG),
            (404, None, Failure.CONFIG),
            (407, None, Failure.CONFIG),
            (408, None, Failure.UNKNOWN),
            (500, 20500, Failure.UNKNOWN),
            # Whatever it says: a server that fails may have taken it first.
            (500, 21211, Failure.UNKNOWN),
            (503, 20429, Failure.UNKNOWN),
            (599, None, Failure.UNKNOWN),
        ],
    )
    def test_answers_nobody_foresaw_have_a_safe_class(self, status, code, failure):
        assert classify(status, code).failure is failure

    @given(st.integers(min_value=300, max_value=599), st.integers())
    def test_no_answer_is_beyond_us(self, status, code):
        error = classify(status, code)
        assert error.failure in Failure
        assert status < 500 or error.failure is Failure.UNKNOWN

    @pytest.mark.parametrize("code", ["", "x", "²", "30003 ", "999999999999", "-1"])
    def test_codes_that_are_none_are_refusals(self, code):
        assert meaning_of("twilio", code).failure is Failure.REFUSED

    @pytest.mark.parametrize(
        ("code", "failure"),
        [
            ("5.1.1", Failure.BAD_ADDRESS),
            ("5.1.8", Failure.REFUSED),
            ("5.2.2", Failure.REFUSED),
            ("30006", Failure.REFUSED),
        ],
    )
    def test_mail_has_codes_of_its_own(self, code, failure):
        assert meaning_of("smtp", code).failure is failure

    @pytest.mark.parametrize(
        ("said", "seconds"),
        [
            ("7", 7),
            ("0", 0),
            (None, None),
            ("soon", None),
            ("-5", None),
            ("99999999999999999999", 3600),
            ("Mon, 23 Nov 2026 14:00:30 GMT", 30),
            ("Mon, 23 Nov 2026 13:00:00 GMT", 0),
            ("Mon, 23 Nov 2099 13:00:00 GMT", 3600),
        ],
    )
    def test_how_long_to_leave_it_alone(self, fake, channel, said, seconds):
        fake.script(Behaviour.error(429, 20429, retry_after=said))
        error = refused(channel)
        assert (error.failure, error.retry_after) == (Failure.TRY_LATER, seconds)

    def test_a_code_may_say_how_long(self, fake, channel):
        fake.script(Behaviour.error(400, 30022))
        assert refused(channel).retry_after == 300


class TestTransport:
    def test_nobody_listening_means_it_was_not_sent(self, fake, channel):
        fake.stop()
        assert refused(channel).failure is Failure.TRY_LATER
        fake.start()

    def test_a_name_nobody_knows_means_it_was_not_sent(self, monkeypatch):
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        channel = TwilioChannel(
            account_sid="AC1",
            auth_tokens=["t"],
            base_url="http://nowhere.invalid",
            messaging_service_sid="",
            from_number=CLINIC,
            connections=1,
        )
        assert refused(channel).failure is Failure.TRY_LATER

    @pytest.mark.parametrize(
        "behaviour",
        [
            Behaviour.CUT_BEFORE,
            Behaviour.CUT_AFTER,
            Behaviour.UNPARSABLE_AFTER,
            Behaviour.HANG_AFTER,
            Behaviour.SERVER_ERROR_AFTER,
        ],
    )
    def test_what_may_have_been_sent_is_asked_once(self, fake, monkeypatch, behaviour):
        monkeypatch.setattr(module, "READ_TIMEOUT", 0.2)
        fake.script(behaviour)
        assert refused(channel_of(fake)).failure is Failure.UNKNOWN
        assert len(fake.attempts) == 1

    def test_a_redirect_is_not_followed(self, fake, channel):
        fake.script(Behaviour.error(307))
        assert refused(channel).failure is Failure.CONFIG
        assert len(fake.attempts) == 1

    def test_the_environment_leads_nowhere_else(self, fake, monkeypatch):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv("TWILIO_EDGE", "sydney")
        monkeypatch.setenv("TWILIO_REGION", "au1")
        channel_of(fake).send(outgoing())
        assert len(fake.ledger) == 1

    @pytest.mark.parametrize(
        ("minutes", "seconds"),
        [(-5, 60), (0.5, 60), (10, 600), (600, 36000), (60 * 24 * 30, 36000)],
    )
    def test_twilio_gives_up_when_it_is_of_no_more_use(
        self, fake, channel, minutes, seconds
    ):
        channel.send(outgoing(minutes=minutes))
        assert fake.ledger[0].validity_period == seconds

    def test_a_service_is_named_in_place_of_a_number(self, fake):
        service = "MG" + "1" * 32
        handed = channel_of(fake, service=service).send(outgoing())
        assert (fake.ledger[0].messaging_service_sid, handed.sender) == (service, "")


class TestTokens:
    def test_the_second_token_counts_and_is_then_the_first(self, fake):
        channel = channel_of(fake, "old", fake.auth_token)
        channel.send(outgoing())
        channel.send(outgoing("Another."))
        assert [accepted.body for accepted in fake.ledger] == [TEXT, "Another."]
        assert len(fake.attempts) == 3

    def test_the_first_token_may_come_to_count_again(self, fake):
        channel = channel_of(fake, "one", "two")
        for token in ("two", "one", "two"):
            fake.auth_token = token
            channel.send(outgoing())
        assert len(fake.ledger) == 3

    def test_no_token_that_counts_is_ours_to_mend(self, fake):
        error = refused(channel_of(fake, "wrong", "wrong too"))
        assert (error.failure, error.code) == (Failure.CONFIG, "20003")

    def test_no_token_at_all_too(self, fake):
        channel = channel_of(fake)
        channel._clients.clear()
        assert refused(channel).failure is Failure.CONFIG

    def test_the_list_is_asked_with_either(self, fake):
        sid = channel_of(fake).send(outgoing()).provider_id
        assert find(channel_of(fake, "old", fake.auth_token)) == sid


class TestFinding:
    def test_what_was_taken_is_found(self, fake, channel):
        assert find(channel) is None
        sid = channel.send(outgoing()).provider_id
        assert find(channel) == sid
        assert find(channel, known=[sid]) is None

    def test_other_words_and_what_they_wrote_are_not_it(self, fake, channel):
        channel.send(outgoing("Something else."))
        fake.receive(GRACE, CLINIC, TEXT)
        assert find(channel) is None

    def test_line_ends_and_accents_may_be_written_otherwise(self, fake, channel):
        sid = channel.send(outgoing("Cafe\u0301\r\nat ten ")).provider_id
        assert find(channel, "Caf\u00e9\nat ten") == sid

    @pytest.mark.parametrize(
        ("shift", "is_it"),
        [(-61, False), (-60, True), (0, True), (539, True), (541, False)],
    )
    def test_only_what_was_made_about_then(self, fake, channel, at_nine, shift, is_it):
        at_nine.shift(shift)
        channel.send(outgoing())
        assert bool(find(channel)) is is_it

    def test_a_missing_date_excludes_nothing(self, fake, channel):
        sid = channel.send(outgoing()).provider_id
        fake.forget_date(sid)
        assert find(channel) == sid

    def test_a_date_goes_before_none(self, fake, channel):
        undated = channel.send(outgoing()).provider_id
        dated = channel.send(outgoing()).provider_id
        fake.forget_date(undated)
        assert find(channel) == dated

    def test_a_text_redacted_at_twilio_is_better_than_none(self, fake, channel):
        sid = channel.send(outgoing()).provider_id
        fake._resources[sid].body = ""
        assert find(channel) == sid
        whole = channel.send(outgoing()).provider_id
        assert find(channel) == whole

    def test_what_another_sender_of_the_account_sent_is_not_ours(self, fake, channel):
        sid = channel.send(outgoing()).provider_id
        fake._resources[sid].sender = "+16175550199"
        assert find(channel) is None

    def test_a_service_may_send_from_any_number(self, fake):
        service = "MG" + "1" * 32
        channel = channel_of(fake, service=service)
        sid = channel.send(outgoing()).provider_id
        fake.set_status(sid, "sent")
        assert find(channel) == sid
        fake._resources[sid].service = "MG" + "2" * 32
        assert find(channel) is None

    @settings(max_examples=15, deadline=None)
    @given(taken=st.integers(0, 4), asked=st.integers(0, 6))
    def test_each_is_found_once_and_none_twice(self, taken, asked):
        with FakeTwilio() as fake:
            fake.callbacks = ()
            channel = channel_of(fake)
            sids = [channel.send(outgoing()).provider_id for _ in range(taken)]
            known: list[str] = []
            for _ in range(asked):
                if (sid := find(channel, known=known)) is not None:
                    known.append(sid)
            assert sorted(known) == sorted(known and set(known))
            assert len(known) == min(taken, asked)
            assert set(known) <= set(sids)

    def test_a_list_that_cannot_be_had_decides_nothing(self, fake, channel):
        channel.send(outgoing())
        fake.auth_token = "changed"
        for ask in (lambda: find(channel), lambda: list(channel.recent(MONDAY))):
            with pytest.raises(ChannelError) as caught:
                ask()
            assert caught.value.failure is Failure.TRY_LATER
        fake.stop()
        with pytest.raises(ChannelError):
            find(channel)
        fake.start()

    def test_it_looks_through_a_few_pages_and_no_more(
        self, fake, channel, at_nine, monkeypatch
    ):
        monkeypatch.setattr(module, "FIND_PAGE_SIZE", 2)
        sid = channel.send(outgoing()).provider_id
        for _ in range(7):
            channel.send(outgoing("Something else."))
        assert find(channel) == sid
        channel.send(outgoing("Something else."))
        assert find(channel) is None

    def test_it_stops_at_what_is_older(self, fake, channel, at_nine, monkeypatch):
        monkeypatch.setattr(module, "FIND_PAGE_SIZE", 2)
        for _ in range(6):
            channel.send(outgoing())
        at_nine.shift(3600)
        asked = []
        request = channel._request
        monkeypatch.setattr(
            channel, "_request", lambda *a, **k: asked.append(a) or request(*a, **k)
        )
        assert find(channel, since=MONDAY + timedelta(minutes=59)) is None
        assert len(asked) == 1


class TestRecent:
    def test_in_and_out_the_newest_first(self, fake, channel, at_nine):
        sent = channel.send(outgoing()).provider_id
        at_nine.shift(60)
        got = fake.receive(GRACE, CLINIC, "1", num_media=2)
        fake.set_status(sent, "undelivered", error_code=30005)
        first, second = channel.recent(MONDAY)
        assert (first.provider_id, first.inbound, first.body) == (got, True, "1")
        assert (first.from_address, first.to_address) == (GRACE, CLINIC)
        assert first.media_count == 2
        assert (second.provider_id, second.inbound) == (sent, False)
        assert (second.status, second.code) == ("undelivered", "30005")
        assert first.at == second.at == MONDAY + timedelta(minutes=1)

    def test_pages_are_followed_as_far_as_needed(
        self, fake, channel, at_nine, monkeypatch
    ):
        monkeypatch.setattr(module, "RECENT_PAGE_SIZE", 2)
        for _ in range(4):
            fake.receive(GRACE, CLINIC, "old")
        at_nine.shift(3600)
        new = [fake.receive(GRACE, CLINIC, "new") for _ in range(5)]
        since = MONDAY + timedelta(minutes=30)
        listed = [one.provider_id for one in channel.recent(since)]
        assert listed == new[::-1]
        monkeypatch.setattr(module, "RECENT_PAGES", 2)
        assert len(list(channel.recent(since))) == 4
