"""Intake: what patients tell of themselves, and what stands before it is looked at."""

import re
import uuid
from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from patients.forms.intake import IntakeForm
from patients.history.services import add_entry, verify_entry
from patients.intake import lines_of, outcome_key, review_intake, take_intake, told_in
from patients.links.intake import MOST_SENT, make_intake_link
from patients.models import ContactPerson, HistoryEntry, Intake, Link, SafeContactPlan
from tests.factories import member_of_staff, patient
from worklist.models import WorkItem
from worklist.queries import items_of

pytestmark = pytest.mark.django_db

BORN = date(1959, 3, 14)


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def femi(monday):
    return member_of_staff("femi", Role.FRONT_DESK)


@pytest.fixture
def grace(monday):
    return patient(birth_date=BORN)


def told(who, source="patient", method="paper", **answers) -> Intake:
    return take_intake(patient=who, answers=answers, source=source, method=method)


def entries(who, kind="") -> list[str]:
    found = HistoryEntry.objects.filter(patient=who).order_by("pk")
    found = found.filter(kind=kind) if kind else found
    return [entry.label for entry in found]


def known(who, label, kind="allergy", by=None, source="staff") -> HistoryEntry:
    entry = add_entry(
        patient=who, kind=kind, facts={"label": label, "source": source}, by=by
    )
    return verify_entry(entry_id=entry.pk, by=by) if by else entry


def open_link(address: str, born: date = BORN, **client_options) -> Client:
    """Return the browser in which the link was opened with the birth date."""
    client = Client(**client_options)
    path = "/p/" + address.split("/p/", 1)[1]
    client.post(path, {"day": born.day, "month": born.month, "year": born.year})
    return client


def inside() -> str:
    return reverse("links:open", args=[Link.objects.order_by("-pk")[0].pk])


# What is made of the answers


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        (" \n\n ", []),
        ("penicillin", ["penicillin"]),
        ("- penicillin\n• nuts,\r\n* latex", ["penicillin", "nuts", "latex"]),
        ("Nuts\nnuts\nNÚTS", ["Nuts"]),
        ("5-fluorouracil", ["5-fluorouracil"]),
    ],
)
def test_each_line_is_one_thing(text, lines):
    assert lines_of(text) == lines


def test_lines_about_health_become_entries_nobody_has_verified(grace):
    told(grace, allergy="penicillin\nnuts", medicine="Apixaban 2.5 mg")
    assert entries(grace) == ["penicillin", "nuts", "Apixaban 2.5 mg"]
    for entry in grace.history.all():
        assert entry.source == "patient"
        assert entry.verification == "unconfirmed"
        assert entry.verified_at is None


@pytest.mark.parametrize(("source", "is_told"), [("patient", True), ("proxy", False)])
def test_a_condition_a_relative_names_is_not_told(grace, source, is_told):
    told(grace, source=source, condition="Cancer of the bowel")
    assert (grace.history.get().told_on is not None) is is_told


def test_what_is_on_file_is_not_written_twice(grace, nora):
    entry = known(grace, "Penicillin", by=nora)
    told(grace, allergy="penicillín\nnuts")
    assert entries(grace) == ["Penicillin", "nuts"]
    entry.refresh_from_db()
    assert entry.verified_by == nora


def test_none_is_noted_where_nobody_knows_of_any(grace):
    told(grace, allergy_none="none_known", social_none="declined")
    rows = {review.kind: review for review in grace.history_reviews.all()}
    assert rows["allergy"].outcome == "none_known"
    assert rows["allergy"].source == "patient"
    assert rows["social"].outcome == "declined"


def test_none_overrules_nothing_that_is_on_file(grace, nora):
    known(grace, "Penicillin", by=nora)
    intake = told(grace, allergy_none="none_known")
    assert not grace.history_reviews.exists()
    (answer,) = told_in(intake)
    assert (answer.said, answer.on_file) == ("No known allergies", "Penicillin")
    assert answer.choices == ()


def test_the_profile_is_filled_where_it_is_empty_and_nowhere_else(grace):
    type(grace).objects.filter(pk=grace.pk).update(
        what_matters="Her garden.", needs_interpreter=False
    )
    told(
        grace,
        what_matters="Walking to school.",
        top_worry="The needle.",
        needs_interpreter=True,
        needs=["large_print"],
        best_from="16:00",
        best_until="18:00",
    )
    grace.refresh_from_db()
    assert grace.what_matters == "Her garden."
    assert grace.needs_interpreter is False
    assert grace.top_worry == "The needle."
    assert grace.needs == ["large_print"]
    assert (grace.best_from.hour, grace.best_until.hour) == (16, 18)
    assert grace.version == 2


