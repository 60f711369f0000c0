"""Taking work on and ending it, in the browser."""

import pytest
from django.urls import reverse

from accounts.roles import Role
from accounts.ticks import run_pass
from tests.factories import SiteFactory, booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

LIST = reverse("worklist:item_list")


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


@pytest.fixture
def item(femi) -> WorkItem:
    booked(patient(phone=""))
    run_pass()
    return WorkItem.objects.get()


def test_item_claim_and_close(client, femi, item):
    assert b"Not told of the visit" in client.get(LIST).content
    client.post(reverse("worklist:item_claim", args=[item.pk]))
    item.refresh_from_db()
    assert item.owner == femi
    close = reverse("worklist:item_close", args=[item.pk])
    client.post(close, {"outcome": "told", "note": "spoke to her"})
    item.refresh_from_db()
    assert (item.outcome, item.closed_by) == ("told", femi)
    assert client.get(LIST).context["items"] == []


def test_without_an_outcome_it_stays_open(client, item):
    close = reverse("worklist:item_close", args=[item.pk])
    answer = client.post(close, {"outcome": ""})
    assert answer.status_code == 200
    item.refresh_from_db()
    assert item.closed_at is None


def test_the_second_to_close_it_is_told_so(client, item):
    close = reverse("worklist:item_close", args=[item.pk])
    client.post(close, {"outcome": "told"})
    client.force_login(member_of_staff("maya", Role.NURSE))
    answer = client.post(close, {"outcome": "letter"}, follow=True)
    assert "Femi has closed this before" in answer.content.decode()
    item.refresh_from_db()
    assert item.outcome == "told"


def test_another_sites_item_is_not_there(client, femi, item):
    femi.sites.set([SiteFactory(name="Harbour Clinic North")])
    for name in ("item_claim", "item_close"):
        url = reverse(f"worklist:{name}", args=[item.pk])
        assert client.post(url, {"outcome": "told"}).status_code == 404
    assert client.get(LIST).context["items"] == []


def can_find(client, item: WorkItem) -> bool:
    """Return whether the item is on the list; its page agrees with that."""
    listed = item in client.get(LIST).context["items"]
    opened = client.get(reverse("worklist:item_close", args=[item.pk])).status_code
    assert opened == (200 if listed else 404)
    return listed


def test_an_item_is_of_its_site_and_of_its_patient(client, femi, item):
    grace, harbour = item.patient, item.site
    north = SiteFactory(name="Harbour Clinic North")
    otis = member_of_staff("otis", Role.FRONT_DESK, north)

    def finders() -> list[str]:
        found = []
        for user in (femi, otis):
            client.force_login(user)
            found += [user.username] if can_find(client, item) else []
        return found

    assert finders() == ["femi"]
    # A patient of both: the work stays with the site it is about.
    grace.sites.add(north)
    assert finders() == ["femi"]
    # Gone from that site: whoever has her now finds it.
    grace.sites.set([north])
    assert finders() == ["otis"]
    grace.sites.set([harbour])
    WorkItem.objects.update(site=None)
    assert finders() == ["femi"]
    # About nobody we know and of no site: everybody's.
    WorkItem.objects.update(patient=None)
    assert finders() == ["femi", "otis"]
    WorkItem.objects.update(site=north)
    assert finders() == ["otis"]
