"""A new patient, their profile, and a death that stops everything."""

from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from accounts.audit.sentences import details_in_words
from accounts.models import AuditEvent, Draft
from accounts.roles import Role
from accounts.ticks import run_pass
from core.versions import StaleError
from messaging.ladder import open_due
from messaging.models import Message, Notice
from messaging.promises import broken_promises
from messaging.services import promise
from patients.access import get_patient
from patients.links.services import find_link, make_link
from patients.models import ContactPoint, Identifier, Patient
from patients.profile import (
    add_patient,
    change_profile,
    correct_death,
    record_death,
)
from patients.search import find_patients
from tests.factories import SiteFactory, booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


@pytest.fixture
def nora(client, monday):
    user = member_of_staff("nora", Role.NURSE)
    client.force_login(user)
    return user


def new(**typed):
    return {
        "given_name": "Rosa",
        "family_name": "Alvarez",
        "birth_date": "1959-03-14",
        "phone": "617 555 0143",
        "email": "Rosa@Harbour.example",
        "identifier": "H-17",
        "language": "es",
        "site": SiteFactory().pk,
        **typed,
    }


def test_the_desk_takes_on_a_patient(client, femi):
    answer = client.post(reverse("patients:patient_add"), new())
    rosa = Patient.objects.get()
    assert answer.url == reverse("patients:patient_detail", args=[rosa.pk])
    assert (rosa.full_name, rosa.language) == ("Rosa Alvarez", "es")
    assert rosa.birth_date == date(1959, 3, 14)
    assert get_patient(femi, rosa.pk, at_own_site=True)
    assert list(rosa.contact_points.values_list("channel", "address", "usable")) == [
        ("sms", "+16175550143", True),
        ("email", "rosa@harbour.example", True),
    ]
    assert Identifier.objects.get().value == "H-17"
    # A number is no consent.
    assert not rosa.consents.exists()
    event = AuditEvent.objects.get(verb="create")
    assert (event.subject, event.patient_ids) == (f"patient:{rosa.pk}", [rosa.pk])


def test_whoever_is_very_likely_here_already_is_asked_about_first(client, femi):
    url = reverse("patients:patient_add")
    client.post(url, new())
    again = new(phone="", identifier="")
    asked = client.post(url, again)
    page = asked.content.decode()
    assert "very likely somebody who is a patient here" in page
    assert "No, this is somebody else" in page
    assert reverse("patients:patient_detail", args=[Patient.objects.get().pk]) in page
    saved = client.post(url, again | {"somebody_else": "on"})
    assert saved.status_code == 302
    assert Patient.objects.count() == 2


@pytest.mark.parametrize("asked", ["alvarez", "6175550143", "0143", "H-17"])
def test_a_new_patient_is_found_at_once(client, femi, asked):
    client.post(reverse("patients:patient_add"), new())
    found = find_patients(femi, asked, month_first=True)
    assert [one.full_name for one in found.patients] == ["Rosa Alvarez"]


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("given_name", "", "This field is required."),
        ("phone", "12345", "This cannot be a phone number."),
        ("email", "rosa@", "Enter a valid email address."),
        ("birth_date", "2026-11-24", "This day is still to come."),
        ("birth_date", "1850-01-01", "Nobody is that old."),
        ("birth_date", "1959-02-30", "Enter a valid date."),
    ],
)
def test_what_cannot_be_is_said_beside_it_and_nothing_is_lost(
    client, femi, field, typed, says
):
    answer = client.post(reverse("patients:patient_add"), new(**{field: typed}))
    assert answer.context["form"].errors == {field: [says]}
    assert 'value="Alvarez"' in answer.content.decode()
    assert not Patient.objects.exists()


def test_born_today_is_no_mistake(client, femi):
    client.post(reverse("patients:patient_add"), new(birth_date="2026-11-23"))
    assert Patient.objects.get().birth_date == date(2026, 11, 23)


def test_a_number_of_another_patient_is_refused(client, femi):
    Identifier.objects.create(patient=patient(), system="mrn", value="H-17")
    answer = client.post(reverse("patients:patient_add"), new())
    assert answer.context["form"].errors == {
        "identifier": ["This number is another patient's."]
    }


def test_a_number_is_read_as_of_the_site(nora):
    london = SiteFactory(name="Thames Clinic", region="GB", zone="Europe/London")
    nia = add_patient(site=london, given_name="Nia", phone="020 7946 0018", by=nora)
    assert nia.contact_points.get().address == "+442079460018"


