"""The fake Twilio, seen through Twilio's own client and signature check."""

import hashlib
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from tests.fakes import __main__ as by_hand
from tests.fakes.twilio import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    DOUBLED_CALLBACKS,
    NO_CALLBACKS,
    REVERSED_CALLBACKS,
    Accepted,
    Behaviour,
    FakeTwilio,
    NotLoopbackError,
    Signature,
    sign,
)

CLINIC = "+16175550100"
ANA = "+16175550143"
BEN = "+16175550144"
SERVICE = "MG" + "1" * 32


class GuardedHttpClient(TwilioHttpClient):
    """Refuses every host but the fake: its base URL is patched in after the fact."""

    def __init__(self, home, **options):
        super().__init__(max_retries=0, **options)
        self.home = home
        self.session.trust_env = False

    def request(self, method, url, *args, **kwargs):
        assert url.startswith(self.home + "/")
        return super().request(method, url, *args, **kwargs)


class Clinic:
    """A webhook receiver that keeps what it is sent, in order."""

    def __init__(self):
        self.posts = []
        self.status = 200
        clinic = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers["Content-Length"])
                text = self.rfile.read(size).decode()
                pairs = parse_qsl(text, keep_blank_values=True)
                clinic.posts.append((self.path, dict(pairs), self.headers))
                self.send_response(clinic.status)
                self.send_header("Content-Type", "text/xml")
                self.end_headers()
                self.wfile.write(b"<Response/>")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def statuses(self):
        return [params["MessageStatus"] for _, params, _ in self.posts]


@pytest.fixture
def clinic():
    clinic = Clinic()
    yield clinic
    clinic.close()


@pytest.fixture
def fake():
    with FakeTwilio() as fake:
        yield fake


@pytest.fixture
def connect(fake):
    clients = []

    def connect(sid=DEFAULT_ACCOUNT_SID, token=DEFAULT_AUTH_TOKEN, timeout=5):
        http = GuardedHttpClient(fake.url, timeout=timeout)
        client = Client(sid, token, http_client=http)
        client.api.base_url = fake.url
        clients.append(http)
        return client

    yield connect
    for http in clients:
        http.session.close()


@pytest.fixture
def client(connect):
    return connect()


def send(client, to=ANA, body="Your visit is tomorrow.", **options):
    if "messaging_service_sid" not in options:
        options.setdefault("from_", CLINIC)
    return client.messages.create(to=to, body=body, **options)


def is_signed(post, base, token=DEFAULT_AUTH_TOKEN):
    path, params, headers = post
    signature = headers["X-Twilio-Signature"]
    return RequestValidator(token).validate(base + path, params, signature)


needs_spec = pytest.mark.skipif(
    not FakeTwilio().checked_against_spec, reason="Twilio's OpenAPI is not at hand"
)


# Create


def test_create_answers_as_twilio_and_enters_the_ledger(fake, client):
    before = datetime.now(UTC)
    message = send(
        client, status_callback="http://127.0.0.1:1/status", validity_period=3600
    )

    assert (message.status, message.error_code, message.direction) == (
        "queued",
        None,
        "outbound-api",
    )
    assert (message.from_, message.to, message.num_segments) == (CLINIC, ANA, "1")
    [accepted] = fake.ledger
    assert before <= accepted.at <= datetime.now(UTC)
    assert accepted == Accepted(
        sid=message.sid,
        to=ANA,
        sender=CLINIC,
        messaging_service_sid=None,
        body="Your visit is tomorrow.",
        status_callback="http://127.0.0.1:1/status",
        validity_period=3600,
        at=accepted.at,
    )
    assert fake.accepted_to(ANA) == [accepted]
    assert fake.accepted_to(BEN) == []
    assert fake.violations == []


