"""Where somebody is signed in, for how long, and how it ends."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from accounts.door.browsers import browser_of
from accounts.door.services import end_sessions, sweep_sessions
from accounts.roles import Role
from tests.accounts.test_door import PASSWORD, sign_in, with_password

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
def maya():
    return with_password("maya")


def signed_in(agent: str = FIREFOX) -> Client:
    client = Client(HTTP_USER_AGENT=agent)
    assert sign_in(client).status_code == 302
    return client


def test_a_session_ends_after_a_shift_however_busy_it_was(maya, monday):
    client = signed_in()
    for _ in range(12 * 6 - 1):
        monday.shift(timedelta(minutes=10))
        assert client.get("/").status_code == 200
    monday.shift(timedelta(minutes=10))
    answer = client.get("/patients/")
    assert answer["Location"] == "/accounts/login/?next=/patients/"
    assert "_auth_user_id" not in client.session


def test_a_session_nobody_saw_begin_begins_now(client, maya, monday):
    client.force_login(maya)
    session = client.session
    del session["signed_in_at"]
    session.save()
    assert client.get("/").status_code == 200
    monday.shift(timedelta(hours=12))
    assert client.get("/").status_code == 302


def test_the_list_says_where_in_words(maya, monday):
    signed_in(SAFARI)
    here = signed_in()
    text = here.get(reverse("account_sessions")).content.decode()
    assert "Firefox on Windows" in text
    assert "Safari on iPhone" in text
    assert "127.0.0.1" in text


def test_one_session_is_ended_and_ends_at_once(maya, monday):
    phone, here = signed_in(SAFARI), signed_in()
    entry = UserSession.objects.get(session_key=phone.session.session_key)
    here.post(reverse("account_sessions"), {"session": entry.pk})
    assert phone.get("/").status_code == 302
    assert here.get("/").status_code == 200


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "²", "none"])
def test_a_number_no_session_can_have_ends_none(maya, monday, number):
    phone, here = signed_in(SAFARI), signed_in()
    answer = here.post(reverse("account_sessions"), {"session": number})
    assert answer.status_code == 302
    assert [client.get("/").status_code for client in (phone, here)] == [200, 200]


def test_all_others_are_ended(maya, monday):
    others = [signed_in(), signed_in(SAFARI)]
    here = signed_in()
    here.post(reverse("account_sessions"))
    assert [client.get("/").status_code for client in [*others, here]] == [
        302,
        302,
        200,
    ]


def test_a_session_that_stands_in_no_list_ends_too(client, maya, monday):
    client.force_login(maya)
    here = signed_in()
    UserSession.objects.filter(session_key=here.session.session_key).delete()
    end_sessions(user=maya, by=maya)
    for one in (client, here):
        assert one.get("/").status_code == 302
        assert "_auth_user_id" not in one.session
    again = signed_in()
    assert again.get("/").status_code == 200


def test_the_session_that_ends_the_others_stays(client, maya, monday):
    client.force_login(maya)
    here = signed_in()
    for _twice in range(2):
        here.post(reverse("account_sessions"))
        assert here.get("/").status_code == 200
    assert client.get("/").status_code == 302


def test_a_changed_password_ends_what_stands_in_no_list(client, maya, monday):
    """Even where a session was given the new password's hash."""
    here, away = signed_in(), signed_in()
    UserSession.objects.filter(session_key=away.session.session_key).delete()
    new = "seven small boats at dawn"
    here.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )
    session = away.session
    maya.refresh_from_db()
    session["_auth_user_hash"] = maya.get_session_auth_hash()
    session.save()
    assert away.get("/").status_code == 302
    assert here.get("/").status_code == 200


def test_the_session_in_use_and_those_of_others_are_not_ended(maya, monday):
    with_password("femi", Role.FRONT_DESK)
    femi = Client()
    sign_in(femi, "femi")
    here = signed_in()
    for entry in UserSession.objects.all():
        here.post(reverse("account_sessions"), {"session": entry.pk})
    assert femi.get("/").status_code == 200
    assert here.get("/").status_code == 200


def test_what_is_no_session_ends_none(maya, monday):
    here = signed_in()
    answer = here.post(reverse("account_sessions"), {"session": "999999"}, follow=True)
    assert "0 sessions ended" in answer.content.decode()


def test_a_login_that_is_switched_off_is_off_at_the_next_click(maya, monday):
    client = signed_in()
    maya.is_active = False
    maya.save()
    assert client.get("/").status_code == 302


def test_who_is_demoted_has_lost_it_at_the_next_click(maya, monday):
    client = signed_in()
    assert client.get("/patients/").status_code == 200
    maya.groups.set(Group.objects.filter(name=Role.AUDITOR.value))
    assert client.get("/patients/").status_code == 403


def test_last_use_is_written_at_most_once_a_minute(maya, monday):
    client = signed_in()
    client.get("/accounts/sessions/")
    first = UserSession.objects.get().last_seen_at
    monday.shift(timedelta(seconds=59))
    client.get("/accounts/sessions/")
    assert UserSession.objects.get().last_seen_at == first
    monday.shift(timedelta(seconds=2))
    client.get("/accounts/sessions/")
    assert UserSession.objects.get().last_seen_at == first + timedelta(seconds=61)


def test_what_ended_leaves_the_list(maya, monday):
    signed_in().post(reverse("account_logout"))
    signed_in(SAFARI)
    monday.shift(timedelta(hours=13))
    here = signed_in()
    assert "Safari" not in here.get(reverse("account_sessions")).content.decode()
    sweep_sessions()
    (left,) = Session.objects.all()
    assert left.session_key == here.session.session_key
    assert UserSession.objects.get().session_key == left.session_key
    assert sweep_sessions() == 0


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (SAFARI, "Safari on iPhone"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537 Edg/140",
            "Edge on Windows",
        ),
        ("curl/8.5", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_in_words(agent, words):
    assert browser_of(agent) == words
