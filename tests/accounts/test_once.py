"""A form that was sent twice is done once."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Job, Submission
from accounts.once import sweep_submissions
from accounts.policies import policy_for, walk_addresses
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.models import Appointment
from appointments.services import cancel_appointment
from messaging.models import Message, Notice
from tests.appointments.test_views import booking
from tests.factories import GRACE, SiteFactory, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

#: What takes a POST and need not be guarded, by how its name begins.
FREE = {
    "account_": "the door: to be in, out or locked twice is to be so once",
    "mfa_": "second factors: one that is there or gone is so once",
    "draft_save": "the last text counts",
    "patients:patient_find": "looks only",
    "patients:patient_list": "looks only",
    "patients:history_codes": "looks only",
    "patients:duplicate_hints": "looks only",
    "patients:merge_start": "looks only",
    "patients:patient_import": "the job has a key of its own",
    "patients:import_columns": "the job has a key of its own",
    "patients:emergency_access": "counts the try, and guards the work after it",
    "appointments:appointment_link": "shows what it makes, this once",
    "patients:intake_link": "shows what it makes, this once",
    "links:": "a patient's: what it opens guards itself",
    "messaging:duty_alert": "to know of it twice is to know of it",
    "messaging:twilio_": "Twilio's own id is unique",
    "messaging:leave": "to have left twice is to have left once",
}


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def book_url(who) -> str:
    return reverse("appointments:appointment_book", args=[who.pk])


def test_every_address_that_changes_something_is_guarded():
    open_ones = set()
    for address in walk_addresses():
        rule = policy_for(address.callback, address.name)
        takes_posts = rule and (not rule.methods or "POST" in rule.methods)
        is_guarded = getattr(address.callback, "once", False)
        if takes_posts and not is_guarded and not address.name.startswith("admin:"):
            open_ones.add(address.name)
    reasons = {
        name: next(filter(name.startswith, FREE), "no reason") for name in open_ones
    }
    assert [name for name, why in reasons.items() if why == "no reason"] == []
    assert set(FREE) == set(reasons.values())


def test_the_same_form_again_leads_to_where_the_first_ended(client, femi):
    grace = patient()
    form = booking()
    first = client.post(book_url(grace), form)
    again = client.post(book_url(grace), form)
    assert again["Location"] == first["Location"]
    assert str(list(get_messages(again.wsgi_request))[-1]) == (
        "This was sent before, and done once."
    )
    assert Appointment.objects.count() == Notice.objects.count() == 1


def test_a_form_with_errors_is_corrected_and_sent_with_the_same_key(client, femi):
    grace = patient()
    key = str(uuid.uuid4())
    page = client.post(book_url(grace), booking(client_key=key, time=""))
    assert f'name="client_key" value="{key}"' in page.content.decode()
    assert not Submission.objects.exists()
    client.post(book_url(grace), booking(client_key=key))
    assert Appointment.objects.get().patient == grace


def test_a_race_that_was_lost_leaves_nothing_behind(client, femi):
    in_the_way = booked(patient("Leo", phone=""))
    grace = patient()
    form = booking()
    assert client.post(book_url(grace), form).status_code == 200
    cancel_appointment(appointment_id=in_the_way.pk, by=femi)
    client.post(book_url(grace), form)
    assert grace.appointments.count() == 1


def test_another_file_under_the_same_key_is_another_form(client, femi):
    key, site = str(uuid.uuid4()), SiteFactory()
    where = []
    for name in ("Ann", "Bea", "Bea"):
        file = SimpleUploadedFile("list.csv", f"mrn,given_name\n1,{name}\n".encode())
        form = {"file": file, "site": site.pk, "client_key": key}
        where.append(client.post(reverse("patients:patient_import"), form)["Location"])
    assert Job.objects.count() == 2
    assert where[0] != where[1] == where[2]
    # Counting a file leaves it to be read.
    assert [job.work["text"][-4:] for job in Job.objects.order_by("pk")] == [
        "Ann\n",
        "Bea\n",
    ]


def test_one_who_goes_back_and_changes_the_form_means_it(client, femi):
    grace = patient()
    form = booking()
    client.post(book_url(grace), form)
    client.post(book_url(grace), form | {"time": "15:00"})
    assert sorted(visit.local_time.hour for visit in Appointment.objects.all()) == [
        10,
        15,
    ]


def test_one_key_at_two_addresses_is_two_forms(client, femi):
    form = booking()
    grace, leo = patient(), patient("Leo", phone="")
    client.post(book_url(grace), form)
    answer = client.post(book_url(leo), form)
    assert answer.status_code == 200
    assert "Dr Rao is not free then." in answer.content.decode()


def test_a_colleagues_key_opens_nothing(client, femi):
    visit = booked()
    mark = reverse("appointments:appointment_mark", args=[visit.pk])
    form = {"state": "arrived", "next": "today", "client_key": str(uuid.uuid4())}
    client.post(mark, form)
    maya = Client()
    maya.force_login(member_of_staff("maya", Role.NURSE))
    answer = maya.post(mark, form)
    assert not list(get_messages(answer.wsgi_request))
    assert Submission.objects.count() == 2


def test_an_answer_on_the_phone_is_given_once(client, femi):
    booked()
    run_pass()
    phone = reverse("messaging:phone")
    client.post(phone, {"number": GRACE, "client_key": str(uuid.uuid4())})
    reply = {"body": "Can I bring my son?", "client_key": str(uuid.uuid4())}
    client.post(phone, reply)
    client.post(phone, reply)
    assert Message.objects.filter(direction="in").count() == 1


def test_nothing_of_a_form_is_kept_but_a_hash_and_that_for_a_day(client, femi, monday):
    client.post(book_url(patient()), booking(day="2026-11-27"))
    monday.shift(timedelta(hours=23))
    assert sweep_submissions() == 0
    monday.shift(timedelta(hours=2))
    assert sweep_submissions() == 1
    assert sweep_submissions() == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_book_one_visit_and_send_one_text():
    """Three of them: the others wait for the first, then follow it."""
    femi = member_of_staff("femi", Role.FRONT_DESK)
    grace = patient()
    tomorrow = timezone.localdate() + timedelta(days=1)
    form = booking(day=str(tomorrow))
    gate = threading.Barrier(3)
    answers = []

    def press() -> None:
        client = Client()
        client.force_login(femi)
        gate.wait()
        answers.append(client.post(book_url(grace), form))
        connection.close()

    presses = [threading.Thread(target=press) for _ in range(3)]
    for thread in presses:
        thread.start()
    for thread in presses:
        thread.join()
    assert {answer["Location"] for answer in answers} == {f"/patients/{grace.pk}/"}
    assert Appointment.objects.count() == 1
    run_pass()
    assert Message.objects.filter(direction="out").count() == 1
