"""Numbers and addresses: a consent is about the one it was given for."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.models import Message
from patients.contact_points import (
    add_contact_point,
    change_contact_point,
    checked_address,
    retire_contact_point,
)
from patients.models import Channel, Consent, ContactPoint
from patients.safe_contact import end_plan, make_plan
from patients.search import find_patients
from patients.services import NO_CONSENT_YET, record_consent
from patients.terms import index_patients
from tests.factories import GRACE, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

SECOND = "+16175550155"


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def add(who, femi, address="617 555 0155", **how):
    return add_contact_point(
        patient_id=who.pk, channel="sms", address=address, region="US", by=femi, **how
    )


def change(point, femi, **how):
    told = {
        "address": point.address,
        "safe_to_text": point.safe_to_text,
        "voicemail": point.voicemail,
        "usable": point.usable,
        "why_not": point.why_not,
        "region": "US",
    }
    return change_contact_point(point_id=point.pk, by=femi, **(told | how))


@pytest.mark.parametrize(
    ("channel", "text", "region", "stored"),
    [
        ("sms", "617 555 0143", "US", GRACE),
        ("sms", "(617) 555-0143", "US", GRACE),
        ("sms", "+44 20 7946 0018", "US", "+442079460018"),
        ("sms", "020 7946 0018", "GB", "+442079460018"),
        ("email", " Rosa@Harbour.Example ", "US", "rosa@harbour.example"),
    ],
)
def test_an_address_has_one_written_form(channel, text, region, stored):
    assert checked_address(channel, text, region=region) == stored


@pytest.mark.parametrize(
    ("channel", "text"), [("sms", "0143"), ("sms", "a@b.example"), ("email", "617")]
)
def test_what_cannot_be_reached_is_refused(channel, text):
    with pytest.raises(ValidationError) as refused:
        checked_address(channel, text, region="US")
    assert list(refused.value.message_dict) == ["address"]


def test_a_new_number_waits_for_its_own_consent(femi):
    grace = patient()
    point = add(grace, femi)
    assert (point.usable, point.why_not, point.rank) == (False, NO_CONSENT_YET, 1)
    record_consent(
        patient=grace, channel=Channel.SMS, given=True, method="spoken", by=femi
    )
    point.refresh_from_db()
    assert (point.usable, point.why_not) == (True, "")


def test_without_a_consent_there_is_none_to_carry_over(femi):
    point = add(patient(consent=False), femi)
    assert point.usable


def test_a_withdrawn_consent_opens_nothing(femi):
    grace = patient()
    record_consent(
        patient=grace, channel=Channel.SMS, given=False, method="spoken", by=femi
    )
    assert add(grace, femi).usable
    assert not Consent.objects.latest("at", "id").given


def test_a_changed_number_loses_the_consent(femi):
    grace = patient()
    point = change(grace.contact_points.get(), femi, address="617 555 0155")
    assert (point.address, point.usable, point.why_not) == (
        SECOND,
        False,
        NO_CONSENT_YET,
    )


def test_nothing_goes_to_a_changed_number_before_they_agree(femi):
    grace = patient()
    booked(grace)
    change(grace.contact_points.get(), femi, address="617 555 0155")
    run_pass()
    assert not Message.objects.filter(submitting_at__isnull=False).exists()


def test_a_tick_opens_no_number_that_waits(femi):
    grace = patient()
    point = change(grace.contact_points.get(), femi, address="617 555 0155")
    again = change(point, femi, usable=True, why_not="")
    assert (again.usable, again.why_not) == (False, NO_CONSENT_YET)


def test_written_otherwise_it_is_the_same_number(femi):
    grace = patient()
    point = change(grace.contact_points.get(), femi, address="(617) 555-0143")
    assert point.usable
    assert not AuditEvent.objects.exists()


def test_the_same_number_twice_is_refused(femi):
    grace = patient()
    with pytest.raises(ValidationError):
        add(grace, femi, address=GRACE)
    second = add(grace, femi)
    with pytest.raises(ValidationError):
        change(second, femi, address=GRACE)


def test_families_share_a_number(femi):
    patient()
    assert add(patient("Leo", phone=""), femi, address=GRACE).usable


def test_the_one_to_try_first_comes_first(femi):
    grace = patient()
    add(grace, femi)
    third = add(grace, femi, address="617 555 0166", first=True)
    order = [point.address for point in grace.contact_points.all()]
    assert order == ["+16175550166", GRACE, SECOND]
    change(ContactPoint.objects.get(address=SECOND), femi, first=True)
    order = [point.address for point in grace.contact_points.all()]
    assert order == [SECOND, third.address, GRACE]


def test_who_rang_finds_the_new_number_and_not_the_old(femi):
    grace = patient()
    index_patients([grace.pk])
    change(grace.contact_points.get(), femi, address="617 555 0155")
    assert find_patients(femi, "6175550155", month_first=True).patients == [grace]
    assert find_patients(femi, "6175550143", month_first=True).patients == []


def test_what_is_not_theirs_is_forgotten(femi):
    grace = patient()
    index_patients([grace.pk])
    point = grace.contact_points.get()
    retire_contact_point(point_id=point.pk, by=femi)
    assert not ContactPoint.objects.exists()
    assert find_patients(femi, "6175550143", month_first=True).patients == []
    event = AuditEvent.objects.get()
    assert (event.verb, event.subject) == ("delete", f"contact_point:{point.pk}")


def post(client, name, *args, **typed):
    return client.post(reverse(f"patients:{name}", args=args), typed)


def test_the_desk_adds_a_number_on_the_page(client, femi):
    grace = patient()
    answer = post(
        client,
        "point_add",
        grace.pk,
        channel="sms",
        address="617 555 0155",
        safe_to_text="on",
    )
    assert answer.url == reverse("patients:patient_detail", args=[grace.pk])
    page = client.get(answer.url).content.decode()
    assert "Saved. Nothing is sent there for now." in page
    assert "Not agreed to for this address yet" in page


def test_an_unsafe_number_says_so(client, femi):
    grace = patient()
    point = grace.contact_points.get()
    post(
        client, "point_edit", grace.pk, point.pk, address=GRACE, usable="on", why_not=""
    )
    page = client.get(reverse("patients:patient_detail", args=[grace.pk]))
    assert "Not safe to text" in page.content.decode()
    assert "SMS off" in page.content.decode()


def test_an_old_page_does_not_make_an_unsafe_number_safe_again(client, femi):
    grace = patient()
    point = grace.contact_points.get()
    old = client.get(reverse("patients:point_edit", args=[grace.pk, point.pk]))
    sent = {
        "address": "617 555 0144",
        "safe_to_text": "on",
        "usable": "on",
        "version": old.context["form"]["version"].value(),
    }
    change(point, femi, safe_to_text=False)
    answer = post(client, "point_edit", grace.pk, point.pk, **sent)
    page = answer.content.decode()
    assert "Somebody changed this while you were typing" in page
    assert 'value="617 555 0144"' in page
    assert ("Safe to write to", "No") in answer.context["form"].stored_now
    point.refresh_from_db()
    assert (point.address, point.safe_to_text) == (GRACE, False)
    again = sent | {"version": answer.context["form"]["version"].value()}
    assert post(client, "point_edit", grace.pk, point.pk, **again).status_code == 302


def test_why_it_does_not_work_has_to_be_said(client, femi):
    grace = patient()
    point = grace.contact_points.get()
    answer = post(client, "point_edit", grace.pk, point.pk, address=GRACE)
    assert list(answer.context["form"].errors) == ["why_not"]
    post(
        client,
        "point_edit",
        grace.pk,
        point.pk,
        address=GRACE,
        why_not="only rings out",
    )
    point.refresh_from_db()
    assert (point.usable, point.why_not) == (False, "only rings out")


def test_the_mistyped_number_comes_back_as_typed(client, femi):
    grace = patient()
    answer = post(client, "point_add", grace.pk, channel="sms", address="617 555 01")
    assert answer.context["form"].errors == {
        "address": ["This cannot be a phone number."]
    }
    assert 'value="617 555 01"' in answer.content.decode()


def test_anothers_number_under_this_patient_is_not_there(client, femi):
    grace, leo = patient(), patient("Leo")
    point = leo.contact_points.get()
    for name in ("point_edit", "point_retire"):
        assert post(client, name, grace.pk, point.pk).status_code == 404
    assert ContactPoint.objects.filter(pk=point.pk).exists()


def test_the_number_a_safe_contact_plan_names_stays(client, femi):
    grace = patient()
    plan = make_plan(
        patient_id=grace.pk,
        by=member_of_staff("nora", Role.NURSE),
        region="US",
        channel="sms",
        address=GRACE,
        reason="asked for it",
    )
    point = grace.contact_points.get()
    with pytest.raises(ValidationError, match="safe contact plan names this one"):
        change(point, femi, address="617 555 0155")
    url = reverse("patients:point_retire", args=[grace.pk, point.pk])
    page = client.post(url, follow=True).content.decode()
    assert "The safe contact plan names this one" in page
    assert grace.contact_points.get().address == GRACE
    end_plan(plan_id=plan.pk, by=femi)
    client.post(url)
    assert not grace.contact_points.exists()