def test_create_through_a_service_has_no_sender_yet(fake, client):
    fake.callbacks = NO_CALLBACKS
    message = send(client, messaging_service_sid=SERVICE)

    assert (message.status, message.from_, message.num_segments) == (
        "accepted",
        None,
        "0",
    )
    fake.set_status(message.sid, "sent")
    sent = message.fetch()
    assert (sent.status, sent.from_, sent.num_segments) == ("sent", CLINIC, "1")
    assert fake.violations == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"From": CLINIC, "Body": "Hi"}, 21604),
        ({"To": "6175550143", "From": CLINIC, "Body": "Hi"}, 21211),
        ({"To": ANA, "Body": "Hi"}, 21603),
        ({"To": ANA, "From": "+1 617", "Body": "Hi"}, 21212),
        ({"To": ANA, "From": CLINIC, "Body": ""}, 21602),
        ({"To": ANA, "From": CLINIC, "Body": "x" * 1601}, 21617),
        ({"To": ANA, "From": CLINIC, "Body": "Hi", "ValidityPeriod": "0"}, 90007),
        ({"To": ANA, "From": CLINIC, "Body": "Hi", "ValidityPeriod": "36001"}, 90007),
        (
            {"To": ANA, "From": CLINIC, "Body": "Hi", "StatusCallback": "http://a_b/"},
            21609,
        ),
        ({"To": ANA, "From": CLINIC, "Body": "Hi", "ScheduleType": "fixed"}, 20001),
    ],
)
def test_create_refuses_what_twilio_refuses(fake, client, params, code):
    fake.script(Behaviour.SERVER_ERROR_AFTER)
    answer = client.request(
        "POST",
        f"{fake.url}/2010-04-01/Accounts/{fake.account_sid}/Messages.json",
        data=params,
    )

    told = json.loads(answer.text)
    assert answer.status_code == 400
    assert sorted(told) == ["code", "message", "more_info", "status"]
    assert (told["code"], told["status"]) == (code, 400)
    assert told["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert fake.ledger == []
    assert fake.attempts == [params]
    # The script still waits for a create worth its while.
    with pytest.raises(TwilioRestException):
        send(client)
    assert len(fake.ledger) == 1


def test_create_takes_the_longest_body(fake, client):
    send(client, body="x" * 1600)

    assert len(fake.ledger[0].body) == 1600


@pytest.mark.parametrize(
    ("sid", "token"),
    [(DEFAULT_ACCOUNT_SID, "wrong"), ("AC" + "9" * 32, DEFAULT_AUTH_TOKEN)],
)
def test_wrong_credentials_are_refused(fake, connect, sid, token):
    with pytest.raises(TwilioRestException) as refusal:
        send(connect(sid, token))

    assert (refusal.value.status, refusal.value.code) == (401, 20003)
    assert fake.ledger == []
    assert fake.violations == []


def test_another_account_is_not_found(fake, client):
    with pytest.raises(TwilioRestException) as refusal:
        client.api.accounts("AC" + "9" * 32).messages.create(
            to=ANA, from_=CLINIC, body="Hi"
        )

    assert (refusal.value.status, refusal.value.code) == (404, 20404)


def test_connection_is_kept_alive(fake, client):
    opened = []
    server_process = fake._server.process_request
    fake._server.process_request = lambda *args: (
        opened.append(args),
        server_process(*args),
    )
    for _ in range(3):
        send(client)

    assert len(opened) == 1


# Behaviours


@pytest.mark.parametrize(
    ("status", "code"), [(400, 21610), (400, 21211), (429, 20429), (503, 20500)]
)
def test_error_refuses_and_sends_nothing(fake, client, status, code):
    fake.script(Behaviour.error(status, code))

    with pytest.raises(TwilioRestException) as refusal:
        send(client)

    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert fake.ledger == []
    assert len(fake.attempts) == 1


@pytest.mark.parametrize(
    ("behaviour", "sent"),
    [(Behaviour.SERVER_ERROR_BEFORE, 0), (Behaviour.SERVER_ERROR_AFTER, 1)],
)
def test_server_error_hides_whether_it_was_sent(fake, client, behaviour, sent):
    fake.script(behaviour)

    with pytest.raises(TwilioRestException) as error:
        send(client)

    assert (error.value.status, error.value.code) == (500, 20500)
    assert len(fake.ledger) == sent


@pytest.mark.parametrize(
    ("behaviour", "sent"), [(Behaviour.CUT_BEFORE, 0), (Behaviour.CUT_AFTER, 1)]
)
def test_cut_closes_without_an_answer(fake, client, behaviour, sent):
    fake.script(behaviour)

    with pytest.raises(requests.ConnectionError):
        send(client)

    assert len(fake.ledger) == sent
    assert send(client).sid == fake.ledger[-1].sid


@pytest.mark.parametrize(
    ("behaviour", "sent"), [(Behaviour.HANG_BEFORE, 0), (Behaviour.HANG_AFTER, 1)]
)
def test_hang_outlasts_the_client(fake, connect, behaviour, sent):
    fake.script(behaviour)

    with pytest.raises(requests.ReadTimeout):
        send(connect(timeout=0.1))

    fake.wait_until_accepted(sent)
    assert len(fake.ledger) == sent


def test_hang_answers_once_released(fake, client):
    fake.script(Behaviour.HANG_AFTER)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(send(client)))
    sender.start()
    fake.wait_until_accepted()

    assert answers == []
    fake.release()
    sender.join()
    assert [answer.sid for answer in answers] == [fake.ledger[0].sid]


