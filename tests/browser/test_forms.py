"""Forms in a real browser: faults in focus, double clicks, and text that is kept."""

import re
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, Route, expect

from accounts.models import Draft, User
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from tests.factories import booked, clinician, member_of_staff, patient, visit_type
from worklist.models import WorkItem

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SAVED = re.compile(r"^Saved \d\d:\d\d$")


@pytest.fixture
def femi(db) -> User:
    return member_of_staff("femi", Role.FRONT_DESK)


def enter(tab: Page, user: User, url: str) -> None:
    client = Client()
    client.force_login(user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    tab.context.add_cookies([{**cookie, "url": url}])


@pytest.fixture
def close(tab: Page, femi: User, live_server: Any) -> str:
    """Return the page of an item that waits for somebody, with Femi signed in."""
    booked(patient(phone=""))
    run_pass()
    enter(tab, femi, live_server.url)
    return f"{live_server.url}/worklist/{WorkItem.objects.get().pk}/close/"


def test_the_first_fault_has_the_focus(tab: Page, femi: User, live_server: Any) -> None:
    grace = patient()
    clinician()
    visit_type()
    enter(tab, femi, live_server.url)
    tab.goto(f"{live_server.url}/patients/{grace.pk}/book/")
    tab.get_by_label("Visit type").select_option(index=1)
    tab.get_by_label("Clinician").select_option("Dr Rao")
    tab.get_by_label("Day").fill("2020-01-01")
    tab.get_by_label("Time", exact=True).fill("11:40")
    tab.get_by_role("button", name="Book visit").click()
    time = tab.get_by_label("Time", exact=True)
    expect(time).to_be_focused()
    expect(time).to_have_value("11:40")
    expect(time).to_have_accessible_description("This time is past.")
    summary = tab.get_by_role("alert")
    expect(summary).to_contain_text("Time: This time is past.")
    tab.get_by_label("Visit type").focus()
    summary.get_by_role("link", name="Time").click()
    expect(time).to_be_focused()


def test_a_double_click_books_once(tab: Page, femi: User, live_server: Any) -> None:
    grace = patient()
    clinician()
    visit_type()
    enter(tab, femi, live_server.url)
    tab.goto(f"{live_server.url}/patients/{grace.pk}/book/")
    tab.get_by_label("Visit type").select_option(index=1)
    tab.get_by_label("Clinician").select_option("Dr Rao")
    tab.get_by_label("Time", exact=True).fill("11:40")
    tab.get_by_role("button", name="Book visit").dblclick()
    expect(tab.get_by_text("Visit booked")).to_be_visible()
    assert Appointment.objects.count() == 1


def test_a_note_is_kept_and_is_there_again(tab: Page, close: str) -> None:
    tab.goto(close)
    note = tab.get_by_label("Note")
    note.fill("Rang twice, engaged.")
    expect(tab.get_by_text(SAVED)).to_be_visible()
    tab.goto(close)
    expect(note).to_have_value("Rang twice, engaged.")
    expect(tab.get_by_text("Not sent yet")).to_be_visible()
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}])"
    assert "Rang" not in tab.evaluate(stored)


def test_it_is_kept_at_once_when_the_field_is_left(tab: Page, close: str) -> None:
    tab.clock.install()
    tab.goto(close)
    tab.get_by_label("Note").fill("Rang twice")
    tab.get_by_label("How it ended").focus()
    # Within the form nothing hurries; leaving the form, or the page, does.
    expect(tab.get_by_text(SAVED)).to_have_count(0)
    tab.get_by_label("Note").focus()
    tab.get_by_role("link", name="Worklist").first.focus()
    expect(tab.get_by_text(SAVED)).to_be_visible()


def test_what_was_sent_is_no_draft_any_more(tab: Page, close: str) -> None:
    tab.goto(close)
    tab.get_by_label("How it ended").select_option("Letter posted")
    tab.get_by_label("Note").fill("Rang twice")
    expect(tab.get_by_text(SAVED)).to_be_visible()
    tab.get_by_label("Note").fill("Rang twice, then wrote")
    tab.get_by_role("button", name="Close").click()
    expect(tab.get_by_text("Done:")).to_be_visible()
    assert not Draft.objects.exists()
    assert WorkItem.objects.get().events.last().note == "Rang twice, then wrote"


def test_when_it_cannot_be_kept_it_says_so_and_tries_again(
    tab: Page, close: str
) -> None:
    # A tab of its own: ``tab`` takes every failed request for a fault.
    tab = tab.context.new_page()
    tab.goto(close)
    down = [True]

    def answer(route: Route) -> None:
        if down[0]:
            route.abort()
        else:
            route.continue_()

    tab.route("**/drafts/", answer)
    tab.get_by_label("Note").fill("Rang twice")
    failed = tab.get_by_text("Not saved — kept here, trying again")
    expect(failed.first).to_be_visible()
    expect(tab.locator("#said")).to_have_text("Not saved — kept here, trying again")
    assert not Draft.objects.exists()
    down[0] = False
    expect(tab.locator("[data-draft-note]")).to_have_text(SAVED, timeout=10_000)
    assert Draft.objects.get().text == {"note": "Rang twice"}
