"""Taking note of urgent work, by link and on the pages; and the roster's own."""

from datetime import UTC, datetime, time

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Duty, StaffedHours, User
from accounts.ticks import run_pass
from messaging.duty.links import LINK_LASTS, token_of
from messaging.models import DutyAlert
from tests.factories import MONDAY, SiteFactory, patient
from tests.messaging.test_duty import MINUTE, after, cast, colleague, path_of, red, taps
from worklist.services import claim_item

pytestmark = pytest.mark.django_db

__all__ = ["cast"]


def test_a_tap_stops_it_and_work_left_lying_is_passed_on(cast, monday):
    red()
    run_pass()
    monday.shift(2 * MINUTE)
    taps("maya")
    assert after(monday, 10) == ["maya"]
    assert after(monday, 16.99) == ["maya"]
    assert after(monday, 17) == ["maya", "rao"]
    assert after(monday, 22) == ["maya", "rao", "ada"]


def test_looking_changes_nothing_and_shows_nobody(cast, monday):
    red(patient=patient())
    red(2)
    run_pass()
    link = path_of("maya")
    for _scanner in range(3):
        answer = Client().get(link)
        page = answer.content.decode()
        assert answer.status_code == 200
    assert "2 urgent waiting" in page
    assert "At Harbour Clinic, since 09:00." in page
    assert "Grace" not in page
    assert "Okafor" not in page
    assert answer["Referrer-Policy"] == "no-referrer"
    assert not DutyAlert.objects.exclude(acknowledged_at=None).exists()
    assert not AuditEvent.objects.filter(actor="duty link").exists()


def test_tapping_twice_is_tapping_once(cast, monday):
    red()
    run_pass()
    taps("maya")
    monday.shift(MINUTE)
    taps("maya")
    assert DutyAlert.objects.get().acknowledged_at == MONDAY
    (event,) = AuditEvent.objects.filter(subject__startswith="duty_alert:")
    assert (event.actor, event.patient_ids) == ("maya", [])


def test_a_late_tap_counts_and_says_that_it_was_passed_on(cast, monday):
    red()
    run_pass()
    after(monday, 5)
    monday.shift(MINUTE)
    assert "passed on at 09:05" in Client().get(path_of("maya")).content.decode()
    taps("maya")
    page = Client().get(path_of("maya")).content.decode()
    assert "Noted at 09:06" in page
    assert "passed on at 09:05" in page
    assert "Maya knows of it since 09:06" in (
        Client().get(path_of("rao")).content.decode()
    )
    # From then on Maya has her quarter of an hour.
    assert after(monday, 20) == ["maya", "rao"]
    assert after(monday, 21) == ["maya", "rao", "ada"]


def test_a_tap_covers_what_was_on_the_page_and_nothing_after_it(cast, monday):
    red(1)
    run_pass()
    monday.shift(MINUTE)
    red(2)
    run_pass()
    link = path_of("maya")
    monday.shift(MINUTE)
    red(3)
    run_pass()
    seen = DutyAlert.objects.order_by("id")[1]
    assert Client().post(link, {"seen": seen.pk}).status_code == 303
    noted = [alert.acknowledged_at for alert in DutyAlert.objects.order_by("id")]
    assert noted == [MONDAY + 2 * MINUTE, MONDAY + 2 * MINUTE, None]
    # Of the third nobody knows yet.
    assert after(monday, 7) == ["maya", "maya", "maya", "rao"]


def test_a_tap_when_all_is_done_says_so(cast, monday):
    item = red()
    run_pass()
    claim_item(item_id=item.pk, by=cast["rao"])
    page = Client().get(path_of("maya")).content.decode()
    assert "Nothing urgent waits any more" in page
    assert "I know of it" not in page


def test_a_link_ends_after_two_hours_and_with_its_login(cast, monday):
    red()
    run_pass()
    link = path_of("maya")
    monday.move_to(MONDAY + LINK_LASTS - MINUTE, tick=False)
    assert Client().get(link).status_code == 200
    monday.move_to(MONDAY + LINK_LASTS, tick=False)
    assert Client().get(link).status_code == 404
    assert Client().post(link).status_code == 404
    monday.move_to(MONDAY, tick=False)
    User.objects.filter(username="maya").update(is_active=False)
    assert Client().post(link).status_code == 404
    assert not DutyAlert.objects.exclude(acknowledged_at=None).exists()


