"""Finding people, and their page."""

import re

import pytest
from django.urls import reverse

from accounts.roles import Role
from patients.models import HistoryEntry, Patient
from patients.search import PAGE
from patients.terms import index_patients
from tests.factories import MONDAY, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

LIST = reverse("patients:patient_list")
FIND = reverse("patients:patient_find")


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def test_patient_list_goes_page_by_page_and_shows_everybody_once(client, femi):
    for n in range(PAGE * 2 + 3):
        patient(f"Given{n:03d}", "Okafor" if n % 2 else "Álvarez", phone="")
    seen, after = [], ""
    while True:
        answer = client.get(LIST, {"after": after})
        seen += [p.pk for p in answer.context["results"].patients]
        after = answer.context["results"].more
        if after is None:
            break
    assert len(seen) == len(set(seen)) == PAGE * 2 + 3


@pytest.mark.parametrize("after", ["x", "999999", "-1"])
def test_patient_list_starts_anew_after_nonsense(client, femi, after):
    patient()
    assert len(client.get(LIST, {"after": after}).context["results"].found) == 1


def test_search_answers_htmx_with_rows_only(client, femi):
    index_patients([patient().pk])
    page = client.post(LIST, {"q": "okafor"})
    rows = client.post(LIST, {"q": "okafor"}, headers={"HX-Request": "true"})
    assert b"Grace Okafor" in page.content
    assert b"Grace Okafor" in rows.content
    assert b"<html" not in rows.content


def test_results_go_page_by_page_too(client, femi):
    index_patients([patient(f"Given{n}", phone="").pk for n in range(PAGE + 2)])
    first = client.post(LIST, {"q": "okafor"})
    second = client.post(LIST, {"q": "okafor", "after": first.context["results"].more})
    shown = [p.pk for page in (first, second) for p in page.context["results"].patients]
    assert len(shown) == len(set(shown)) == PAGE + 2
    assert second.context["results"].more is None


def test_what_is_searched_for_stands_in_no_address(client, femi):
    patient("Leo", "Silva", phone="")
    index_patients(list(Patient.objects.values_list("pk", flat=True)))
    for url in (LIST, FIND):
        page = client.get(url).content.decode()
        assert re.findall(r'(?:hx-get|action|method)="[^"]*[?]', page) == []
        assert 'method="get"' not in page
        # In an address it is not even read.
        assert "“zz”" not in client.get(url, {"q": "zz"}).content.decode()


def test_the_find_box_works_without_a_script(client, femi):
    index_patients([patient().pk, patient("Leo", "Silva", phone="").pk])
    page = client.post(FIND, {"q": "okafor"})
    assert page.templates[0].name == "patients/patient_list.html"
    assert [str(found) for found in page.context["results"].patients] == [
        "Grace Okafor"
    ]


def test_the_front_desk_sees_no_history(client, femi):
    grace = patient()
    HistoryEntry.objects.create(
        patient=grace,
        kind="condition",
        label="Hypertension",
        status="active",
        source="staff",
        recorded_at=MONDAY,
    )
    url = reverse("patients:patient_detail", args=[grace.pk])
    assert b"Hypertension" not in client.get(url).content
    client.force_login(member_of_staff("maya", Role.NURSE))
    assert b"Hypertension" in client.get(url).content


def test_what_people_are_called_is_never_markup(client, femi):
    eve = patient("<script>alert(1)</script>", "O'Neill & <b>Sons</b>")
    booked(eve)
    for url in (reverse("patients:patient_detail", args=[eve.pk]), LIST, "/"):
        assert b"<script>alert" not in client.get(url).content
