"""What every answer tells the browser: pages, files, errors and redirects alike."""

import re

import pytest
from django.test import Client

from accounts.policies import walk_addresses
from accounts.roles import Role
from tests.clinic_crm.test_errors import ERRORS
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}
STATIC = "/static/css/clinic.css"


@pytest.fixture(params=["embedded", "clinic server"])
def browser(request, settings):
    """A nurse's browser at either kind of clinic, with some doors that break."""
    settings.ROOT_URLCONF = "tests.clinic_crm.test_errors"
    settings.WHITENOISE_USE_FINDERS = True
    client = Client(raise_request_exception=False)
    client.secure = request.param == "clinic server"
    if client.secure:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
        settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
        settings.SECURE_HSTS_PRELOAD = True
        settings.SECURE_SSL_REDIRECT = True
        client.defaults["HTTP_X_FORWARDED_PROTO"] = "https"
    maya = member_of_staff("maya", Role.NURSE)
    maya.is_staff = maya.is_superuser = True
    maya.save()
    client.user = maya
    client.force_login(maya)
    return client


def everywhere() -> list[str]:
    """Return a path for every address there is, and for every way to fail."""
    paths = {
        "/" + re.sub(r"<[^>]+>", "1", route).replace("\\Z", "").strip("^$")
        for route in (address.route for address in walk_addresses())
    }
    paths |= {f"/broken/{kind}/" for kind in ERRORS}
    return sorted(paths | {STATIC, "/static/nothing.css", "/nowhere/"})


def wrong_with(answer, *, secure: bool) -> list[str]:
    """Return what a browser is not told, or told wrongly."""
    policy = dict(
        part.strip().split(" ", 1)
        for part in answer["Content-Security-Policy"].split(";")
    )
    scripts = policy.pop("script-src")
    expected = {
        "X-Content-Type-Options": {"nosniff"},
        "X-Frame-Options": {"DENY"},
        "Referrer-Policy": {"same-origin", "no-referrer"},
        "Cross-Origin-Opener-Policy": {"same-origin"},
        "Cross-Origin-Resource-Policy": {"same-origin"},
    }
    if secure:
        expected["Strict-Transport-Security"] = {
            "max-age=31536000; includeSubDomains; preload"
        }
    wrong = [
        f"{name}: {answer.get(name)}"
        for name, good in expected.items()
        if answer.get(name) not in good
    ]
    if policy != POLICY:
        wrong.append(f"policy: {policy}")
    if not re.fullmatch(r"'none'|'self'|'nonce-[\w+/]{22}=='", scripts):
        wrong.append(f"scripts: {scripts}")
    if "camera=()" not in answer.get("Permissions-Policy", ""):
        wrong.append("no Permissions-Policy")
    if not re.fullmatch(r"[a-z2-9]{8}", answer.get("X-Request-ID", "")):
        wrong.append("no id")
    unwanted = ("Server", "X-Powered-By", "Access-Control-Allow-Origin")
    wrong += [name for name in unwanted if name in answer]
    return wrong


def ask(browser, path, method="get"):
    """Return the answer, read to its end: a file stays open until then."""
    answer = getattr(browser, method)(path)
    if answer.streaming:
        answer.getvalue()
    return answer


def nonces_of(answer) -> set[str]:
    return set(re.findall(r"'nonce-([^']+)'", answer["Content-Security-Policy"]))


def test_every_answer_has_them_and_no_two_share_a_nonce(browser):
    wrong, seen, statuses = [], set(), set()
    for path in everywhere():
        for method in ("get", "post", "put"):
            # Some of these end the session, or all of the user's.
            browser.user.refresh_from_db()
            browser.force_login(browser.user)
            answer = ask(browser, path, method)
            statuses.add(answer.status_code)
            wrong += [
                f"{method} {path} {answer.status_code}: {what}"
                for what in wrong_with(answer, secure=browser.secure)
            ]
            kept = answer["Cache-Control"] != "no-store"
            if kept != (path == STATIC and method == "get"):
                wrong.append(f"{method} {path}: {answer['Cache-Control']}")
            nonces = nonces_of(answer)
            if nonces & seen:
                wrong.append(f"{method} {path}: a nonce for the second time")
            seen |= nonces
    assert wrong == []
    assert statuses >= {200, 302, 400, 403, 404, 405, 500, 503}
    assert len(seen) > 15


def test_a_page_uses_the_nonce_it_was_given(browser):
    for _again in range(2):
        answer = browser.get("/worklist/")
        (nonce,) = nonces_of(answer)
        assert answer.content.decode().count(f'nonce="{nonce}"') >= 2


def test_only_django_admin_runs_scripts_without_a_nonce(browser):
    loose = {
        path.split("/")[1]
        for path in everywhere()
        if "script-src 'self'" in ask(browser, path)["Content-Security-Policy"]
    }
    assert loose == {"admin"}


def test_another_host_and_plain_http_are_told_as_well(browser):
    browser.defaults.pop("HTTP_X_FORWARDED_PROTO", None)
    if browser.secure:
        answer = browser.get("/", headers={"Host": "clinic.example"})
        assert answer.status_code in {301, 400}
        assert wrong_with(answer, secure=False) == []
    answer = browser.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert wrong_with(answer, secure=False) == []
    assert answer["Cache-Control"] == "no-store"


def test_a_file_may_be_kept_and_is_not_sent_again(browser):
    first = ask(browser, STATIC)
    assert re.match(r"max-age=\d+, public", first["Cache-Control"])
    again = browser.get(STATIC, headers={"If-Modified-Since": first["Last-Modified"]})
    assert again.status_code == 304
    assert "max-age" in again["Cache-Control"]
    assert wrong_with(again, secure=browser.secure) == []