def test_hang_answers_after_its_seconds(fake, client):
    fake.script(Behaviour.hang_after(0.02))

    assert send(client).sid == fake.ledger[0].sid


def test_hang_does_not_hold_up_stop(connect, fake):
    fake.script(Behaviour.HANG_AFTER)
    with pytest.raises(requests.ReadTimeout):
        send(connect(timeout=0.1))

    fake.wait_until_accepted()
    started = time.monotonic()
    fake.stop()

    assert time.monotonic() - started < 1


def test_callbacks_run_while_the_answer_hangs(fake, connect, clinic):
    fake.script(Behaviour.HANG_AFTER)
    with pytest.raises(requests.ReadTimeout):
        send(connect(timeout=0.1), status_callback=clinic.url)

    fake.wait_until_accepted()
    fake.drain_callbacks()

    assert clinic.statuses == ["sent", "delivered"]


def test_unparsable_answer(fake, client):
    fake.script(Behaviour.UNPARSABLE_AFTER)

    with pytest.raises(json.JSONDecodeError):
        send(client)

    assert len(fake.ledger) == 1
    assert fake.violations == []


def test_script_then_always_and_numbers_first(fake, client):
    fake.always(Behaviour.error(429, 20429))
    fake.script(Behaviour.OK, Behaviour.error(400, 21211))
    fake.for_number(BEN, Behaviour.error(400, 21610))

    def code_for(to):
        try:
            send(client, to)
        except TwilioRestException as error:
            return error.code
        return None

    told = [code_for(to) for to in (BEN, ANA, BEN, ANA, ANA)]
    fake.for_number(BEN, None)

    assert [*told, code_for(BEN)] == [21610, None, 21610, 21211, 20429, 20429]


def test_stop_and_start_play_an_outage(fake, client):
    send(client)
    fake.stop()
    with pytest.raises(requests.ConnectionError):
        send(client)
    fake.start()
    send(client)

    assert len(fake.ledger) == 2


def test_stop_leaves_no_thread_behind(connect):
    before = set(threading.enumerate())
    fake = FakeTwilio().start()
    with socket.create_connection(("127.0.0.1", fake.port)):
        fake.stop()

    assert set(threading.enumerate()) == before


