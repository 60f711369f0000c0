"""A day of patients who are easily recognised, and everything that day leaves behind.

What is known of them may stand on pages and in the database, and nowhere else: not in
a line of the log, an address, a cookie or a task. New pages are walked and their forms
filled in by themselves.
"""

import base64
import json
import logging
import re
import uuid
from datetime import date, datetime

import pytest
from django.contrib.auth.models import Group
from django.urls import include, path, reverse
from django.utils import timezone
from kombu.transport.memory import Channel as Queues
from twilio.request_validator import RequestValidator

from accounts.policies import policy, public
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.links import make_visit_link
from clinic_crm.celery import app as celery
from core.logs import OURS, LineFormatter, LineHandler
from messaging.channels import twilio as twilio_channel
from messaging.models import Message
from messaging.tasks import work
from patients.importing import import_files
from patients.models import HistoryEntry, Identifier
from patients.terms import index_patients
from tests.evidence import (
    CSV,
    TEXT,
    Browser,
    Evidence,
    Page,
    admin_paths,
    every_path,
    queued,
)
from tests.factories import SiteFactory, booked, member_of_staff, patient
from tests.fakes.mailbox import MailBehaviour
from tests.fakes.twilio import Behaviour
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db(transaction=True)

BORN = date(1911, 7, 19)


@policy(public("a test"), "GET")
def broken(request):
    """Fail as a row does that is there twice, with its values in the message."""
    try:
        for identifier in Identifier.objects.filter(value="KANARIE-1"):
            identifier.pk = None
            identifier.save(force_insert=True)
    except Exception as error:
        raise RuntimeError(TEXT) from error


urlpatterns = [path("broken/", broken), path("", include("clinic_crm.urls"))]
handler500 = "clinic_crm.views.server_error"
handler404 = "clinic_crm.views.not_found"
handler403 = "clinic_crm.views.forbidden"
handler400 = "clinic_crm.views.bad_request"


@pytest.fixture
def evidence(settings, monkeypatch):
    """Everything from now on: our lines down to DEBUG, those of libraries to INFO."""
    settings.ROOT_URLCONF = __name__
    found = Evidence()
    handler = LineHandler(found.log)
    handler.setFormatter(LineFormatter(as_json=True))
    root = logging.getLogger()
    root.addHandler(handler)
    levels = dict.fromkeys(OURS, logging.DEBUG) | dict.fromkeys(
        ("celery", "kombu", "twilio", "urllib3", "django", "allauth"), logging.INFO
    )
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    Queues.queues.clear()
    # Celery heeds this variable above its own settings.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    broker, celery.conf.broker_url = celery.conf.broker_url, "memory://"
    _forget_connections()
    yield found
    celery.conf.broker_url = broker
    _forget_connections()
    Queues.queues.clear()
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def _forget_connections() -> None:
    celery._pool = None
    celery.amqp._producer_pool = None


def canary(number: int, **more):
    """Return a patient all of whose values are canaries."""
    somebody = patient(
        f"Kanarieanna{number}",
        "Kanarieokafor",
        preferred_name="Kanarienan",
        birth_date=BORN,
        phone=f"+1617555018{number}",
        email=f"kanarie{number}@kanarie.example",
        address_line="7 Kanariestreet",
        **more,
    )
    Identifier.objects.create(
        patient=somebody, system="urn:kanarie", value=f"KANARIE-{number}"
    )
    HistoryEntry.objects.create(
        patient=somebody,
        kind="condition",
        label="Kanarieitis of the knee",
        status="active",
        source="staff",
        recorded_at=timezone.now(),
    )
    index_patients([somebody.pk])
    return somebody


@pytest.fixture
def write_in(client, twilio, settings):
    """Let Twilio bring a text, with its signature or with somebody else's."""
    settings.PUBLIC_BASE_URL = "https://clinic.example"

    def write(body: str, *, number: int = 0, signed: bool = True):
        where = reverse("messaging:twilio_inbound")
        data = {
            "MessageSid": "SM" + uuid.uuid4().hex,
            "AccountSid": twilio.account_sid,
            "From": f"+1617555018{number}",
            "To": "+16175550100",
            "Body": body,
            "NumMedia": "0",
        }
        key = twilio.auth_token if signed else "somebody else's"
        signature = RequestValidator(key).compute_signature(
            "https://clinic.example" + where, data
        )
        headers = {"X-Twilio-Signature": signature}
        assert client.post(where, data, headers=headers).status_code in {200, 403}
        run_pass()

    return write


#: What the gateways do to the visits of the day, one after the other.
SMS_FAULTS = (
    Behaviour.OK,
    Behaviour.error(400, 21211),
    Behaviour.error(400, 21610),
    Behaviour.error(429, 20429),
    Behaviour.error(401, 20003),
    Behaviour.SERVER_ERROR_AFTER,
    Behaviour.UNPARSABLE_AFTER,
    Behaviour.CUT_AFTER,
    Behaviour.hang_after(),
)
MAIL_FAULTS = (
    MailBehaviour.refuse_recipient(550, "5.1.1 <kanarie1@kanarie.example> is unknown"),
    MailBehaviour.refuse_data(554, "5.7.1 Kanarieanna1, we do not want that"),
    MailBehaviour.refuse_recipient(450, "4.2.1 kanarie3@kanarie.example is busy"),
    MailBehaviour.DROP_AFTER,
    MailBehaviour.hang_after(),
)


