"""A page nobody sits at: when it locks, what it shows, and what it keeps."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from accounts.door.guard import WRITTEN_EVERY
from accounts.door.sessions import SessionStore
from accounts.models import AuditEvent
from accounts.roles import Role
from tests.accounts.test_door import PASSWORD, WRONG, with_password
from tests.factories import patient

pytestmark = pytest.mark.django_db

IDLE = timedelta(minutes=15)
UNLOCK = "/accounts/unlock/"
AS_JSON = {"Accept": "application/json"}


@pytest.fixture
def maya(client, monday):
    user = with_password("maya")
    client.force_login(user)
    return user


def state(client) -> dict:
    return client.get(reverse("account_session"), headers={"X-Poll": "1"}).json()


def test_after_a_quarter_of_an_hour_nothing_is_shown(client, maya, monday):
    grace = patient()
    path = f"/patients/{grace.pk}/"
    monday.shift(IDLE - timedelta(seconds=1))
    assert client.get(path).status_code == 200
    monday.shift(IDLE)
    answer = client.get(path)
    assert answer.status_code == 423
    assert b"Okafor" not in answer.content
    assert b"Unlock" in answer.content


@pytest.mark.parametrize(
    "headers",
    [{"HX-Request": "true"}, {"Accept": "*/*"}, {"Accept": "application/json"}],
)
def test_a_fragment_is_told_so_in_a_word(client, maya, monday, headers):
    monday.shift(IDLE)
    answer = client.get("/patients/", headers=headers)
    assert (answer.status_code, answer.content) == (423, b"locked")


def test_admin_locks_too(client, monday):
    client.force_login(with_password("ada", Role.MANAGER))
    assert client.get("/admin/").status_code == 200
    monday.shift(IDLE)
    seen = AuditEvent.objects.count()
    assert client.get("/admin/accounts/site/").status_code == 423
    # Nobody saw a page.
    assert AuditEvent.objects.count() == seen


def test_public_addresses_and_leaving_stay_open(client, maya, monday):
    monday.shift(IDLE)
    assert client.get("/healthz").status_code == 200
    assert client.post(reverse("account_logout")).status_code == 302


def test_what_a_page_asks_by_itself_keeps_nobody_signed_in(client, maya, monday):
    for _ in range(14):
        monday.shift(timedelta(minutes=1))
        assert client.get("/patients/", headers={"X-Poll": "1"}).status_code == 200
        assert state(client)["locked"] is False
        client.get(reverse("account_session"))
    monday.shift(timedelta(minutes=1))
    assert state(client) == {"locked": True, "seconds": 0, "user": maya.pk}
    assert client.get("/").status_code == 423


def test_somebody_who_types_is_there(client, maya, monday):
    for _ in range(5):
        monday.shift(IDLE - timedelta(minutes=1))
        assert client.post(reverse("account_active")).status_code == 204
    assert state(client)["locked"] is False
    monday.shift(IDLE)
    assert client.post(reverse("account_active")).status_code == 423


def test_being_there_is_known_to_within_a_minute(client, maya, monday):
    monday.shift(timedelta(seconds=WRITTEN_EVERY - 1))
    client.get("/")
    assert state(client)["seconds"] == 15 * 60 - WRITTEN_EVERY + 1
    monday.shift(timedelta(seconds=1))
    client.get("/")
    assert state(client)["seconds"] == 15 * 60


def test_lock_now_locks_every_tab(client, maya, monday):
    answer = client.post(reverse("account_lock"), {"next": "/patients/"})
    assert answer["Location"] == "/patients/"
    assert client.get("/patients/").status_code == 423
    assert client.get("/").status_code == 423


def test_a_request_that_ends_late_does_not_undo_the_lock(client, maya, monday):
    late = SessionStore(client.session.session_key)
    assert late["_auth_user_id"] == str(maya.pk)
    monday.shift(1)
    client.post(reverse("account_lock"))
    late["seen_at"] = 0
    late.save()
    assert client.get("/patients/").status_code == 423
    monday.shift(1)
    client.post(UNLOCK, {"password": PASSWORD})
    assert client.get("/patients/").status_code == 200
    # Nor does the next thing kept in it lock it again.
    monday.shift(timedelta(seconds=WRITTEN_EVERY))
    assert client.get("/patients/").status_code == 200
    assert client.get("/patients/").status_code == 200


def test_the_password_opens_it_where_one_was(client, maya, monday):
    client.post(reverse("account_lock"))
    answer = client.post(UNLOCK, {"password": PASSWORD, "next": "/patients/?q=x"})
    assert answer["Location"] == "/patients/?q=x"
    assert client.get("/patients/").status_code == 200


def test_but_leads_nowhere_else(client, maya, monday):
    client.post(reverse("account_lock"), {"next": "//evil.example/"})
    for wanted in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        client.post(reverse("account_lock"))
        answer = client.post(UNLOCK, {"password": PASSWORD, "next": wanted})
        assert answer["Location"] == "/"


def test_a_wrong_password_leaves_it_locked_and_is_written(client, maya, monday):
    client.post(reverse("account_lock"))
    answer = client.post(UNLOCK, {"password": WRONG, "next": "/patients/"})
    assert b"Incorrect password" in answer.content
    assert 'value="/patients/"' in answer.content.decode()
    assert client.get("/").status_code == 423
    event = AuditEvent.objects.get(verb="refused")
    assert (event.actor, event.address) == ("maya", "account_unlock")


def test_passwords_cannot_be_tried_out_at_it(client, maya, monday):
    client.post(reverse("account_lock"))
    for _ in range(10):
        client.post(UNLOCK, {"password": WRONG})
    assert b"Too many tries" in client.post(UNLOCK, {"password": PASSWORD}).content
    monday.shift(timedelta(minutes=2))
    assert client.post(UNLOCK, {"password": PASSWORD}).status_code == 302


def test_a_page_unlocks_without_being_left(client, maya, monday):
    client.post(reverse("account_lock"))
    answer = client.post(UNLOCK, {"password": WRONG}, headers=AS_JSON)
    assert answer.status_code == 422
    assert answer.json() == {"errors": ["Incorrect password."]}
    answer = client.post(UNLOCK, {"password": PASSWORD}, headers=AS_JSON)
    assert (answer.status_code, answer.json()) == (200, {"locked": False})
    assert client.get("/").status_code == 200


def hidden(html: str) -> list[tuple[str, str]]:
    """Return the hidden fields of the first form that goes to a page of ours."""
    form = html.split("<form", 1)[1].split("</form>")[0]
    return re.findall(r'type="hidden"\s+name="([^"]+)"\s+value="([^"]*)"', form)


def test_a_form_sent_too_late_is_kept_and_can_be_sent_again(client, maya, monday):
    monday.shift(IDLE)
    typed = {"note": "Her knee & hip\nhurt", "kind": ["a", "b"], "password": "secret"}
    locked = client.post("/patients/import/?x=1", typed)
    assert locked.status_code == 423
    text = locked.content.decode()
    # Who stands at the locked screen reads none of it, in the source either.
    assert "knee" not in text
    fields = dict(hidden(text))
    wrong = client.post(UNLOCK, {"password": WRONG, **fields})
    fields = dict(hidden(wrong.content.decode()))
    again = client.post(UNLOCK, {"password": PASSWORD, **fields})
    html = again.content.decode()
    assert 'action="/patients/import/?x=1"' in html
    kept = [pair for pair in hidden(html) if pair[0] != "csrfmiddlewaretoken"]
    assert kept == [
        ("note", "Her knee &amp; hip\nhurt"),
        ("kind", "a"),
        ("kind", "b"),
    ]


def test_what_was_kept_is_not_sent_by_somebody_else(client, maya, monday):
    monday.shift(IDLE)
    fields = dict(hidden(client.post("/worklist/", {"note": "x"}).content.decode()))
    client.force_login(with_password("femi", Role.FRONT_DESK))
    answer = client.post(UNLOCK, {"password": PASSWORD, **fields})
    assert answer.status_code == 302


def test_somebody_else_can_sign_in_from_the_lock(client, maya, monday):
    monday.shift(IDLE)
    html = client.get("/patients/").content.decode()
    assert "/accounts/login/?next=%2Fpatients%2F" in html


def test_the_lock_itself_opens_only_for_who_is_signed_in(client):
    for name in ("account_unlock", "account_lock", "account_session"):
        assert client.post(reverse(name)).status_code == 302


def test_an_open_session_has_nothing_to_unlock(client, maya):
    assert client.get(f"{UNLOCK}?next=/patients/")["Location"] == "/patients/"
