"""A patient's link in a real browser, and in those of scanners that run scripts."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.roles import Role
from appointments.links import make_visit_link
from appointments.models import Appointment
from appointments.services import cancel_appointment, move_appointment
from patients.links.services import revoke_links
from patients.models import Patient
from tests.browser.test_pages import INLINE, SCREENS, axe_finds, contrast_finds
from tests.factories import booked, clinician, member_of_staff, patient
from tests.patients.test_links import BORN, path_of, snapshot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewTab = Callable[..., Page]


@pytest.fixture
def new_tab(chromium: Browser, live_server: Any) -> Iterator[NewTab]:
    """Open browsers of their own; what a browser complains of fails the test.

    Not that a page is not there (404) or has changed (409): that is said to people.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def new(screen: str = "phone", **options: Any) -> Page:
        width, height = SCREENS[screen]
        context = chromium.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            **({"locale": "en-US"} | options),
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                complaints.append(f"{page.url}: {line.text}")
                if line.type == "error" and "the server responded with" not in line.text
                else None
            ),
        )
        return page

    yield new
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def visit() -> Appointment:
    return booked(patient(birth_date=BORN))


@pytest.fixture
def path(visit: Appointment) -> str:
    _link, address = make_visit_link(
        visit=visit, by=member_of_staff("femi", Role.NURSE)
    )
    return path_of(address)


def give_birth_date(page: Page, year: str = "1959") -> None:
    page.get_by_label("Month").fill("3")
    page.get_by_label("Day").fill("14")
    page.get_by_label("Year").fill(year)
    page.get_by_role("button", name="Show it").click()


def test_browsers_that_click_nothing_change_nothing(new_tab: NewTab, path: str) -> None:
    before = snapshot()
    for _again in range(20):
        answer = new_tab().goto(path, wait_until="networkidle")
        assert answer is not None
        assert answer.status == 200
    assert snapshot() == before


def test_a_scanner_that_presses_the_button_changes_nothing(
    new_tab: NewTab, path: str
) -> None:
    before = snapshot()
    page = new_tab()
    page.goto(path)
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_role("alert")).to_have_text("Fill in the date of birth.")
    page.evaluate("document.querySelectorAll('form')[1].submit()")
    page.wait_for_load_state()
    assert snapshot() == before


@pytest.mark.parametrize("scripts", [True, False])
def test_the_whole_way(
    new_tab: NewTab, visit: Appointment, path: str, scripts: bool
) -> None:
    page = new_tab(java_script_enabled=scripts)
    page.goto(path)
    give_birth_date(page, year="1958")
    expect(page.get_by_text("This is not the date we have")).to_be_visible()
    expect(page.get_by_label("Day")).to_have_value("14")
    give_birth_date(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Visit for Grace")
    assert path not in page.url
    page.get_by_role("button", name="I will come").click()
    expect(page.get_by_text("We know that you will come")).to_be_visible()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CONFIRMED
    page.get_by_role("button", name="Español").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    page.locator("form[action='/p/leave/'] button").click()
    expect(page).to_have_url(reverse("links:bye"))
    page.go_back()
    expect(page.locator("body")).not_to_contain_text("Grace")
    expect(page.get_by_role("button")).not_to_have_count(0)


def test_cancelling_takes_two_presses(
    new_tab: NewTab, visit: Appointment, path: str
) -> None:
    page = new_tab()
    page.goto(path)
    give_birth_date(page)
    page.get_by_role("button", name="I cannot come").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_text("This visit is cancelled")).to_be_visible()
    visit.refresh_from_db()
    assert visit.state == Appointment.State.CANCELLED


def test_by_keyboard_alone(new_tab: NewTab, path: str) -> None:
    page = new_tab("desk")
    page.goto(path)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Leave this page")).to_be_focused()
    for typed in ("3", "14", "1958"):
        page.keyboard.press("Tab")
        page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Month")).to_be_focused()
    for typed in ("March", "14", "1959"):
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Visit for Grace")


