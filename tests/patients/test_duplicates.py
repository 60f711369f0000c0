"""Who a new patient may be already, and which records look alike."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from patients.duplicates import Strength, hints_for, likely_pairs, near_name
from patients.merging.services import note_not_the_same
from patients.models import (
    ContactPoint,
    HistoryEntry,
    Identifier,
    Patient,
    PatientMerge,
    SafeContactPlan,
)
from patients.terms import index_patients
from tests.factories import GRACE, MONDAY, SiteFactory, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

BORN = date(1959, 3, 14)


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


@pytest.fixture
def grace(monday):
    return indexed(patient(birth_date=BORN, email="grace@harbour.example"))


def indexed(who: Patient) -> Patient:
    index_patients([who.pk])
    return who


def told(user, **typed) -> list[tuple[str, Strength]]:
    return [
        (hint.patient.given_name, hint.strength) for hint in hints_for(user, **typed)
    ]


@pytest.mark.parametrize(
    ("typed", "strength"),
    [
        ({"identifier": "h-1"}, Strength.STRONG),
        (
            {
                "given_name": "GRACE",
                "family_name": "Okáfor",
                "email": "Grace@Harbour.example ",
            },
            Strength.STRONG,
        ),
        (
            {"given_name": "Okafor", "family_name": "Grace", "birth_date": BORN},
            Strength.LIKELY,
        ),
        (
            {"given_name": "Grcae", "family_name": "Okafor", "birth_date": BORN},
            Strength.LIKELY,
        ),
        ({"phone": GRACE}, Strength.SOFT),
        ({"phone": GRACE, "given_name": "Leo"}, Strength.SOFT),
    ],
)
def test_a_hint_names_whom_it_may_be(femi, grace, typed, strength):
    Identifier.objects.create(patient=grace, system="mrn", value="H-1")
    indexed(grace)
    assert told(femi, **typed) == [("Grace", strength)]


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"given_name": "Grace", "family_name": "Okafor"},
        {"given_name": "Ngozi", "family_name": "Okafor", "birth_date": BORN},
        {
            "given_name": "Grace",
            "family_name": "Okafor",
            "birth_date": date(1960, 3, 14),
        },
        {"email": "grace@harbour.example"},
        {"identifier": "h"},
    ],
)
def test_no_hint_where_little_is_the_same(femi, grace, typed):
    assert told(femi, **typed) == []


def test_somebody_of_another_site_is_not_hinted_at(femi, grace):
    grace.sites.set([SiteFactory(name="Harbour Clinic North")])
    assert told(femi, phone=GRACE, identifier="H-1") == []


def test_a_number_does_not_lead_to_somebody_a_plan_hides(femi, grace):
    SafeContactPlan.objects.create(
        patient=grace, reason="Not safe at home.", made_by=femi, made_at=MONDAY
    )
    assert told(femi, phone=GRACE) == []


def test_the_patient_being_edited_is_no_duplicate(femi, grace):
    assert hints_for(femi, phone=GRACE, but=grace.pk) == []


def test_hints_cost_the_same_with_many(femi, grace):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            hints_for(
                femi,
                given_name="Grace",
                family_name="Okafor",
                birth_date=BORN,
                phone=GRACE,
                identifier="H-1",
            )
        return len(queries)

    cost()  # reads the roles
    one = cost()
    for _n in range(3):
        indexed(patient(birth_date=BORN))
    assert cost() == one <= 4


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Grace Okafor", "Gracie Okafor", True),
        ("Rosa Alvarez", "Rosa Alvarez Peña", True),
        ("Tomás Silva", "Tomas Sliva", True),
        ("Ana Silva", "Ada Silva", False),
        ("Grace Okafor", "Ngozi Okafor", False),
        ("Rosa", "Rosa Alvarez", False),
        ("Bartholomew Quincey", "Bartolomew Quincy", True),
    ],
)
def test_near_names(one, other, alike):
    assert near_name(one, other) is alike


def test_the_list_names_pairs_once_and_leaves_twins_alone(femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    indexed(patient("Ngozi", "Okafor", phone="", birth_date=BORN))
    pairs, more = likely_pairs(femi)
    assert [(p.first, p.second) for p in pairs] == [(grace, again)]
    assert more is None


def test_without_a_birth_date_name_and_number_count(femi, grace):
    again = indexed(patient("Grace", "Okafor"))
    assert [p.second for p in likely_pairs(femi)[0]] == [again]


def test_a_father_and_son_of_one_name_and_number_are_two_people(femi, grace):
    indexed(patient("Grace", "Okafor", birth_date=date(1990, 1, 1)))
    assert likely_pairs(femi) == ([], None)


def test_two_people_leave_the_list(femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    note_not_the_same(patient_id=again.pk, other_id=grace.pk, by=femi)
    assert likely_pairs(femi)[0] == []


def test_the_list_is_of_the_users_own_sites(femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    again.sites.set([SiteFactory(name="Harbour Clinic North")])
    assert likely_pairs(femi)[0] == []


def test_the_list_goes_on_where_a_page_ended(femi, monkeypatch):
    monkeypatch.setattr("patients.duplicates.PAGE", 2)
    for n in range(5):
        for _twice in range(2):
            indexed(
                patient(f"Row{n}", "Zeta", phone="", birth_date=date(1980, 1, n + 1))
            )
    seen, after = [], 0
    while after is not None:
        pairs, after = likely_pairs(femi, after=after)
        seen += [pair.first.given_name for pair in pairs]
    assert seen == [f"Row{n}" for n in range(5)]


def test_duplicate_hints_answers_what_was_typed(client, femi, grace):
    page = client.post(
        reverse("patients:duplicate_hints"),
        {"phone": "617 555 0143", "birth_date": "nonsense"},
    )
    assert "Grace" in page.content.decode()
    empty = client.post(reverse("patients:duplicate_hints"), {"given_name": "Zo"})
    assert empty.content.decode().strip() == ""


def test_duplicate_list_leads_to_the_merge(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    page = client.get(reverse("patients:duplicate_list"))
    assert merge_url(grace, again) in page.content.decode()


def test_not_the_same_is_said_and_taken_back(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    url = reverse("patients:not_the_same", args=[grace.pk, again.pk])
    client.post(url)
    assert likely_pairs(femi)[0] == []
    assert "two people" in client.get(merge_url(grace, again)).content.decode()
    client.post(url, {"same": "1"})
    assert len(likely_pairs(femi)[0]) == 1


def test_a_name_put_right_is_hinted_at_too_but_not_oneself(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    page = reverse("patients:patient_edit", args=[grace.pk, "identity"])
    assert f'{{"but": "{grace.pk}"}}' in client.get(page).content.decode()
    typed = {"given_name": "Grace", "family_name": "Okafor", "birth_date": "1959-03-14"}
    url = reverse("patients:duplicate_hints")
    shown = client.post(url, typed | {"but": str(grace.pk)})
    assert [hint.patient for hint in shown.context["hints"]] == [again]
    assert len(client.post(url, typed | {"but": "x"}).context["hints"]) == 2


def test_merge_start_finds_any_other_record(client, femi, grace):
    married = indexed(patient("Grace", "Lind", phone=""))
    north = indexed(patient("Grace", "North", phone=""))
    north.sites.set([SiteFactory(name="North")])
    url = reverse("patients:merge_start", args=[grace.pk])
    assert str(married) not in client.get(url).content.decode()
    page = client.post(url, {"q": "grace"})
    assert page.context["found"] == [married]
    assert merge_url(grace, married) in page.content.decode()
    assert "Nobody else" in client.post(url, {"q": "okafor"}).content.decode()


def merge_url(kept: Patient, lost: Patient) -> str:
    return reverse("patients:patient_merge", args=[kept.pk, lost.pk])


def test_patient_merge_asks_merges_and_leads_to_the_kept_one(client, femi, grace):
    again = indexed(patient("Gracie", "Okafor", phone="", city="Lynn"))
    asked = client.get(merge_url(grace, again)).context["form"]
    sent = {"seen": asked["seen"].value()}
    sent |= {q.key: q.default for q in asked.questions} | {"name": "lost"}
    page = client.post(merge_url(grace, again), sent)
    assert page.url == reverse("patients:patient_detail", args=[grace.pk])
    grace.refresh_from_db()
    assert (grace.given_name, grace.city) == ("Gracie", "Lynn")
    old = client.get(reverse("patients:patient_detail", args=[again.pk]))
    assert old.url == page.url


def test_patient_merge_without_an_answer_says_so_beside_the_question(
    client, femi, grace
):
    again = indexed(patient("Gracie", "Okafor"))
    ContactPoint.objects.filter(patient=again).update(safe_to_text=False)
    form = client.get(merge_url(grace, again)).context["form"]
    sent = {"seen": form["seen"].value(), "name": "lost"}
    page = client.post(merge_url(grace, again), sent)
    assert page.status_code == 200
    assert "Choose one." in page.content.decode()
    assert page.context["form"]["name"].value() == "lost"


def test_patient_merge_of_stale_pages_is_refused(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    page = client.post(merge_url(grace, again), {"seen": "7.1"})
    assert "meanwhile" in page.content.decode()
    assert not PatientMerge.objects.exists()


def test_the_front_desk_reads_nothing_of_the_history(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    HistoryEntry.objects.create(
        patient=again,
        kind="allergy",
        label="Penicillin",
        status="active",
        source="staff",
        recorded_at=MONDAY,
    )
    assert "History" not in client.get(merge_url(grace, again)).content.decode()
    client.force_login(member_of_staff("nora", Role.NURSE))
    assert "History" in client.get(merge_url(grace, again)).content.decode()


def test_patient_unmerge_gives_both_back(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    merged = client.post(merge_url(grace, again), {"seen": "1.1"})
    assert merged.status_code == 302
    booked(grace)
    merge = PatientMerge.objects.get()
    url = reverse("patients:patient_unmerge", args=[grace.pk, merge.pk])
    assert "Visits: 1" in client.get(url).content.decode()
    page = client.post(url)
    assert page.url == reverse("patients:patient_detail", args=[again.pk])
    assert Patient.objects.get(pk=again.pk).merged_into is None
    assert "already" in client.post(url).content.decode()


def test_the_timeline_leads_to_undoing_a_merge(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    client.post(merge_url(grace, again), {"seen": "1.1"})
    merge = PatientMerge.objects.get()
    undo = reverse("patients:patient_unmerge", args=[grace.pk, merge.pk])
    page = reverse("patients:patient_detail", args=[grace.pk])
    assert undo in client.get(page).content.decode()
    client.post(undo)
    assert undo not in client.get(page).content.decode()


def test_the_old_address_says_nothing_to_those_of_another_site(client, femi, grace):
    again = indexed(patient("Grace", "Okafor", phone="", birth_date=BORN))
    client.post(merge_url(grace, again), {"seen": "1.1"})
    away = member_of_staff("noor", Role.NURSE, SiteFactory(name="North"))
    client.force_login(away)
    old = client.get(reverse("patients:patient_detail", args=[again.pk]))
    assert old.status_code == 404
    assert AuditEvent.objects.filter(
        subject=f"patient:{again.pk}", verb="refused"
    ).exists()


def test_a_merge_page_costs_the_same_with_much(client, femi, grace):
    again = indexed(patient("Gracie", "Okafor", phone="+16175550188"))
    client.force_login(member_of_staff("nora", Role.NURSE))

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(merge_url(grace, again))
        return len(queries)

    little = cost()
    for n in range(3):
        booked(again, at=None if n == 0 else MONDAY.replace(tzinfo=None, day=25 + n))
        ContactPoint.objects.create(
            patient=again, channel="sms", address=f"+1617555020{n}"
        )
        Identifier.objects.create(patient=again, system="mrn", value=f"H-{n}")
    assert cost() == little <= 15
