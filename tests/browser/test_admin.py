"""Django admin in a real browser: nothing that our policy blocks, no dead ends."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from accounts.roles import Role
from accounts.ticks import beat
from appointments.models import BookableHours, VisitType
from messaging.models import Template
from tests.factories import (
    SiteFactory,
    clinician,
    come_in,
    member_of_staff,
    visit_type,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ada(db) -> User:
    return member_of_staff("ada", Role.MANAGER)


def enter(context: BrowserContext, user: User, url: str) -> None:
    client = Client()
    come_in(client, user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    context.add_cookies([{**cookie, "url": url}])


def test_no_page_of_it_breaks_our_policy(tab: Page, ada: User, live_server) -> None:
    """``tab`` fails the test on any script error or blocked resource."""
    femi = member_of_staff("femi", Role.FRONT_DESK)
    site, doctor, kind = SiteFactory(), clinician(), visit_type()
    hours = BookableHours.objects.create(
        clinician=doctor, site=site, weekday=0, opens="09:00", closes="17:00"
    )
    words = Template.objects.latest("pk")
    beat("tick")
    enter(tab.context, ada, live_server.url)
    pages = [
        reverse("admin:index"),
        reverse("admin:accounts_user_changelist"),
        reverse("admin:accounts_user_changelist") + "?q=femi&role=front+desk",
        reverse("admin:accounts_user_add"),
        reverse("admin:accounts_user_change", args=[femi.pk]),
        reverse("admin:accounts_user_history", args=[femi.pk]),
        reverse("admin:auth_user_password_change", args=[femi.pk]),
        reverse("admin:accounts_site_change", args=[site.pk]),
        reverse("admin:accounts_clinician_change", args=[doctor.pk]),
        reverse("admin:appointments_visittype_change", args=[kind.pk]),
        reverse("admin:appointments_bookablehours_changelist"),
        reverse("admin:appointments_bookablehours_delete", args=[hours.pk]),
        reverse("admin:accounts_heartbeat_changelist"),
        reverse("admin:messaging_template_changelist"),
        reverse("admin:messaging_template_change", args=[words.pk]),
        reverse("admin:messaging_template_add"),
        reverse("admin:app_list", args=["accounts"]),
    ]
    for path in pages:
        answer = tab.goto(live_server.url + path)
        assert answer is not None
        assert answer.status == 200, path
        expect(tab.get_by_role("heading", level=1)).to_be_visible()


def test_a_manager_makes_a_nurse_a_manager(tab: Page, ada: User, live_server) -> None:
    maya = member_of_staff("maya", Role.NURSE)
    enter(tab.context, ada, live_server.url)
    tab.goto(live_server.url + reverse("admin:index"))
    tab.locator("#content-main").get_by_role("link", name="Staff", exact=True).click()
    tab.get_by_role("link", name="maya").click()
    tab.get_by_role("checkbox", name="Manager").check()
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_text("was changed successfully")).to_be_visible()
    assert Group.objects.get(name="manager") in maya.groups.all()


def test_a_reminder_is_added_on_its_visit_types_page(
    tab: Page, ada: User, live_server
) -> None:
    """The row for it comes from a script of Django's, the choice of a login too."""
    kind = VisitType.objects.create(name="Blood draw")
    doctor = clinician()
    enter(tab.context, ada, live_server.url)
    tab.goto(
        live_server.url + reverse("admin:appointments_visittype_change", args=[kind.pk])
    )
    tab.get_by_text("Add another Reminder").click()
    tab.locator("#id_cadence-0-days_before").fill("2")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_text("was changed successfully")).to_be_visible()
    assert kind.cadence.get().days_before == 2
    tab.goto(
        live_server.url + reverse("admin:accounts_clinician_change", args=[doctor.pk])
    )
    tab.locator(".select2-selection").click()
    tab.locator(".select2-search__field").fill("ada")
    tab.get_by_role("option", name="Ada").click()
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_text("was changed successfully")).to_be_visible()
    doctor.refresh_from_db()
    assert doctor.user == ada


def test_sessions_are_ended_only_when_it_is_meant(
    tab: Page, ada: User, live_server
) -> None:
    member_of_staff("femi", Role.FRONT_DESK)
    enter(tab.context, ada, live_server.url)
    tab.goto(live_server.url + reverse("admin:accounts_user_changelist"))
    tab.get_by_role("row", name="femi").get_by_role("checkbox").check()
    tab.get_by_label("Action:").select_option("End all sessions")
    tab.get_by_role("button", name="Go").click()
    expect(tab.get_by_text("They are signed out everywhere")).to_be_visible()
    tab.get_by_role("button", name="End all sessions").click()
    expect(tab.get_by_text("0 sessions ended.")).to_be_visible()
