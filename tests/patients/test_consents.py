"""Consent at the desk: what is asked, by whom it was answered, and what it opens."""

from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import AuditEvent, Language
from accounts.roles import Role
from messaging.models import CurrentSuppression
from messaging.services import suppress
from patients.consents import (
    Method,
    agreed_of,
    asked_of,
    channels_of,
    has_agreed,
    take_consents,
)
from patients.models import (
    Channel,
    Consent,
    ContactPerson,
    ContactPoint,
    Patient,
)
from patients.services import NO_CONSENT_YET
from patients.wordings import CURRENT, WORDINGS, freely, question
from tests.factories import GRACE, SiteFactory, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

CARE, CHECKS, PAGES = Consent.Purpose


@pytest.fixture
def femi(monday):
    return member_of_staff("femi", Role.FRONT_DESK)


@pytest.fixture
def grace(monday):
    return patient(email="grace@harbour.example", consent=False)


def said(somebody):
    return {(one.channel, one.purpose): one.given for one in asked_of(somebody)}


def take(somebody, by, answers, method=Method.SPOKEN, **more):
    return take_consents(
        patient=somebody,
        answers=answers,
        method=method,
        by=by,
        language=somebody.language,
        **more,
    )


def test_every_wording_ever_used_asks_for_every_purpose_in_every_language():
    for version, wording in WORDINGS.items():
        assert set(wording.freely) == set(Language.values), version
        assert set(wording.questions) == set(Consent.Purpose.values)
        for texts in wording.questions.values():
            assert set(texts) == set(Language.values)
            assert all(text.strip() for text in texts.values())


def test_a_language_nobody_has_written_is_asked_in_english():
    assert question(CARE, "so") == question(CARE, "en")
    assert freely("so") == freely("en")


def test_a_version_fits_beside_a_language_where_it_is_kept():
    longest = Consent._meta.get_field("wording_version").max_length
    assert all(len(f"{version} en") <= longest for version in WORDINGS)


def test_each_answer_is_a_row_with_its_wording_method_and_who_wrote_it(femi, grace):
    take(grace, femi, {(Channel.SMS, CARE): True, (Channel.EMAIL, CARE): False})
    yes, no = Consent.objects.order_by("pk")
    assert (yes.channel, yes.given, yes.method) == ("sms", True, "spoken")
    assert (no.channel, no.given) == ("email", False)
    assert yes.wording_version == f"{CURRENT} en"
    assert yes.recorded_by == femi
    assert said(grace)[Channel.SMS, CHECKS] is None


def test_the_wording_kept_is_the_one_in_the_patient_s_language(femi):
    rosa = patient("Rosa", "Alvarez", consent=False, language="es")
    (consent,) = take(rosa, femi, {(Channel.SMS, CARE): True}, Method.SCREEN)
    assert consent.wording_version == f"{CURRENT} es"
    assert consent.method == "screen"


def test_a_withdrawal_is_a_new_row_and_the_old_one_stays(femi, grace):
    take(grace, femi, {(Channel.SMS, CARE): True})
    take(grace, femi, {(Channel.SMS, CARE): False})
    assert [c.given for c in Consent.objects.order_by("pk")] == [True, False]
    assert agreed_of(grace) == {"sms": False, "email": False}


def test_the_same_word_twice_is_one_row_but_a_signature_is_kept(femi, grace):
    take(grace, femi, {(Channel.SMS, CARE): True})
    assert take(grace, femi, {(Channel.SMS, CARE): True}) == []
    take(grace, femi, {(Channel.SMS, CARE): True}, Method.PAPER)
    assert [c.method for c in Consent.objects.order_by("pk")] == ["spoken", "paper"]


def test_who_answered_for_a_child_is_kept(femi):
    leo = patient("Leo", "Bell", phone="", birth_date=date(2018, 1, 1))
    mother = ContactPerson.objects.create(
        patient=leo, name="Mia Bell", relation="mother", is_responsible=True
    )
    ContactPoint.objects.create(
        contact_person=mother, channel=Channel.SMS, address=GRACE
    )
    assert channels_of(leo) == [Channel.SMS]
    (consent,) = take(leo, femi, {(Channel.SMS, CARE): True}, answered_by=mother)
    assert consent.evidence == "Mia Bell (mother)"
    assert agreed_of(leo) == {"sms": True}


def test_a_number_of_somebody_who_no_longer_answers_is_no_way_to_the_child(femi):
    leo = patient("Leo", "Bell", phone="", birth_date=date(2018, 1, 1))
    until = date(2026, 11, 22)
    for fields in ({"until": until}, {"since": date(2026, 11, 24)}):
        person = ContactPerson.objects.create(
            patient=leo, name="Mia", relation="mother", is_responsible=True, **fields
        )
        ContactPoint.objects.create(
            contact_person=person, channel=Channel.SMS, address=GRACE
        )
    assert channels_of(leo) == []
    ContactPerson.objects.filter(until=until).update(until=date(2026, 11, 23))
    assert channels_of(leo) == [Channel.SMS]


