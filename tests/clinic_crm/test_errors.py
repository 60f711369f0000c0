"""A page of an error says what to do next and an id, and nothing of what broke."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path

from accounts.policies import policy, public
from accounts.roles import Role
from tests.factories import member_of_staff, patient

pytestmark = pytest.mark.django_db

SECRET = "Grace Okafor +16175550143"
ERRORS = {
    "suspicious": SuspiciousOperation,
    "broken": RuntimeError,
    "away": OperationalError,
    "cut": InterfaceError,
    "wrong": ProgrammingError,
}


@policy(public("a test"), "GET")
def broken(request, kind):
    raise ERRORS[kind](SECRET)


@policy(public("a test"), "GET")
def throttled(request):
    return HttpResponse(status=429)


urlpatterns = [
    path("broken/<str:kind>/", broken),
    path("throttled/", throttled),
    path("", include("clinic_crm.urls")),
]
handler400 = "clinic_crm.views.bad_request"
handler403 = "clinic_crm.views.forbidden"
handler404 = "clinic_crm.views.not_found"
handler500 = "clinic_crm.views.server_error"


@pytest.fixture
def browser(settings):
    """A browser that shows pages, at a clinic with some doors that break."""
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False, headers={"Accept": "text/html"})


def reference_on(answer) -> str:
    """Return the id the page shows."""
    (shown,) = re.findall(r"Refer\w+: <code>(\w+)</code>", answer.content.decode())
    return shown


@pytest.mark.parametrize(
    ("where", "status", "says"),
    [
        ("/broken/suspicious/", 400, "That was not understood"),
        ("/nowhere/", 404, "There is nothing here"),
        ("/broken/broken/", 500, "Something broke on our side"),
        ("/broken/wrong/", 500, "Something broke on our side"),
        ("/broken/away/", 503, "records are away for a moment"),
        ("/broken/cut/", 503, "records are away for a moment"),
        ("/throttled/", 429, "Too many tries"),
    ],
)
def test_each_says_what_to_do_and_its_id(browser, where, status, says):
    answer = browser.get(where)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert reference_on(answer) == answer["X-Request-ID"]
    for told in (*SECRET.split(), "Traceback", "Error", "test_errors"):
        assert told not in answer.content.decode()
    assert answer.has_header("Retry-After") == (status == 503)


def test_a_permission_that_is_missing(browser):
    browser.force_login(member_of_staff("otto", Role.AUDITOR))
    answer = browser.get("/patients/")
    assert (answer.status_code, reference_on(answer)) == (403, answer["X-Request-ID"])


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options", "trace"])
def test_a_method_no_page_answers(browser, method):
    answer = getattr(browser, method)("/healthz")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, POST"
    assert "cannot be used that way" in answer.content.decode()
    assert reference_on(answer) == answer["X-Request-ID"]


def test_a_method_this_page_does_not_answer(browser):
    answer = browser.post("/healthz")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert reference_on(answer) == answer["X-Request-ID"]


def test_another_host_learns_nothing(browser):
    answer = browser.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()
    assert reference_on(answer) == answer["X-Request-ID"]


def test_a_machine_and_a_part_of_a_page_get_no_page(browser):
    assert Client().put("/healthz").content == b""
    assert browser.put("/healthz", headers={"HX-Request": "true"}).content == b""


def test_they_speak_the_language_of_the_person(browser, monkeypatch):
    """Even where nothing has chosen one yet: the thread may have another's."""
    for host in ("testserver", "evil.example"):
        for language in ("es", "en"):
            answer = browser.get(
                "/broken/broken/", headers={"Host": host, "Accept-Language": language}
            )
            assert f'lang="{language}"' in answer.content.decode()


def test_what_was_written_on_a_page_that_was_open_too_long_is_given_back(settings):
    browser = Client(enforce_csrf_checks=True, headers={"Accept": "text/html"})
    browser.force_login(member_of_staff("maya", Role.NURSE))
    answer = browser.post(
        "/patients/import/",
        {
            "reason": "Called her, she will come on <b>Monday</b>\nwith her son",
            "password": "correct horse battery staple",
            "client_key": "8",
        },
    )
    said = answer.content.decode()
    assert answer.status_code == 403
    assert "This page was open too long" in said
    assert "on &lt;b&gt;Monday&lt;/b&gt;<br>with her son" in said
    assert "battery" not in said
    assert reference_on(answer) == answer["X-Request-ID"]


def test_a_database_that_is_away_is_said_without_asking_it(
    browser, django_assert_num_queries
):
    with django_assert_num_queries(0):
        assert browser.get("/broken/away/").status_code == 503


ASK_WITHOUT_DATABASE = """
import django
django.setup()
from django.test import Client
client = Client(raise_request_exception=False, headers={"Accept": "text/html"})
print(client.get("/healthz").status_code)
client.cookies["sessionid"] = "a" * 32
for path in ("/", "/accounts/login/", "/p/token/"):
    answer = client.get(path)
    print(answer.status_code, answer["Retry-After"], "Reference" in str(answer.content))
"""


def test_a_clinic_whose_database_is_away_says_so_on_every_page(tmp_path):
    """Before any view is reached: the session cannot be read."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK_WITHOUT_DATABASE],
        cwd=Path(__file__).resolve().parents[2],
        env={
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": "postgres://clinic@127.0.0.1:1/clinic",
            "DJANGO_SETTINGS_MODULE": "clinic_crm.settings",
            "ENV_FILE": "/dev/null",
            "ALLOWED_HOSTS": "testserver",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.splitlines() == ["200"] + ["503 10 True"] * 3
    assert "psycopg.OperationalError" in asked.stderr
    assert "Connection refused" not in asked.stderr


def test_a_row_that_is_out_of_reach_looks_like_none(browser):
    browser.force_login(member_of_staff("maya", Role.NURSE))
    somebody = patient()
    somebody.sites.clear()
    answer = browser.get(f"/patients/{somebody.pk}/")
    nobody = browser.get("/patients/999999/")
    assert answer.status_code == nobody.status_code == 404
    assert _without_ids(answer) == _without_ids(nobody)


def _without_ids(answer) -> str:
    """Return the page without what differs by chance."""
    page = answer.content.decode().replace(answer["X-Request-ID"], "")
    return re.sub(r'(nonce|value)="[^"]*"|"x-(csrftoken|view)": "[^"]*"', "", page)
