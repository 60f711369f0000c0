"""Who saw or changed whom: no page without its row, no change without its event."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.http import StreamingHttpResponse
from django.urls import reverse

from accounts.audit.pages import record_answer
from accounts.audit.record import record
from accounts.audit.trail import View
from accounts.models import AuditedPatient, AuditEvent
from accounts.roles import Role
from appointments.services import (
    cancel_appointment,
    confirm_appointment,
    mark_appointment,
    move_appointment,
)
from messaging.inbound import handle_received, receive
from messaging.models import Conversation
from patients.importing import import_files
from patients.models import Channel, Patient
from patients.services import record_consent
from tests.factories import (
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    member_of_staff,
    patient,
)
from tests.test_queries import PAGES, ROLES, ask, fill
from worklist.models import WorkItem
from worklist.registry import work_kinds
from worklist.services import claim_item, close_item, raise_item

pytestmark = pytest.mark.django_db

Verb = AuditEvent.Verb


@pytest.fixture
def maya(client):
    somebody = member_of_staff("maya", Role.NURSE)
    client.force_login(somebody)
    return somebody


def events():
    """Return a function that tells what was written since this moment."""
    last = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return lambda: list(AuditEvent.objects.filter(pk__gt=last).order_by("pk"))


def told(new):
    return [(event.verb, event.patient_ids) for event in new()]


# No page without its row


#: What shows nobody where there is one patient.
NOBODY = {
    "retention",
    "duplicates",
    "operations",
    "lately",
    "promises",
    "test",
    "switch",
    "duty",
    "put on duty",
    "leave",
}


@pytest.mark.parametrize("name", sorted(PAGES.keys() - NOBODY))
def test_every_page_that_shows_patients_writes_whom(client, monday, name):
    reader = member_of_staff("maya", ROLES.get(name, Role.NURSE))
    client.force_login(reader)
    grace = fill(range(1))
    url = PAGES[name].format(
        patient=grace.pk,
        visit=grace.appointments.first().pk,
        conversation=Conversation.objects.get(patient=grace).pk,
        item=grace.work_items.first().pk,
    )
    if name == "phone":
        session = client.session
        session["phone"] = grace.contact_points.get().address
        session.save()
    elif name == "consent list":
        record_consent(
            patient=grace, channel=Channel.SMS, given=False, method="spoken", by=None
        )
    new = events()
    answer = ask(client, name, url)
    assert answer.status_code == 200
    (event,) = new()
    assert event.patient_ids == [grace.pk]
    assert (event.actor, event.ip, event.verb in ("read", "list")) == (
        "maya",
        "127.0.0.1",
        True,
    )
    assert event.address == answer.resolver_match.view_name
    index = AuditedPatient.objects.get(event_id=event.pk)
    assert (index.patient_id, index.opened) == (grace.pk, event.verb == "read")


def test_her_own_page_is_told_from_a_row_of_a_list(client, monday, maya):
    grace, tomas = patient(), patient("Tomás", "Silva", phone="")
    new = events()
    client.get("/patients/")
    client.get(f"/patients/{grace.pk}/")
    listed, opened = new()
    assert (listed.verb, listed.patient_ids) == (Verb.LIST, [grace.pk, tomas.pk])
    assert (opened.verb, opened.patient_ids) == (Verb.READ, [grace.pk])
    assert opened.details == {"opened": [grace.pk]}


def break_the_audit():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditevent RENAME TO elsewhere")


@pytest.fixture
def broken_audit(transactional_db):
    """The audit's table is out of reach, as when its disk is full."""
    broken = []

    def break_it():
        break_the_audit()
        broken.append(True)

    yield break_it
    if broken:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO accounts_auditevent")


def test_no_audit_row_no_page(client, maya, broken_audit):
    grace = patient()
    client.raise_request_exception = False
    assert client.get(f"/patients/{grace.pk}/").status_code == 200
    broken_audit()
    for url in (f"/patients/{grace.pk}/", "/patients/"):
        answer = client.get(url)
        # SQLite calls a missing table a database that is away.
        assert answer.status_code in (500, 503)
        assert b"Okafor" not in answer.content


def test_no_audit_row_no_change(client, maya, broken_audit):
    visit = booked()
    broken_audit()
    with pytest.raises(DatabaseError):
        cancel_appointment(appointment_id=visit.pk, by=maya)
    visit.refresh_from_db()
    assert visit.state == "booked"
    assert not visit.events.filter(what="cancelled").exists()


def test_a_form_that_comes_back_writes_its_row(client, monday, maya):
    grace = patient()
    new = events()
    answer = client.post(f"/patients/{grace.pk}/book/", {})
    assert answer.status_code == 200
    assert told(new) == [(Verb.READ, [grace.pk])]


