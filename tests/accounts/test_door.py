"""Coming in and going out: who is told what, and what is written of it."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client
from django.urls import reverse

from accounts.door.adapters import LOGIN
from accounts.door.services import end_sessions
from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.throttling import Tries
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
NEW = "seven small boats at dawn"


def with_password(username: str, role: Role = Role.NURSE):
    user = member_of_staff(username, role)
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def maya():
    return with_password("maya")


def sign_in(client: Client, login: str = "maya", password: str = PASSWORD, **more):
    return client.post(
        reverse("account_login"), {"login": login, "password": password}, **more
    )


def events(*verbs: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(verb__in=verbs).order_by("pk"))


@pytest.fixture
def hashes(monkeypatch) -> list[str]:
    """Count how often a password is hashed."""
    made: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2PasswordHasher, name)

        def counted(self, *args, real=real, name=name, **kwargs):
            made.append(name)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Argon2PasswordHasher, name, counted)
    return made


def test_known_unknown_and_switched_off_get_the_same_answer_for_the_same_work(
    client, maya, hashes
):
    gone = with_password("gone")
    gone.is_active = False
    gone.save()
    never_set = member_of_staff("newcomer", Role.NURSE)
    never_set.set_unusable_password()
    never_set.save()
    hashes.clear()
    answers = set()
    for login, password in [
        ("maya", WRONG),
        ("nobody", WRONG),
        ("gone", WRONG),
        ("gone", PASSWORD),
        ("newcomer", WRONG),
    ]:
        answer = sign_in(client, login, password)
        assert len(hashes) == 1, login
        hashes.clear()
        # What differs from page to page for everybody: tokens and nonces.
        html = re.sub(r'nonce="[^"]+"', "", answer.content.decode())
        text = re.sub(r"[\w-]{20,}", "", html)
        answers.add((answer.status_code, text.replace(login, "")))
    assert len(answers) == 1


def test_too_many_tries_are_refused_before_any_hash_and_the_same_for_nobody(
    client, maya, monday, hashes
):
    texts = []
    for login in ("maya", "nobody"):
        for _ in range(LOGIN.limit):
            sign_in(client, login, WRONG)
        hashes.clear()
        answer = sign_in(client, login, PASSWORD)
        assert hashes == []
        texts.append(answer.context["form"].non_field_errors())
    assert texts == [["Too many tries. Try again in 2 minutes."]] * 2


def test_nobody_is_locked_out_for_good(client, maya, monday):
    for _ in range(LOGIN.limit + 5):
        sign_in(client, password=WRONG)
    monday.shift(timedelta(minutes=2))
    assert sign_in(client).status_code == 302


def test_another_spelling_of_a_login_has_no_tries_of_its_own(client, maya, monday):
    for number in range(LOGIN.limit):
        sign_in(client, "MAYA" if number % 2 else " maya ", WRONG)
    assert b"Too many tries" in sign_in(client).content


def test_one_machine_cannot_try_login_after_login(client, monday, monkeypatch):
    monkeypatch.setattr(
        "accounts.door.adapters.LOGIN_FROM",
        Tries("login-from", 3, timedelta(minutes=15)),
    )
    for number in range(3):
        sign_in(client, f"user{number}", WRONG, REMOTE_ADDR="2001:db8::1")
    answer = sign_in(client, "another", WRONG, REMOTE_ADDR="2001:db8::2")
    assert b"Too many tries" in answer.content
    answer = sign_in(client, "another", WRONG, REMOTE_ADDR="198.51.100.1")
    assert b"Too many tries" not in answer.content


def test_right_passwords_do_not_use_up_tries(maya, monday):
    for _ in range(LOGIN.limit * 2):
        assert sign_in(Client()).status_code == 302


def test_signing_in_and_out_is_written_with_who_and_from_where(client, maya):
    sign_in(client, REMOTE_ADDR="198.51.100.7")
    client.post(reverse("account_logout"))
    came, went = events("sign_in", "sign_out")
    assert (came.actor, came.ip, came.address) == (
        "maya",
        "198.51.100.7",
        "account_login",
    )
    assert (went.actor, went.verb) == ("maya", "sign_out")


def test_a_wrong_password_is_written_for_a_login_that_exists(client, maya):
    sign_in(client, "maya", WRONG)
    (event,) = events("refused")
    assert event.subject == f"user:{maya.pk}"
    # It may have been anybody, so it stands in nobody's name.
    assert (event.actor_id, event.actor) == (None, "nobody")


def test_of_an_unknown_login_nothing_typed_is_written(client):
    sign_in(client, "correct horse battery", "maya")
    (event,) = events("refused")
    assert (event.actor, event.subject, event.details) == (
        "nobody",
        "",
        {"wrong": "password"},
    )


def test_refusals_for_too_many_tries_do_not_fill_the_trail(client, maya, monday):
    for _ in range(LOGIN.limit * 3):
        sign_in(client, password=WRONG)
    assert len(events("refused")) == LOGIN.limit


def test_signing_out_has_the_browser_forget(client, maya):
    sign_in(client)
    answer = client.post(reverse("account_logout"))
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert client.get("/").status_code == 302


def test_changing_user_leads_back_to_the_same_page(client, maya):
    with_password("femi", Role.FRONT_DESK)
    sign_in(client)
    answer = client.post(
        reverse("account_logout"), {"next": "/accounts/login/?next=/patients/"}
    )
    assert answer["Location"] == "/accounts/login/?next=/patients/"
    answer = client.post(
        answer["Location"],
        {"login": "femi", "password": PASSWORD, "next": "/patients/"},
    )
    assert answer["Location"] == "/patients/"


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(client, maya):
    elsewhere = Client()
    sign_in(elsewhere)
    sign_in(client)
    answer = client.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW},
    )
    assert answer["Location"] == reverse("mfa_index")
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert {"changed": "password"} in [e.details for e in events("security")]
    sign_in(elsewhere, password=NEW)
    assert elsewhere.get("/").status_code == 200


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"oldpassword": WRONG}, "oldpassword"),
        ({"password1": "short", "password2": "short"}, "password1"),
        ({"password2": "something else here"}, "password2"),
    ],
)
def test_a_password_that_will_not_do_says_so_beside_its_field(
    client, maya, typed, said
):
    client.force_login(maya)
    fields = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW} | typed
    answer = client.post(reverse("account_change_password"), fields)
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [said]
    maya.refresh_from_db()
    assert maya.check_password(PASSWORD)


def test_tries_at_the_old_password_are_counted(client, maya, monday):
    client.force_login(maya)
    fields = {"oldpassword": WRONG, "password1": NEW, "password2": NEW}
    for _ in range(10):
        client.post(reverse("account_change_password"), fields)
    answer = client.post(
        reverse("account_change_password"), fields | {"oldpassword": PASSWORD}
    )
    assert b"Too many tries" in answer.content


def test_a_manager_ends_somebodys_sessions_at_once(client, maya):
    ada = member_of_staff("ada", Role.MANAGER)
    sign_in(client)
    assert end_sessions(user=maya, by=ada) == 1
    assert client.get("/").status_code == 302
    (event,) = events("sign_out")
    assert (event.actor, event.subject) == ("ada", f"user:{maya.pk}")
