"""The whole way, once: from a clinic's own patient list to a confirmed visit."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clinic
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.browser

PATIENT_LIST = """\
MRN,First name,Last name,DOB,Mobile,E-mail,Language,Consent SMS,Shoe size
H-1001,Grace,Okafor,1959-03-14,(617) 555-0143,grace@example.com,en,yes,38
H-1002,Tomás,Silva,02/11/1980,617 555 0144,,es,yes,42
"""
GRACE = "+16175550143"


def sign_in(tab: Page, clinic: Clinic) -> None:
    tab.goto(f"{clinic.url}/accounts/login/")
    tab.get_by_label("Username").fill("femi")
    tab.get_by_label("Password").fill("harbour-demo-1")
    tab.get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("heading", level=1)).to_be_visible()


def import_patient_list(tab: Page, folder: Path) -> None:
    """Femi brings the clinic's own list, looks at the dry run and takes it over."""
    patient_list = folder / "patients.csv"
    patient_list.write_text(PATIENT_LIST, encoding="utf-8")
    tab.get_by_role("link", name="Patients").first.click()
    tab.locator("summary", has_text="More").click()
    tab.get_by_role("link", name="Import").click()
    tab.get_by_label("Patient list").set_input_files(patient_list)
    tab.get_by_role("button", name="Check the file").click()
    expect(tab.get_by_text("2 accepted")).to_be_visible(timeout=20_000)
    expect(tab.get_by_role("definition").filter(has_text="Shoe size")).to_be_visible()
    tab.get_by_role("button", name="Import 2 patients").click()
    expect(tab.get_by_text("2 rows were taken over")).to_be_visible(timeout=20_000)


def book_visit_for_tomorrow(tab: Page) -> None:
    """She finds Grace by a part of her number and books her in."""
    tab.get_by_role("searchbox", name="Find a patient").first.fill("5550143")
    tab.get_by_role("link", name="Grace Okafor").click()
    tab.get_by_role("link", name="Book", exact=True).click()
    tab.get_by_label("Visit type").select_option(label="Consultation (20 min)")
    tab.get_by_label("Clinician").select_option(label="Dr Rao")
    tomorrow = datetime.now(ZoneInfo("America/New_York")).date() + timedelta(days=1)
    tab.get_by_label("Day").fill(tomorrow.isoformat())
    tab.get_by_label("Time").fill("10:00")
    tab.get_by_role("button", name="Book visit").click()
    expect(tab.get_by_text("Visit booked")).to_be_visible()


def open_grace(tab: Page) -> None:
    tab.get_by_role("searchbox", name="Find a patient").first.fill("Okafor grace")
    tab.get_by_role("link", name="Grace Okafor").click()


def expect_confirmed_on_timeline(tab: Page) -> None:
    open_grace(tab)
    timeline = tab.get_by_role("region", name="Timeline")
    expect(timeline.get_by_text("Confirmed").first).to_be_visible()
    expect(timeline.get_by_text("Reply 1 if you will come").first).to_be_visible()
    expect(timeline.get_by_text("1", exact=True)).to_be_visible()


def test_story_with_the_simulated_phone(
    tab: Page, start_clinic: Callable[..., Clinic], tmp_path: Path
) -> None:
    clinic = start_clinic()
    sign_in(tab, clinic)
    import_patient_list(tab, tmp_path)
    book_visit_for_tomorrow(tab)

    tab.goto(f"{clinic.url}/phone/")
    tab.get_by_label("Phone number").fill("617 555 0143")
    tab.get_by_role("button", name="Pick up").click()
    expect(tab.get_by_text("Reply 1 if you will come")).to_be_visible(timeout=20_000)
    tab.get_by_label("Your reply").fill("1")
    tab.get_by_role("button", name="Send").click()
    expect(tab.get_by_text("See you")).to_be_visible(timeout=20_000)

    tab.goto(clinic.url)
    expect_confirmed_on_timeline(tab)
    assert clinic.promises()["ok"] is True


def test_story_through_twilio(
    tab: Page, start_clinic: Callable[..., Clinic], tmp_path: Path
) -> None:
    with FakeTwilio() as twilio:
        clinic = start_clinic(
            SMS_GATEWAY="twilio",
            TWILIO_API_BASE_URL=twilio.url,
            TWILIO_ACCOUNT_SID=twilio.account_sid,
            TWILIO_AUTH_TOKEN=twilio.auth_token,
            TWILIO_FROM_NUMBER="+16175550100",
        )
        sign_in(tab, clinic)
        import_patient_list(tab, tmp_path)
        book_visit_for_tomorrow(tab)

        twilio.wait_until_accepted(1, timeout=20)
        (sent,) = twilio.accepted_to(GRACE)
        assert "Reply 1 if you will come" in sent.body
        answer = twilio.reply(
            f"{clinic.url}/webhooks/twilio/inbound/",
            from_=GRACE,
            to="+16175550100",
            body="1",
        )
        assert answer.status == 200
        twilio.wait_until_accepted(2, timeout=20)

        tab.goto(clinic.url)
        expect_confirmed_on_timeline(tab)
        assert twilio.violations == []
        assert len(twilio.accepted_to(GRACE)) == 2
        assert clinic.promises()["ok"] is True
