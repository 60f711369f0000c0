"""One stream of all that happened: its order, its pages, its filters, its cost."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from messaging.models import Message
from patients.models import (
    Channel,
    Consent,
    Flag,
    HistoryEntry,
    HistoryReview,
    Intake,
    Note,
)
from patients.services import record_consent
from patients.timeline import GROUPS, Place, groups_for, stream_of
from tests.factories import MONDAY, booked, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import close_item, raise_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def grace(monday):
    return patient(consent=False)


def text_of(somebody, at, body="Hello"):
    return Message.objects.create(
        direction="in",
        patient=somebody,
        channel="sms",
        address="+16175550143",
        body=body,
        encoding="GSM-7",
        state="received",
        not_before=at,
        at=at,
    )


def live_a_day(somebody, user, n):
    """Bring one event of every kind of source, now."""
    at = timezone.now()
    text_of(somebody, at)
    record_consent(
        patient=somebody,
        channel=Channel.SMS,
        given=bool(n % 2),
        method="spoken",
        by=user,
    )
    before = at - timedelta(seconds=1)
    history(somebody, before, verified_by=user, verified_at=at)
    HistoryReview.objects.create(
        patient=somebody, kind="allergy", outcome="none_known", source="staff", at=at
    )
    Intake.objects.create(
        patient=somebody, answers={}, source="patient", method="link", at=at
    )
    Flag.objects.create(
        patient=somebody,
        category="safety",
        text="Falls",
        reason="Fell twice.",
        author=user,
        at=at,
        expires_on=at.date(),
        ended_at=at,
        ended_by=user,
    )
    Note.objects.create(
        patient=somebody,
        author=user,
        type="call",
        body="Called.",
        happened_at=at,
        signed_at=at,
        hash=f"{n}",
    )
    item = raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=n,
        dedupe_key=f"item{n}",
        due_at=at,
        patient=somebody,
        site=somebody.sites.get(),
    )
    close_item(item_id=item.pk, outcome="kept", by=user)


def history(somebody, at, **fields):
    told = {"kind": "condition", "label": "Hypertension", "source": "staff"}
    return HistoryEntry.objects.create(
        patient=somebody, status="active", recorded_at=at, **told | fields
    )


def pages_back(somebody, user, **wanted):
    """Walk from the latest page to the first event; return the pages."""
    pages = [stream_of(somebody, user, **wanted)]
    while pages[-1].earlier:
        before = Place.from_cursor(pages[-1].earlier)
        pages.append(stream_of(somebody, user, before=before, **wanted))
    return pages


def names(events):
    return [(event.source, event.pk) for event in events]


def test_upcoming_is_soonest_first_and_past_latest_first(nora, grace):
    for day in (27, 25):
        booked(grace, at=datetime(2026, 11, day, 10))
    for minutes in (5, 1, 9):
        text_of(grace, MONDAY - timedelta(minutes=minutes))
    stream = stream_of(grace, nora)
    ahead = [event.at for event in stream.upcoming]
    past = [event.at for event in stream.past]
    assert ahead == sorted(ahead)
    assert past == sorted(past, reverse=True)
    assert {event.source for event in stream.upcoming} >= {"visits"}
    assert all(event.at >= MONDAY for event in stream.upcoming)


def test_pages_leave_out_nothing_and_show_nothing_twice(nora, grace):
    for n in range(10):
        text_of(grace, MONDAY - timedelta(minutes=n))
        history(grace, MONDAY - timedelta(minutes=n))
    whole = names(stream_of(grace, nora, limit=100).past)
    pages = pages_back(grace, nora, limit=3)
    assert [name for page in pages for name in names(page.past)] == whole
    assert len(whole) == 20
    assert pages[0].later == ""
    assert pages[-1].earlier == ""


def test_a_page_cut_within_one_instant_goes_on_within_it(nora, grace):
    for _n in range(4):
        text_of(grace, MONDAY)
        before = MONDAY - timedelta(hours=1)
        history(grace, before, verified_by=nora, verified_at=MONDAY)
    whole = names(stream_of(grace, nora, limit=100).past)
    assert len(whole) == 12
    for limit in (1, 2, 5, 11, 12):
        pages = pages_back(grace, nora, limit=limit)
        assert [name for page in pages for name in names(page.past)] == whole


def test_later_leads_back_the_way_earlier_came(nora, grace):
    for n in range(11):
        text_of(grace, MONDAY - timedelta(minutes=n // 2))
    pages = pages_back(grace, nora, limit=4)
    back = stream_of(grace, nora, after=Place.from_cursor(pages[-1].later), limit=4)
    assert names(back.past) == names(pages[-2].past)
    first = stream_of(grace, nora, after=Place.from_cursor(back.later), limit=4)
    assert names(first.past) == names(pages[0].past)
    assert first.later == ""
    assert first.earlier != ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "%%%",
        "MQ",
        "foo.bar.baz",
        "1.a.-1",
        "9" * 40 + ".a.1",
        f"1.a.{2**63}",
        "é",
        "A" * 500,
    ],
)
def test_what_is_no_cursor_is_no_place(text):
    assert Place.from_cursor(text) is None


def test_a_cursor_names_its_place_to_the_microsecond():
    place = Place(MONDAY + timedelta(microseconds=7), "messages", 2**62)
    assert Place.from_cursor(place.as_cursor()) == place


def test_a_page_asks_as_much_of_one_event_as_of_three_hundred(
    monday, nora, grace, client
):
    client.force_login(nora)
    assert nora.has_perm("patients.view_patient")
    url = reverse("patients:patient_timeline", args=[grace.pk])
    costs = []
    visit = booked(grace)
    for numbers in (range(1), range(1, 300)):
        for n in numbers:
            live_a_day(grace, nora, n)
            visit.events.create(version=1, what="confirmed", at=timezone.now())
            monday.shift(1)
        # The session's own upkeep falls due once in a while: not in what is measured.
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(url)
        costs.append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            stream = stream_of(grace, nora)
        costs[-1] = (costs[-1], len(queries))
    assert costs[0] == costs[1]
    assert costs[1][0] <= 15
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url, {"before": stream.earlier}).status_code == 200
    assert len(queries) <= costs[1][0]
    assert page.context["stream"].earlier


def test_every_filter_shows_its_own_kind_and_no_other(nora, grace):
    live_a_day(grace, nora, 0)
    booked(grace)
    shown = {key: stream_of(grace, nora, show=key) for key in groups_for(nora)}
    assert set(shown) == set(GROUPS)
    everything = names(stream_of(grace, nora, limit=100).past)
    parts = [name for stream in shown.values() for name in names(stream.past)]
    assert sorted(parts) == sorted(everything)
    assert all(stream.past for stream in shown.values())
    assert {source for source, _pk in names(shown["notes"].past)} == {"notes"}
    assert not shown["notes"].upcoming
    assert names(shown["visits"].upcoming)


def test_the_front_desk_reads_nothing_of_health(grace, nora):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    live_a_day(grace, nora, 0)
    seen = {event.source for event in stream_of(grace, femi).past}
    assert seen & {"history", "verified", "looked_through", "intakes", "notes"} == set()
    assert seen >= {"consents", "messages", "alerts"}
    assert "notes" not in groups_for(femi)


def test_somebody_else_s_events_never_stand_here(nora, grace):
    tomas = patient("Tomás", "Silva", phone="+16175550144", consent=False)
    live_a_day(tomas, nora, 0)
    booked(tomas)
    assert stream_of(grace, nora).past == []
    assert stream_of(grace, nora).upcoming == []


def test_a_file_that_was_brought_in_is_one_line(nora, grace):
    for n in range(40):
        history(
            grace,
            MONDAY + timedelta(seconds=n),
            source="imported",
            external_system="fhir/a",
            external_id=f"{n}",
        )
    history(grace, MONDAY, source="imported", external_system="fhir/b", external_id="1")
    history(grace, MONDAY)
    lines = stream_of(grace, nora).past
    counted = sorted(
        event.subject["n"] for event in lines if event.subject["source"] == "imported"
    )
    assert counted == [1, 40]
    assert len(lines) == 3


def test_the_page_and_its_part_show_the_stream(nora, grace, client):
    client.force_login(nora)
    live_a_day(grace, nora, 0)
    for n in range(40):
        text_of(grace, MONDAY - timedelta(hours=n + 1), body=f"Text {n}.")
    url = reverse("patients:patient_timeline", args=[grace.pk])
    whole = client.get(url, {"show": "messages"})
    assert "Text 3." in whole.text
    assert "Hypertension" not in whole.text
    assert "<html" in whole.text
    part = client.get(url, headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "Hypertension" in part.text
    older = client.get(url, {"before": part.context["stream"].earlier})
    assert "Text 39." in older.text
    assert "Text 3." not in older.text
    assert "Coming up" not in older.text


@pytest.mark.parametrize("asked", [{"show": "x"}, {"before": "x"}, {"after": "x"}])
def test_what_nobody_asks_for_shows_the_first_page(nora, grace, client, asked):
    client.force_login(nora)
    text_of(grace, MONDAY - timedelta(hours=1), body="I am here.")
    url = reverse("patients:patient_timeline", args=[grace.pk])
    assert "I am here." in client.get(url, asked).text


def test_a_page_behind_what_is_gone_is_the_first_one(nora, grace, client):
    client.force_login(nora)
    text_of(grace, MONDAY - timedelta(hours=1), body="I am here.")
    after = Place(MONDAY + timedelta(days=1), "messages", 1).as_cursor()
    url = reverse("patients:patient_timeline", args=[grace.pk])
    assert "I am here." in client.get(url, {"after": after}).text


def test_an_intake_leads_to_its_review_for_who_may_go_through_it(nora, grace, client):
    intake = Intake.objects.create(
        patient=grace, answers={}, source="patient", method="link", at=MONDAY
    )
    review = reverse("patients:intake_review", args=[grace.pk, intake.pk])
    url = reverse("patients:patient_timeline", args=[grace.pk])
    client.force_login(nora)
    assert review in client.get(url).content.decode()
    client.force_login(member_of_staff("ada", Role.MANAGER))
    assert review not in client.get(url).content.decode()


def test_consent_stands_in_words(nora, grace, client):
    client.force_login(nora)
    record_consent(
        patient=grace,
        channel=Channel.EMAIL,
        purpose=Consent.Purpose.FOLLOW_UP,
        given=False,
        method="spoken",
        by=nora,
    )
    page = client.get(reverse("patients:patient_timeline", args=[grace.pk]))
    assert "Email: check-ins" in page.text
    assert "Said no" in page.text


def test_what_was_verified_as_it_was_written_is_one_line(nora, grace):
    history(grace, MONDAY, verified_by=nora, verified_at=MONDAY)
    assert [event.source for event in stream_of(grace, nora).past] == ["history"]
