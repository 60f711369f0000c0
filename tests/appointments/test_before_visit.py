"""One screen before a visit: what changed, what worries them, what is owed."""

from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.before_visit import sheet_for
from appointments.models import Appointment, VisitType
from messaging.inbound import receive
from messaging.models import Notice
from patients.models import Channel, Flag, HistoryEntry, Intake
from patients.services import record_consent
from tests.factories import GRACE, MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def grace(monday):
    return patient(top_worry="Losing my leg.", what_matters="Walking to school.")


def seen_before(somebody, day, state="done"):
    """Bring an earlier visit on a day of November, as it ended."""
    visit = booked(somebody, at=datetime(2026, 11, 24, 9), tell=False)
    starts = datetime(2026, 11, day, 15, tzinfo=MONDAY.tzinfo)
    Appointment.objects.filter(pk=visit.pk).update(
        starts_at=starts,
        ends_at=starts + timedelta(minutes=20),
        local_date=starts.date(),
        state=state,
    )
    return visit


def history(somebody, at, **fields):
    told = {"kind": "condition", "label": "Hypertension", "source": "staff"}
    return HistoryEntry.objects.create(
        patient=somebody, status="active", recorded_at=at, **told | fields
    )


def ahead(somebody):
    """Return their next visit, as the page loads it."""
    visit = booked(somebody, at=datetime(2026, 11, 24, 16), tell=False)
    return Appointment.objects.select_related("patient").get(pk=visit.pk)


def lines(visit, user):
    sheet = sheet_for(visit, user)
    return {section.key: section.lines for section in sheet.sections}


def says(visit, user, question):
    return [line.says for line in lines(visit, user)[question]]


def test_what_changed_is_what_came_after_the_last_visit(nora, grace):
    seen_before(grace, 10)
    old = MONDAY - timedelta(days=20)
    history(grace, old, label="Asthma", told_on=date(2026, 1, 1))
    history(grace, MONDAY - timedelta(days=2), label="Anaemia", told_on=MONDAY.date())
    history(grace, old, label="Gout", verified_at=MONDAY, verified_by=nora)
    record_consent(
        patient=grace, channel=Channel.SMS, given=False, method="spoken", by=nora
    )
    told = says(ahead(grace), nora, "changed")
    assert "Condition: Anaemia" in told
    assert "Condition verified: Gout" in told
    assert not [line for line in told if "Asthma" in line]
    assert "Changed: consent (text message, withdrawn)" in told


def test_a_visit_that_did_not_take_place_is_no_last_visit(nora, grace):
    seen_before(grace, 5)
    seen_before(grace, 12, "noshow")
    seen_before(grace, 15, "cancelled")
    visit = ahead(grace)
    assert sheet_for(visit, nora).last.local_date == date(2026, 11, 5)
    told = says(visit, nora, "changed")
    assert told[:2] == [
        "Visit on Sun 15 Nov cancelled",
        "Did not come on Thu 12 Nov",
    ]


def test_somebody_never_seen_is_said_to_be_new(nora, grace, client):
    client.force_login(nora)
    visit = ahead(grace)
    assert sheet_for(visit, nora).last is None
    page = client.get(reverse("appointments:before_visit", args=[visit.pk]))
    assert "not seen here before" in page.text


def test_what_worries_them_is_in_their_words(nora, grace):
    Intake.objects.create(
        patient=grace,
        answers={"top_worry": "The needle."},
        source="patient",
        method="link",
        at=MONDAY,
    )
    receive(
        provider="simulated",
        provider_id="SIM1",
        channel="sms",
        from_address=GRACE,
        to_address="",
        body="Will it hurt?",
    )
    run_pass()
    found = lines(ahead(grace), nora)
    assert [line.quote for line in found["worries"]] == [
        "Will it hurt?",
        "Losing my leg.",
        "The needle.",
        "Walking to school.",
    ]
    assert found["worries"][0].warn
    owed = [line.says for line in found["owed"]]
    assert "The latest intake was not looked through" in owed


def test_what_is_owed_stands_with_where_to_do_it(nora, grace):
    history(grace, MONDAY, label="Diabetes")
    history(grace, MONDAY, kind="allergy", label="Latex", source="patient")
    raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=1,
        dedupe_key="one",
        due_at=MONDAY,
        patient=grace,
        site=grace.sites.get(),
    )
    Flag.objects.create(
        patient=grace,
        category="safety",
        text="Falls",
        reason="Fell.",
        author=nora,
        at=MONDAY,
        expires_on=date(2026, 12, 1),
    )
    visit = ahead(grace)
    Notice.objects.create(
        purpose="visit_changed",
        template_key="visit_changed",
        patient=grace,
        about_patient=grace,
        cause_kind="appointment",
        cause_id=visit.pk,
        dedupe_key="n",
        zone="America/New_York",
        not_before=MONDAY,
        deadline=MONDAY,
        matters=True,
        state="with_staff",
        created_at=MONDAY,
    )
    owed = lines(visit, nora)["owed"]
    told = {line.says: line for line in owed}
    assert told["Not told yet: Diabetes"].warn
    assert told["1 thing the patient told us is not verified"].warn
    assert told["Not reached about a change of a visit"].warn
    assert "Alert ends on 1 Dec: Falls" in told
    assert any("Texted CANCEL." in line for line in told)
    pages = [line.page for line in owed if "CANCEL" in line.says]
    assert pages == [reverse("worklist:item_close", args=[WorkItem.objects.get().pk])]
    # What somebody has to do stands before what is only good to know.
    warned = [line.warn for line in owed]
    assert warned == sorted(warned, reverse=True)


