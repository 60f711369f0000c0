"""Whose language a page speaks."""

from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from accounts.models import User
from accounts.roles import Role
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
SPANISH_FIRST = {"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"}


@pytest.fixture
def nora() -> User:
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def desk(client: Client, nora: User) -> Client:
    client.force_login(nora)
    return client


def spoken(response: Any) -> tuple[str, str]:
    """Return what the page and its header say its language is."""
    html = response.content.decode()
    lang = html.split('<html lang="', 1)[1].split('"', 1)[0]
    return lang, response["Content-Language"]


def choose(client: Client, language: str, back: str = "/worklist/") -> Any:
    return client.post("/accounts/language/", {"language": language, "next": back})


class TestBeforeAnybodyIsSignedIn:
    def test_the_browser_decides(self, client):
        response = client.get(LOGIN, headers=SPANISH_FIRST)
        assert spoken(response) == ("es", "es")
        assert "Accept-Language" in response["Vary"]

    @pytest.mark.parametrize(
        "asked", ["", "*", "de", "tlh,de;q=0.3", "!,;q=", "x" * 9000]
    )
    def test_what_we_do_not_speak_is_answered_in_english(self, client, asked):
        response = client.get(LOGIN, headers={"Accept-Language": asked})
        assert spoken(response) == ("en", "en")

    def test_no_cookie_has_a_say_and_none_is_set(self, client):
        client.cookies["django_language"] = "es"
        response = client.get(LOGIN)
        assert spoken(response) == ("en", "en")
        assert "django_language" not in response.cookies


class TestWhoIsSignedIn:
    def test_reads_what_the_browser_asks_for_until_they_choose(self, desk):
        assert spoken(desk.get("/", headers=SPANISH_FIRST)) == ("es", "es")

    def test_chooses_on_any_page_and_is_back_there(self, desk, nora):
        page = desk.get("/worklist/?from=today").content.decode()
        assert 'value="/worklist/?from=today"' in page
        assert "Español</button>" in page
        response = choose(desk, "es", "/worklist/?from=today")
        assert response["Location"] == "/worklist/?from=today"
        nora.refresh_from_db()
        assert nora.language == "es"
        there = desk.get(response["Location"])
        assert spoken(there) == ("es", "es")
        assert "English</button>" in there.content.decode()

    def test_keeps_their_language_in_whatever_browser(self, desk, nora):
        User.objects.filter(pk=nora.pk).update(language="en")
        response = desk.get("/", headers=SPANISH_FIRST)
        assert spoken(response) == ("en", "en")
        assert "Cookie" in response["Vary"]
        assert "Accept-Language" not in response["Vary"]

    @pytest.mark.parametrize("language", ["", "tlh", "../es", "ES"])
    def test_is_told_when_nobody_speaks_it(self, desk, nora, language):
        page = desk.get(choose(desk, language)["Location"]).content.decode()
        assert "Choose one of the languages offered." in page
        nora.refresh_from_db()
        assert nora.language == ""

    def test_reads_on_when_what_they_chose_is_spoken_no_more(self, desk, nora):
        User.objects.filter(pk=nora.pk).update(language="tlh")
        assert spoken(desk.get("/")) == ("en", "en")

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""],
    )
    def test_is_never_led_elsewhere(self, desk, elsewhere):
        assert choose(desk, "es", elsewhere)["Location"] == "/"

    def test_changes_nothing_by_a_link(self, desk):
        assert desk.get("/accounts/language/").status_code == 405

    def test_reads_error_pages_in_their_language_too(self, desk):
        choose(desk, "es")
        response = desk.get("/patients/99999999/")
        assert response.status_code == 404
        assert spoken(response) == ("es", "es")


def test_a_choice_needs_a_login(client):
    response = choose(client, "es")
    assert response.status_code == 302
    assert response["Location"].startswith(LOGIN)


def test_the_next_request_on_the_thread_starts_anew(client):
    client.get(LOGIN, headers=SPANISH_FIRST)
    assert translation.get_language() == "en"
