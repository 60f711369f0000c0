"""Twilio's door: opened by a signature over the public address, and by nothing else."""

import base64
import hashlib
import hmac
import threading
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from twilio.request_validator import RequestValidator

from messaging.models import Message, StatusEvent, Tally
from tests.factories import GRACE

INBOUND = reverse("messaging:twilio_inbound")
STATUS = reverse("messaging:twilio_status")


@pytest.fixture(autouse=True)
def account(settings):
    settings.PUBLIC_BASE_URL = "https://clinic.example"
    settings.TWILIO_ACCOUNT_SID = "AC" + "1" * 32
    settings.TWILIO_AUTH_TOKENS = ["new-token", "old-token"]


def params(**extra: str) -> dict[str, str]:
    return {
        "MessageSid": "SM" + "2" * 32,
        "AccountSid": "AC" + "1" * 32,
        "From": GRACE,
        "To": "+16175550100",
        "Body": "1",
        "NumMedia": "0",
        "FromCity": "",
        "SomethingNew": "tomorrow",
    } | extra


def post(client, path=INBOUND, data=None, token="new-token", signature=None, **extra):
    data = data or params()
    if signature is None:
        signature = RequestValidator(token).compute_signature(
            "https://clinic.example" + path, data
        )
    headers = {"X-Twilio-Signature": signature} if signature else {}
    return client.post(path, data, headers=headers | extra)


@pytest.mark.django_db
class TestInbound:
    def test_a_signed_text_is_kept_and_answered_with_an_empty_document(self, client):
        answer = post(client)
        assert (answer.status_code, answer.content) == (200, b"<Response/>")
        assert answer["Content-Type"] == "text/xml"
        message = Message.objects.get()
        assert (message.address, message.body) == (GRACE, "1")

    def test_either_token_counts_while_they_rotate(self, client):
        assert post(client, token="old-token").status_code == 200

    @pytest.mark.parametrize("signature", ["", "nonsense", "é", "=" * 5000])
    def test_missing_or_broken_signatures_are_refused(self, client, signature):
        data = params()
        headers = {"X-Twilio-Signature": signature.encode().decode("latin-1")}
        answer = client.post(INBOUND, data, headers=headers if signature else {})
        assert answer.status_code == 403
        assert not Message.objects.exists()

    def test_another_account_is_refused(self, client):
        answer = post(client, data=params(AccountSid="AC" + "9" * 32))
        assert answer.status_code == 403

    def test_a_changed_text_is_refused(self, client):
        good = RequestValidator("new-token").compute_signature(
            "https://clinic.example" + INBOUND, params()
        )
        answer = post(client, data=params(Body="2"), signature=good)
        assert answer.status_code == 403

    def test_json_without_a_hash_is_refused_and_no_error(self, client):
        answer = client.post(
            INBOUND,
            "{}",
            content_type="application/json",
            headers={"X-Twilio-Signature": "x"},
        )
        assert answer.status_code == 403

    def test_without_a_message_there_is_nothing_to_keep(self, client):
        assert post(client, data=params(MessageSid="")).status_code == 400

    def test_nobody_looks_in_with_get(self, client):
        assert client.get(INBOUND).status_code == 405

    def test_no_login_no_csrf_token_is_asked_for(self, client):
        client.handler.enforce_csrf_checks = True
        assert post(client).status_code == 200


