"""The lock over a page, and the ways past it, in a real browser."""

import time
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import User
from accounts.roles import Role
from tests.browser.test_pages import SCREENS, axe_finds, contrast_finds
from tests.factories import member_of_staff, patient

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "correct horse battery"


@pytest.fixture
def maya() -> User:
    user = member_of_staff("maya", Role.NURSE)
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def context(chromium: Browser, live_server: Any) -> Any:
    """Return a browser whose tabs share a session, as at a desk."""
    made = chromium.new_context(
        base_url=live_server.url,
        locale="en-US",
        viewport={"width": 1360, "height": 900},
        reduced_motion="reduce",
    )
    yield made
    made.close()


def sign_in(context: BrowserContext, login: str = "maya", path: str = "/") -> Page:
    page = context.new_page()
    page.goto(reverse("account_login") + f"?next={path}")
    page.get_by_label("Username").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/login/" not in url)
    return page


def cover(page: Page) -> Any:
    return page.get_by_role("dialog", name="Locked")


def unlock(page: Page, password: str = PASSWORD) -> None:
    cover(page).get_by_label("Password").fill(password)
    cover(page).get_by_role("button", name="Unlock").click()


def sound(page: Page, where: str) -> list[str]:
    found = axe_finds(page, where)
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if wider > 0:
        found.append(f"{where}: {wider} px too wide")
    page.emulate_media(color_scheme="dark")
    found += contrast_finds(page, f"{where}, dark")
    page.emulate_media(color_scheme="light")
    return found


def test_a_page_left_alone_is_covered_and_keeps_what_was_typed(
    context: BrowserContext, maya: User, settings: Any
) -> None:
    settings.IDLE_LOCK_SECONDS = 2
    patient()
    page = sign_in(context, path="/patients/")
    page.get_by_role("searchbox").fill("her left knee")
    expect(cover(page)).to_be_visible(timeout=10_000)
    expect(page.get_by_role("heading", name="Patients")).to_be_hidden()
    expect(cover(page).get_by_label("Password")).to_be_focused()
    for size in SCREENS.values():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert sound(page, f"cover {size}") == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(cover(page)).to_be_visible()
    settings.IDLE_LOCK_SECONDS = 900
    unlock(page, "wrong horse battery")
    expect(cover(page).get_by_text("Incorrect password")).to_be_visible()
    unlock(page)
    expect(cover(page)).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_have_value("her left knee")


def test_lock_now_covers_every_tab_and_one_password_opens_all(
    context: BrowserContext, maya: User
) -> None:
    first = sign_in(context, path="/patients/")
    second = context.new_page()
    second.goto("/worklist/")
    first.get_by_role("button", name="Lock now").click()
    expect(cover(first)).to_be_visible()
    expect(cover(second)).to_be_visible()
    unlock(second)
    expect(cover(second)).to_be_hidden()
    expect(cover(first)).to_be_hidden()
    second.reload()
    expect(second.get_by_role("heading", name="Worklist", level=1)).to_be_visible()


def test_typing_is_being_there(context: BrowserContext, maya: User) -> None:
    page = sign_in(context, path="/patients/")
    page.clock.install()
    page.goto("/patients/")
    page.clock.run_for(61_000)
    with page.expect_request("**" + reverse("account_active")) as asked:
        page.get_by_role("searchbox").press("k")
    answer = asked.value.response()
    assert answer is not None
    assert answer.status == 204


def test_somebody_else_takes_over_on_the_same_page(
    context: BrowserContext, maya: User
) -> None:
    femi = member_of_staff("femi", Role.FRONT_DESK)
    femi.set_password(PASSWORD)
    femi.save()
    page = sign_in(context, path="/patients/")
    page.get_by_role("button", name="Lock now").click()
    cover(page).get_by_role("button", name="Sign in as somebody else").click()
    page.get_by_label("Username").fill("femi")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()
    expect(page.get_by_label("Signed in as")).to_contain_text("Femi")


def test_a_tab_of_the_user_before_does_not_stay(
    context: BrowserContext, maya: User
) -> None:
    page = sign_in(context, path="/patients/")
    other = context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_without_scripts_the_next_click_finds_the_lock(
    chromium: Browser, live_server: Any, maya: User
) -> None:
    context = chromium.new_context(
        java_script_enabled=False, base_url=live_server.url, locale="en-US"
    )
    page = sign_in(context, path="/patients/")
    page.get_by_role("button", name="Lock now").click()
    expect(page.get_by_role("heading", name="Locked")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()
    context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_the_lock_page_and_the_second_step_are_sound(
    context: BrowserContext, maya: User, screen: str
) -> None:
    width, height = SCREENS[screen]
    page = sign_in(context)
    page.set_viewport_size({"width": width, "height": height})
    with page.expect_response("**" + reverse("account_lock")):
        page.get_by_role("button", name="Lock now").click()
    expect(cover(page)).to_be_visible()
    page.goto("/patients/")
    expect(page.get_by_role("heading", name="Locked", level=1)).to_be_visible()
    assert sound(page, "lock page") == []
    page.get_by_role("button", name="Sign in as somebody else").click()
    TOTP.activate(maya, generate_totp_secret())
    page = sign_in(context)
    page.set_viewport_size({"width": width, "height": height})
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    assert sound(page, "second step") == []


def test_an_app_is_set_up_and_asked_for(context: BrowserContext, maya: User) -> None:
    page = sign_in(context, path=reverse("mfa_index"))
    page.get_by_role("link", name="Set up an app").click()
    secret = page.locator("#secret").inner_text()

    def code(steps: int) -> str:
        return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))

    page.get_by_label("Code", exact=True).fill(code(0))
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("button", name="Sign out").click()
    page = sign_in(context)
    page.get_by_label("Code", exact=True).fill(code(1))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Second step")
    expect(page.get_by_label("Signed in as")).to_contain_text("Maya")


def test_a_passkey_is_made_and_stands_for_the_password(
    context: BrowserContext, maya: User, settings: Any
) -> None:
    settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
    page = sign_in(context, path=reverse("mfa_index"))
    machine = context.new_cdp_session(page)
    machine.send("WebAuthn.enable")
    machine.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("This desk")
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("This desk")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_label("Signed in as")).to_contain_text("Maya")