def test_nothing_told_is_no_intake(grace):
    with pytest.raises(ValidationError, match="Nothing is filled in yet"):
        told(grace, allergy="  ", needs=[], best_from=None)
    assert not Intake.objects.exists()


def test_the_same_twice_is_one_intake(grace):
    assert told(grace, allergy="nuts") == told(grace, allergy="nuts")
    assert told(grace, allergy="nuts", top_worry="Needles.").pk
    assert Intake.objects.count() == 2
    assert entries(grace) == ["nuts"]


def test_nobody_tells_of_the_dead(grace):
    type(grace).objects.filter(pk=grace.pk).update(deceased_on=timezone.localdate())
    with pytest.raises(ValidationError, match="any more"):
        told(grace, allergy="nuts")


def test_an_intake_stays_as_it_was_told(grace, nora):
    intake = told(grace, allergy="nuts")
    rows = Intake.objects.filter(pk=intake.pk)
    review_intake(intake_id=intake.pk, by=nora, decisions={})
    for change in (
        {"answers": {"allergy": "none"}},
        {"source": "staff"},
        {"reviewed_by": None},
        {"reviewed_at": timezone.now() + timedelta(days=1)},
    ):
        with (
            pytest.raises(IntegrityError, match="takes new rows only"),
            transaction.atomic(),
        ):
            rows.update(**change)


# Work


@pytest.mark.parametrize(
    ("answers", "severity", "says"),
    [
        ({"allergy": "nuts"}, "AMBER", "an allergy"),
        ({"top_worry": "I want to kill myself"}, "AMBER", "a danger"),
        ({"top_worry": "Parking"}, "REVIEW", "health, needs and goals"),
        ({"allergy_none": "none_known"}, "REVIEW", "health, needs and goals"),
    ],
)
def test_an_intake_is_work_until_somebody_went_through_it(
    grace, nora, femi, answers, severity, says
):
    intake = told(grace, **answers)
    item = WorkItem.objects.get()
    assert item.severity == WorkItem.Severity[severity]
    assert says in item.sentence
    assert item in items_of(nora)
    assert item not in items_of(femi)
    review_intake(intake_id=intake.pk, by=nora, decisions={})
    item.refresh_from_db()
    assert (item.closed_by, item.outcome) == (nora, "reviewed")


# Going through it


def review_address(intake) -> str:
    return reverse("patients:intake_review", args=[intake.patient_id, intake.pk])


def test_going_through_it_answer_by_answer(client, grace, nora):
    type(grace).objects.filter(pk=grace.pk).update(what_matters="Her garden.")
    intake = told(
        grace,
        allergy="penicillin\nnuts\nlatex",
        family_none="none_known",
        what_matters="Walking to school.",
    )
    penicillin, nuts, latex = grace.history.order_by("pk")
    client.force_login(nora)
    shown = client.get(review_address(intake)).content.decode()
    assert "On file: Her garden." in shown
    client.post(
        review_address(intake),
        {
            f"entry_{penicillin.pk}": "right",
            f"entry_{nuts.pk}": "wrong",
            f"entry_{latex.pk}": "",
            "family_none": "",
            "what_matters": "take",
            "client_key": uuid.uuid4(),
        },
    )
    for entry in (penicillin, nuts, latex, grace, intake):
        entry.refresh_from_db()
    assert (penicillin.verified_by, penicillin.verification) == (nora, "confirmed")
    assert nuts.is_taken_back
    assert latex.verified_by is None
    assert grace.what_matters == "Walking to school."
    assert intake.reviewed_by == nora


def test_none_confirmed_with_them_is_known_by_staff(grace, nora):
    intake = told(grace, allergy_none="none_known")
    review_intake(
        intake_id=intake.pk, by=nora, decisions={outcome_key("allergy"): "right"}
    )
    latest = grace.history_reviews.order_by("-at", "-pk")[0]
    assert (latest.source, latest.by, latest.outcome) == ("staff", nora, "none_known")


def test_who_comes_second_changes_nothing(client, grace, nora):
    intake = told(grace, allergy="nuts")
    entry = grace.history.get()
    ben = member_of_staff("ben", Role.NURSE)
    review_intake(intake_id=intake.pk, by=ben, decisions={})
    client.force_login(nora)
    answer = client.post(
        review_address(intake),
        {f"entry_{entry.pk}": "wrong", "client_key": uuid.uuid4()},
    )
    assert "Ben has gone through this before" in answer.content.decode()
    entry.refresh_from_db()
    assert not entry.is_taken_back
    assert "Ben went through it" in client.get(review_address(intake)).content.decode()