def test_a_page_that_leads_elsewhere_shows_nobody(client, monday, maya):
    visit = booked()
    new = events()
    client.post(f"/schedule/{visit.pk}/cancel/", {})
    assert [(event.verb, event.subject) for event in new()] == [
        (Verb.CHANGE, f"appointment:{visit.pk}")
    ]
    assert new()[0].address == "appointments:appointment_cancel"
    assert new()[0].actor == "maya"


def test_who_is_refused_is_written(client, monday):
    grace = patient()
    client.force_login(member_of_staff("otto", Role.AUDITOR))
    new = events()
    assert client.get(f"/patients/{grace.pk}/").status_code == 403
    (event,) = new()
    assert (event.verb, event.actor) == (Verb.REFUSED, "otto")
    assert event.address == "patients:patient_detail"
    assert event.details == {"pk": grace.pk}
    assert event.patient_ids == []


def test_what_a_404_had_loaded_was_not_shown(client, monday, maya):
    grace = patient()
    visit = booked(grace)
    grace.sites.set([SiteFactory(name="Hill Clinic")])
    new = events()
    assert client.get(f"/schedule/{visit.pk}/").status_code == 404
    (event,) = new()
    assert (event.verb, event.subject) == (Verb.REFUSED, f"appointment:{visit.pk}")


def test_a_stream_writes_its_row_first(rf):
    request = rf.get("/")
    request.resolver_match = None
    answer = StreamingHttpResponse(iter([b"a"]))
    with pytest.raises(ImproperlyConfigured, match="streams"):
        record_answer(request, answer, View(address="audit:event_export"))
    record_answer(request, answer, View(has_recorded=True))


# Parts of a page


def test_parts_of_a_page_write_only_whom_it_had_not_shown(client, monday, maya):
    first, second = (
        patient(f"Given{n}", "Okafor", phone=f"+1617555012{n}") for n in range(2)
    )
    page = client.get(f"/patients/{first.pk}/").content.decode()
    view = re.search(r'"x-view": "([0-9a-f-]{36})"', page)[1]
    new = events()

    def part(url):
        return client.get(url, headers={"HX-Request": "true", "X-View": view})

    assert part("/patients/").status_code == 200
    assert told(new) == [(Verb.LIST, [first.pk, second.pk])]
    assert str(new()[0].view_id) == view
    # Asked again, it writes nothing; the patient's own page is more than a row.
    part("/patients/")
    assert len(new()) == 1
    part(f"/patients/{second.pk}/")
    assert told(new)[1:] == [(Verb.READ, [second.pk])]
    part(f"/patients/{second.pk}/")
    assert len(new()) == 2


def test_a_page_of_its_own_is_written_whatever_it_says_it_is_a_part_of(
    client, monday, maya
):
    grace = patient()
    visit = booked(grace)
    own = f"/patients/{grace.pk}/"
    view = {"X-View": str(client.get(own).wsgi_request.audit_view_id)}
    pages = [own, own, f"/schedule/{visit.pk}/", "/patients/"]
    for path in pages:
        new = events()
        client.get(path, headers=view)
        (event,) = new()
        assert grace.pk in event.patient_ids
        assert str(event.view_id) != view["X-View"]
    # Nor does another page hide behind it by looking like a part.
    new = events()
    client.get(f"/schedule/{visit.pk}/", headers=view | {"HX-Request": "true"})
    assert len(new()) == 1


def test_what_a_page_asks_by_itself_repeats_nobody(client, monday, maya):
    grace = patient()
    booked(grace)
    session = client.session
    session["phone"] = grace.contact_points.get().address
    session.save()
    page = client.get(reverse("messaging:phone"))
    view = {"X-View": str(page.wsgi_request.audit_view_id), "HX-Request": "true"}
    new = events()
    client.get(reverse("messaging:phone_messages"), headers=view)
    assert new() == []


def test_a_pages_id_hides_nobody_for_long_nor_for_a_colleague(client, monday, maya):
    grace = patient()
    url = f"/patients/{grace.pk}/"
    page = client.get(url)
    view = {
        "X-View": str(page.wsgi_request.audit_view_id),
        "HX-Request": "true",
    }
    new = events()
    client.get(url, headers=view)
    assert len(new()) == 0
    for _quarter in range(5):
        monday.shift(timedelta(minutes=13))
        client.get(url, headers=view)
    assert len(new()) == 1
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    client.get(url, headers=view)
    assert len(new()) == 2


def test_a_worker_shows_nobody_anything(monday):
    booked()
    new = events()
    assert Patient.objects.get()
    assert new() == []


# Django admin