@pytest.mark.parametrize(
    ("ends", "owed"), [((2026, 12, 24), True), ((2026, 12, 25), False)]
)
def test_an_alert_is_owed_a_look_thirty_days_before_it_ends(nora, grace, ends, owed):
    Flag.objects.create(
        patient=grace,
        category="safety",
        text="Falls",
        reason="Fell.",
        author=nora,
        at=MONDAY,
        expires_on=date(*ends),
    )
    told = says(ahead(grace), nora, "owed")
    assert any("Falls" in line for line in told) is owed


def test_a_clinical_alert_that_ends_is_not_for_the_desk(nora, grace):
    Flag.objects.create(
        patient=grace,
        category="clinical",
        text="Lithium",
        reason="Levels.",
        author=nora,
        at=MONDAY,
        expires_on=date(2026, 12, 1),
    )
    visit, femi = ahead(grace), member_of_staff("femi", Role.FRONT_DESK)
    assert any("Lithium" in line for line in says(visit, nora, "owed"))
    assert not any("Lithium" in line for line in says(visit, femi, "owed"))


def test_without_consent_or_address_it_says_which(nora):
    ana = patient("Ana", "Silva", consent=False)
    assert "No consent to write to them" in says(ahead(ana), nora, "owed")
    ana.contact_points.all().delete()
    visit = Appointment.objects.select_related("patient").get()
    assert "No number and no email address" in says(visit, nora, "owed")


def test_a_visit_nobody_has_heard_of_is_owed_a_word(nora, grace):
    visit = ahead(grace)
    assert says(visit, nora, "owed") == []
    visit.told_start -= timedelta(hours=1)
    known = "They know of an earlier time, place or clinician only"
    assert says(visit, nora, "owed") == [known]
    visit.told_start = None
    assert says(visit, nora, "owed") == ["They have not been told of this visit yet"]
    visit.state = "arrived"
    assert says(visit, nora, "owed") == []


def test_an_interpreter_and_what_helps_are_told(nora):
    rosa = patient(
        "Rosa",
        "Alvarez",
        language="es",
        needs_interpreter=True,
        needs=["large_print"],
        reading_help="sometimes",
    )
    told = says(ahead(rosa), nora, "owed")
    assert "Needs an interpreter: Spanish" in told
    assert "Have ready: Large print" in told
    assert "Read papers together with them" in told


def test_the_front_desk_reads_nothing_of_health(grace, client, nora):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    knee = VisitType.objects.create(name="Knee injection", discreet_name="nurse visit")
    history(grace, timezone.now(), label="Diabetes")
    visit = ahead(grace)
    Appointment.objects.filter(pk=visit.pk).update(visit_type=knee)
    client.force_login(femi)
    page = client.get(reverse("appointments:before_visit", args=[visit.pk]))
    assert "nurse visit" in page.text
    for private in ("Knee injection", "Diabetes", "Losing my leg", "misunderstood"):
        assert private not in page.text
    client.force_login(nora)
    page = client.get(reverse("appointments:before_visit", args=[visit.pk]))
    for clinical in ("Knee injection", "Diabetes", "Losing my leg", "misunderstood"):
        assert clinical in page.text


def test_an_empty_question_says_so_plainly(nora, client):
    ana = patient("Ana", "Silva")
    seen_before(ana, 10)
    visit = ahead(ana)
    Appointment.objects.filter(pk=visit.pk).update(
        told_start=visit.starts_at,
        told_site=visit.site_id,
        told_clinician=visit.clinician_id,
    )
    client.force_login(nora)
    page = client.get(reverse("appointments:before_visit", args=[visit.pk]))
    assert "Nothing we know of since the last visit." in page.text
    assert "They have told us of no worry, and no text waits." in page.text
    assert "Nothing is owed." in page.text


def test_the_page_costs_the_same_whatever_there_is(nora, grace, client):
    client.force_login(nora)
    visit = ahead(grace)
    url = reverse("appointments:before_visit", args=[visit.pk])
    costs = []
    for numbers in (range(1), range(1, 30)):
        for n in numbers:
            seen_before(grace, 1 + n % 20, "noshow")
            history(grace, MONDAY, label=f"Thing {n}")
            raise_item(
                kind="cancel_word",
                severity=WorkItem.Severity.AMBER,
                reason="Texted CANCEL.",
                subject_kind="message",
                subject_id=n,
                dedupe_key=f"item{n}",
                due_at=MONDAY,
                patient=grace,
                site=grace.sites.get(),
            )
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(url)
        costs.append(len(queries))
    assert "and 24 more" in page.text
    assert costs[0] == costs[1]
    assert costs[1] <= 15, [query["sql"][:100] for query in queries]
