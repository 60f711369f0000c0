"""Pinned alerts: five at most, dated, seen everywhere, and never a judgment."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from patients.flags import judging_words, live_flags, pin_flag, unpin_flag
from patients.models import Flag
from tests.factories import member_of_staff, patient

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 23)


@pytest.fixture
def nora(client, monday):
    user = member_of_staff("nora", Role.NURSE)
    client.force_login(user)
    return user


def pin(who, by, text="Falls easily: meet at the door", **how):
    told = {"category": "safety", "reason": "Fell in March.", **how}
    return pin_flag(patient_id=who.pk, text=text, by=by, **told)


def standing(who):
    return [flag.text for flag in who.flags.filter(live_flags())]


def test_it_stands_a_year_unless_somebody_says_shorter(nora):
    grace = patient()
    assert pin(grace, nora).expires_on == TODAY + timedelta(days=365)
    assert pin(grace, nora, expires_on=TODAY).expires_on == TODAY


def test_it_goes_by_itself_the_day_after(nora, monday):
    grace = patient()
    pin(grace, nora, expires_on=TODAY + timedelta(days=1))
    monday.shift(timedelta(days=1))
    assert standing(grace)
    monday.shift(timedelta(days=1))
    assert standing(grace) == []


@pytest.mark.parametrize("days", [-1, 366])
def test_a_day_past_or_too_far_off_is_refused(nora, days):
    with pytest.raises(ValidationError) as refused:
        pin(patient(), nora, expires_on=TODAY + timedelta(days=days))
    assert list(refused.value.message_dict) == ["expires_on"]


def test_a_sixth_is_refused_until_one_goes(nora, monday):
    grace = patient()
    first, *_rest = [pin(grace, nora, text=f"Alert {n}") for n in range(5)]
    with pytest.raises(ValidationError):
        pin(grace, nora)
    unpin_flag(flag_id=first.pk, by=nora)
    pin(grace, nora)
    assert len(standing(grace)) == 5


def test_those_that_ran_out_do_not_count(nora, monday):
    grace = patient()
    for n in range(5):
        pin(grace, nora, text=f"Alert {n}", expires_on=TODAY)
    monday.shift(timedelta(days=1))
    pin(grace, nora, text="New")
    assert standing(grace) == ["New"]


def test_anothers_do_not_count(nora):
    leo = patient("Leo")
    for n in range(5):
        pin(leo, nora, text=f"Alert {n}")
    assert pin(patient(), nora)


@pytest.mark.parametrize(
    "text",
    [
        "Difficult",
        "Very DIFFICULT patient",
        "non-compliant",
        "Noncompliance with diet",
        "Non–adherent",
        "drug seeking",
        "Drug-seeker",
        "frequent flyer",
        "Manipulative",
        "hysterical mother",
        "paciente difícil",
        "No cumple",
        "conflictiva",
        "está loca",
        "drogadicto",
        "Histérica",
    ],
)
def test_a_judgment_is_refused_kindly(nora, text):
    with pytest.raises(ValidationError) as refused:
        pin(patient(), nora, text=text)
    (says,) = refused.value.message_dict["text"]
    assert "who may read this" in says
    with pytest.raises(ValidationError) as refused:
        pin(patient("Leo"), nora, reason=text)
    assert list(refused.value.message_dict) == ["reason"]


@pytest.mark.parametrize(
    "text",
    [
        "Difficult airway: call anaesthesia",
        "Difficult veins, use the left arm",
        "Lazy eye: stand on her right",
        "Stiff after manipulation of the knee",
        "Local anaesthetic allergy",
        "Locally known as Grace",
        "Vía aérea difícil",
        "Recent bereavement",
    ],
)
def test_what_a_body_does_is_no_judgment(text):
    assert judging_words(text) == []


def test_it_stands_on_the_page_with_who_and_why(client, nora):
    grace = patient()
    url = reverse("patients:flag_pin", args=[grace.pk])
    client.post(
        url,
        {
            "category": "communication",
            "text": "Deaf: text only",
            "reason": "Told us in May.",
            "expires_on": "2027-01-31",
        },
    )
    page = client.get(reverse("patients:patient_detail", args=[grace.pk]))
    assert '<span class="chip amber">Deaf: text only</span>' in page.content.decode()
    page = client.get(url).content.decode()
    for told in ("Told us in May.", "Nora", "until 31 Jan 2027"):
        assert told in page
    event = AuditEvent.objects.get(verb="create")
    assert event.details == {"what": "communication"}


def test_a_refused_alert_keeps_what_was_typed(client, nora):
    grace = patient()
    answer = client.post(
        reverse("patients:flag_pin", args=[grace.pk]),
        {
            "category": "support",
            "text": "Difficult",
            "reason": "Shouted at Femi.",
            "expires_on": "2027-01-31",
        },
    )
    assert list(answer.context["form"].errors) == ["text"]
    assert "Shouted at Femi.</textarea>" in answer.content.decode()


def test_the_desk_neither_sees_nor_pins_what_is_clinical(client, nora):
    grace = patient()
    flag = pin(grace, nora, text="Had a seizure here", category="clinical")
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    for name in ("patient_detail", "flag_pin"):
        page = client.get(reverse(f"patients:{name}", args=[grace.pk]))
        assert "seizure" not in page.content.decode()
    answer = client.post(
        reverse("patients:flag_pin", args=[grace.pk]),
        {
            "category": "clinical",
            "text": "x",
            "reason": "x",
            "expires_on": "2027-01-31",
        },
    )
    assert "category" in answer.context["form"].errors
    url = reverse("patients:flag_unpin", args=[grace.pk, flag.pk])
    assert client.post(url).status_code == 404
    assert standing(grace) == ["Had a seizure here"]


def test_taken_off_it_stays_as_a_row(client, nora):
    grace = patient()
    flag = pin(grace, nora)
    url = reverse("patients:flag_unpin", args=[grace.pk, flag.pk])
    client.post(url)
    client.post(url)
    flag.refresh_from_db()
    assert flag.ended_by == nora
    assert AuditEvent.objects.filter(verb="delete").count() == 1
    assert Flag.objects.count() == 1


def test_anothers_alert_under_this_patient_is_not_there(client, nora):
    grace, leo = patient(), patient("Leo")
    flag = pin(leo, nora)
    url = reverse("patients:flag_unpin", args=[grace.pk, flag.pk])
    assert client.post(url).status_code == 404