def test_many_threads_fill_the_ledger(fake, connect):
    def work(number):
        client = connect()
        for _ in range(5):
            send(client, to=f"+1617555{number:04d}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({accepted.sid for accepted in fake.ledger}) == 40
    assert [len(fake.accepted_to(f"+1617555{n:04d}")) for n in range(8)] == [5] * 8
    assert fake.violations == []


def test_ledger_file_has_a_line_per_message(tmp_path, connect, fake):
    fake.ledger_path = tmp_path / "ledger.jsonl"
    client = connect()
    sids = [send(client, body="Olá").sid, send(client, BEN).sid]

    lines = [json.loads(line) for line in fake.ledger_path.read_text().splitlines()]

    assert [line["sid"] for line in lines] == sids
    assert lines[0]["body"] == "Olá"
    assert datetime.fromisoformat(lines[0]["at"]) == fake.ledger[0].at


# Status callbacks


def test_callbacks_follow_acceptance_with_valid_signatures(fake, client, clinic):
    message = send(client, status_callback=f"{clinic.url}/status?message=7#rc=5&rp=all")

    posts = fake.drain_callbacks()

    assert [(post.status, post.answered) for post in posts] == [
        ("sent", 200),
        ("delivered", 200),
    ]
    assert clinic.statuses == ["sent", "delivered"]
    assert all(is_signed(post, clinic.url) for post in clinic.posts)
    path, params, headers = clinic.posts[-1]
    assert path == "/status?message=7"
    assert params.pop("RawDlrDoneDate").isdecimal()
    assert params == {
        "ApiVersion": "2010-04-01",
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "To": ANA,
        "From": CLINIC,
        "AccountSid": fake.account_sid,
    }
    assert headers["Content-Type"] == (
        "application/x-www-form-urlencoded; charset=UTF-8"
    )
    assert message.fetch().status == "delivered"


def test_callback_of_a_service_names_it(fake, client, clinic):
    send(client, messaging_service_sid=SERVICE, status_callback=clinic.url)
    fake.drain_callbacks()

    _, params, _ = clinic.posts[0]
    assert (params["MessagingServiceSid"], params["From"]) == (SERVICE, CLINIC)


@pytest.mark.parametrize(
    "callbacks", [NO_CALLBACKS, DOUBLED_CALLBACKS, REVERSED_CALLBACKS]
)
def test_callbacks_can_be_none_doubled_or_reversed(fake, client, clinic, callbacks):
    fake.callbacks = callbacks
    message = send(client, status_callback=clinic.url)
    fake.drain_callbacks()

    assert clinic.statuses == list(callbacks)
    assert message.fetch().status == ("delivered" if callbacks else "queued")


def test_callbacks_carry_an_error_code(fake, client, clinic):
    fake.for_number(BEN, Behaviour.OK.calling_back("sent", ("undelivered", 30006)))
    message = send(client, BEN, status_callback=clinic.url)
    fake.drain_callbacks()

    assert [params.get("ErrorCode") for _, params, _ in clinic.posts] == [None, "30006"]
    failed = message.fetch()
    assert (failed.status, failed.error_code, failed.error_message) == (
        "undelivered",
        30006,
        "Landline or unreachable carrier",
    )
    assert fake.violations == []


@pytest.mark.parametrize("everywhere", [True, False])
def test_early_callbacks_come_before_the_reply(fake, client, clinic, everywhere):
    if everywhere:
        fake.callbacks_early = True
    else:
        fake.script(Behaviour.OK.calling_back("sent", "delivered", early=True))
    send(client, status_callback=clinic.url)

    # No drain: they were here before the sender knew the SID.
    assert clinic.statuses == ["sent", "delivered"]


@pytest.mark.parametrize(
    "behaviour", [Behaviour.SERVER_ERROR_AFTER, Behaviour.CUT_AFTER]
)
def test_callbacks_come_even_when_the_answer_was_lost(fake, client, clinic, behaviour):
    fake.script(behaviour)
    with pytest.raises((TwilioRestException, requests.ConnectionError)):
        send(client, status_callback=clinic.url)
    fake.drain_callbacks()

    assert clinic.statuses == ["sent", "delivered"]


def test_explicit_call_back_returns_the_answer(fake, client, clinic):
    fake.callbacks = NO_CALLBACKS
    message = send(client, status_callback=clinic.url)
    clinic.status = 404

    status, headers, text = fake.call_back(message.sid, "failed", error_code=30008)

    assert (status, headers["Content-Type"], text) == (404, "text/xml", "<Response/>")
    assert clinic.posts[0][1]["ErrorCode"] == "30008"
    assert fake.status_of(message.sid) == "failed"


def test_late_call_back_does_not_take_the_message_backwards(fake, client, clinic):
    message = send(client, status_callback=clinic.url)
    fake.drain_callbacks()
    fake.call_back(message.sid, "sent")

    assert clinic.statuses[-1] == "sent"
    assert fake.status_of(message.sid) == "delivered"


def test_call_back_needs_a_known_status_and_somewhere_to_go(fake, client):
    message = send(client)

    with pytest.raises(ValueError, match="no status 'deliverd'"):
        fake.call_back(message.sid, "deliverd")
    with pytest.raises(ValueError, match="without a StatusCallback"):
        fake.call_back(message.sid, "delivered")


def test_statuses_move_on_without_anyone_to_tell(fake, client):
    message = send(client)
    fake.drain_callbacks()

    assert message.fetch().status == "delivered"
    assert fake.callback_posts == []


def test_callbacks_nobody_hears_are_reported(fake, client):
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    send(client, status_callback=f"http://127.0.0.1:{port}/status")

    posts = fake.drain_callbacks()

    assert [type(post.fault) for post in posts] == [ConnectionRefusedError] * 2


@pytest.mark.parametrize(
    "url",
    [
        "http://clinic.example/status",
        "https://127.0.0.1/status",
        "http://192.0.2.1/status",
        "http://127.0.0.1.nip.example/status",
    ],
)
def test_nothing_is_posted_beyond_loopback(fake, client, url):
    fake.callbacks = ("sent",)
    message = send(client, status_callback=url)

    with pytest.raises(NotLoopbackError):
        fake.drain_callbacks()
    with pytest.raises(NotLoopbackError):
        fake.call_back(message.sid, "delivered")
    with pytest.raises(NotLoopbackError):
        fake.reply(url, ANA, CLINIC, "C")


def test_connect_to_reaches_a_public_address_on_this_machine(fake, client, clinic):
    fake.connect_to = clinic.url
    send(client, status_callback="https://clinic.example/status")
    fake.drain_callbacks()

    _, _, headers = clinic.posts[0]
    assert (headers["Host"], headers["X-Forwarded-Proto"]) == (
        "clinic.example",
        "https",
    )
    assert is_signed(clinic.posts[0], "https://clinic.example")


# Inbound


def test_reply_posts_a_signed_inbound_message(fake, clinic):
    url = f"{clinic.url}/webhooks/twilio/inbound/?from=twilio"
    status, headers, text = fake.reply(url, ANA, CLINIC, "Sí \x00 👍", sid="SM1")

    assert (status, headers["Content-Type"], text) == (200, "text/xml", "<Response/>")
    [post] = clinic.posts
    assert is_signed(post, clinic.url)
    path, params, headers = post
    assert path == "/webhooks/twilio/inbound/?from=twilio"
    assert headers["I-Twilio-Idempotency-Token"]
    assert params == {
        "ApiVersion": "2010-04-01",
        "MessageSid": "SM1",
        "SmsSid": "SM1",
        "SmsMessageSid": "SM1",
        "AccountSid": fake.account_sid,
        "From": ANA,
        "To": CLINIC,
        "Body": "Sí \x00 👍",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "FromCity": "",
        "FromState": "",
        "FromZip": "",
        "FromCountry": "US",
        "ToCity": "",
        "ToState": "",
        "ToZip": "",
        "ToCountry": "US",
    }


def test_reply_with_media_and_extra_parameters(fake, clinic):
    fake.reply(
        clinic.url, ANA, CLINIC, "", num_media=2, extra={"OptOutType": "STOP", "To": ""}
    )

    [post] = clinic.posts
    _, params, _ = post
    assert is_signed(post, clinic.url)
    assert (params["NumMedia"], params["OptOutType"], params["To"]) == ("2", "STOP", "")
    assert params["MessageSid"].startswith("MM")
    assert params["MediaUrl1"].startswith(fake.url)
    assert params["MediaContentType1"] == "image/jpeg"


def test_reply_with_a_broken_or_missing_signature(fake, client, clinic):
    fake.reply(clinic.url, ANA, CLINIC, "C", signature=Signature.BROKEN)
    fake.reply(clinic.url, ANA, CLINIC, "C", signature=Signature.MISSING)

    broken, missing = clinic.posts
    assert not is_signed(broken, clinic.url)
    assert "X-Twilio-Signature" not in missing[2]
    # Forgeries never passed through Twilio.
    assert client.messages.list() == []


def test_inbound_messages_are_listed_even_when_their_webhook_is_lost(
    fake, client, clinic
):
    lost = fake.receive(ANA, CLINIC, "C")
    fake.reply(clinic.url, BEN, CLINIC, "R", sid="SM" + "b" * 32)
    fake.reply(clinic.url, BEN, CLINIC, "R", sid="SM" + "b" * 32)

    listed = client.messages.list(to=CLINIC)

    assert [(row.sid, row.direction, row.status) for row in listed] == [
        ("SM" + "b" * 32, "inbound", "received"),
        (lost, "inbound", "received"),
    ]
    first, again = (headers for _, _, headers in clinic.posts)
    name = "I-Twilio-Idempotency-Token"
    assert first[name] == again[name]
    assert fake.ledger == []
    assert fake.violations == []


# Signatures

VECTOR_TOKEN = "12345"
VECTOR_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
VECTOR_PARAMS = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}