def test_guessing_is_slowed_and_never_keeps_a_link_shut(cast, monday):
    red()
    run_pass()
    answers = {Client().get(f"/d/{number}/").status_code for number in range(30)}
    assert answers == {404}
    assert Client().get("/d/another/").status_code == 429
    taps("maya")
    assert DutyAlert.objects.get().acknowledged_at == MONDAY


def test_only_the_hash_of_a_link_is_kept_and_each_is_another(cast, monday):
    red(1)
    run_pass()
    red(2)
    run_pass()
    one, two = DutyAlert.objects.order_by("id")
    assert token_of(one) != token_of(two)
    assert len(token_of(one)) == 22
    assert token_of(one) not in (one.token_hash, two.token_hash)


def test_a_link_outlives_a_change_of_the_secret_key(cast, monday, settings):
    red()
    run_pass()
    link = path_of("maya")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert path_of("maya") == link
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ValueError, match="its key is gone"):
        path_of("maya")


def test_a_form_from_elsewhere_takes_no_note(cast, monday):
    red()
    run_pass()
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post(path_of("maya")).status_code == 403


def test_who_was_told_sees_it_over_the_worklist_and_takes_note(client, cast, monday):
    red()
    run_pass()
    client.force_login(cast["maya"])
    for page in ("/worklist/", "/"):
        assert "1 urgent waiting at Harbour Clinic." in (
            client.get(page).content.decode()
        )
    client.post(reverse("messaging:duty_take", args=[DutyAlert.objects.get().pk]))
    assert "1 urgent waiting" not in client.get("/worklist/").content.decode()
    client.force_login(cast["rao"])
    assert "1 urgent waiting" not in client.get("/worklist/").content.decode()


def test_a_colleague_cannot_take_note_for_another(client, cast, monday):
    red()
    run_pass()
    client.force_login(cast["rao"])
    alert = DutyAlert.objects.get()
    page = reverse("messaging:duty_take", args=[alert.pk])
    assert client.post(page).status_code == 404
    alert.refresh_from_db()
    assert alert.acknowledged_at is None


def test_everybody_sees_that_nobody_is_on_duty(client, monday):
    maya = colleague("maya")
    red()
    run_pass()
    client.force_login(maya)
    for page in ("/worklist/", "/"):
        assert "Nobody is on duty at Harbour Clinic." in (
            client.get(page).content.decode()
        )


def test_the_roster_shows_who_is_there_and_where_nobody_is(client, cast, monday):
    StaffedHours.objects.create(
        site=SiteFactory(), weekday=1, opens=time(8), closes=time(17)
    )
    client.force_login(cast["maya"])
    page = client.get("/duty/").content.decode()
    assert "Mon 23 Nov, 08:00–17:00" in page
    assert "backup" in page
    assert "no email on file" not in page
    assert "Nobody on duty" in page
    assert "Tue 24 Nov, 08:00–17:00" in page
    assert "Put somebody on duty" not in page
    assert client.get("/duty/add/").status_code == 403


def test_a_manager_puts_somebody_on_duty_by_the_clock_of_the_site(client, monday):
    west = SiteFactory(name="West", zone="America/Los_Angeles")
    ada, ben = colleague("ada", west), colleague("ben", west)
    client.force_login(ada)
    form = {
        "site": west.pk,
        "user": ben.pk,
        "from_day": "2026-11-24",
        "from_clock": "08:00",
        "until_day": "2026-11-24",
        "until_clock": "17:00",
    }
    assert client.post("/duty/add/", form).status_code == 302
    duty = Duty.objects.get()
    assert duty.starts_at == datetime(2026, 11, 24, 16, tzinfo=UTC)
    assert "Tue 24 Nov, 08:00–17:00" in client.get("/duty/").content.decode()
    again = client.post("/duty/add/", form)
    assert "is on duty then already" in str(again.context["form"].errors)


def test_a_manager_hands_a_duty_over(client, cast, monday):
    client.force_login(cast["ada"])
    page = reverse("messaging:duty_edit", args=[Duty.objects.get().pk])
    assert client.get(page).status_code == 200
    monday.shift(MINUTE)
    assert client.post(page, {"to": cast["rao"].pk}).status_code == 302
    assert [duty.user.username for duty in Duty.objects.order_by("id")] == [
        "maya",
        "rao",
    ]
    assert client.get(page).status_code == 404


def test_the_roster_says_who_was_told_and_who_answered(client, cast, monday):
    red()
    run_pass()
    monday.shift(MINUTE)
    taps("maya")
    client.force_login(cast["ada"])
    assert "knew at 09:01" in client.get("/duty/").content.decode()
