"""The people around a patient: written down, ended in one tap, hidden at need."""

from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from core.versions import StaleError
from messaging.ladder import open_due
from messaging.models import Message
from patients.household import (
    add_contact_person,
    change_contact_person,
    end_contact_person,
    household,
    of_age_on,
)
from patients.links.services import find_link, make_link
from patients.models import Consent, ContactPerson, Patient
from patients.safe_contact import make_plan
from patients.search import find_patients
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    come_in,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.people import look_again
from worklist.queries import open_items
from worklist.services import close_item

pytestmark = pytest.mark.django_db

ANA = "+16175550161"
KEY = "0b0d7b9e-4f1c-4a5e-9d43-{:012d}"


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


@pytest.fixture
def leo(monday):
    somebody = patient("Leo", "Duarte", phone="", birth_date=date(2016, 5, 1))
    Consent.objects.create(
        patient=somebody, channel="sms", given=True, method="spoken", at=MONDAY
    )
    return somebody


def ana_of(child, by, **fields) -> ContactPerson:
    return add_contact_person(
        patient_id=child.pk,
        by=by,
        region="US",
        **{
            "name": "Ana Duarte",
            "relation": "mother",
            "is_responsible": True,
            "basis": "parent",
            "scopes": ["schedule"],
            "phone": "617 555 0161",
        }
        | fields,
    )


def test_a_mother_is_added_with_her_number(leo, nora):
    ana = ana_of(leo, nora)
    assert [point.address for point in ana.contact_points.all()] == [ANA]
    # Looked at again when he comes of age.
    assert ana.review_on == date(2034, 5, 1)
    assert find_patients(nora, "5550161", month_first=True).patients == [leo]
    event = AuditEvent.objects.get(subject=f"contact_person:{ana.pk}")
    assert (event.verb, event.patient_ids) == (AuditEvent.Verb.CREATE, [leo.pk])


