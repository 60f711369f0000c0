"""Every page costs the same number of queries with one row and with three."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.inbound import receive
from messaging.leave import leave_path
from messaging.models import Conversation
from patients.models import HistoryEntry, Patient
from patients.terms import index_patients
from tests.factories import MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db

#: The most a page may cost (docs/performance: at most 15 queries).
MOST = 15


def fill(numbers: range) -> Patient:
    """Bring patients with all that a page can show; return the first there is."""
    everybody = []
    for n in numbers:
        somebody = patient(f"Given{n}", "Okafor", phone=f"+1617555012{n}")
        everybody.append(somebody)
        for day in (23, 24):
            booked(somebody, at=datetime(2026, 11, day, 16, 20 * n))
        HistoryEntry.objects.create(
            patient=somebody,
            kind="condition",
            label="Hypertension",
            status="active",
            source="staff",
            recorded_at=MONDAY,
        )
        raise_item(
            kind="cancel_word",
            severity=WorkItem.Severity.AMBER,
            reason="Texted CANCEL.",
            subject_kind="message",
            subject_id=n,
            dedupe_key=f"item{n}",
            due_at=MONDAY + timedelta(hours=1),
            patient=somebody,
            site=somebody.sites.get(),
        )
    index_patients([somebody.pk for somebody in everybody])
    run_pass()
    for n in numbers:
        receive(
            provider="simulated",
            provider_id=f"SIM{n}",
            channel="sms",
            from_address=f"+1617555012{n}",
            to_address="",
            body="Can I bring my son?",
        )
    run_pass()
    return Patient.objects.order_by("pk")[0]


PAGES = {
    "today": "/",
    "patient list": "/patients/",
    "search": "/patients/",
    "find": "/patients/find/",
    "patient": "/patients/{patient}/",
    "history": "/patients/{patient}/history/",
    "timeline": "/patients/{patient}/timeline/",
    "profile": "/patients/{patient}/edit/identity/",
    "people": "/patients/{patient}/people/",
    "notes": "/patients/{patient}/notes/",
    "note": "/patients/{patient}/notes/add/",
    "intake": "/patients/{patient}/intake/add/",
    "safe contact": "/patients/{patient}/safe-contact/",
    "untold": "/patients/untold/",
    "tell": "/patients/{patient}/untold/",
    "retention": "/patients/retention/",
    "duplicates": "/patients/duplicates/",
    "duplicates of one": "/patients/{patient}/duplicates/",
    "consent": "/patients/{patient}/consent/",
    "consent list": "/schedule/consent/",
    "before": "/schedule/{visit}/before/",
    "book": "/patients/{patient}/book/",
    "schedule": "/schedule/?day=2026-11-24",
    "visit": "/schedule/{visit}/",
    "move": "/schedule/{visit}/move/",
    "inbox": "/inbox/",
    "everything": "/inbox/?folder=all",
    "conversation": "/inbox/{conversation}/",
    "worklist": "/worklist/",
    "duty": "/duty/",
    "put on duty": "/duty/add/",
    "item": "/worklist/{item}/close/",
    "phone": "/phone/",
    "leave": "{leave}",
    "operations": "/operations/",
    "lately": "/operations/lately/",
    "promises": "/operations/promises/",
    "test": "/operations/test/",
    "switch": "/operations/gateways/simulated/",
}


#: Who opens what a nurse may not.
ROLES = {
    "put on duty": Role.MANAGER,
    "untold": Role.CLINICIAN,
    "tell": Role.CLINICIAN,
    "retention": Role.MANAGER,
    **dict.fromkeys(
        ("operations", "lately", "promises", "test", "switch"), Role.MANAGER
    ),
}
#: What is looked for stands in no address.
SEARCHES = {"search", "find"}
#: What only opens and closes a transaction asks nothing.
BRACKETS = ("BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT", "COMMIT")


def ask(client, name, url):
    """Return the answer to a page of ``PAGES``, asked for as the browser does."""
    headers = {"HX-Request": "true"} if name == "find" else {}
    if name in SEARCHES:
        return client.post(url, {"q": "okafor"}, headers=headers)
    return client.get(url, headers=headers)


@pytest.mark.parametrize("name", PAGES)
def test_query_budget(client, monday, name):
    client.force_login(member_of_staff("maya", ROLES.get(name, Role.NURSE)))
    costs = []
    for numbers in (range(1), range(1, 3)):
        first = fill(numbers)
        url = PAGES[name].format(
            patient=first.pk,
            visit=first.appointments.first().pk,
            conversation=Conversation.objects.get(patient=first).pk,
            item=first.work_items.first().pk,
            leave=leave_path(uuid.uuid4()),
        )
        with CaptureQueriesContext(connection) as queries:
            assert ask(client, name, url).status_code == 200
        asked = [q["sql"] for q in queries if not q["sql"].startswith(BRACKETS)]
        costs.append(len(asked))
    assert costs[0] == costs[1], [sql[:120] for sql in asked]
    assert costs[1] <= MOST, [sql[:120] for sql in asked]