@pytest.mark.parametrize(
    ("scheme", "port", "expected"),
    [
        ("https", "", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https", ":443", "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http", ":80", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("http", ":1234", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ],
)
def test_sign_agrees_with_the_official_vectors(scheme, port, expected):
    url = f"{scheme}://mycompany.com{port}/myapp.php?foo=1&bar=2"

    assert sign(VECTOR_TOKEN, url, VECTOR_PARAMS.items()) == expected
    assert RequestValidator(VECTOR_TOKEN).validate(url, VECTOR_PARAMS, expected)


@pytest.mark.parametrize(
    "shown", ["https://mycompany.com", "https://mycompany.com:443"]
)
def test_official_signatures_hold_with_and_without_the_port(shown):
    url = f"{shown}/myapp.php?foo=1&bar=2"
    validator = RequestValidator(VECTOR_TOKEN)

    for signature in ("RSOYDt4T1cUTdK1PDd93/VVr8B8=", "kvajT1Ptam85bY51eRf/AJRuM3w="):
        assert validator.validate(url, VECTOR_PARAMS, signature)


def test_sign_sorts_and_merges_repeated_parameters():
    pairs = [
        ("Sid", "CA123"),
        ("SidAccount", "AC123"),
        ("Digits", "5678"),
        ("Digits", "1234"),
        ("Digits", "1234"),
    ]

    assert sign(VECTOR_TOKEN, VECTOR_URL, pairs) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


def test_sign_covers_json_by_its_hash_in_the_url():
    body = '{"property": "value", "boolean": true}'
    digest = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    url = f"{VECTOR_URL}&bodySHA256={digest}"
    validator = RequestValidator(VECTOR_TOKEN)

    assert hashlib.sha256(body.encode()).hexdigest() == digest
    assert sign(VECTOR_TOKEN, url) == "a9nBmqA0ju/hNViExpshrM61xv4="
    assert validator.validate(url, body, "a9nBmqA0ju/hNViExpshrM61xv4=")
    assert not validator.validate(url, body + " ", "a9nBmqA0ju/hNViExpshrM61xv4=")


# Fetch, redact, list


def test_fetch_of_an_unknown_message_is_not_found(client):
    with pytest.raises(TwilioRestException) as refusal:
        client.messages("SM" + "0" * 32).fetch()

    assert (refusal.value.status, refusal.value.code) == (404, 20404)


def test_update_redacts_the_resource_but_not_the_ledger(fake, client):
    message = send(client)

    assert message.update(body="").body == ""
    assert message.fetch().body == ""
    assert fake.ledger[0].body == "Your visit is tomorrow."
    assert fake.violations == []


def test_update_does_nothing_but_redact(fake, client):
    with pytest.raises(TwilioRestException) as refusal:
        send(client).update(body="Something else")

    assert (refusal.value.status, refusal.value.code) == (400, 20001)


def test_delete_is_not_offered(fake, client):
    with pytest.raises(TwilioRestException) as refusal:
        send(client).delete()

    assert refusal.value.status == 405


def test_list_filters_and_puts_the_newest_first(fake, client):
    fake.callbacks = NO_CALLBACKS
    first, other, last = (
        send(client),
        send(client, BEN),
        send(client, from_="+16175559"),
    )

    def listed(**filters):
        return [row.sid for row in client.messages.list(**filters)]

    assert listed() == [last.sid, other.sid, first.sid]
    assert listed(to=ANA) == [last.sid, first.sid]
    assert listed(to=ANA, from_=CLINIC) == [first.sid]
    assert listed(to="+16175550199") == []
    assert fake.violations == []


def test_list_by_date_sent_leaves_out_what_is_not_sent_yet(fake, client):
    fake.callbacks = NO_CALLBACKS
    queued, sent = send(client), send(client)
    fake.set_status(sent.sid, "sent")
    today = sent.fetch().date_sent
    day = timedelta(days=1)

    def listed(**filters):
        return [row.sid for row in client.messages.list(**filters)]

    assert listed(date_sent=today) == [sent.sid]
    assert listed(date_sent_after=today, date_sent_before=today) == [sent.sid]
    assert listed(date_sent=today - day) == []
    assert listed(date_sent_before=today - day) == []
    assert listed(date_sent_after=today + day) == []
    assert queued.fetch().date_sent is None
    assert fake.violations == []


def test_list_pages_through_everything_once(fake, client):
    fake.callbacks = NO_CALLBACKS
    sids = [send(client).sid for _ in range(5)]
    send(client, BEN)

    listed = client.messages.list(to=ANA, page_size=2)

    assert [row.sid for row in listed] == sids[::-1]
    assert [row.sid for row in client.messages.list(to=ANA, limit=3)] == sids[:1:-1]
    assert fake.violations == []


def test_list_pages_stay_put_while_messages_arrive(fake, client):
    fake.callbacks = NO_CALLBACKS
    sids = [send(client).sid for _ in range(4)]
    page = client.messages.page(to=ANA, page_size=2)
    shown = [row.sid for row in page]
    send(client)
    page = page.next_page()
    shown += [row.sid for row in page]

    assert shown == sids[::-1]
    assert page.next_page_url is None
    assert page.previous_page_url.startswith(fake.url)


def test_list_refuses_a_page_size_that_is_none(fake, client):
    answer = client.request(
        "GET",
        f"{fake.url}/2010-04-01/Accounts/{fake.account_sid}/Messages.json",
        params={"PageSize": "0"},
    )

    assert (answer.status_code, json.loads(answer.text)["code"]) == (400, 20001)


# Against the description


def post_raw(fake, pairs, path="Messages.json", query=""):
    target = f"/2010-04-01/Accounts/{fake.account_sid}/{path}{query}"
    session = requests.Session()
    session.trust_env = False
    with session:
        return session.post(
            fake.url + target,
            data=urlencode(pairs),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=(fake.account_sid, fake.auth_token),
            timeout=5,
        )


@needs_spec
@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"From": CLINIC, "Body": "Hi"}, "'To' is a required property"),
        ({"To": ANA, "MessagingServiceSid": "MG1", "Body": "Hi"}, "MG1"),
        ({"To": ANA, "From": CLINIC, "Body": "Hi", "ValidityPeriod": "x"}, "integer"),
        (
            {"To": ANA, "From": CLINIC, "Body": "Hi", "IdempotencyKey": "1"},
            "unknown form parameter 'IdempotencyKey'",
        ),
        ({"To": ANA, "From": CLINIC, "Body": "Hi", "RiskCheck": "maybe"}, "maybe"),
    ],
)
def test_violations_tell_what_breaks_the_description(fake, params, complaint):
    post_raw(fake, params)

    assert complaint in "\n".join(fake.violations)


