"""The operations page tells a manager how sending stands, in words, and what to do."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone

from accounts.models import AuditEvent, Duty, Heartbeat
from accounts.roles import Role
from accounts.ticks import beat, run_pass
from messaging.by_hand import switch_gateway
from messaging.inbound import receive
from messaging.ladder import open_due
from messaging.models import Breaker, Mailbox, Message, Notice
from messaging.operations import parts, queue, tzdata_of_machine, unknown_messages
from messaging.services import suppress
from messaging.tally import tally
from patients.models import Channel
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    member_of_staff,
    patient,
)
from tests.fakes.twilio import Behaviour

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)
OPERATIONS = "/operations/"


@pytest.fixture
def ada(client):
    user = member_of_staff("ada", Role.MANAGER)
    client.force_login(user)
    return user


def page(client, address=OPERATIONS) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_an_empty_clinic(client, monday, ada):
    text = page(client)
    assert "Every message is accounted for." in text
    assert "Nothing waits." in text
    assert "nothing has come in yet" in text
    assert "Messages pass." in text
    assert "until a pass runs" in text
    text = page(client, "/operations/lately/")
    assert "Nothing failed." in text
    assert "all were signed" in text
    text = page(client, "/operations/promises/")
    assert "Every promise is kept, under way, or with a person." in text
    assert "No test in the last day." in page(client, "/operations/test/")


@pytest.mark.parametrize(
    "role", [Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN, Role.AUDITOR]
)
@pytest.mark.parametrize(
    "address",
    [
        "/operations/",
        "/operations/now/",
        "/operations/lately/",
        "/operations/promises/",
        "/operations/test/",
        "/operations/test/state/",
        "/operations/gateways/simulated/",
    ],
)
def test_it_is_for_managers(client, monday, role, address):
    client.force_login(member_of_staff("femi", role))
    assert client.get(address).status_code == 403


def test_managers_find_it_beside_the_settings(client, monday, ada):
    assert f'href="{OPERATIONS}"' in page(client, "/")
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    assert f'href="{OPERATIONS}"' not in page(client, "/")


def says(now) -> dict[str, bool]:
    return {str(part.title): part.works for part in parts(Heartbeat.objects.all(), now)}


def test_passes_from_cron(monday):
    run_pass()
    assert says(timezone.now()) == {"Passes": True}
    monday.shift(timedelta(minutes=2))
    assert says(timezone.now()) == {"Passes": False}


def test_a_broker_that_delivers_nothing(monday):
    for key in ("tick", "worker", "beat"):
        beat(key)
    assert says(timezone.now()) == {"Passes": True, "Worker": True, "Beat": True}
    monday.shift(timedelta(minutes=3))
    beat("beat")
    found = parts(Heartbeat.objects.all(), timezone.now())
    assert [part.works for part in found] == [False, False, True]
    assert "the broker or the worker is away" in str(found[1].says)


def test_why_messages_wait(monday, twilio):
    booked(at=TOMORROW_10)
    open_due()
    assert queue(timezone.now()) == {"count": 1, "due": 1, "waits": []}
    Message.objects.update(
        not_before=MONDAY + timedelta(hours=1), why="not at this hour"
    )
    assert queue(timezone.now()) == {
        "count": 1,
        "due": 0,
        "waits": [
            {"why": "not at this hour", "n": 1, "next": MONDAY + timedelta(hours=1)}
        ],
    }


def test_a_queue_that_is_late(client, monday, ada):
    booked(at=TOMORROW_10)
    open_due()
    monday.shift(timedelta(minutes=4))
    assert '<b class="num">1</b>' in page(client)
    monday.shift(timedelta(minutes=2))
    text = page(client)
    assert '<b class="num bad">1</b>' in text
    assert "one could have gone 6 min ago" in text


def test_a_gateway_that_refuses_and_one_that_is_off(client, monday, twilio, ada):
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.error(401, 20003))
    run_pass()
    text = page(client)
    assert "Since 09:00. One message tries at 09:01" in text
    assert "It answered 20003." in text
    switch_gateway(gateway="twilio", on=False, reason="New account.", by=ada)
    text = page(client)
    assert "Switched off since 09:00" in text
    assert "<bdi>New account.</bdi>" in text
    assert "Switch on: Twilio" in text


def test_switching_asks_why(client, monday, ada):
    address = "/operations/gateways/simulated/"
    text = page(client, address)
    assert "Nothing leaves here any more" in text
    assert client.post(address, {"to": "off", "reason": ""}).status_code == 200
    assert not Breaker.objects.exists()
    answer = client.post(address, {"reason": "Trying it."})
    assert answer.url == OPERATIONS
    assert Breaker.objects.get().state == "off"
    assert "What waits goes at once" in page(client, address)
    client.post(address, {"reason": "Done."})
    assert Breaker.objects.get().state == "closed"


def test_a_gateway_nobody_uses(client, monday, ada):
    assert client.get("/operations/gateways/pigeon/").status_code == 404


def test_pressed_on_a_page_of_before_it_does_what_the_page_said(client, monday, ada):
    address = "/operations/gateways/simulated/"
    switch_gateway(gateway="simulated", on=False, reason="A colleague did.", by=ada)
    client.post(address, {"reason": "Me too.", "to": "off"})
    assert Breaker.objects.get().why == "A colleague did."


def an_unknown(monday, twilio) -> Message:
    booked(at=TOMORROW_10)
    twilio.script(Behaviour.CUT_AFTER)
    run_pass()
    return unknown_messages().get()


def test_what_nobody_knows(client, monday, twilio, ada):
    message = an_unknown(monday, twilio)
    text = page(client)
    assert "A visit was booked" in text
    assert "Grace Okafor" in text
    assert f'href="/operations/unknown/{message.pk}/"' in text
    address = f"/operations/unknown/{message.pk}/"
    text = page(client, address)
    assert "617 555 0143" in text
    assert AuditEvent.objects.filter(
        address="messaging:unknown_message", patient_ids=[message.patient_id]
    ).exists()
    assert client.post(address, {"deed": "again"}).status_code == 200
    answer = client.post(address, {"deed": "again", "reason": "They called."})
    assert answer.url == OPERATIONS
    assert not unknown_messages().exists()
    answer = client.post(address, {"deed": "sent", "reason": "Twice."})
    assert "sent again already" in answer.content.decode()


def test_settled_meanwhile(client, monday, twilio, ada):
    message = an_unknown(monday, twilio)
    Message.objects.update(state="delivered")
    assert "It has settled itself: Delivered." in page(
        client, f"/operations/unknown/{message.pk}/"
    )


def test_patients_of_other_sites_are_counted_and_not_named(client, monday, twilio, ada):
    message = an_unknown(monday, twilio)
    message.patient.sites.set([SiteFactory(name="North")])
    text = page(client)
    assert "0 of 1: the oldest of your sites." in text
    assert "Grace" not in text
    assert client.get(f"/operations/unknown/{message.pk}/").status_code == 404


@pytest.mark.parametrize("state", ["reached", "superseded", "settled"])
def test_what_no_longer_matters_is_not_listed(monday, twilio, state):
    an_unknown(monday, twilio)
    Notice.objects.update(state=state)
    assert not unknown_messages().exists()


def test_who_is_on_duty(client, monday, ada):
    assert '<span class="warn">Nobody</span>' in page(client)
    Duty.objects.create(
        site=SiteFactory(),
        user=member_of_staff("maya", Role.NURSE),
        starts_at=MONDAY,
        ends_at=MONDAY + timedelta(hours=8),
    )
    text = page(client)
    assert "<bdi>Maya</bdi>" in text
    assert "until 17:00" in text
    monday.shift(timedelta(hours=8))
    client.force_login(ada)
    assert '<span class="warn">Nobody</span>' in page(client)


def test_what_came_in_and_what_is_read(client, monday, ada):
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="Hello",
    )
    Mailbox.objects.create(name="INBOX", at=MONDAY)
    monday.shift(timedelta(minutes=5))
    text = page(client)
    assert "5 min ago" in text
    assert "Last read 09:00." in text


def test_the_rules_of_time_zones(tmp_path):
    assert tzdata_of_machine(tmp_path) == ""
    other = tmp_path / "zoneinfo"
    other.mkdir()
    (other / "tzdata.zi").write_text("# version 2025b\nR d 1916 o\n")
    assert tzdata_of_machine(other) == "2025b"


def test_promises_broken_are_listed_with_whom_to_call(client, monday, ada):
    visit = booked(at=TOMORROW_10)
    monday.shift(timedelta(minutes=16))
    client.force_login(ada)
    text = page(client, "/operations/promises/")
    assert "Planned, due and never opened" in text
    assert f'href="/patients/{visit.patient_id}/"' in text
    visit.patient.sites.set([SiteFactory(name="North")])
    text = page(client, "/operations/promises/")
    assert "Grace" not in text
    assert f"Promise {Notice.objects.get().pk}" in text


def test_a_test_is_shown_then_sent_once(client, monday, ada):
    address = "/operations/test/"
    ada.phone = "+16175550177"
    ada.save()
    assert 'value="+16175550177"' in page(client, address)
    assert (
        "This is not a phone number."
        in client.post(address, {"address": "12"}).content.decode()
    )
    shown = client.post(address, {"address": "617 555 0177"}).content.decode()
    assert "This is a test, sent by a colleague" in shown
    assert not Notice.objects.exists()
    sent = {"address": "+16175550177", "send": "1", "client_key": "k1"}
    for _press in range(2):
        assert client.post(address, sent).url == address
    assert Notice.objects.count() == 1
    assert "Waits for the next pass" in page(client, "/operations/test/state/")
    run_pass()
    assert "Delivered" in page(client, "/operations/test/state/")
    for n in range(4):
        client.post(address, sent | {"client_key": f"more{n}"})
    answer = client.post(address, sent | {"client_key": "too many"})
    assert "Too many tries" in answer.content.decode()
    assert Notice.objects.count() == 5


@pytest.mark.parametrize("name", ["operations_now", "operations_test_state"])
def test_what_a_page_asks_by_itself_is_nobody_being_there(name):
    assert resolve(reverse(f"messaging:{name}")).func.policy.polled


ADDRESSES = [
    "/operations/",
    "/operations/now/",
    "/operations/lately/",
    "/operations/promises/",
    "/operations/test/",
    "/operations/test/state/",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_page_costs_the_same_however_much_there_is(
    client, monday, twilio, ada, address
):
    costs = []
    for numbers in (range(1), range(1, 4)):
        for n in numbers:
            somebody = patient(f"Given{n}", phone=f"+1617555012{n}")
            booked(somebody, at=datetime(2026, 11, 24, 10 + n))
            twilio.script(Behaviour.CUT_BEFORE)
            run_pass()
            tally("webhook_unsigned")
            suppress(address=f"+1617555013{n}", channel=Channel.SMS, cause="STOP")
            booked(somebody, at=datetime(2026, 11, 25, 10 + n))
            open_due()
            client.post("/operations/test/", {"address": "+16175550177", "send": "1"})
        monday.shift(timedelta(minutes=20))
        client.force_login(ada)
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        asked = [
            q["sql"]
            for q in queries
            if not q["sql"].startswith(
                ("BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT", "COMMIT")
            )
        ]
        costs.append(len(asked))
    assert costs[0] == costs[1], asked
    assert costs[1] <= 15, [sql[:140] for sql in asked]
