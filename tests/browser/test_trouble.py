"""A part of a page that could not be had says so, and how to find out why."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import BrowserContext, Route, expect

from accounts.roles import Role
from tests.factories import member_of_staff, patient

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tab(chromium: Any, live_server: Any) -> Any:
    """A page of Maya's; a browser complains of every 500, so nobody listens here."""
    client = Client()
    client.force_login(member_of_staff("maya", Role.NURSE))
    context: BrowserContext = chromium.new_context(
        base_url=live_server.url, locale="en-US", reduced_motion="reduce"
    )
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**cookie, "url": live_server.url}])
    page = context.new_page()
    page.goto("/worklist/")
    yield page
    context.close()


def test_it_says_so_with_the_reference_and_goes_when_it_works_again(tab: Any) -> None:
    patient()
    trouble = tab.get_by_role("alert")
    expect(trouble).to_have_count(0)

    def break_it(route: Route) -> None:
        route.fulfill(status=500, headers={"X-Request-ID": "kq7m3xwd"}, body="no")

    tab.route("**/patients/find/", break_it)
    tab.get_by_role("searchbox").fill("okafor")
    expect(trouble).to_contain_text("That did not work")
    expect(trouble).to_contain_text("Reference: kq7m3xwd")
    found = Axe().run(tab).response["violations"]
    assert [rule["id"] for rule in found] == []

    tab.unroute("**/patients/find/")
    tab.get_by_role("searchbox").fill("grace")
    expect(trouble).to_have_count(0)


def test_a_server_out_of_reach_has_no_reference(tab: Any) -> None:
    tab.route("**/patients/find/", lambda route: route.abort())
    tab.get_by_role("searchbox").fill("okafor")
    expect(tab.get_by_role("alert")).to_contain_text("That did not work")
    expect(tab.get_by_text("Reference:")).to_be_hidden()


def test_a_locked_session_answers_for_itself(tab: Any) -> None:
    tab.route("**/patients/find/", lambda route: route.fulfill(status=423, body="no"))
    tab.get_by_role("searchbox").fill("okafor")
    expect(tab.get_by_role("dialog")).to_be_visible()
    expect(tab.locator("#trouble")).to_be_hidden()