#: What a shortened or altered signature looks like, and what is none.
FORGED = {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
FORM = "application/x-www-form-urlencoded"


def signed(url: str, body: str = "") -> dict[str, str]:
    digest = hmac.new(b"new-token", (url + body).encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


@pytest.mark.django_db
class TestWhatNobodyForesaw:
    @pytest.fixture(autouse=True)
    def as_a_server(self, client):
        client.raise_request_exception = False

    @pytest.mark.parametrize("path", [INBOUND, STATUS])
    @pytest.mark.parametrize("headers", [{}, FORGED])
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", FORM),
            (b"&&==&%", FORM),
            (b"Body=\xff\xfe%ff%00&MessageSid=%00", FORM),
            (b"{}", "application/json"),
            (b"{", "application/json"),
            (b"x", "text/plain"),
            (b"x", "nonsense"),
            (b"x", ""),
        ],
    )
    def test_unsigned_it_is_refused_and_no_error(
        self, client, path, headers, body, kind
    ):
        answer = client.generic("POST", path, body, kind, headers=headers)
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"x", "multipart/form-data"),
            (b"x", "multipart/form-data; boundary=\xff"),
            (b"--b\r\nbroken", "multipart/form-data; boundary="),
            (b"a=1", FORM + "; charset=utf-16"),
            (("&".join(f"a{n}=1" for n in range(1500))).encode(), FORM),
            (b"a=" + b"x" * (1024 * 1024 + 1), FORM),
        ],
    )
    def test_what_cannot_be_read_is_a_bad_request(self, client, body, kind):
        answer = client.generic("POST", INBOUND, body, kind, headers=FORGED)
        assert answer.status_code == 400

    def test_a_body_that_is_no_form_is_refused_even_signed(self, client):
        body = b'{"MessageSid": "SM1"}'
        path = f"{INBOUND}?bodySHA256={hashlib.sha256(body).hexdigest()}"
        answer = client.generic(
            "POST",
            path,
            body,
            "application/json",
            headers=signed("https://clinic.example" + path),
        )
        assert answer.status_code == 403
        empty = client.generic(
            "POST",
            INBOUND,
            b"",
            FORM,
            headers=signed("https://clinic.example" + INBOUND),
        )
        assert empty.status_code == 403

    @pytest.mark.parametrize(
        "body",
        [
            "nul\x00here",
            "\u202eesrever\u202c and \u2066isolated\u2069",
            "x" * 10_000,
            "😀" * 5_000,
            "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
            "",
            "\r\n\t",
            "<script>alert(1)</script> %s {clinic} ' OR 1=1 --",
        ],
    )
    def test_whatever_is_signed_is_kept(self, client, body):
        assert post(client, data=params(Body=body)).status_code == 200
        kept = Message.objects.get().body
        assert not set(kept) & set("\x00\u202e\u202c\u2066\u2069")
        assert len(kept) <= 10_000

    @pytest.mark.parametrize(
        "extra",
        [
            {"From": ""},
            {"From": "+1\x00617", "To": "\x00"},
            {"From": "9" * 5000},
            {"NumMedia": "-1"},
            {"NumMedia": "²"},
            {"NumMedia": "9999999999"},
            {"NumMedia": ""},
            {"OptOutType": "\x00"},
        ],
    )
    def test_fields_nobody_would_send_are_no_error(self, client, extra):
        assert post(client, data=params(**extra)).status_code == 200
        assert Message.objects.count() == 1

    @pytest.mark.parametrize("sid", ["", "S\x00M", "S" * 121, "SM\u202e1"])
    def test_an_id_that_is_none_is_a_bad_request(self, client, sid):
        for path in (INBOUND, STATUS):
            answer = post(client, path, params(MessageSid=sid, MessageStatus="sent"))
            assert answer.status_code == 400

    @pytest.mark.parametrize(
        "extra",
        [
            {"MessageStatus": ""},
            {"MessageStatus": "\x00" * 30, "ErrorCode": "\x00" * 30},
            {"MessageStatus": "x" * 300, "ErrorCode": "9" * 300},
        ],
    )
    @pytest.mark.parametrize("ref", ["", "?ref=", "?ref=%00", "?ref=x&ref=y", "?é=1"])
    def test_statuses_nobody_would_send_are_kept(self, client, extra, ref):
        path = STATUS + ref
        quoted = (
            "https://clinic.example" + client.get(path).wsgi_request.get_full_path()
        )
        data = params(**extra)
        signature = RequestValidator("new-token").compute_signature(quoted, data)
        answer = post(client, path, data, signature=signature)
        assert answer.status_code == 200
        assert StatusEvent.objects.count() == 1


