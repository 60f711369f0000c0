"""Who is on duty, until when, and the staffed hours nobody covers."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from accounts.leaving import leave
from accounts.models import AuditEvent, Duty, StaffedHours, User
from accounts.roles import Role
from accounts.roster import (
    gaps,
    hand_over,
    managers_of,
    on_duty,
    put_on_duty,
    roster,
)
from tests.factories import MONDAY, SiteFactory, come_in, member_of_staff

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def harbour(monday):
    return SiteFactory()


@pytest.fixture
def maya(harbour):
    return member_of_staff("maya", Role.NURSE)


@pytest.fixture
def rao(harbour):
    return member_of_staff("rao", Role.CLINICIAN)


@pytest.fixture
def ada(harbour):
    return member_of_staff("ada", Role.MANAGER)


def shift(user: User, by: User, start=MONDAY, hours: int = 8, **more) -> Duty:
    return put_on_duty(
        site=SiteFactory(),
        user=user,
        starts_at=start,
        ends_at=start + hours * HOUR,
        by=by,
        **more,
    )


def names(at: datetime) -> list[str]:
    return [duty.user.username for duty in on_duty(at).order_by("id")]


def in_new_york(day: int, hour: int, minute: int = 0) -> datetime:
    """Return an instant of November 2026, when New York is five hours behind."""
    return datetime(2026, 11, day, 5, minute, tzinfo=UTC) + hour * HOUR


def refused(**fields) -> set[str]:
    with pytest.raises(ValidationError) as error:
        put_on_duty(**fields)
    return set(error.value.error_dict)


def test_a_shift_changes_at_the_minute(maya, rao, ada):
    shift(maya, ada, hours=4)
    shift(rao, ada, start=MONDAY + 4 * HOUR, hours=4)
    change = MONDAY + 4 * HOUR
    assert names(MONDAY - timedelta(seconds=1)) == []
    assert names(MONDAY) == ["maya"]
    assert names(change - timedelta(seconds=1)) == ["maya"]
    assert names(change) == ["rao"]
    assert names(MONDAY + 8 * HOUR) == []


def test_two_may_share_it(maya, rao, ada):
    shift(maya, ada)
    shift(rao, ada, start=MONDAY + HOUR)
    assert names(MONDAY + HOUR) == ["maya", "rao"]


def test_a_leavers_hours_are_nobodys_and_a_manager_hears_of_them(maya, rao, ada):
    shift(maya, ada, backup=rao)
    shift(rao, ada, start=MONDAY + 24 * HOUR, backup=maya)
    User.objects.filter(pk=maya.pk).update(is_active=False)
    maya.refresh_from_db()
    assert names(MONDAY) == []
    assert any("2 more times" in said for said in leave(user=maya, by=ada))
    assert leave(user=ada, by=ada) == []


def test_who_lost_the_site_is_not_on_duty_there(maya, ada):
    shift(maya, ada)
    maya.sites.clear()
    assert names(MONDAY) == []


def test_what_cannot_be_is_refused_by_field(maya, rao, ada):
    otto = member_of_staff("otto", Role.AUDITOR)
    noor = member_of_staff("noor", Role.NURSE, SiteFactory(name="North"))
    good = {
        "site": SiteFactory(),
        "user": maya,
        "starts_at": MONDAY,
        "ends_at": MONDAY + HOUR,
        "by": ada,
    }
    assert refused(**good | {"ends_at": MONDAY}) == {"ends_at"}
    assert refused(**good | {"starts_at": MONDAY + 2 * HOUR}) == {"ends_at"}
    assert refused(**good | {"ends_at": MONDAY + timedelta(days=32)}) == {"ends_at"}
    assert refused(**good | {"user": otto}) == {"user"}
    assert refused(**good | {"user": noor}) == {"user"}
    assert refused(**good | {"backup": maya}) == {"backup"}
    assert refused(**good | {"backup": noor}) == {"backup"}
    past = {"starts_at": MONDAY - 2 * HOUR, "ends_at": MONDAY}
    assert refused(**good | past) == {"ends_at"}
    put_on_duty(**good | {"backup": rao})
    assert refused(**good) == {"user"}
    # One that begins as the other ends is another one.
    put_on_duty(**good | {"starts_at": MONDAY + HOUR, "ends_at": MONDAY + 2 * HOUR})


def test_from_now_on_somebody_else_has_it(maya, rao, ada, monday):
    duty = shift(maya, ada)
    monday.shift(2 * HOUR)
    rest = hand_over(duty_id=duty.pk, to=rao, backup=maya, by=ada)
    duty.refresh_from_db()
    now = MONDAY + 2 * HOUR
    assert (duty.ends_at, rest.starts_at, rest.ends_at) == (now, now, MONDAY + 8 * HOUR)
    assert (names(now - timedelta(seconds=1)), names(now)) == (["maya"], ["rao"])
    said = AuditEvent.objects.filter(subject__startswith="duty:").order_by("id")
    assert [event.verb for event in said] == ["create", "change", "create"]
    assert {event.actor for event in said} == {"ada"}


def test_it_ends_early_with_nobody_after(maya, ada, monday):
    duty = shift(maya, ada)
    monday.shift(HOUR)
    assert hand_over(duty_id=duty.pk, by=ada) is None
    assert names(MONDAY + HOUR) == []
    with pytest.raises(ValidationError):
        hand_over(duty_id=duty.pk, by=ada)


def test_one_that_has_not_begun_passes_whole_or_goes(maya, rao, ada):
    duty = shift(maya, ada, start=MONDAY + HOUR)
    passed = hand_over(duty_id=duty.pk, to=rao, by=ada)
    assert passed.starts_at == MONDAY + HOUR
    assert hand_over(duty_id=passed.pk, by=ada) is None
    assert not Duty.objects.exists()


def test_the_backup_alone_may_change(maya, rao, ada):
    duty = shift(maya, ada)
    hand_over(duty_id=duty.pk, to=maya, backup=rao, by=ada)
    duty.refresh_from_db()
    assert (duty.backup, duty.starts_at) == (rao, MONDAY)


def test_a_site_without_a_manager_is_every_managers(ada):
    north = SiteFactory(name="North")
    assert list(managers_of(north.pk)) == [ada]
    nils = member_of_staff("nils", Role.MANAGER, north)
    assert list(managers_of(north.pk)) == [nils]
    assert list(managers_of(None)) == [ada, nils]


def staffed(*days: int, opens: time = time(8), closes: time = time(17)) -> None:
    for day in days or range(7):
        StaffedHours.objects.create(
            site=SiteFactory(), weekday=day, opens=opens, closes=closes
        )


def holes(covered=(), since=MONDAY, until=None) -> list[tuple[datetime, datetime]]:
    return gaps(
        SiteFactory(),
        StaffedHours.objects.all(),
        covered,
        since,
        until or since + timedelta(days=1),
    )


def test_staffed_hours_that_nobody_covers_are_gaps(harbour):
    staffed(0, 1)
    monday_rest = (MONDAY, in_new_york(23, 17))
    assert holes(until=in_new_york(24, 8)) == [monday_rest]
    assert holes(until=in_new_york(24, 9)) == [
        monday_rest,
        (in_new_york(24, 8), in_new_york(24, 9)),
    ]
    assert holes([monday_rest], until=in_new_york(24, 8)) == []


def test_a_gap_is_what_duties_leave_over(harbour):
    staffed(0)
    covered = [
        (in_new_york(23, 10), in_new_york(23, 12)),
        (in_new_york(23, 11), in_new_york(23, 13)),
        (in_new_york(23, 16), in_new_york(23, 20)),
    ]
    assert holes(covered) == [
        (MONDAY, in_new_york(23, 10)),
        (in_new_york(23, 13), in_new_york(23, 16)),
    ]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        # A Sunday on which clocks go back: 01:30 means the first of the two.
        (datetime(2026, 11, 1, 4, tzinfo=UTC), 4.5),
        # One on which they go forward: 01:30 to 05:00 is two hours and a half.
        (datetime(2027, 3, 14, 5, tzinfo=UTC), 2.5),
        (datetime(2026, 11, 8, 5, tzinfo=UTC), 3.5),
    ],
)
def test_gaps_are_as_long_as_the_clocks_make_them(harbour, day, hours):
    staffed(6, opens=time(1, 30), closes=time(5))
    ((start, end),) = holes(since=day, until=day + timedelta(hours=20))
    assert (end - start).total_seconds() / 3600 == hours


def test_the_roster_says_it_in_words(harbour, maya, rao, ada):
    staffed(1)
    User.objects.filter(pk=maya.pk).update(email="maya@example.com")
    shift(maya, ada, backup=rao)
    shift(rao, ada, start=MONDAY + 10 * HOUR, hours=14)
    spans = roster([harbour], timezone.now())[harbour.pk]
    assert [(str(span), span.duty and span.duty.user) for span in spans][:3] == [
        ("Mon 23 Nov, 09:00–17:00", maya),
        ("Mon 23 Nov, 19:00 – Tue 24 Nov, 09:00", rao),
        ("Tue 24 Nov, 09:00–17:00", None),
    ]
    assert spans[0].warnings == [
        "Maya has no mobile on file and is told by email.",
        "Rao has no mobile and no email on file and cannot be told.",
    ]


def test_a_roster_costs_the_same_with_many_rows(
    harbour, maya, ada, django_assert_num_queries
):
    staffed()
    for number in range(6):
        shift(maya, ada, start=MONDAY + number * 24 * HOUR)
    north = SiteFactory(name="North")
    with django_assert_num_queries(3):
        roster([harbour, north], timezone.now())


ADMIN = reverse("admin:accounts_duty_add")


def test_admin_keeps_to_the_same_rules(client, maya, ada):
    come_in(client, ada)
    form = {
        "site": SiteFactory().pk,
        "user": maya.pk,
        "backup": maya.pk,
        "starts_at_0": "2026-11-23",
        "starts_at_1": "10:00",
        "ends_at_0": "2026-11-23",
        "ends_at_1": "18:00",
    }
    assert "somebody else" in client.post(ADMIN, form).content.decode()
    assert client.post(ADMIN, form | {"backup": ""}).status_code == 302
    assert Duty.objects.get().starts_at == MONDAY + HOUR


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("617 555 0147", "+16175550147"), ("+44 20 7946 0018", "+442079460018"), ("", "")],
)
def test_a_colleagues_mobile_is_kept_as_it_is_dialled(client, maya, ada, typed, kept):
    come_in(client, ada)
    page = reverse("admin:accounts_user_change", args=[maya.pk])
    form = {
        "username": "maya",
        "phone": typed,
        "groups": [group.pk for group in maya.groups.all()],
        "sites": [site.pk for site in maya.sites.all()],
        "is_active": "on",
    }
    assert client.post(page, form).status_code == 302
    maya.refresh_from_db()
    assert maya.phone == kept


def test_a_mobile_that_is_none_is_refused(client, maya, ada):
    come_in(client, ada)
    page = reverse("admin:accounts_user_change", args=[maya.pk])
    answer = client.post(page, {"username": "maya", "phone": "12"})
    assert "not a phone number" in answer.content.decode()
