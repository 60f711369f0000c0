"""Forms as pages show them: described in Python, nothing lost, faults in focus."""

import re
import uuid
from datetime import date, datetime

import pytest
from django.urls import reverse
from django.utils.html import escape

from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.links import make_visit_link
from appointments.models import Appointment
from messaging.models import Conversation
from tests.appointments.test_views import booking
from tests.factories import booked, clinician, member_of_staff, patient
from worklist.models import WorkItem
from worklist.services import close_item

pytestmark = pytest.mark.django_db

FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
#: Forms that may be sent as often as one likes, for the reasons in test_once.
FREE = re.compile(r'role="search"|action="/accounts/|action="[^"]*/link/"')


@pytest.fixture
def maya(client, monday):
    user = member_of_staff("maya", Role.NURSE)
    client.force_login(user)
    return user


def forms_of(page: str) -> list[str]:
    return [form for form in FORM.findall(page) if 'method="post"' in form]


def field(page: str, name: str) -> str:
    """Return the tag of one input, from its name."""
    (tag,) = re.findall(
        rf"<(?:input|select|textarea)[^>]*\bname=\"{name}\"[^>]*>", page
    )
    return tag


def test_every_form_carries_a_key(client, maya):
    grace = patient(birth_date=date(1959, 3, 14))
    visit = booked(grace, at=datetime(2026, 11, 23, 16))
    booked(patient("Leo", phone=""), at=datetime(2026, 11, 24, 16))
    run_pass()
    session = client.session
    session["phone"] = "+16175550143"
    session.save()
    client.post(reverse("messaging:phone"), {"body": "Can I bring my son?"})
    run_pass()
    item = WorkItem.objects.first()
    make_visit_link(visit=visit, by=maya)
    found = 0
    for url in (
        "/",
        "/worklist/",
        f"/worklist/{item.pk}/close/",
        f"/patients/{visit.patient_id}/",
        f"/patients/{visit.patient_id}/book/",
        f"/schedule/{visit.pk}/",
        f"/schedule/{visit.pk}/move/",
        "/schedule/?day=2026-11-23",
        f"/inbox/{Conversation.objects.get(state='waiting').pk}/",
        "/phone/",
    ):
        for form in forms_of(client.get(url).content.decode()):
            if FREE.search(form):
                continue
            found += 1
            keys = re.findall(r'name="client_key" value="([^"]+)"', form)
            assert len(keys) == 1, (url, form)
            assert uuid.UUID(keys[0])
    assert found >= 13


def test_a_form_that_comes_back_shows_what_was_typed(client, maya):
    grace = patient()
    typed = booking(day="2026-11-22", time="11:40")
    del typed["tell"]
    page = client.post(f"/patients/{grace.pk}/book/", typed).content.decode()
    assert 'value="2026-11-22"' in field(page, "day")
    assert 'value="11:40"' in field(page, "time")
    assert "checked" not in field(page, "tell")
    assert f'<option value="{clinician().pk}" selected>' in page


def test_the_fault_stands_beside_its_field_in_the_summary_and_in_focus(client, maya):
    grace = patient()
    url = f"/patients/{grace.pk}/book/"
    page = client.post(url, booking(time="", visit_type="")).content.decode()
    assert 'aria-invalid="true"' in field(page, "time")
    assert 'aria-describedby="id_time_error"' in field(page, "time")
    assert re.search(r'id="id_time_error">.*?This field is required\.', page, re.DOTALL)
    (summary,) = re.findall(
        r'<div class="banner red"\s+role="alert".*?</section>', page, re.DOTALL
    )
    assert '<a href="#id_visit_type">Visit type</a>' in summary
    assert '<a href="#id_time">Time</a>' in summary
    assert [
        name for name in ("visit_type", "time") if "autofocus" in field(page, name)
    ] == ["visit_type"]


def test_help_and_fault_are_both_read_out(client, maya):
    page = client.get(f"/patients/{patient().pk}/book/").content.decode()
    assert 'aria-describedby="id_tell_helptext"' in field(page, "tell")
    assert 'id="id_tell_helptext"' in page
    assert "banner red" not in page


def test_a_time_taken_meanwhile_is_said_beside_the_time(client, maya):
    visit = booked()
    booked(patient("Leo", phone=""), at=datetime(2026, 11, 24, 15))
    answer = client.post(f"/schedule/{visit.pk}/move/", booking(time="15:00"))
    page = answer.content.decode()
    assert answer.context["form"].errors == {"time": ["Dr Rao is not free then."]}
    assert "autofocus" in field(page, "time")
    assert 'value="15:00"' in field(page, "time")
    visit.refresh_from_db()
    assert visit.version == 1


def test_a_note_is_not_lost_to_a_colleague_who_was_faster(client, maya):
    booked(patient(phone=""))
    run_pass()
    item = WorkItem.objects.get()
    femi = member_of_staff("femi", Role.FRONT_DESK)
    close_item(item_id=item.pk, outcome="letter", by=femi)
    note = "She'll ring back <at noon>"
    answer = client.post(
        f"/worklist/{item.pk}/close/", {"outcome": "told", "note": note}
    )
    page = answer.content.decode()
    assert "Femi has closed this before; nothing was changed." in page
    assert f"{escape(note)}</textarea>" in page
    item.refresh_from_db()
    assert item.outcome == "letter"


def test_an_unknown_mark_changes_nothing_and_says_so(client, maya):
    visit = booked()
    url = f"/schedule/{visit.pk}/mark/"
    for state in ("", "nonsense", "cancelled", "booked"):
        page = client.post(url, {"state": state}, follow=True).content.decode()
        assert "Choose what became of the visit." in page
    visit.refresh_from_db()
    assert visit.state == Appointment.State.BOOKED


def test_a_reply_of_nothing_is_refused_beside_it(client, maya):
    session = client.session
    session["phone"] = "+16175550143"
    session.save()
    page = client.post("/phone/", {"body": "  "}).content.decode()
    assert 'aria-describedby="id_body_error"' in field(page, "body")
    assert not Conversation.objects.exists()