@pytest.mark.django_db
class TestPictures:
    def test_where_they_lie_is_kept_and_nobody_goes_there(self, client):
        url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME"
        extra = {f"MediaUrl{n}": f"{url}{n}" for n in range(12)}
        extra |= {f"MediaContentType{n}": "image/jpeg" for n in range(12)}
        assert post(client, data=params(NumMedia="12", **extra)).status_code == 200
        message = Message.objects.get()
        assert message.media_count == 12
        assert message.media == [
            {"url": f"{url}{n}", "type": "image/jpeg"} for n in range(10)
        ]

    def test_an_address_that_is_none_is_only_counted(self, client):
        extra = {"MediaUrl0": "x" * 501, "MediaUrl1": "\x00"}
        post(client, data=params(NumMedia="2", **extra))
        assert (Message.objects.get().media, Message.objects.get().media_count) == (
            [],
            2,
        )


@pytest.mark.django_db
class TestWhatTwilioTookItFor:
    @pytest.mark.parametrize(
        ("said", "note"),
        [
            ("STOP", "provider: stop"),
            ("start", "provider: start"),
            ("HELP", "provider: help"),
            ("", ""),
            ("SOMETHING", ""),
        ],
    )
    def test_is_noted(self, client, said, note):
        post(client, data=params(OptOutType=said))
        assert Message.objects.get().note == note


@pytest.mark.django_db
class TestTheSlash:
    @pytest.mark.parametrize("path", [INBOUND, STATUS])
    def test_without_it_nothing_is_lost(self, client, path):
        data = params(MessageStatus="sent")
        assert post(client, path.rstrip("/"), data).status_code == 200
        assert Message.objects.count() + StatusEvent.objects.count() == 1

    def test_our_own_callbacks_have_it(self):
        assert STATUS == "/webhooks/twilio/status/"
        assert INBOUND == "/webhooks/twilio/inbound/"


@pytest.mark.django_db
class TestTheCount:
    def test_what_is_unsigned_is_one_row_a_day(self, client):
        for _ in range(3):
            client.post(INBOUND, params(), headers=FORGED)
        client.post(STATUS, params())
        tally = Tally.objects.get()
        assert (tally.key, tally.count) == ("webhook_unsigned", 4)
        assert tally.day == timezone.now().date()

    def test_what_is_signed_is_not_counted(self, client):
        post(client)
        post(client, data=params(AccountSid="AC" + "9" * 32))
        assert not Tally.objects.exists()

    def test_it_costs_one_query(self, client, django_assert_num_queries):
        client.post(INBOUND, params())
        with django_assert_num_queries(1):
            client.post(INBOUND, params())


@pytest.mark.parametrize(
    ("path", "name", "signature"),
    [
        ("/myapp.php?foo=1&bar=2", "https", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("/myapp.php?foo=1&bar=2", "with the port", "kvajT1Ptam85bY51eRf/AJRuM3w="),
    ],
)
def test_twilios_own_vectors(rf, settings, path, name, signature):
    from messaging.webhooks import _is_genuine  # noqa: PLC0415 - nobody else's

    settings.PUBLIC_BASE_URL = "https://mycompany.com"
    settings.TWILIO_AUTH_TOKENS = ["12345"]
    request = rf.post(
        path,
        urlencode(
            {
                "CallSid": "CA1234567890ABCDE",
                "Digits": "1234",
                "From": "+14158675309",
                "To": "+18005551212",
                "Caller": "+14158675309",
            }
        ),
        content_type=FORM,
        headers={"X-Twilio-Signature": signature},
    )
    assert _is_genuine(request, request.POST)


@pytest.mark.django_db
def test_a_status_is_kept_even_before_its_message_is_known(client):
    path = STATUS + "?ref=not-a-uuid"
    answer = post(client, path, params(MessageStatus="delivered", ErrorCode=""))
    assert answer.status_code == 200
    assert StatusEvent.objects.get().message is None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [INBOUND, STATUS])
def test_twenty_five_replays_at_once_are_one_row(path):
    start = threading.Barrier(25)
    answers: list[int] = []

    def replay() -> None:
        start.wait()
        data = params(MessageStatus="delivered")
        answers.append(post(Client(), path, data).status_code)
        connection.close()

    threads = [threading.Thread(target=replay) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 25
    assert Message.objects.count() + StatusEvent.objects.count() == 1