@pytest.mark.parametrize(
    ("born", "basis", "channels"),
    [
        (date(2008, 11, 24), "parent", [Channel.SMS]),
        (date(2008, 11, 23), "parent", []),
        (date(2008, 11, 23), "guardian", [Channel.SMS]),
    ],
)
def test_a_parent_answers_until_the_birthday_of_age(femi, born, basis, channels):
    leo = patient("Leo", "Bell", phone="", birth_date=born)
    person = ContactPerson.objects.create(
        patient=leo, name="Mia", relation="mother", is_responsible=True, basis=basis
    )
    ContactPoint.objects.create(
        contact_person=person, channel=Channel.SMS, address=GRACE
    )
    assert channels_of(leo) == channels


def test_nobody_answers_once_their_own_record_says_they_died(femi):
    leo = patient("Leo", "Bell", phone="", birth_date=date(2018, 1, 1))
    mia = patient("Mia", "Bell", phone="", deceased_on=date(2026, 11, 1))
    person = ContactPerson.objects.create(
        patient=leo, name="Mia", relation="mother", is_responsible=True, person=mia
    )
    ContactPoint.objects.create(
        contact_person=person, channel=Channel.SMS, address=GRACE
    )
    assert channels_of(leo) == []


def test_a_yes_opens_a_number_that_waited_for_one(femi, grace):
    waiting = grace.contact_points.get(channel="sms")
    ContactPoint.objects.filter(pk=waiting.pk).update(
        usable=False, why_not=NO_CONSENT_YET
    )
    take(grace, femi, {(Channel.SMS, CARE): True})
    waiting.refresh_from_db()
    assert waiting.usable


def test_a_yes_never_lifts_a_stop(femi, grace, client):
    suppress(address=GRACE, channel=Channel.SMS, cause="STOP")
    take(grace, femi, {(Channel.SMS, CARE): True})
    assert CurrentSuppression.objects.filter(address=GRACE).exists()
    client.force_login(femi)
    page = client.get(reverse("patients:consent_edit", args=[grace.pk]))
    assert "A yes here does not lift this." in page.text


def test_it_is_in_the_audit_trail(femi, grace):
    take(grace, femi, {(Channel.SMS, CARE): True})
    event = AuditEvent.objects.get(verb="change", subject=f"patient:{grace.pk}")
    assert event.details["state"] == "given"
    assert event.actor == "femi"


def test_a_wording_that_was_replaced_is_not_agreed_to_any_more(femi, grace):
    with pytest.raises(ValidationError, match="wording"):
        take(grace, femi, {(Channel.SMS, CARE): True}, version="1999-01")
    assert not Consent.objects.exists()


def test_nobody_is_asked_after_their_death(femi):
    otis = patient("Otis", "Bell", deceased_on=date(2026, 11, 1), consent=False)
    with pytest.raises(ValidationError, match="died"):
        take(otis, femi, {(Channel.SMS, CARE): True})


def test_the_page_shows_the_wording_in_the_patient_s_language(femi, client):
    client.force_login(femi)
    rosa = patient("Rosa", "Alvarez", consent=False, language="es")
    page = client.get(reverse("patients:consent_edit", args=[rosa.pk]))
    assert question(CARE, "es") in page.text
    assert 'lang="es"' in page.text
    assert "never asked" in page.text


def test_a_form_at_the_desk_notes_what_was_said(femi, grace, client):
    client.force_login(femi)
    url = reverse("patients:consent_edit", args=[grace.pk])
    form = {"care_sms": "yes", "care_email": "no", "method": "paper"}
    answer = client.post(url, {**form, "version": CURRENT})
    assert answer.url == url
    assert said(grace)[Channel.SMS, CARE] is True
    assert said(grace)[Channel.EMAIL, CARE] is False
    assert said(grace)[Channel.SMS, PAGES] is None


def test_a_form_without_an_answer_says_so_and_notes_nothing(femi, grace, client):
    client.force_login(femi)
    url = reverse("patients:consent_edit", args=[grace.pk])
    page = client.post(url, {"method": "spoken", "version": CURRENT})
    assert "Choose yes or no at least once." in page.text
    assert not Consent.objects.exists()


def test_a_form_from_before_a_new_wording_is_not_taken(femi, grace, client):
    client.force_login(femi)
    url = reverse("patients:consent_edit", args=[grace.pk])
    page = client.post(
        url, {"care_sms": "yes", "method": "spoken", "version": "1999-01"}
    )
    assert "The wording has changed." in page.text
    assert not Consent.objects.exists()