def test_what_was_verified_meanwhile_is_left_alone(grace, nora):
    intake = told(grace, allergy="nuts")
    entry = grace.history.get()
    verify_entry(entry_id=entry.pk, by=nora)
    ben = member_of_staff("ben", Role.NURSE)
    review_intake(intake_id=intake.pk, by=ben, decisions={f"entry_{entry.pk}": "wrong"})
    entry.refresh_from_db()
    assert entry.verified_by == nora
    assert not entry.is_taken_back


def test_another_patients_intake_is_not_there(client, grace, nora):
    intake = told(grace, allergy="nuts")
    tomas = patient("Tomás", "Silva", phone="+16175550144")
    client.force_login(nora)
    address = reverse("patients:intake_review", args=[tomas.pk, intake.pk])
    assert client.get(address).status_code == 404
    refused = AuditEvent.objects.filter(verb="refused", subject=f"intake:{intake.pk}")
    assert refused.exists()


# By link


def test_a_patient_tells_by_link(grace, femi):
    _link, address = make_intake_link(patient=grace, by=femi)
    browser = open_link(address)
    shown = browser.get(inside()).content.decode()
    assert "Questions for Grace" in shown
    assert "Okafor" not in shown
    answer = browser.post(inside(), {"answers": "1", "allergy": "nuts"})
    assert answer.status_code == 303
    shown = browser.get(inside()).content.decode()
    assert "Thank you. We have your answers (09:00)." in shown
    # Nothing of what was told, nor of what is on file, stands on the page.
    assert "nuts" not in shown
    intake = Intake.objects.get()
    assert (intake.method, intake.source, intake.recorded_by) == (
        "link",
        "patient",
        None,
    )
    event = AuditEvent.objects.get(subject=f"intake:{intake.pk}")
    assert event.actor == "patient link"


def test_the_page_shows_nothing_on_file(grace, femi, nora):
    known(grace, "Penicillin", by=nora)
    type(grace).objects.filter(pk=grace.pk).update(what_matters="Her garden.")
    _link, address = make_intake_link(patient=grace, by=femi)
    shown = open_link(address).get(inside()).content.decode()
    assert "Penicillin" not in shown
    assert "garden" not in shown


def test_what_is_wrong_is_said_beside_it_and_nothing_is_lost(grace, femi):
    _link, address = make_intake_link(patient=grace, by=femi)
    answer = open_link(address).post(
        inside(),
        {"answers": "1", "allergy": "nuts <3", "allergy_none": "none_known"},
    )
    shown = answer.content.decode()
    assert "There is something in the field above. Which is right?" in shown
    assert "nuts &lt;3</textarea>" in shown
    assert not Intake.objects.exists()


def test_sending_nothing_says_so(grace, femi):
    _link, address = make_intake_link(patient=grace, by=femi)
    shown = open_link(address).post(inside(), {"answers": "1"}).content.decode()
    assert "Nothing is filled in yet." in shown


def test_it_asks_in_the_patients_language(grace, femi):
    type(grace).objects.filter(pk=grace.pk).update(language="es")
    _link, address = make_intake_link(patient=grace, by=femi)
    answer = open_link(address).get(inside())
    assert answer["Content-Language"] == "es"


def test_the_form_needs_no_script(grace, femi):
    _link, address = make_intake_link(patient=grace, by=femi)
    shown = open_link(address).get(inside()).content.decode()
    assert "<script" not in shown
    assert len(re.findall(r"<fieldset", shown)) >= 8


def test_who_answers_by_a_relatives_link_is_a_relative(grace, femi):
    lucia = ContactPerson.objects.create(patient=grace, name="Lucia", relation="child")
    _link, address = make_intake_link(patient=grace, by=femi, contact_person=lucia)
    browser = open_link(address)
    assert "Please answer for Grace" in browser.get(inside()).content.decode()
    browser.post(inside(), {"answers": "1", "condition": "Cancer of the bowel"})
    entry = grace.history.get()
    assert (entry.source, entry.told_on) == ("proxy", None)


