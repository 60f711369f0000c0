"""One click in a mail program ends the mails, and says nothing of anybody."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.ticks import run_pass
from messaging.leave import leave_links, leave_path
from messaging.mail_tokens import Token, make_token
from messaging.models import CurrentSuppression, Message, Suppression
from messaging.purposes import PURPOSES
from tests.factories import booked, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

GRACE = "grace@example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
IN_TWO_DAYS = datetime(2026, 11, 25, 10)


@pytest.fixture
def reminded(monday, mailbox, settings):
    """The reminder Grace got, after the mail about her booking."""
    settings.PUBLIC_BASE_URL = "https://clinic.example"
    booked(patient(phone="", email=GRACE), at=IN_TWO_DAYS)
    run_pass()
    monday.move_to(datetime.fromisoformat("2026-11-24T15:01+00:00"))
    run_pass()
    _booked, reminder = mailbox.messages
    return reminder


def path_of(mail) -> str:
    link = mail["List-Unsubscribe"].strip("<>")
    assert link.startswith("https://clinic.example/leave/")
    return link.removeprefix("https://clinic.example")


def test_reminders_may_be_left_and_what_changes_a_visit_may_not(reminded, mailbox):
    assert reminded["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mailbox.messages[0]["List-Unsubscribe"] is None
    leavable = {key for key, purpose in PURPOSES.items() if purpose.leavable}
    assert leavable == {"visit_reminder"}


@pytest.mark.parametrize("as_form", ["urlencoded", "multipart"])
def test_one_click_closes_the_address(reminded, as_form):
    strict = Client(enforce_csrf_checks=True)
    path = path_of(reminded)
    if as_form == "multipart":
        response = strict.post(path, ONE_CLICK)
    else:
        response = strict.post(
            path,
            "List-Unsubscribe=One-Click",
            content_type="application/x-www-form-urlencoded",
        )
    assert response.status_code == 200
    closed = CurrentSuppression.objects.get()
    assert (closed.address, closed.channel) == (GRACE, "email")
    assert closed.suppression.cause == "one-click leave"
    assert AuditEvent.objects.filter(subject="contact_point").exists()


def test_twice_is_once(reminded, client):
    for _time in range(3):
        assert client.post(path_of(reminded), ONE_CLICK).status_code == 200
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_changes_nothing_and_names_nobody(reminded, client, method):
    response = getattr(client, method)(path_of(reminded))
    assert response.status_code == 200
    assert not CurrentSuppression.objects.exists()
    said = response.content.decode()
    assert "Grace" not in said
    assert GRACE not in said
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Cache-Control"] == "no-store"


def test_the_pages_own_button_does_the_same(reminded, client):
    page = client.get(path_of(reminded)).content.decode()
    assert 'name="List-Unsubscribe"' in page
    assert 'value="One-Click"' in page
    client.post(path_of(reminded), ONE_CLICK)
    assert CurrentSuppression.objects.exists()


@pytest.mark.parametrize("said", [{}, {"List-Unsubscribe": "No"}, {"x": "y"}])
def test_a_form_that_does_not_say_it_changes_nothing(reminded, client, said):
    assert client.post(path_of(reminded), said).status_code == 200
    assert not CurrentSuppression.objects.exists()


@pytest.mark.parametrize("language", ["en", "es"])
def test_it_speaks_the_browsers_language(reminded, client, language):
    response = client.get(path_of(reminded), HTTP_ACCEPT_LANGUAGE=language)
    assert response["Content-Language"] == language


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a" * 39,
        "%00",
        "ñ" * 39,
        make_token(Token.LEAVE, uuid.uuid4())[:-1] + "1",
        make_token(Token.REPLY, uuid.uuid4()),
    ],
    ids=["short", "long", "nothing", "letters", "altered", "of a reply"],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_that_is_not_ours_is_not_there(db, monday, client, token, method):
    patient()
    response = getattr(client, method)(f"/leave/{token}/", ONE_CLICK)
    assert response.status_code == 404
    assert not CurrentSuppression.objects.exists()


def test_the_token_of_an_answer_leaves_nothing(reminded, client):
    message = Message.objects.filter(direction="out").latest("id")
    path = reverse("messaging:leave", args=[make_token(Token.REPLY, message.ref)])
    assert client.post(path, ONE_CLICK).status_code == 404


def test_a_mail_that_is_gone_or_erased_is_left_already(reminded, client):
    gone = leave_path(uuid.uuid4())
    Message.objects.update(address="")
    for path in (gone, path_of(reminded)):
        assert client.post(path, ONE_CLICK).status_code == 200
    assert not Suppression.objects.exists()


def test_what_is_promised_then_goes_to_a_person(reminded, client, monday, mailbox):
    client.post(path_of(reminded), ONE_CLICK)
    booked(
        patient("Leo", phone="", email="leo@example.org"),
        at=IN_TWO_DAYS + timedelta(hours=1),
    )
    grace = Message.objects.filter(address=GRACE).latest("id").patient
    booked(grace, at=IN_TWO_DAYS + timedelta(hours=2))
    run_pass()
    assert len(mailbox.messages_to(GRACE)) == 2
    assert WorkItem.objects.open().get().patient == grace


def test_links_cost_one_query_and_stand_in_no_neutral_or_plain_mail(
    reminded, settings, django_assert_num_queries
):
    messages = list(Message.objects.filter(direction="out").order_by("id"))
    with django_assert_num_queries(1):
        assert list(leave_links(messages)) == [messages[1].pk]
    with django_assert_num_queries(0):
        assert leave_links([]) == {}
    messages[1].neutral = True
    assert leave_links(messages) == {}
    messages[1].neutral = False
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:8000"
    assert leave_links(messages) == {}