@needs_spec
def test_violations_catch_json_unknown_queries_and_missing_credentials(fake):
    base = f"{fake.url}/2010-04-01/Accounts/{fake.account_sid}/Messages.json"
    auth = (fake.account_sid, fake.auth_token)
    with requests.Session() as session:
        session.trust_env = False
        session.post(base, json={"To": ANA}, auth=auth, timeout=5)
        as_json = len(fake.violations)
        session.get(base, params={"Sender": CLINIC}, auth=auth, timeout=5)
        with_query = len(fake.violations)
        session.get(base, timeout=5)

    assert 0 < as_json < with_query < len(fake.violations)


def test_without_the_description_nothing_is_checked(tmp_path):
    with FakeTwilio(spec_path=tmp_path / "missing.json") as fake:
        answer = post_raw(fake, {"To": ANA, "From": CLINIC, "Body": "Hi", "Odd": "1"})

    assert answer.status_code == 201
    assert not fake.checked_against_spec
    assert fake.violations == []


def test_a_fault_of_the_fake_itself_is_raised_at_the_end():
    def fail(accepted):
        raise RuntimeError("printer on fire")

    with (
        pytest.raises(RuntimeError, match="printer on fire"),
        FakeTwilio(on_accepted=fail) as fake,
        pytest.raises(requests.ConnectionError),
    ):
        post_raw(fake, {"To": ANA, "From": CLINIC, "Body": "Hi"})


# By hand


def test_lines_typed_become_signed_replies(fake, clinic, capsys):
    by_hand.answer_lines(fake, clinic.url + "/", ["+16175550143 C please\n", "\n"])

    [post] = clinic.posts
    assert is_signed(post, clinic.url)
    path, params, _ = post
    assert (path, params["From"], params["Body"]) == (
        "/webhooks/twilio/inbound/",
        ANA,
        "C please",
    )
    assert capsys.readouterr().out == "reply answered 200: <Response/>\n"


def test_a_raw_client_sees_twilio_headers(fake):
    connection = HTTPConnection("127.0.0.1", fake.port, timeout=5)
    connection.request("GET", f"/2010-04-01/Accounts/{fake.account_sid}/Messages.json")
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert (answer.status, answer.version) == (401, 11)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Twilio API"'
    assert answer.headers["Content-Type"] == "application/json"