def test_nobody_adds_to_a_site_they_do_not_work_at(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    answer = client.post(reverse("patients:patient_add"), new(site=north.pk))
    assert "site" in answer.context["form"].errors
    assert not Patient.objects.exists()


def edit(client, who, section, **typed):
    url = reverse("patients:patient_edit", args=[who.pk, section])
    return client.post(url, {"version": who.version, **typed})


def test_a_section_writes_its_own_fields_and_no_other(client, femi):
    grace = patient(what_matters="Gardening")
    answer = edit(
        client,
        grace,
        "language",
        language="es",
        spoken_language="pt",
        needs_interpreter="True",
        reading_help="often",
        needs=["large_print", "relay"],
    )
    assert answer.status_code == 302
    now = Patient.objects.get(pk=grace.pk)
    assert (now.language, now.spoken_language) == ("es", "pt")
    assert (now.needs_interpreter, now.reading_help) == (True, "often")
    assert (now.needs, now.what_matters) == (["large_print", "relay"], "Gardening")
    assert now.version == 2
    event = AuditEvent.objects.get(verb="change")
    assert details_in_words(event.details) == (
        "changed: language, communication needs, needs an interpreter, help with "
        "reading, language spoken"
    )


def test_not_asked_is_no_answer(client, femi):
    grace = patient(needs_interpreter=True)
    edit(client, grace, "language", language="en", needs_interpreter="")
    grace.refresh_from_db()
    assert grace.needs_interpreter is None


def test_saving_what_stands_changes_nothing(client, femi):
    grace = patient()
    edit(client, grace, "address", address_line="", country="")
    grace.refresh_from_db()
    assert grace.version == 1
    assert not AuditEvent.objects.filter(verb="change").exists()


def test_a_new_name_is_found_and_the_old_one_is_not(client, femi):
    grace = patient()
    edit(client, grace, "identity", given_name="Grace", family_name="Adu", sex="female")
    assert find_patients(femi, "adu", month_first=True).patients == [grace]
    assert find_patients(femi, "okafor", month_first=True).patients == []


def test_who_was_slower_sees_both_and_loses_nothing(client, femi):
    grace = patient(city="Boston")
    change_profile(patient_id=grace.pk, version=1, by=femi, city="Quincy")
    answer = edit(client, grace, "address", address_line="1 A St", city="Salem")
    form = answer.context["form"]
    page = answer.content.decode()
    assert form.stored_now == [("Address", "—"), ("City", "Quincy")]
    assert "Somebody changed this while you were typing" in page
    assert 'value="Salem"' in page
    grace.refresh_from_db()
    assert (grace.city, grace.version) == ("Quincy", 2)
    # They have seen it: what they typed wins now.
    assert 'name="version" value="2"' in page
    edit(client, grace, "address", address_line="1 A St", city="Salem")
    grace.refresh_from_db()
    assert grace.city == "Salem"


def test_what_is_stored_now_stands_as_people_read_it(client, femi):
    grace = patient(birth_date=date(1959, 3, 14))
    change_profile(
        patient_id=grace.pk, version=1, by=femi, birth_date=date(1959, 3, 13)
    )
    typed = {"given_name": "Grace", "birth_date": "1959-03-15", "sex": "unknown"}
    form = edit(client, grace, "identity", version=1, **typed).context["form"]
    assert ("Birth date", "13 Mar 1959") in form.stored_now


def test_the_service_refuses_a_stale_version_whole(femi):
    grace = patient(city="Boston")
    change_profile(patient_id=grace.pk, version=1, by=femi, city="Quincy")
    with pytest.raises(StaleError) as refused:
        change_profile(patient_id=grace.pk, version=1, by=femi, city="Salem")
    assert refused.value.now.city == "Quincy"


def test_what_worries_them_is_not_for_the_desk(client, femi):
    grace = patient(what_matters="Walking", top_worry="That the lump is back")
    page = client.get(reverse("patients:patient_detail", args=[grace.pk]))
    assert "the lump is back" not in page.content.decode()
    url = reverse("patients:patient_edit", args=[grace.pk, "matters"])
    assert client.get(url).status_code == 403
    assert edit(client, grace, "matters", top_worry="None").status_code == 403
    grace.refresh_from_db()
    assert grace.top_worry == "That the lump is back"


def test_long_text_is_kept_while_it_is_typed_and_dropped_when_saved(client, monday):
    nora = member_of_staff("nora", Role.NURSE)
    client.force_login(nora)
    grace = patient(what_matters="Walking")
    Draft.objects.create(
        user=nora,
        key=f"profile_matters:{grace.pk}",
        text={"what_matters": "Walking my granddaughter", "top_worry": ""},
        at=timezone.now(),
    )
    url = reverse("patients:patient_edit", args=[grace.pk, "matters"])
    page = client.get(url).content.decode()
    assert "Walking my granddaughter</textarea>" in page
    edit(client, grace, "matters", what_matters="To school by January")
    assert not Draft.objects.exists()
    grace.refresh_from_db()
    assert grace.what_matters == "To school by January"


@pytest.mark.parametrize(
    ("section", "typed", "field"),
    [
        ("identity", {"given_name": "", "sex": "female"}, "given_name"),
        ("identity", {"given_name": "G", "sex": "x"}, "sex"),
        ("way", {"best_from": "16:00"}, "best_until"),
        ("way", {"zone": "Mars/Olympus"}, "zone"),
        ("address", {"country": "USA"}, "country"),
        ("matters", {"what_matters": "x" * 601}, "what_matters"),
        ("clinic", {"sites": []}, "sites"),
        ("language", {"language": "xx"}, "language"),
    ],
)
def test_bad_input_is_said_beside_its_field(client, monday, section, typed, field):
    client.force_login(member_of_staff("nora", Role.NURSE))
    grace = patient()
    answer = edit(client, grace, section, **typed)
    assert list(answer.context["form"].errors) == [field]
    grace.refresh_from_db()
    assert grace.version == 1


def test_sites_of_others_stay_as_they_are(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    grace = patient()
    grace.sites.add(north)
    answer = edit(client, grace, "clinic", usual_clinician="", sites=[])
    # Femi does not see her any more, and is led to those he sees.
    assert answer.url == reverse("patients:patient_list")
    assert list(grace.sites.all()) == [north]


def test_a_site_with_a_visit_keeps_its_patient(client, femi):
    grace = patient()
    grace.sites.add(SiteFactory(name="Harbour Clinic North"))
    booked(grace)
    answer = edit(client, grace, "clinic", usual_clinician="", sites=[])
    assert answer.context["form"].errors == {
        "sites": ["They still have a visit at Harbour Clinic. Move or cancel it."]
    }
    assert grace.sites.count() == 2


def test_in_place_comes_the_form_alone(client, femi):
    grace = patient()
    url = reverse("patients:patient_edit", args=[grace.pk, "way"])
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert f'action="{url}"' in part
    assert "<html" not in part
    assert client.get(url.replace("/way/", "/nothing/")).status_code == 404


def died(client, who, **typed):
    url = reverse("patients:patient_died", args=[who.pk])
    return client.post(
        url,
        {
            "died_on": "2026-11-22",
            "told_by": "daughter Lucia",
            "sure": "on",
            **typed,
        },
    )


def test_a_death_stops_everything_at_once(client, femi):
    grace = patient(birth_date=date(1959, 3, 14))
    visit = booked(grace, at=datetime(2026, 11, 24, 16))
    queue_a_reminder(visit)
    _link, url = make_link(
        purpose="visit",
        patient=grace,
        subject_id=visit.pk,
        expires_at=visit.ends_at,
        by=femi,
    )
    assert Message.objects.filter(state="queued").exists()
    died(client, grace)
    grace.refresh_from_db()
    assert (grace.deceased_on, grace.death_told_by) == (
        date(2026, 11, 22),
        "daughter Lucia",
    )
    assert set(Notice.objects.values_list("state", "why")) == {
        ("superseded", "the patient has died")
    }
    assert set(Message.objects.values_list("state", "why")) == {
        ("withdrawn", "the patient has died")
    }
    assert find_link(url.rstrip("/").rsplit("/", 1)[1]) is None
    run_pass()
    assert not Message.objects.exclude(state="withdrawn").exists()
    assert broken_promises() == []


def queue_a_reminder(visit):
    """Promise something of a visit that waits for its hour."""
    promise(
        purpose="visit_reminder",
        template_key="visit_reminder",
        cause_kind="appointment",
        cause_id=visit.pk,
        dedupe_key="later",
        not_before=timezone.now() + timedelta(hours=3),
        deadline=visit.starts_at,
        zone="America/New_York",
        patient=visit.patient,
    )
    open_due()


def test_visits_of_the_dead_come_before_the_staff_once(client, femi):
    grace = patient()
    booked(grace, at=datetime(2026, 11, 24, 10))
    booked(grace, at=datetime(2026, 12, 1, 15))
    died(client, grace)
    died(client, grace)
    item = WorkItem.objects.get(kind="died")
    assert item.sentence == (
        "Has died. Cancel what still stands: Tue 24 Nov, 10:00 with Dr Rao; "
        "Tue 1 Dec, 15:00 with Dr Rao"
    )
    assert str(item.title) == "Patient has died"


def test_without_a_visit_nobody_has_to_do_anything(client, femi):
    died(client, patient())
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"died_on": "2026-11-24"}, "died_on"),
        ({"died_on": "1959-03-13"}, "died_on"),
        ({"told_by": ""}, "told_by"),
        ({"sure": ""}, "sure"),
    ],
)
def test_a_death_is_asked_about_twice(client, femi, typed, field):
    grace = patient(birth_date=date(1959, 3, 14))
    answer = died(client, grace, **typed)
    assert list(answer.context["form"].errors) == [field]
    grace.refresh_from_db()
    assert grace.deceased_on is None