@pytest.mark.parametrize("why", ["ended", "of another", "hidden plan"])
def test_no_link_for_somebody_who_must_not_know(grace, femi, nora, why):
    whose = patient("Tomás", phone="") if why == "of another" else grace
    person = ContactPerson.objects.create(
        patient=whose,
        name="Sam",
        relation="husband",
        ended_at=timezone.now() if why == "ended" else None,
    )
    if why == "hidden plan":
        SafeContactPlan.objects.create(
            patient=grace, reason="x", made_by=nora, made_at=timezone.now()
        )
    with pytest.raises(ValidationError, match="Nothing may go to this person"):
        make_intake_link(patient=grace, by=femi, contact_person=person)
    assert make_intake_link(patient=grace, by=femi)


@pytest.mark.parametrize("why", ["run out", "hidden plan", "died"])
def test_a_relatives_link_closes_when_they_must_not_know(grace, femi, nora, why):
    sam = ContactPerson.objects.create(patient=grace, name="Sam", relation="husband")
    _link, address = make_intake_link(patient=grace, by=femi, contact_person=sam)
    browser = open_link(address)
    assert browser.get(inside()).status_code == 200
    if why == "hidden plan":
        SafeContactPlan.objects.create(
            patient=grace, reason="x", made_by=nora, made_at=timezone.now()
        )
    elif why == "run out":
        ContactPerson.objects.update(until=timezone.localdate() - timedelta(days=1))
    else:
        record = patient("Sam", phone="", deceased_on=timezone.localdate())
        ContactPerson.objects.update(person=record)
    assert browser.get(inside()).status_code == 404
    answer = browser.post(inside(), {"answers": "1", "allergy": "nuts"})
    assert answer.status_code == 404
    assert not Intake.objects.exists()


def test_a_link_floods_nobody(grace, femi):
    _link, address = make_intake_link(patient=grace, by=femi)
    browser = open_link(address)
    for n in range(MOST_SENT):
        said = {"answers": "1", "top_worry": f"The {n}th"}
        assert browser.post(inside(), said).status_code == 303
    answer = browser.post(inside(), {"answers": "1", "top_worry": "One more"})
    assert answer.status_code == 429
    assert "One more" in answer.content.decode()
    assert Intake.objects.count() == MOST_SENT


def test_a_link_works_for_fourteen_days_and_closes_the_older_one(grace, femi, monday):
    first, _address = make_intake_link(patient=grace, by=femi)
    _second, address = make_intake_link(patient=grace, by=femi)
    first.refresh_from_db()
    assert first.revoked_at is not None
    path = "/p/" + address.split("/p/", 1)[1]
    monday.shift(timedelta(days=14, seconds=-1))
    assert Client().get(path).status_code == 200
    monday.shift(timedelta(seconds=1))
    assert Client().get(path).status_code == 404


def test_a_link_that_could_open_nothing_is_not_made(femi, monday):
    with pytest.raises(ValidationError, match="date of birth"):
        make_intake_link(patient=patient(), by=femi)


def test_the_front_desk_makes_the_link_and_sees_no_answers(client, grace, femi):
    intake = told(grace, allergy="nuts")
    client.force_login(femi)
    page = reverse("patients:intake_link", args=[grace.pk])
    shown = client.post(page, {"who": "", "client_key": uuid.uuid4()})
    assert "/p/" in shown.content.decode()
    assert client.get(review_address(intake)).status_code == 403
    assert client.get(f"/patients/{grace.pk}/intake/add/").status_code == 403


# By phone or on paper


def test_staff_write_down_what_they_are_told(client, grace, nora):
    client.force_login(nora)
    page = reverse("patients:intake_add", args=[grace.pk])
    typed = {"allergy": "nuts", "client_key": str(uuid.uuid4())}
    shown = client.post(page, typed).content.decode()
    assert "nuts</textarea>" in shown
    assert 'id="id_method_error"' in shown
    answer = client.post(page, typed | {"method": "phone", "source": "proxy"})
    intake = Intake.objects.get()
    assert answer.url == review_address(intake)
    assert (intake.method, intake.source, intake.recorded_by) == (
        "phone",
        "proxy",
        nora,
    )
    assert grace.history.get().recorded_by == nora


def test_half_the_hours_are_asked_for_again():
    form = IntakeForm({"best_from": "16:00"})
    assert not form.is_valid()
    assert list(form.errors) == ["best_until"]


def test_too_much_is_asked_for_again():
    form = IntakeForm(
        {"medicine": "\n".join(map(str, range(41))), "allergy": "x" * 241}
    )
    assert not form.is_valid()
    assert set(form.errors) == {"medicine", "allergy"}