@pytest.mark.parametrize(
    ("born", "day"),
    [
        (date(2016, 5, 1), date(2034, 5, 1)),
        (date(2016, 2, 29), date(2034, 3, 1)),
        (None, None),
    ],
)
def test_coming_of_age(born, day):
    assert of_age_on(Patient(birth_date=born)) == day


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"phone": "12"}, "phone"),
        ({"email": "nonsense"}, "email"),
        ({"since": date(2026, 5, 2), "until": date(2026, 5, 1)}, "until"),
        ({"scopes": []}, "scopes"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(leo, nora, fields, wrong):
    with pytest.raises(ValidationError) as refused:
        ana_of(leo, nora, **fields)
    assert list(refused.value.error_dict) == [wrong]


@pytest.mark.parametrize("basis", ["", "agreed", "parent"])
def test_an_adult_answers_for_themselves(nora, basis):
    grace = patient(birth_date=date(1959, 3, 14))
    with pytest.raises(ValidationError, match="answers for themselves"):
        ana_of(grace, nora, basis=basis)
    assert ana_of(grace, nora, basis="guardian").is_responsible


def test_an_edit_of_an_older_state_is_held_back(leo, nora):
    ana = ana_of(leo, nora)
    said = {"name": "Ana Silva", "phone": "617 555 0161"}

    def edit(version: int) -> ContactPerson:
        return change_contact_person(
            contact_person_id=ana.pk, version=version, by=nora, region="US", **said
        )

    assert edit(1).version == 2
    with pytest.raises(StaleError) as refused:
        edit(1)
    assert refused.value.now.name == "Ana Silva"


def test_a_number_that_changes_is_found_no_more(leo, nora):
    ana = ana_of(leo, nora)
    change_contact_person(
        contact_person_id=ana.pk, version=1, by=nora, region="US", phone="617 555 0162"
    )
    assert not find_patients(nora, "5550161", month_first=True).patients
    assert find_patients(nora, "5550162", month_first=True).patients == [leo]


def test_ending_stops_what_is_queued_and_closes_her_links(leo, nora):
    ana = ana_of(leo, nora)
    booked(leo, at=datetime(2026, 11, 24, 10))
    _link, address = make_link(
        purpose="visit",
        subject_id=leo.appointments.get().pk,
        patient=leo,
        contact_person=ana,
        expires_at=timezone.now() + timedelta(days=1),
        by=nora,
    )
    open_due()
    end_contact_person(contact_person_id=ana.pk, by=nora)
    run_pass()
    message = Message.objects.get()
    assert (message.state, message.why) == ("withdrawn", "no longer the one to tell")
    assert find_link(address.rstrip("/").rpartition("/")[2]) is None
    assert WorkItem.objects.open().get().kind == "unreached"
    ended = ContactPerson.objects.get()
    assert (
        end_contact_person(contact_person_id=ana.pk, by=nora).ended_at == ended.ended_at
    )


# The household


def names(user, somebody) -> list[str]:
    return sorted(mate.patient.given_name for mate in household(user, somebody))


@pytest.fixture
def duartes(leo, nora):
    """Leo, his sister Mia and their mother Ana, a patient herself."""
    ana = patient("Ana", "Duarte", phone=ANA)
    mia = patient("Mia", "Duarte", phone=ANA)
    ana_of(leo, nora, person_id=ana.pk)
    patient("Grace", "Okafor", phone=GRACE)
    return leo, mia, ana


def test_a_household_shares_numbers_or_is_linked(duartes, nora):
    leo, mia, ana = duartes
    assert names(nora, leo) == ["Ana", "Mia"]
    assert names(nora, mia) == ["Ana", "Leo"]
    assert names(nora, ana) == ["Leo", "Mia"]
    (mother,) = (m for m in household(nora, leo) if m.patient == ana)
    assert (mother.address, mother.answers) == (ANA, True)


def test_whoever_is_hidden_sees_nobody_and_is_seen_by_nobody(duartes, nora):
    leo, mia, ana = duartes
    plan = make_plan(patient_id=mia.pk, reason="asked", by=nora, region="US")
    assert names(nora, leo) == ["Ana"]
    assert names(nora, ana) == ["Leo"]
    assert names(nora, mia) == []
    plan.hidden = False
    plan.save()
    assert names(nora, mia) == ["Ana", "Leo"]


def test_of_another_site_nobody_is_shown(duartes, nora):
    leo, mia, _ana = duartes
    mia.sites.set([SiteFactory(name="Harbour Clinic North")])
    assert names(nora, leo) == ["Ana"]


def test_who_ended_is_of_the_household_no_more(duartes, nora):
    leo, mia, _ana = duartes
    end_contact_person(contact_person_id=leo.contact_persons.get().pk, by=nora)
    assert names(nora, leo) == []
    assert names(nora, mia) == ["Ana"]


def test_a_household_costs_the_same_for_two_and_for_nine(duartes, nora):
    leo, _mia, _ana = duartes
    household(nora, leo)
    costs = []
    for _round in range(2):
        with CaptureQueriesContext(connection) as queries:
            household(nora, leo)
        costs.append(len(queries))
        for number in range(7):
            patient(f"Given{number}", "Duarte", phone=ANA)
    assert costs[0] == costs[1] <= 5


# The pages


def test_added_changed_and_ended_on_the_pages(client, leo, nora):
    come_in(client, member_of_staff("femi", Role.FRONT_DESK))
    around = reverse("patients:people_around", args=[leo.pk])
    add = reverse("patients:contact_person_add", args=[leo.pk])
    typed = {
        "name": "Ana Duarte",
        "relation": "mother",
        "phone": "617 555 0161",
        "is_responsible": "on",
        "basis": "parent",
        "scopes": ["schedule", "messages"],
        "barred_topics": ["visit_reminder"],
        "barred_words": "mental health, debts",
    }
    wrong = client.post(add, typed | {"client_key": KEY.format(1), "phone": "12"})
    assert "This cannot be a phone number." in wrong.content.decode()
    assert "mental health, debts" in wrong.content.decode()
    done = client.post(add, typed | {"client_key": KEY.format(2)})
    assert done.url == around
    ana = leo.contact_persons.get()
    assert ana.barred_topics == ["visit_reminder", "mental health", "debts"]
    page = client.get(around).content.decode()
    assert "Reminders of visits, mental health, debts" in page
    edit = reverse("patients:contact_person_edit", args=[leo.pk, ana.pk])
    assert "mental health, debts" in client.get(edit).content.decode()
    stale = typed | {"client_key": KEY.format(3), "version": "0", "relation": "aunt"}
    clash = client.post(edit, stale).content.decode()
    assert "Stored now" in clash
    assert 'value="aunt"' in clash
    assert 'name="version" value="1"' in clash
    end = reverse("patients:contact_person_end", args=[leo.pk, ana.pk])
    assert client.post(end, {"client_key": KEY.format(4)}).url == around
    assert "1 ended" in client.get(around).content.decode()


# Looked at again


def test_a_right_comes_up_when_its_day_comes(leo, nora):
    ana = ana_of(leo, nora, review_on=date(2026, 11, 24))
    assert look_again() == 0
    ContactPerson.objects.update(review_on=date(2026, 11, 23))
    assert look_again() == 1
    assert look_again() == 0
    item = WorkItem.objects.open().get()
    assert item.sentence.startswith("May Ana Duarte (mother) still be told")
    close_item(item_id=item.pk, outcome="stays", by=nora)
    ana.refresh_from_db()
    assert ana.review_on is None
    assert look_again() == 0


@pytest.mark.parametrize("deed", ["ended", "put off"])
def test_what_was_set_right_meanwhile_closes_by_itself(leo, nora, deed):
    ana = ana_of(leo, nora, review_on=date(2026, 11, 23))
    look_again()
    if deed == "ended":
        end_contact_person(contact_person_id=ana.pk, by=nora)
    else:
        ContactPerson.objects.update(review_on=date(2027, 11, 23))
    assert look_again() == 1
    assert not WorkItem.objects.open().exists()


# Who calls


def test_whoever_calls_reads_how(client, nora):
    grace = patient(
        phone="",
        needs=["text_only"],
        needs_interpreter=True,
        spoken_language="so",
    )
    booked(grace, at=datetime(2026, 11, 24, 10))
    run_pass()
    (item,) = open_items(nora)
    assert item.hints == ["Deaf: text only", "Interpreter: Somali"]
    make_plan(
        patient_id=grace.pk,
        reason="asked",
        by=nora,
        region="US",
        code_word="heron",
    )
    come_in(client, nora)
    for page in ("/worklist/", f"/worklist/{item.pk}/close/"):
        shown = client.get(page).content.decode()
        assert "heron" in shown
        assert "Deaf: text only" in shown