def test_a_stillbirth_can_be_noted(femi):
    baby = patient(birth_date=date(2026, 11, 22))
    record_death(patient_id=baby.pk, died_on=date(2026, 11, 22), told_by="x", by=femi)
    baby.refresh_from_db()
    assert baby.deceased_on == date(2026, 11, 22)


def test_a_mistaken_death_is_corrected_and_somebody_calls(client, femi):
    grace = patient()
    booked(grace, at=datetime(2026, 11, 24, 10))
    died(client, grace)
    url = reverse("patients:death_correct", args=[grace.pk])
    client.post(url, {"reason": "She rang us herself."})
    grace.refresh_from_db()
    assert (grace.deceased_on, grace.death_told_by) == (None, "")
    event = AuditEvent.objects.filter(verb="change", subject__startswith="patient:")
    assert event.latest("id").reason == "She rang us herself."
    items = {item.kind: item for item in WorkItem.objects.all()}
    assert items["died"].closed_at
    assert items["death_corrected"].closed_at is None
    assert "Tue 24 Nov, 10:00" in items["death_corrected"].sentence
    # Noted once more, it is another death.
    died(client, grace)
    assert WorkItem.objects.filter(kind="died", closed_at=None).count() == 1
    assert not WorkItem.objects.filter(kind="death_corrected", closed_at=None).exists()


