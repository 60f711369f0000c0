"""The auditor's pages: who looked at whom, in words, without anything of a patient."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.audit.chain import seal, verify
from accounts.audit.record import record
from accounts.models import AuditEvent
from accounts.roles import Role
from tests.factories import SiteFactory, UserFactory, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

Verb = AuditEvent.Verb


@pytest.fixture
def otto(client):
    somebody = member_of_staff("otto", Role.AUDITOR)
    client.force_login(somebody)
    return somebody


@pytest.fixture
def ada(client):
    somebody = member_of_staff("ada", Role.MANAGER)
    client.force_login(somebody)
    return somebody


def text_of(answer):
    return " ".join(answer.content.decode().split())


def link_to(somebody):
    return f'href="{reverse("patients:patient_detail", args=[somebody.pk])}"'


@pytest.mark.parametrize("role", Role)
def test_only_who_may_read_the_trail_does(client, monday, role):
    client.force_login(member_of_staff("somebody", role))
    may = role in (Role.AUDITOR, Role.MANAGER)
    for url in ("/audit/", "/audit/patients/1/"):
        assert client.get(url).status_code == (200 if may else 403)
    assert (b'href="/audit/"' in client.get("/").content) == may


def test_the_auditor_reads_who_opened_whom_and_learns_no_name(client, monday, otto):
    grace = patient()
    maya = UserFactory(username="maya")
    record(Verb.READ, patient_ids=[grace.pk], opened=[grace.pk], by=maya)
    page = text_of(client.get("/audit/"))
    assert f"Maya opened patient {grace.pk}" in page
    assert "Okafor" not in page
    assert "Grace" not in page
    # What they cannot open is not linked to.
    assert link_to(grace) not in page
    assert reverse("audit:patient_trail", args=[grace.pk]) in page


def test_a_manager_finds_those_of_her_sites_by_name(client, monday, ada):
    grace, stranger = patient(), patient("Leo", "Brandt", phone="")
    stranger.sites.set([SiteFactory(name="Hill Clinic")])
    record(Verb.LIST, patient_ids=[grace.pk, stranger.pk], by=ada)
    page = text_of(client.get("/audit/"))
    assert "Ada saw 2 patients in a list" in page
    assert "Grace Okafor" in page
    assert link_to(grace) in page
    assert "Brandt" not in page
    assert link_to(stranger) not in page


def test_who_looked_at_this_patient(client, monday, ada):
    grace, leo = patient(), patient("Leo", phone="")
    for who, whom in (("maya", grace), ("femi", leo)):
        record(Verb.READ, patient_ids=[whom.pk], by=UserFactory(username=who))
    link = reverse("audit:patient_trail", args=[grace.pk])
    assert link in text_of(client.get(f"/patients/{grace.pk}/"))
    page = text_of(client.get(link))
    assert "Maya opened" in page
    assert "Femi opened" not in page
    assert "Who looked at" in page


def test_reading_the_audit_is_itself_audited(client, monday, otto):
    client.get("/audit/?patient=12&verb=read&since=2026-11-01")
    client.get("/audit/patients/12/")
    first, second = AuditEvent.objects.order_by("pk")
    assert (first.verb, first.subject, first.actor) == (Verb.READ, "audit", "otto")
    assert first.details == {"patient": 12, "verb": "read", "since": "2026-11-01"}
    assert first.patient_ids == second.patient_ids == [12]
    assert "Otto opened the audit of patient 12" in text_of(client.get("/audit/"))


def sentences(client, **filters):
    answer = client.get("/audit/", filters)
    assert answer.status_code == 200
    return [row.sentence for row in answer.context["rows"]]


def test_filters_narrow_the_trail(client, monday):
    maya, femi = (UserFactory(username=name) for name in ("maya", "femi"))
    record(Verb.READ, patient_ids=[1], by=maya)
    monday.shift(timedelta(days=1))
    client.force_login(member_of_staff("otto", Role.AUDITOR))
    record(Verb.CHANGE, patient_ids=[2], subject="appointment:7", by=femi)
    assert sentences(client, staff=maya.pk) == ["Maya opened patient 1"]
    assert sentences(client, verb="change") == ["Femi changed visit 7 of patient 2"]
    assert sentences(client, patient=2)[-1] == "Femi changed visit 7 of patient 2"
    assert sentences(client, until="2026-11-23") == ["Maya opened patient 1"]
    assert "Maya opened patient 1" not in sentences(client, since="2026-11-24")
    assert sentences(client, address="worklist:item_list") == []
    assert len(sentences(client)) > 2


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"patient": "Grace"}, "Enter a whole number."),
        ({"patient": "9" * 30}, "less than or equal"),
        ({"since": "soon"}, "Enter a valid date."),
        ({"since": "2026-11-24", "until": "2026-11-23"}, "before the first day"),
        ({"staff": "0 or 1"}, "not one of the available choices"),
        ({"verb": "peek"}, "not one of the available choices"),
    ],
)
def test_a_filter_that_makes_no_sense_says_so(client, monday, otto, filters, says):
    page = text_of(client.get("/audit/", filters))
    assert says in page
    assert "until the marked field is right" in page
    assert str(next(iter(filters.values()))) in page or "staff" in filters
    assert client.get("/audit/export/", filters).status_code == 302


def test_pages_follow_the_last_row(client, monday, otto):
    maya = UserFactory(username="maya")
    for n in range(60):
        # Several in one moment: their order is that of their ids.
        record(Verb.READ, patient_ids=[n + 1], by=maya)
    seen, before = [], ""
    for _page in range(3):
        answer = client.get("/audit/", {"staff": maya.pk, "before": before})
        seen += [row.event.patient_ids[0] for row in answer.context["rows"]]
        before = answer.context["before"]
    assert seen == list(range(60, 0, -1))
    assert before is None
    assert sentences(client, before="x")


def test_the_page_says_how_far_the_chain_reaches(client, monday, otto):
    assert "Nothing is sealed yet" in text_of(client.get("/audit/"))
    seal()
    assert "Sealed up to 9:00" in text_of(client.get("/audit/")).replace(
        "09:00", "9:00"
    )
    assert "never verified" in text_of(client.get("/audit/"))
    from django.core.management import call_command  # noqa: PLC0415

    assert verify().broken == ""
    call_command("verify_audit")
    assert ": whole" in text_of(client.get("/audit/"))


def export(client, **filters):
    answer = client.get("/audit/export/", filters)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def signed_in_now(client):
    """Otto has just proved who he is, as leaving with a file asks for."""
    otto = member_of_staff("otto", Role.AUDITOR)
    otto.set_password("a long pass phrase")
    otto.save()
    client.post("/accounts/login/", {"login": "otto", "password": "a long pass phrase"})
    return otto


def test_the_export_holds_the_rows_and_is_written_down(client, signed_in_now):
    maya = UserFactory(username="maya", name="=HYPERLINK(1)")
    grace = patient()
    record(Verb.READ, patient_ids=[grace.pk], opened=[grace.pk], reason="-2+3", by=maya)
    (row,) = export(client, staff=maya.pk)
    assert (row["who"], row["reason"]) == ("'=HYPERLINK(1)", "'-2+3")
    assert (row["patients"], row["opened"]) == (str(grace.pk), str(grace.pk))
    assert "Okafor" not in str(row)
    event = AuditEvent.objects.order_by("-pk").first()
    assert (event.verb, event.actor, event.details) == (
        Verb.EXPORT,
        "otto",
        {"staff": maya.pk},
    )


def test_the_export_asks_who_it_is(client, monday, otto):
    answer = client.get("/audit/export/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/reauthenticate/")


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MANAGER])
def test_the_page_costs_the_same_with_many_rows(client, monday, role):
    client.force_login(member_of_staff("somebody", role))
    costs = []
    for rows in (1, 30):
        for n in range(rows):
            visit = booked(
                patient(f"Given{n}{rows}", phone=""), tell=False, overbooked=True
            )
            record(Verb.READ, patient_ids=[visit.patient_id], by=UserFactory())
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/audit/").status_code == 200
        told = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
        costs.append(len(told))
    assert costs[0] == costs[1] <= 15, told


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_at_the_end_of_the_calendar_is_said_beside_it(client, ada, day):
    for name in ("since", "until"):
        page = client.get(reverse("audit:event_list"), {name: day})
        assert page.status_code == 200
        assert list(page.context["form"].errors) == [name]


def test_a_number_no_patient_can_have_is_not_there(client, ada):
    assert client.get(f"/audit/patients/{2**63 - 1}/").status_code == 200
    assert client.get(f"/audit/patients/{2**63}/").status_code == 404
