"""What somebody is typing is kept until it is sent."""

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.drafts import MOST, draft_of, save_draft, sweep_drafts
from accounts.models import Draft
from accounts.roles import Role
from accounts.ticks import run_pass
from tests.factories import booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

SAVE = reverse("draft_save")


@pytest.fixture
def femi(client, monday):
    user = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    return user


@pytest.fixture
def close(femi) -> str:
    booked(patient(phone=""))
    run_pass()
    return reverse("worklist:item_close", args=[WorkItem.objects.get().pk])


def key_of(close: str) -> str:
    return f"close:{WorkItem.objects.get().pk}"


def test_what_no_database_keeps_is_left_out(client, femi, close):
    sent = {"draft_key": key_of(close), "note": "Her\x00 knee", "a\x00b": "x"}
    assert client.post(SAVE, sent).status_code == 200
    assert draft_of(femi, key_of(close)).text == {"note": "Her knee", "ab": "x"}


def test_the_note_of_a_call_is_kept_while_it_is_typed(client, femi, close):
    answer = client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    assert answer.content.decode() == "Saved 09:00"
    page = client.get(close).content.decode()
    assert "Rang twice</textarea>" in page
    assert "Not sent yet" in page


def test_it_is_there_after_signing_in_again_and_on_another_machine(client, femi, close):
    client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    client.logout()
    client.force_login(femi)
    assert "Rang twice" in client.get(close).content.decode()


def test_a_page_with_such_a_form_brings_the_script_and_no_other_does(
    client, femi, close
):
    assert "js/drafts.js" in client.get(close).content.decode()
    assert "js/drafts.js" not in client.get("/worklist/").content.decode()


def test_only_who_typed_it_sees_it(client, femi, close):
    client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    client.force_login(member_of_staff("maya", Role.NURSE))
    assert "Rang twice" not in client.get(close).content.decode()
    client.post(SAVE, {"draft_key": key_of(close), "note": "Wrote a letter"})
    assert draft_of(femi, key_of(close)).text == {"note": "Rang twice"}


def test_it_is_dropped_when_the_form_is_sent(client, femi, close):
    client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    form = {"outcome": "told", "note": "Rang twice", "client_key": str(uuid.uuid4())}
    client.post(close, form)
    assert not Draft.objects.exists()


def test_it_stays_when_the_form_comes_back(client, femi, close):
    client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    client.post(close, {"outcome": "", "note": "Rang twice"})
    assert Draft.objects.get().text == {"note": "Rang twice"}


def test_what_is_rubbed_out_is_gone(client, femi, close):
    client.post(SAVE, {"draft_key": key_of(close), "note": "Rang twice"})
    answer = client.post(SAVE, {"draft_key": key_of(close), "note": " "})
    assert answer.content == b""
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    ("key", "note", "told"),
    [
        ("", "Rang twice", "no such form"),
        ("close", "Rang twice", "no such form"),
        ("close:Grace Okafor", "Rang twice", "no such form"),
        ("close:1", "x" * 21_000, "Too long"),
    ],
)
def test_what_cannot_be_kept_is_refused(client, femi, key, note, told):
    answer = client.post(SAVE, {"draft_key": key, "note": note})
    assert answer.status_code == 400
    assert told in answer.content.decode()
    assert not Draft.objects.exists()


def test_nobody_fills_the_house_with_drafts(femi, monday):
    for number in range(MOST + 2):
        monday.shift(timedelta(seconds=1))
        save_draft(user=femi, key=f"close:{number}", text={"note": "x"})
    assert Draft.objects.count() == MOST
    assert draft_of(femi, "close:1") is None
    assert draft_of(femi, "close:2") is not None


def test_after_thirty_days_nobody_comes_back_for_it(femi, monday):
    save_draft(user=femi, key="close:1", text={"note": "x"})
    monday.shift(timedelta(days=29))
    assert sweep_drafts() == 0
    monday.shift(timedelta(days=2))
    assert sweep_drafts() == 1
    assert sweep_drafts() == 0


def test_a_key_holds_a_number_and_no_more(femi):
    with pytest.raises(ValidationError):
        save_draft(user=femi, key="close:1\n", text={"note": "x"})


def test_nobody_keeps_drafts_who_is_not_signed_in(client):
    answer = client.post(SAVE, {"draft_key": "close:1", "note": "x"})
    assert answer.status_code == 302
    assert not Draft.objects.exists()
