"""Several people share a number: their sites hear of it, the audit holds them all."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.inbound import handle_received, receive
from messaging.models import Conversation, Message
from patients.models import ContactPerson, ContactPoint
from tests.factories import (
    SiteFactory,
    booked,
    clinician,
    come_in,
    member_of_staff,
    patient,
)
from tests.test_queries import BRACKETS, MOST
from worklist.models import WorkItem
from worklist.queries import items_of

pytestmark = pytest.mark.django_db

SHARED = "+16175550777"
FEAR = "my mum Ann has chest pain and cannot breathe"


def text(body: str = FEAR, number: str = SHARED) -> None:
    receive(
        provider="simulated",
        provider_id=f"{number}:{body}",
        channel="sms",
        from_address=number,
        to_address="",
        body=body,
    )
    handle_received()


@pytest.fixture
def north(monday):
    return SiteFactory(name="Harbour Clinic North")


def at(site, given: str, number: str = SHARED):
    somebody = patient(given, "Brand", phone=number)
    somebody.sites.set([site])
    return somebody


@pytest.fixture
def family(north):
    """Ann and Bea share a number, and Bea answers for Carl on it, all of North."""
    ann, bea, carl = (at(north, given) for given in ("Ann", "Bea", "Carl"))
    carl.contact_points.all().delete()
    mother = ContactPerson.objects.create(
        patient=carl, name="Bea", relation="mother", person=bea
    )
    ContactPoint.objects.create(contact_person=mother, channel="sms", address=SHARED)
    return [ann, bea, carl]


@pytest.fixture
def nina(client, north):
    nina = member_of_staff("nina", Role.NURSE, north)
    come_in(client, nina)
    return nina


def about(event: AuditEvent) -> set[int]:
    return set(event.patient_ids)


@pytest.mark.parametrize("body", [FEAR, "CANCEL"])
def test_only_the_site_of_those_who_share_it_gets_the_work(family, north, nina, body):
    text(body)
    item = WorkItem.objects.get()
    assert (item.patient, item.site) == (None, north)
    assert list(items_of(nina)) == [item]
    assert not items_of(member_of_staff("maya", Role.NURSE)).exists()


def test_each_site_of_those_who_share_it_gets_its_own(family, nina):
    at(SiteFactory(), "Dan")
    text()
    maya = member_of_staff("maya", Role.NURSE)
    ours, theirs = items_of(maya).get(), items_of(nina).get()
    assert ours != theirs
    assert {ours.site.name, theirs.site.name} == {
        "Harbour Clinic",
        "Harbour Clinic North",
    }
    member_of_staff("kim", Role.NURSE, SiteFactory(name="Quay"))
    handle_received()
    assert WorkItem.objects.count() == 2


def test_a_text_of_somebody_unknown_goes_to_everybody(family, nina):
    text(number="+16175550001")
    maya = member_of_staff("maya", Role.NURSE)
    assert items_of(maya).get() == items_of(nina).get()


@pytest.mark.parametrize(
    "page",
    ["/inbox/", "/inbox/{conversation}/", "/worklist/", "/worklist/{item}/close/"],
)
def test_reading_it_is_written_of_everybody_who_shares_it(client, family, nina, page):
    text()
    AuditEvent.objects.all().delete()
    where = page.format(
        conversation=Conversation.objects.get().pk, item=WorkItem.objects.get().pk
    )
    with CaptureQueriesContext(connection) as queries:
        assert client.get(where).status_code == 200
    asked = [q["sql"] for q in queries if not q["sql"].startswith(BRACKETS)]
    assert len(asked) <= MOST, asked
    assert about(AuditEvent.objects.get()) == {who.pk for who in family}


@pytest.mark.parametrize("page", ["/inbox/", "/worklist/", "/"])
def test_a_list_costs_the_same_for_one_such_text_and_for_three(
    client, family, north, nina, page
):
    costs = []
    for numbers in ([SHARED], ["+16175550778", "+16175550779"]):
        for number in numbers:
            for given in ("Eve", "Fay") if number != SHARED else ():
                at(north, given, number)
            text(number=number)
        with CaptureQueriesContext(connection) as queries:
            client.get(page)
        costs.append(len([q for q in queries if not q["sql"].startswith(BRACKETS)]))
    assert costs[0] == costs[1] <= MOST


def test_asking_for_it_from_another_site_is_written_of_all(client, family):
    text()
    come_in(client, member_of_staff("maya", Role.NURSE))
    assert client.get(f"/inbox/{Conversation.objects.get().pk}/").status_code == 404
    refused = AuditEvent.objects.get(verb=AuditEvent.Verb.REFUSED)
    assert about(refused) == {who.pk for who in family}


@pytest.mark.parametrize(
    "body", ["hello", "ok", "1", "7", "Ana", "what time?", "please cancel", "HELP"]
)
def test_what_is_said_back_to_a_shared_number_names_nobody(family, body):
    """ "1 Ana, 2 Leo" is asked only inside a household that agreed to it: there is no
    such agreement yet, so a person asks.
    """
    text(body)
    run_pass()
    message = Message.objects.get(direction="in")
    assert message.patient is None
    assert Conversation.objects.get().state == "waiting"
    sent = " ".join(
        Message.objects.filter(direction="out").values_list("body", flat=True)
    )
    assert not {"Ann", "Bea", "Carl", "Brand"} & set(sent.split())


def test_two_adults_on_one_number_stay_two_conversations(family):
    ann, bea, _carl = family
    for who in (ann, bea):
        visit = booked(who, site=who.sites.get(), clinician=clinician(f"Dr {who.pk}"))
        assert visit.patient == who
    run_pass()
    texts = Message.objects.filter(direction="out", channel="sms")
    assert {text.patient for text in texts} == {ann, bea}
    assert {text.conversation.patient for text in texts} == {ann, bea}
