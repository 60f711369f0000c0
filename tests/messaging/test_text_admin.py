"""The texts in Django admin: read, tried out, and written anew."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from messaging.models import Template
from tests.factories import come_in, member_of_staff

pytestmark = pytest.mark.django_db

LIST = reverse("admin:messaging_template_changelist")
ADD = reverse("admin:messaging_template_add")
BODY = "{clinic}: Good news, {when}. Reply {d1}, {d2} or {d3}. Or call {phone}"


@pytest.fixture
def ada(client):
    somebody = member_of_staff("ada", Role.MANAGER)
    come_in(client, somebody)
    return somebody


def text(language: str = "en", version: int = 1) -> Template:
    return Template.objects.get(key="visit_booked", language=language, version=version)


def page_of(row: Template) -> str:
    return reverse("admin:messaging_template_change", args=[row.pk])


def typed(**changes: str) -> dict[str, str]:
    return {"subject": "Your visit", "body": BODY} | changes


def test_saving_adds_a_version_and_keeps_the_older(client, ada):
    answer = client.post(page_of(text()), typed())
    assert answer.status_code == 302
    new = text(version=2)
    assert (new.body, new.by) == (BODY, ada)
    assert "your visit is" in text().body
    event = AuditEvent.objects.get(subject=f"template:{new.pk}")
    assert (event.actor, event.details) == ("ada", {"fields": ["Text"]})


def test_saving_what_nobody_changed_adds_none(client, ada):
    client.post(page_of(text()), typed(body=text().body))
    assert Template.objects.filter(key="visit_booked", language="en").count() == 1


def test_each_complaint_stands_beside_its_field(client, ada):
    page = client.post(
        page_of(text()), typed(subject="{first}", body=BODY + " {frist}")
    )
    errors = page.context["adminform"].form.errors
    assert set(errors) == {"subject", "body"}
    assert "There is no {frist} here" in errors["body"][0]
    assert Template.objects.filter(key="visit_booked", language="en").count() == 1


def test_trying_one_out_saves_nothing(client, ada):
    page = client.post(page_of(text()), typed(_preview="1"))
    shown = page.content.decode()
    assert page.status_code == 200
    assert "Nothing is saved yet" in shown
    assert "errornote" not in shown
    assert "Harbour Clinic: Good news, Tue 24 Nov 10:00am. Reply 1, 2 or 3." in shown
    assert "1 segment, 84 characters in GSM-7" in shown
    assert Template.objects.filter(key="visit_booked", language="en").count() == 1


def test_a_text_that_is_wrong_is_not_called_tried_out(client, ada):
    page = client.post(page_of(text()), typed(body="{clinic}", _preview="1"))
    shown = page.content.decode()
    assert "It must say" in shown
    assert "Nothing is saved yet" not in shown


def test_it_is_read_in_each_language_beside_the_fields_there_are(client, ada):
    shown = client.get(page_of(text())).content.decode()
    assert "Harbour Clinic: Grace, your visit is Tue 24 Nov 10:00am" in shown
    assert "Harbour Clinic: Grace, su cita es el mar 24 nov 10:00" in shown
    assert "{clinic} {clinician} {d1} {d2} {d3} {first} {phone} {place}" in shown


def test_accents_cost_and_are_seen_to(client, ada):
    page = client.post(page_of(text("es")), typed(body=BODY + " Más", _preview="1"))
    assert "2 segments, 86 characters in UCS-2" in page.content.decode()


def test_an_older_version_is_only_read(client, ada):
    client.post(page_of(text()), typed())
    assert client.get(page_of(text())).status_code == 200
    assert client.post(page_of(text()), typed(body=BODY + "!")).status_code == 403


def test_the_list_has_what_goes_out_and_the_older_on_demand(client, ada):
    client.post(page_of(text()), typed())
    now = client.get(LIST).context["cl"].queryset
    assert text(version=2) in now
    assert text() not in now
    assert text() in client.get(LIST + "?which=all").context["cl"].queryset


def test_a_language_that_lacks_a_text_is_named(client, ada, monkeypatch):
    assert b"lacks" not in client.get(LIST).content
    monkeypatch.setattr("messaging.text_admin.gaps", lambda: [("es", "visit_booked")])
    assert (
        "Spanish lacks visit_booked; English goes out"
        in client.get(LIST).content.decode()
    )


def test_one_that_is_there_is_not_added_again(client, ada):
    page = client.post(ADD, typed(key="visit_booked", language="en"))
    assert "another version already" in page.content.decode()
    assert Template.objects.filter(key="visit_booked", language="en").count() == 1


def test_the_footer_is_not_among_those_that_can_be_written(client, ada):
    assert "first_text_footer" not in client.get(ADD).content.decode()
    page = client.post(ADD, typed(key="first_text_footer", language="en"))
    assert page.context["adminform"].form.errors["key"]
    assert not Template.objects.filter(key="first_text_footer").exists()


@pytest.mark.parametrize("role", [Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN])
def test_only_managers_write_them(client, role):
    client.force_login(member_of_staff("femi", role))
    assert client.post(page_of(text()), typed()).status_code == 403
    assert not Template.objects.filter(version=2).exists()


def test_a_page_costs_the_same_however_many_versions_there_are(client, ada):
    costs = []
    for before in range(1, 5):
        client.post(page_of(text(version=before)), typed(body=f"{BODY} {before}"))
        page = page_of(text(version=before + 1))
        client.get(page)
        with CaptureQueriesContext(connection) as queries:
            client.get(page)
        costs.append(len(queries))
    assert max(costs) == min(costs) <= 15
