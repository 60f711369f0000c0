"""Safe contact plans: one in force, obeyed by whoever opens the patient."""

from datetime import time

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from patients.models import ContactPerson, SafeContactPlan
from patients.safe_contact import end_plan, make_plan
from tests.factories import GRACE, member_of_staff, patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def nora(client, monday):
    user = member_of_staff("nora", Role.NURSE)
    client.force_login(user)
    return user


def plan_for(who, by, **how):
    return make_plan(
        patient_id=who.pk, region="US", by=by, **{"reason": "Violent partner.", **how}
    )


def shown_to(client, role, who):
    client.force_login(member_of_staff(f"somebody_{role.name}", role))
    page = client.get(reverse("patients:patient_detail", args=[who.pk]))
    return " ".join(page.content.decode().split())


def test_the_desk_sees_what_it_must_obey_and_not_why(client, nora):
    grace = patient()
    plan_for(
        grace,
        nora,
        address="617 555 0188",
        safe_from=time(10),
        safe_until=time(12),
        code_word="tulip",
    )
    page = shown_to(client, Role.FRONT_DESK, grace)
    assert "call only 617 555 0188, send nothing." in page
    assert "Only from 10:00 to 12:00." in page
    assert "Ask for the word “tulip” before you say who is calling." in page
    assert "Say nothing to family, household or contact persons." in page
    assert "Violent partner." not in page
    url = reverse("patients:safe_contact", args=[grace.pk])
    assert client.get(url).status_code == 403


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "call, send nothing."),
        ({"channel": "sms"}, "text or call only, no email and no letter."),
        ({"channel": "sms", "address": GRACE}, "text or call only 617 555 0143."),
        ({"channel": "email"}, "email only, do not call."),
        (
            {"channel": "email", "address": "g@harbour.example"},
            "email only g@harbour.example, do not call.",
        ),
    ],
)
def test_the_banner_says_the_one_safe_way(client, nora, how, says):
    grace = patient(email="g@harbour.example")
    plan_for(grace, nora, **how)
    assert says in shown_to(client, Role.CLINICIAN, grace)


def test_a_new_plan_ends_the_one_in_force(nora):
    grace = patient()
    first = plan_for(grace, nora)
    second = plan_for(grace, nora, code_word="tulip")
    first.refresh_from_db()
    assert first.ended_by == nora
    assert SafeContactPlan.objects.get(ended_at=None) == second
    assert list(AuditEvent.objects.order_by("id").values_list("verb", "subject")) == [
        ("create", f"safe_contact_plan:{first.pk}"),
        ("delete", f"safe_contact_plan:{first.pk}"),
        ("create", f"safe_contact_plan:{second.pk}"),
    ]


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"safe_from": time(10)}, "safe_until"),
        ({"safe_until": time(10)}, "safe_until"),
        ({"safe_from": time(10), "safe_until": time(10)}, "safe_until"),
        ({"address": "0188"}, "address"),
        ({"channel": "email", "address": "617 555 0143"}, "address"),
        # Nobody would ever be found there.
        ({"channel": "sms", "address": "617 555 0188"}, "address"),
    ],
)
def test_a_plan_that_could_not_be_kept_is_refused(nora, how, field):
    with pytest.raises(ValidationError) as refused:
        plan_for(patient(), nora, **how)
    assert list(refused.value.message_dict) == [field]
    assert not SafeContactPlan.objects.exists()


def test_hours_may_reach_over_midnight(nora):
    plan = plan_for(patient(), nora, safe_from=time(22), safe_until=time(1))
    assert (plan.safe_from, plan.safe_until) == (time(22), time(1))


def test_a_nurse_makes_and_ends_one_on_the_page(client, nora):
    grace = patient()
    url = reverse("patients:safe_contact", args=[grace.pk])
    client.post(
        url,
        {"channel": "sms", "address": "617 555 0143", "reason": "Asked us to."},
    )
    plan = SafeContactPlan.objects.get()
    assert (plan.address, plan.neutral_sender, plan.hidden) == (GRACE, False, False)
    page = client.get(url).content.decode()
    assert "Made by Nora" in page
    client.post(reverse("patients:safe_contact_end", args=[grace.pk, plan.pk]))
    plan.refresh_from_db()
    assert plan.ended_by == nora
    page = client.get(url).content.decode()
    assert "Asked us to." in page
    assert "ended by Nora" in page


def test_ending_twice_ends_once(nora):
    plan = plan_for(patient(), nora)
    end_plan(plan_id=plan.pk, by=nora)
    end_plan(plan_id=plan.pk, by=nora)
    assert AuditEvent.objects.filter(verb="delete").count() == 1


def test_anothers_plan_under_this_patient_is_not_there(client, nora):
    grace, leo = patient(), patient("Leo")
    plan = plan_for(leo, nora)
    url = reverse("patients:safe_contact_end", args=[grace.pk, plan.pk])
    assert client.post(url).status_code == 404


def test_hidden_from_relatives_nobody_is_told_to_tell_them(client, nora):
    grace = patient()
    ContactPerson.objects.create(
        patient=grace, name="Lucia", relation="daughter", scopes=["schedule"]
    )
    assert "Daughter Lucia may be told" in shown_to(client, Role.NURSE, grace)
    plan_for(grace, nora)
    assert "may be told" not in shown_to(client, Role.CLINICIAN, grace)