def test_the_patient_reads_and_taps_in_their_language(femi, client):
    client.force_login(femi)
    rosa = patient("Rosa", "Alvarez", consent=False, language="es", top_worry="Cancer")
    url = reverse("patients:consent_screen", args=[rosa.pk])
    page = client.get(url)
    assert question(CARE, "es") in page.text
    assert 'lang="es"' in page.text
    for private in ("Alvarez", "Cancer", GRACE[-4:]):
        assert private not in page.text
    done = client.post(url, {"care_sms": "yes", "version": CURRENT})
    assert done.url == f"{url}?done=1"
    consent = Consent.objects.get()
    assert (consent.method, consent.wording_version) == ("screen", f"{CURRENT} es")
    thanks = client.get(done.url)
    assert question(CARE, "es") not in thanks.text


def test_somebody_without_an_address_is_not_asked_yet(femi, client):
    client.force_login(femi)
    ana = patient("Ana", "Silva", phone="")
    page = client.get(reverse("patients:consent_edit", args=[ana.pk]))
    assert "no number and no email address" in page.text


def listed(client, **asked):
    return [
        visit.patient.given_name
        for visit, _no in client.get(
            reverse("appointments:consent_list"), asked
        ).context["rows"]
    ]


def at(day, hour=10):
    return datetime(2026, 11, day, hour)


def test_this_week_s_patients_without_consent_are_listed(femi, client):
    client.force_login(femi)
    people = {
        "Asked": patient("Asked", phone="+16175550101"),
        "Never": patient("Never", phone="+16175550102", consent=False),
        "Refused": patient("Refused", phone="+16175550103"),
        "Without": patient("Without", phone=""),
        "Nextweek": patient("Nextweek", phone="+16175550104", consent=False),
        "Lastday": patient("Lastday", phone="+16175550105", consent=False),
    }
    take(people["Refused"], femi, {(Channel.SMS, CARE): False})
    # Ticked for pages to read alone: that lets nobody write about visits.
    take(people["Never"], femi, {(Channel.SMS, PAGES): True})
    for hour, name in enumerate(("Asked", "Never", "Refused", "Without"), start=10):
        booked(people[name], at=at(24, hour), tell=False)
    booked(people["Lastday"], at=at(29), tell=False)
    booked(people["Nextweek"], at=at(30), tell=False)
    assert listed(client) == ["Never", "Refused", "Without", "Lastday"]
    page = client.get(reverse("appointments:consent_list"))
    assert "said no, 23 Nov 2026" in page.text
    assert "never asked" in page.text


def test_an_address_that_is_gone_takes_its_consent_with_it(femi, client):
    client.force_login(femi)
    grace = patient(email="g@harbour.example", consent=False)
    take(grace, femi, {(Channel.SMS, CARE): True})
    booked(grace, at=at(24), tell=False)
    assert listed(client) == []
    grace.contact_points.filter(channel="sms").delete()
    assert listed(client) == ["Grace"]


def test_somebody_who_comes_twice_stands_there_once(femi, client):
    client.force_login(femi)
    grace = patient(consent=False)
    for day in (26, 24):
        booked(grace, at=at(day), tell=False)
    rows = client.get(reverse("appointments:consent_list")).context["rows"]
    assert [visit.local_date.day for visit, _no in rows] == [24]


def test_those_of_another_site_are_not_listed(femi, client):
    client.force_login(femi)
    north = SiteFactory(name="Harbour Clinic North")
    leo = patient("Leo", "Bell", consent=False)
    leo.sites.set([north])
    booked(leo, at=at(24), tell=False, site=north)
    assert listed(client) == []


def test_the_list_goes_on_page_by_page(femi, client):
    client.force_login(femi)
    for n in range(27):
        somebody = patient(f"P{n:02}", phone="", consent=False)
        when = at(24, 9) + timedelta(minutes=20 * (n // 2))
        booked(somebody, at=when, tell=False, overbooked=True)
    first = client.get(reverse("appointments:consent_list"))
    assert len(first.context["rows"]) == 25
    rest = listed(client, after=first.context["more"])
    names = [visit.patient.given_name for visit, _no in first.context["rows"]]
    assert names + rest == sorted(names + rest)
    assert len(set(names + rest)) == 27


def test_whoever_agreed_is_known_to_one_expression(femi, grace):
    visits = booked(grace, tell=False).__class__.objects.filter(has_agreed())
    assert not visits.exists()
    take(grace, femi, {(Channel.EMAIL, CARE): True})
    assert visits.exists()
    assert Patient.objects.get() == grace


def test_what_somebody_agreed_to_can_be_read_word_for_word(femi, client):
    client.force_login(femi)
    rosa = patient("Rosa", "Alvarez", consent=False, language="es")
    take(rosa, femi, {(Channel.SMS, CHECKS): True})
    Patient.objects.filter(pk=rosa.pk).update(language="en")
    page = client.get(reverse("patients:consent_edit", args=[rosa.pk]))
    assert question(CHECKS, "es") in page.text
    assert question(CARE, "es") not in page.text