def test_nothing_of_a_patient_is_left_behind(
    evidence, monday, twilio, mailbox, write_in, settings, monkeypatch
):
    monkeypatch.setattr(twilio_channel, "READ_TIMEOUT", 0.3)
    settings.EMAIL_TIMEOUT = 0.3
    somebody = canary(0)
    booked(somebody, at=datetime(2026, 11, 23, 16))
    visit = booked(somebody, at=datetime(2026, 11, 24, 10))
    _send_in_all_ways(twilio, mailbox)
    told = import_files(
        [("kanarie.csv", CSV)], site=SiteFactory(), by=None, dry_run=False
    )
    assert (told.created, told.rejected) == (1, 1)
    for body in (TEXT, "Kanarie STOP", "1 kanarie", "3", "stop"):
        write_in(body)
    write_in(TEXT, signed=False)
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Kanariereason: call her back",
        subject_kind="message",
        subject_id=1,
        dedupe_key="kanarie",
        due_at=timezone.now(),
        patient=somebody,
        site=SiteFactory(),
    )

    maya = member_of_staff("maya", Role.NURSE)
    _link, address = make_visit_link(visit=visit, by=maya)
    token = address.rstrip("/").rpartition("/")[2]
    _open_the_link(Browser(evidence), token)
    paths = every_path(token)
    stranger = Browser(evidence)
    stranger.get("/", headers={"Host": "kanarie.example"})
    login = {"login": "kanarie.okafor", "password": "Kanarie 1911-07-19"}
    stranger.post(reverse("account_login"), login)
    for where in paths:
        stranger.get(where)
    # Somebody who may do everything, so that one walk sees every page.
    maya.groups.set(Group.objects.all())
    browser = Browser(evidence)
    browser.sign_in(maya)
    for where in [*paths, "/broken/", "/nowhere/"]:
        browser.look(where)
    maya.is_staff = maya.is_superuser = True
    browser.sign_in(maya)
    for where in admin_paths():
        browser.get(where)
    run_pass()

    assert evidence.leaks() == []
    # The token stands in its own address, and in nothing that is written about it.
    its_own = ("request:", f"redirect: /p/{token}/", f"link on /p/{token}/")
    with_token = evidence.leaks(re.compile(re.escape(token)))
    assert with_token != []
    assert [leak for leak in with_token if not leak.startswith(its_own)] == []
    _something_happened(evidence)


def _send_in_all_ways(twilio, mailbox) -> None:
    """Text and mail through gateways that refuse, break, hang and are away."""
    for number, fault in enumerate(SMS_FAULTS):
        somebody = canary(number, consent=True) if number else None
        twilio.script(fault)
        if somebody:
            booked(somebody, at=datetime(2026, 11, 25, 8 + number))
        run_pass()
    twilio.stop()
    run_pass()
    twilio.start()
    mailbox.script(*MAIL_FAULTS)
    for number in range(len(MAIL_FAULTS)):
        only_mail = patient(
            f"Kanariemail{number}",
            "Kanarieokafor",
            phone="",
            email=f"kanarie{number}@kanarie.example",
        )
        booked(only_mail, at=datetime(2026, 11, 26, 8 + number))
    run_pass()
    twilio.release()
    mailbox.release()


def _open_the_link(browser: Browser, token: str) -> None:
    where = f"/p/{token}/"
    browser.look(where)
    for year in ("1912", "1911"):
        answer = browser.post(where, {"month": "7", "day": "19", "year": year})
    assert answer.status_code == 303
    browser.look(answer["Location"])


def _something_happened(evidence: Evidence) -> None:
    """The day was a real one: otherwise nothing found would mean nothing."""
    assert evidence.shown >= {
        "today",
        "patients:patient_list",
        "patients:patient_find",
        "patients:patient_detail",
        "appointments:schedule",
        "appointments:appointment_detail",
        "appointments:appointment_book",
        "messaging:inbox_list",
        "messaging:conversation_detail",
        "worklist:item_list",
        "worklist:item_close",
        "links:open",
    }
    assert evidence.answers >= {200, 302, 303, 400, 403, 404, 405, 500}
    assert Message.objects.filter(direction="in").count() >= 5
    assert {"failed", "unknown", "accepted", "queued"} <= set(
        Message.objects.filter(direction="out").values_list("state", flat=True)
    )
    said = {
        (line["logger"], line["event"]) for line in map(json.loads, evidence.lines())
    }
    assert {
        ("core.requests", "request"),
        ("messaging.webhooks", "webhook without a valid signature"),
    } <= said
    assert {name for name, _event in said} >= {"django.request", "messaging.recording"}
    assert "work" in " ".join(queued())


@pytest.mark.parametrize("place", ["log", "address", "cookie", "task", "link"])
def test_what_leaks_is_found(evidence, place):
    """This very test would fail if it did: once for each place."""
    assert evidence.leaks() == []
    if place == "log":
        logging.getLogger("patients").warning("seen: Kanarieanna")
    elif place == "address":
        Browser(evidence).get("/nowhere/?q=%4Banarieanna")
    elif place == "cookie":
        evidence.add(
            "cookie", base64.urlsafe_b64encode(b"name: Kanarieanna Kanarieokafor")
        )
    elif place == "task":
        celery.send_task(work.name, args=["+16175550187"])
    else:
        page = Page("<form><a href='/patients/?born=1911-07-19'>x</a></form>")
        for target in page.addresses:
            evidence.add("link", target)
    (leak,) = evidence.leaks()
    assert leak.startswith({"address": "request"}.get(place, place))


def test_a_number_in_a_librarys_line_is_not_written(evidence):
    logging.getLogger("urllib3.connectionpool").warning(
        "Retrying after %r: %s", RuntimeError(TEXT), "/Messages?To=%2B16175550187"
    )
    assert len(evidence.lines()) == 1
    assert evidence.leaks() == []
