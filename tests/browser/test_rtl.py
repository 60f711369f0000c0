"""The house for readers from right to left: mirrored, and nothing sticks out."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from playwright.sync_api import Browser, Page

from accounts.models import User
from tests.browser.test_pages import SCREENS, Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

#: How far the page can be scrolled sideways, and where things stand.
MEASURE = """() => {
  const box = (found) => {
    const { left, right } = document.querySelector(found).getBoundingClientRect();
    return [Math.round(left), Math.round(right)];
  };
  const page = document.scrollingElement;
  return {
    sideways: page.scrollWidth - page.clientWidth,
    rail: box(".rail"),
    first: box(".rail a"),
    last: box(".rail a:last-of-type"),
    main: box("main"),
    who: box(".who"),
  };
}"""


@pytest.fixture
def scene(settings: Any) -> Iterator[Scene]:
    settings.DEBUG = True
    settings.LANGUAGES = [*settings.LANGUAGES, ("ar", "Arabic")]
    yield Scene()
    # The fixture's end takes the language away again.
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture
def open_as(chromium: Browser, live_server: Any) -> Iterator[Any]:
    """Open a tab in which somebody is signed in."""
    contexts = []

    def open_tab(user: User, size: tuple[int, int]) -> Page:
        width, height = size
        context = chromium.new_context(
            viewport={"width": width, "height": height}, base_url=live_server.url
        )
        contexts.append(context)
        client = Client()
        client.force_login(user)
        session = {"name": "sessionid", "value": client.cookies["sessionid"].value}
        context.add_cookies([{**session, "url": live_server.url}])
        return context.new_page()

    yield open_tab
    for context in contexts:
        context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_pages_are_mirrored_and_nothing_sticks_out(scene, open_as, screen):
    User.objects.filter(pk=scene.maya.pk).update(language="ar")
    page = open_as(scene.maya, SCREENS[screen])
    for address in (
        reverse("today"),
        reverse("patients:patient_detail", args=[scene.grace.pk]),
        reverse("messaging:inbox_list") + "?folder=all",
        reverse("messaging:conversation_detail", args=[scene.conversation.pk]),
        reverse("worklist:item_list"),
        reverse("appointments:schedule"),
    ):
        page.goto(address)
        assert page.get_attribute("html", "dir") == "rtl"
        assert page.locator("link[href*='bootstrap.rtl.min']").count() == 1
        at = page.evaluate(MEASURE)
        width = SCREENS[screen][0]
        assert at["sideways"] == 0, address
        if screen == "desk":
            assert at["rail"][1] == at["who"][1] == width, address
            assert at["main"][1] <= at["rail"][0], address
        else:
            assert at["first"][0] > at["last"][1], address


def test_a_text_keeps_its_own_direction(scene, open_as):
    User.objects.filter(pk=scene.maya.pk).update(language="ar")
    page = open_as(scene.maya, SCREENS["desk"])
    page.goto(reverse("messaging:conversation_detail", args=[scene.conversation.pk]))
    # Ours stand where lines end, which is the left now, and are still read from there.
    ours = page.locator(".bubble.out").first.bounding_box()
    theirs = page.locator(".bubble.in").first.bounding_box()
    assert ours["x"] < theirs["x"]
    direction = "element => getComputedStyle(element).direction"
    assert page.locator(".bubble.out bdi").first.evaluate(direction) == "ltr"
