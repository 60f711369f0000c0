"""The inbox, and the simulated phone."""

import pytest
from django.urls import reverse

from accounts.roles import Role
from accounts.ticks import run_pass
from messaging.models import Conversation, Message
from tests.factories import GRACE, SiteFactory, booked, member_of_staff, patient

pytestmark = pytest.mark.django_db

PHONE = reverse("messaging:phone")
INBOX = reverse("messaging:inbox_list")


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


def answer_on_the_phone(client, body: str) -> None:
    client.post(PHONE, {"number": GRACE})
    client.post(PHONE, {"body": body})
    run_pass()


def test_phone_shows_the_texts_and_takes_the_answer(client, femi):
    visit = booked()
    run_pass()
    client.post(PHONE, {"number": "(617) 555-0143"})
    assert b"Reply 1 if you will come" in client.get(PHONE).content
    answer_on_the_phone(client, "1")
    visit.refresh_from_db()
    assert visit.state == "confirmed"
    texts = client.get(reverse("messaging:phone_messages")).content
    assert b"Thank you, Grace" in texts


def test_the_mailbox_is_read_where_the_phone_is(client, femi):
    booked(patient(phone="", email="grace@example.com"))
    run_pass()
    client.post(PHONE, {"number": "Grace@Example.com"})
    page = client.get(PHONE).content.decode()
    assert "your visit is" in page
    assert "Your reply" not in page


def test_there_is_no_phone_to_play_beside_a_real_one(client, femi, settings):
    settings.SMS_GATEWAY = "twilio"
    assert client.get(PHONE).status_code == 404


def test_a_worry_is_not_hidden_by_what_came_after(client, femi):
    booked()
    run_pass()
    answer_on_the_phone(client, "I am worried about my chest pain")
    answer_on_the_phone(client, "STOP")
    (row,) = client.get(INBOX).context["conversations"]
    assert row.latest.body.startswith("I am worried")
    assert row.more == 1


def test_who_asked_us_to_stop_is_shown_so(client, femi):
    visit = booked()
    run_pass()
    answer_on_the_phone(client, "STOP")
    page = client.get(f"/patients/{visit.patient.pk}/").content.decode()
    assert "Asked us to stop" in page
    assert "Texts agreed" not in page


def test_phone_refuses_what_is_no_number(client, femi):
    answer = client.post(PHONE, {"number": "12"})
    assert "not a phone number" in str(answer.context["pick_up"].errors)


def test_there_is_no_phone_on_a_clinic_server(client, femi, settings):
    settings.EMBEDDED = False
    assert client.get(PHONE).status_code == 404


def test_a_question_waits_in_the_inbox_until_somebody_is_done(client, femi):
    booked()
    run_pass()
    answer_on_the_phone(client, "Can I bring my son?")
    assert b"Can I bring my son?" in client.get(INBOX).content
    conversation = Conversation.objects.get()
    url = reverse("messaging:conversation_detail", args=[conversation.pk])
    page = client.get(url).content
    assert b"Can I bring my son?" in page
    assert b"your visit is" in page
    done = reverse("messaging:conversation_done", args=[conversation.pk])
    seen = client.get(url).context["seen"]
    answer_on_the_phone(client, "And my daughter?")
    assert client.post(done, {"seen": seen})["Location"] == url
    assert len(client.get(INBOX).context["conversations"]) == 1
    client.post(done, {"seen": client.get(url).context["seen"]})
    assert client.get(INBOX).context["conversations"] == []
    assert len(client.get(INBOX, {"folder": "all"}).context["conversations"]) == 1


def test_another_sites_conversation_is_not_there(client, femi):
    somebody = patient()
    booked(somebody)
    run_pass()
    somebody.sites.set([SiteFactory(name="Harbour Clinic North")])
    conversation = Conversation.objects.get(patient=somebody)
    for name in ("conversation_detail", "conversation_done"):
        url = reverse(f"messaging:{name}", args=[conversation.pk])
        assert client.post(url).status_code in (404, 405)
    assert client.get(INBOX, {"folder": "all"}).context["conversations"] == []


def test_an_unknown_sender_is_everybodys_until_somebody_is_known_by_it(client, femi):
    north = SiteFactory(name="Harbour Clinic North")
    otis = member_of_staff("otis", Role.FRONT_DESK, north)
    client.post(PHONE, {"number": GRACE})
    answer_on_the_phone(client, "Is this the clinic?")
    conversation = Conversation.objects.get(address=GRACE)
    detail = reverse("messaging:conversation_detail", args=[conversation.pk])

    def who_reads() -> list[str]:
        readers = []
        for user in (femi, otis):
            client.force_login(user)
            listed = conversation in client.get(INBOX).context["conversations"]
            opened = client.get(detail).status_code == 200
            assert listed == opened
            readers += [user.username] if opened else []
        return readers

    assert who_reads() == ["femi", "otis"]
    # A mother of North answers by it for her son.
    leo = patient("Leo", "Silva", phone="")
    leo.sites.set([north])
    mother = leo.contact_persons.create(name="Ana Silva", relation="mother")
    mother.contact_points.create(channel="sms", address=GRACE)
    assert who_reads() == ["otis"]
    grace = patient()
    assert who_reads() == ["femi", "otis"]
    grace.merged_into = leo
    grace.save()
    assert who_reads() == ["otis"]


def test_the_phone_shows_no_texts_of_anothers_patients(client, femi):
    somebody = patient()
    booked(somebody)
    run_pass()
    client.post(PHONE, {"number": GRACE})
    assert len(client.get(PHONE).context["texts"]) == 1
    somebody.sites.set([SiteFactory(name="Harbour Clinic North")])
    shown = client.get(PHONE).context
    assert (shown["texts"], shown["busy"]) == ([], [])


def test_patient_conversation_leads_there(client, femi):
    grace = patient()
    url = reverse("messaging:patient_conversation", args=[grace.pk])
    assert client.get(url)["Location"] == f"/patients/{grace.pk}/"
    booked(grace)
    run_pass()
    conversation = Message.objects.get().conversation
    assert client.get(url)["Location"] == f"/inbox/{conversation.pk}/"


@pytest.mark.parametrize("seen", ["9" * 30, "9" * 5000])
def test_a_number_no_text_can_have_was_not_seen(client, femi, seen):
    booked()
    answer_on_the_phone(client, "Can I bring my son?")
    done = reverse("messaging:conversation_done", args=[Conversation.objects.get().pk])
    answer = client.post(done, {"seen": seen})
    assert answer.status_code == 302
    assert Conversation.objects.get().state == Conversation.State.WAITING
