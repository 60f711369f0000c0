"""The link to a visit: what it shows, and that it does what the same text would."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.links import make_visit_link
from appointments.models import Appointment, VisitType
from appointments.services import (
    cancel_appointment,
    mark_appointment,
    move_appointment,
)
from messaging.inbound import receive
from patients.models import Link
from tests.factories import SiteFactory, booked, member_of_staff, patient
from tests.patients.test_links import BORN, RIGHT, path_of, text_of
from worklist.models import WorkItem
from worklist.services import claim_item, close_item

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)


class Reader:
    """Grace with her browser, the link to a visit open."""

    def __init__(self, visit: Appointment) -> None:
        _link, address = make_visit_link(visit=visit, by=None)
        self.browser = Client()
        self.visit = visit
        self.where = self.browser.post(path_of(address), RIGHT)["Location"]

    def reads(self) -> str:
        return text_of(self.browser.get(self.where))

    def presses(self, answer: str, **form: Any) -> Any:
        self.visit.refresh_from_db()
        version = form.get("version", self.visit.version)
        sent = {"answer": answer, "version": version}
        return self.browser.post(self.where, sent)

    def offered(self) -> list[str]:
        """Return the answers that the page has buttons for."""
        html = self.browser.get(self.where).content.decode()
        return [a for a in ANSWERS if f'value="{a}"' in html]


ANSWERS = ("come", "move", "cannot", "cancel", "keep")


@pytest.fixture
def grace(monday) -> Reader:
    return Reader(booked(patient(birth_date=BORN), at=TOMORROW_10))


def work() -> list[tuple[str, str, bool]]:
    """Return the kind, reason and state of every item."""
    items = WorkItem.objects.order_by("id")
    return [(item.kind, item.reason, item.closed_at is None) for item in items]


def test_what_the_page_shows(grace):
    VisitType.objects.update(name="Biopsy result", discreet_name="check-up")
    page = grace.reads()
    for told in (
        "Visit for Grace",
        "Tuesday 24 November 2026",
        "10 a.m.",
        "New York time",
        "Dr Rao",
        "Harbour Clinic",
        "Pier St",
        "617 555 0100",
        "Check-up",
    ):
        assert told in page
    for kept in ("Okafor", "Biopsy", "1959"):
        assert kept not in page
    assert grace.offered() == ["come", "move", "cannot"]


def test_i_will_come(grace):
    answer = grace.presses("come")
    assert (answer.status_code, answer["Location"]) == (303, grace.where)
    grace.visit.refresh_from_db()
    assert grace.visit.state == Appointment.State.CONFIRMED
    event = grace.visit.events.last()
    assert (event.what, event.by, event.by_patient) == ("confirmed", None, True)
    assert "We know that you will come" in grace.reads()
    assert grace.offered() == ["move", "cannot"]
    grace.presses("come")
    assert grace.visit.events.filter(what="confirmed").count() == 1


@pytest.mark.parametrize(
    ("answers", "digits"),
    [
        (["come"], ["1"]),
        (["move"], ["2"]),
        (["move", "come"], ["2", "1"]),
        (["cannot"], ["3"]),
        (["cannot", "cancel"], ["3", "4"]),
        (["cannot", "keep"], ["3", "5"]),
    ],
)
def test_a_button_does_what_the_digit_does(monday, answers, digits):
    """Grace presses buttons, Tomás answers the text: the same comes of it."""

    def come_of_it(visit: Appointment) -> tuple[Any, ...]:
        visit.refresh_from_db()
        items = visit.patient.work_items.order_by("id")
        return (
            visit.state,
            visit.version,
            list(visit.events.values_list("what", "by", "by_patient")),
            list(items.values_list("kind", "reason", "severity", "due_at", "site")),
            list(items.values_list("outcome", "closed_by_rule")),
        )

    reader = Reader(booked(patient(birth_date=BORN), at=TOMORROW_10))
    tomas = booked(
        patient("Tomás", "Silva", phone="+16175550144"),
        at=TOMORROW_10 + timedelta(hours=1),
    )
    run_pass()
    for answer in answers:
        assert reader.presses(answer).status_code == 303
    for number, digit in enumerate(digits):
        receive(
            provider="simulated",
            provider_id=f"SIM{number}",
            channel="sms",
            from_address="+16175550144",
            to_address="",
            body=digit,
        )
        run_pass()
    assert come_of_it(reader.visit) == come_of_it(tomas)


def test_another_time_is_asked_for_once(grace):
    for _again in range(3):
        grace.presses("move")
    assert work() == [("visit_move", "Wants another time for the visit.", True)]
    assert "We will call you about another time" in grace.reads()
    assert grace.offered() == ["come", "cannot"]


def test_asked_for_again_after_we_called_is_new_work(grace, monday):
    grace.presses("move")
    item = WorkItem.objects.get()
    maya = member_of_staff("maya", Role.NURSE)
    close_item(item_id=item.pk, outcome="kept", by=maya)
    assert "move" in grace.offered()
    monday.shift(60)
    grace.presses("move")
    assert [still_open for _kind, _why, still_open in work()] == [False, True]


def test_cancelling_is_asked_once_more(grace):
    grace.presses("cannot")
    assert "Shall we cancel this visit?" in grace.reads()
    assert grace.offered() == ["cancel", "keep"]
    grace.visit.refresh_from_db()
    assert grace.visit.state == Appointment.State.BOOKED
    grace.presses("cancel")
    grace.visit.refresh_from_db()
    assert grace.visit.state == Appointment.State.CANCELLED
    assert "This visit is cancelled" in grace.reads()
    assert grace.offered() == []
    assert [still_open for _kind, _why, still_open in work()] == [False]


def test_a_colleague_who_has_it_will_call(grace):
    grace.presses("cannot")
    claim_item(
        item_id=WorkItem.objects.get().pk, by=member_of_staff("maya", Role.NURSE)
    )
    assert "We will call you" in grace.reads()
    assert grace.offered() == ["come", "cannot"]


def test_a_yes_to_the_old_time_is_no_yes_to_the_new_one(grace):
    shown = grace.visit.version
    move_appointment(
        appointment_id=grace.visit.pk, by=None, local_start=datetime(2026, 11, 24, 15)
    )
    answer = grace.presses("come", version=shown)
    assert answer.status_code == 409
    assert "This has changed while the page was open" in text_of(answer)
    assert "3 p.m." in text_of(answer)
    grace.visit.refresh_from_db()
    assert grace.visit.state == Appointment.State.BOOKED
    assert grace.presses("come").status_code == 303


def test_a_moved_visit_shows_both_times_and_lives_as_long_as_it(grace, monday):
    monday.shift(60)
    move_appointment(
        appointment_id=grace.visit.pk, by=None, local_start=datetime(2026, 12, 8, 15)
    )
    page = grace.reads()
    assert "It was Tuesday 24 November, 10 a.m." in page
    assert "Tuesday 8 December 2026" in page
    grace.visit.refresh_from_db()
    assert Link.objects.get().expires_at == grace.visit.ends_at + timedelta(days=1)


@pytest.mark.parametrize("deed", ["cancelled", "past", "done"])
def test_what_is_over_has_no_buttons(grace, monday, deed):
    if deed == "cancelled":
        cancel_appointment(appointment_id=grace.visit.pk, by=None)
    elif deed == "done":
        mark_appointment(
            appointment_id=grace.visit.pk, state=Appointment.State.DONE, by=None
        )
    else:
        reopen_at = grace.visit.starts_at
        monday.move_to(reopen_at)
        grace = Reader(grace.visit)
    says = "is cancelled" if deed == "cancelled" else "The time of this visit is past"
    assert says in grace.reads()
    assert grace.offered() == []
    events = grace.visit.events.count()
    for answer in ANSWERS:
        assert grace.presses(answer).status_code == 409
    assert grace.visit.events.count() == events
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("answer", ["", "nonsense", "done"])
def test_what_no_button_says_changes_nothing(grace, answer):
    assert grace.presses(answer).status_code == 409
    assert grace.browser.post(grace.where, {}).status_code == 409
    assert not WorkItem.objects.exists()
    assert grace.visit.events.count() == 1


def test_a_visit_that_became_somebody_elses_is_gone(grace):
    Appointment.objects.update(patient=patient("Leo", phone=""))
    assert grace.browser.get(grace.where).status_code == 404


def test_it_speaks_spanish_to_who_reads_spanish(monday):
    reader = Reader(booked(patient(birth_date=BORN, language="es"), at=TOMORROW_10))
    page = reader.browser.get(reader.where)
    assert '<html lang="es"' in page.content.decode()
    assert "noviembre" in text_of(page)


def test_appointment_link_is_shown_once(client, monday):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    visit = booked(patient(birth_date=BORN), at=TOMORROW_10)
    client.force_login(femi)
    url = reverse("appointments:appointment_link", args=[visit.pk])
    detail = reverse("appointments:appointment_detail", args=[visit.pk])
    assert f'action="{url}"' in client.get(detail).content.decode()
    answer = client.post(url)
    first = path_of(answer.context["address"])
    assert answer.context["address"] in answer.content.decode()
    assert "It works until Wed 25 Nov, 10:20" in text_of(answer)
    assert first not in client.get(detail).content.decode()
    assert client.get(url).status_code == 405
    second = path_of(client.post(url).context["address"])
    browser = Client()
    assert browser.get(first).status_code == 404
    assert browser.get(second).status_code == 200
    made = AuditEvent.objects.filter(verb=AuditEvent.Verb.CREATE, actor="femi")
    assert [event.subject for event in made if "link" in event.subject] == [
        f"link:{link.pk}" for link in Link.objects.order_by("pk")
    ]


@pytest.mark.parametrize(
    "fields", [{"birth_date": None}, {"birth_date": BORN, "deceased_on": BORN}]
)
def test_no_link_that_could_open_nothing(client, monday, fields):
    visit = booked(patient(**fields), at=TOMORROW_10)
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    url = reverse("appointments:appointment_link", args=[visit.pk])
    answer = client.post(url, follow=True)
    assert "link" in str(next(iter(answer.context["messages"]))).lower()
    assert not Link.objects.exists()


def test_no_link_to_another_sites_visit(client, monday):
    visit = booked(patient(birth_date=BORN), at=TOMORROW_10)
    femi = member_of_staff("femi", Role.FRONT_DESK, SiteFactory(name="North"))
    client.force_login(femi)
    url = reverse("appointments:appointment_link", args=[visit.pk])
    assert client.post(url).status_code == 404
    assert not Link.objects.exists()
