"""Twilio's door: opened by a signature over the public address, and by nothing else."""

import threading

import pytest
from django.db import connection
from django.urls import reverse
from twilio.request_validator import RequestValidator

from messaging.inbound import receive
from messaging.models import Message, StatusEvent
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


@pytest.mark.django_db
def test_a_status_is_kept_even_before_its_message_is_known(client):
    path = STATUS + "?ref=not-a-uuid"
    answer = post(client, path, params(MessageStatus="delivered", ErrorCode=""))
    assert answer.status_code == 200
    assert StatusEvent.objects.get().message is None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_twenty_five_replays_at_once_are_one_row():
    start = threading.Barrier(25)
    new: list[bool] = []

    def replay() -> None:
        start.wait()
        new.append(
            receive(
                provider="twilio",
                provider_id="SMsame",
                channel="sms",
                from_address=GRACE,
                to_address="",
                body="1",
            )
        )
        connection.close()

    threads = [threading.Thread(target=replay) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Message.objects.count() == 1
    assert new.count(True) == 1