def test_what_a_browser_sends_along(new_tab: NewTab, path: str) -> None:
    """The form gets past the CSRF check, and no request names the token but its own."""
    page = new_tab()
    sent: list[tuple[str, str]] = []
    page.on(
        "request",
        lambda asked: sent.append((asked.url, asked.all_headers().get("referer", ""))),
    )
    page.goto(path)
    give_birth_date(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Visit for Grace")
    token = path.split("/")[2]
    assert len(sent) > 3
    assert [referer for _url, referer in sent if token in referer] == []


def test_maya_tries_it_at_her_own_desk(
    new_tab: NewTab, visit: Appointment, live_server: Any
) -> None:
    client = Client()
    client.force_login(member_of_staff("maya", Role.NURSE))
    page = new_tab("desk")
    page.context.add_cookies(
        [
            {
                "name": "sessionid",
                "value": client.cookies["sessionid"].value,
                "url": live_server.url,
            }
        ]
    )
    page.goto(reverse("appointments:appointment_detail", args=[visit.pk]))
    page.get_by_role("button", name="Link for the patient").click()
    address = page.locator(".copy-out").inner_text()
    assert axe_finds(page, "appointment_link") == []
    page.goto(path_of(address))
    give_birth_date(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Visit for Grace")
    page.get_by_role("button", name="Leave this page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You have left")
    page.goto(reverse("patients:patient_detail", args=[visit.patient_id]))
    panel = page.get_by_role("region", name="Links they can open")
    panel.get_by_role("button", name="Close the link: Their visit").click()
    expect(panel.get_by_text("No link is open to them.")).to_be_visible()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_every_page_for_patients_is_sound(
    new_tab: NewTab, visit: Appointment, path: str, screen: str, language: str
) -> None:
    """Axe, width, one heading, nothing inline, light and dark, in both languages."""
    Patient.objects.update(language=language)
    page = new_tab(screen, locale=language)
    wrong: list[str] = []

    def look(where: str) -> None:
        html = page.content()
        wrong.extend(
            f"{where}: {what}" for what, sign in INLINE.items() if sign.search(html)
        )
        if page.locator("h1").count() != 1:
            wrong.append(f"{where}: not one h1")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wider > 0:
            wrong.append(f"{where}: {wider} px wider than the {screen}")
        if page.locator("html").get_attribute("lang") != language:
            wrong.append(f"{where}: not in {language}")
        page.emulate_media(color_scheme="light")
        wrong.extend(axe_finds(page, where))
        page.emulate_media(color_scheme="dark")
        wrong.extend(contrast_finds(page, f"{where}, dark"))

    page.goto(path)
    look("enter")
    page.locator(".born + button").click()
    look("enter, empty")
    for field, typed in (("month", "3"), ("day", "14"), ("year", "1959")):
        page.locator(f"#id_{field}").fill(typed)
    page.locator(".born + button").click()
    look("visit")
    here = page.url
    for answer in ("come", "move"):
        page.locator(f"button[value={answer}]").click()
        look(f"visit, {answer}")
    move_appointment(appointment_id=visit.pk, by=None, clinician=clinician("Dr Lin"))
    page.locator("button[value=cannot]").click()
    look("visit, changed")
    page.locator("button[value=cannot]").click()
    look("visit, asked")
    later = datetime.combine(visit.local_date, visit.local_time).replace(hour=15)
    move_appointment(appointment_id=visit.pk, by=None, local_start=later)
    page.goto(here)
    look("visit, moved")
    cancel_appointment(appointment_id=visit.pk, by=None)
    page.goto(here)
    look("visit, cancelled")
    revoke_links(purpose="visit", subject_id=visit.pk)
    page.goto(here)
    look("closed")
    page.goto(path)
    look("gone")
    page.goto(reverse("links:bye"))
    look("bye")
    assert wrong == []