def test_correcting_the_living_changes_nothing(femi):
    grace = patient()
    correct_death(patient_id=grace.pk, reason="x", by=femi)
    grace.refresh_from_db()
    assert grace.version == 1


def test_a_text_for_two_still_goes_to_the_other(femi):
    """What tells of two patients loses one part and keeps the other."""
    grace, leo = patient(), patient("Leo")
    told = [
        promise(
            purpose="visit_reminder",
            template_key="visit_reminder",
            cause_kind="appointment",
            cause_id=booked(one, at=datetime(2026, 11, 24, hour)).pk,
            dedupe_key=f"two {one.pk}",
            deadline=timezone.now() + timedelta(hours=8),
            zone="America/New_York",
            patient=one,
        )
        for hour, one in ((10, grace), (11, leo))
    ]
    Notice.objects.filter(pk__in=[one.pk for one in told]).update(state="open")
    message = Message.objects.create(
        direction="out",
        channel="sms",
        address=ContactPoint.objects.filter(patient=leo).get().address,
        body="x",
        encoding="GSM-7",
        state="queued",
        not_before=timezone.now(),
        at=timezone.now(),
    )
    message.notices.add(*told)
    record_death(patient_id=grace.pk, died_on=date(2026, 11, 23), told_by="x", by=femi)
    message.refresh_from_db()
    assert message.state == "queued"
    told[1].refresh_from_db()
    assert told[1].state == "open"


def test_an_unknown_field_is_a_mistake_of_ours(femi):
    with pytest.raises(TypeError):
        change_profile(patient_id=patient().pk, version=1, by=femi, deceased_on=None)


def test_the_last_site_stays(femi):
    grace = patient()
    with pytest.raises(ValidationError):
        change_profile(patient_id=grace.pk, version=1, by=femi, sites=[])