def test_every_page_of_the_admin_is_written(client, monday):
    ada = member_of_staff("ada", Role.MANAGER)
    client.force_login(ada)
    site = SiteFactory()
    new = events()
    client.get("/admin/")
    client.get("/admin/accounts/site/")
    client.get(f"/admin/accounts/site/{site.pk}/change/")
    fields = {
        "name": site.name,
        "place": "Pier Street",
        "zone": site.zone,
        "region": "US",
        "language": "en",
        "phone": site.phone,
        "emergency_number": "911",
        "crisis_number": "988",
        "staffed_hours-TOTAL_FORMS": 0,
        "staffed_hours-INITIAL_FORMS": 0,
    }
    answer = client.post(f"/admin/accounts/site/{site.pk}/change/", fields)
    assert answer.status_code == 302, answer.context["errors"]
    assert [(event.verb, event.subject) for event in new()] == [
        (Verb.READ, "admin:index"),
        (Verb.LIST, "admin:accounts_site"),
        (Verb.READ, f"admin:accounts_site:{site.pk}"),
        # Written in the transaction of the change, and not once more.
        (Verb.CHANGE, f"site:{site.pk}"),
    ]


# No change without its event


def raised(who, site=None):
    return raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=1,
        dedupe_key="item",
        due_at=MONDAY + timedelta(hours=1),
        patient=who,
        site=site or SiteFactory(),
    )


def test_what_becomes_of_a_visit_is_written(monday):
    maya = UserFactory(username="maya")
    grace = patient()
    new = events()
    visit = booked(grace, by=maya)
    move_appointment(
        appointment_id=visit.pk,
        by=maya,
        local_start=visit.local_start + timedelta(hours=1),
    )
    confirm_appointment(appointment_id=visit.pk, by_patient=True)
    mark_appointment(appointment_id=visit.pk, state=visit.State.ARRIVED, by=maya)
    assert [
        (e.verb, e.actor, e.details["what"], e.details["changed"]) for e in new()
    ] == [
        ("create", "maya", "booked", []),
        ("change", "maya", "moved", ["start", "end"]),
        ("change", "patient", "confirmed", []),
        ("change", "maya", "arrived", ["state"]),
    ]
    assert {e.subject for e in new()} == {f"appointment:{visit.pk}"}
    assert all(e.patient_ids == [grace.pk] for e in new())


def test_what_a_colleague_does_about_an_item_is_written(monday):
    maya = UserFactory(username="maya")
    grace = patient()
    item = raised(grace)
    new = events()
    claim_item(item_id=item.pk, by=maya)
    outcome = next(iter(work_kinds[item.kind].outcomes))
    close_item(item_id=item.pk, outcome=outcome, by=maya)
    assert [(e.actor, e.subject, e.patient_ids) for e in new()] == [
        ("maya", f"work_item:{item.pk}", [grace.pk])
    ] * 2


def test_a_consent_and_an_opt_out_are_written(monday):
    maya = UserFactory(username="maya")
    grace = patient(consent=False)
    new = events()
    record_consent(patient=grace, channel="sms", given=True, method="spoken", by=maya)
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address="+16175550143",
        to_address="",
        body="STOP",
    )
    handle_received()
    consent, stop = new()
    assert (consent.actor, consent.details["state"]) == ("maya", "given")
    assert (stop.actor, stop.details["state"]) == ("patient", "suppressed")
    assert consent.patient_ids == stop.patient_ids == [grace.pk]


def test_an_import_writes_one_event_a_chunk(monday):
    text = "identifier,given_name,phone\n" + "".join(
        f"H-{n},Given{n},617 555 01{n:02d}\n" for n in range(20)
    )
    site = SiteFactory()
    maya = member_of_staff("maya", Role.FRONT_DESK, site)
    new = events()
    for _again in range(2):
        import_files([("p.csv", text)], site=site, by=maya, dry_run=False)
    (event,) = new()
    assert (event.verb, event.actor, event.subject) == (
        Verb.CREATE,
        "maya",
        "import:patients",
    )
    assert event.details == {"created": 20, "updated": 0}
    assert len(event.patient_ids) == 20


def test_no_event_holds_anything_of_a_patient(client, monday, maya):
    grace = fill(range(1))
    for name in ("patient", "search", "visit", "item", "conversation"):
        ask(
            client,
            name,
            PAGES[name].format(
                patient=grace.pk,
                visit=grace.appointments.first().pk,
                conversation=Conversation.objects.get(patient=grace).pk,
                item=grace.work_items.first().pk,
            ),
        )
    text = str(list(AuditEvent.objects.values())).lower()
    for secret in ("okafor", "given0", "6175550", "hypertension", "my son"):
        assert secret not in text


def test_an_event_goes_with_the_change_it_tells_of(monday):
    with transaction.atomic():
        record(Verb.CHANGE, patient_ids=[1])
        transaction.set_rollback(True)
    assert not AuditEvent.objects.exists()
    assert not AuditedPatient.objects.exists()
