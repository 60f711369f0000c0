"""Links for patients: what opens them, what does not, and what they never change."""

import re
import threading
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Throttle
from accounts.roles import Role
from appointments.links import make_visit_link
from patients.links.services import (
    MOST_WRONG,
    Answer,
    answer_link,
    make_link,
    revoke_link,
    revoke_links,
)
from patients.links.views import PER_LINK
from patients.models import Link, Patient
from tests.factories import SiteFactory, booked, member_of_staff, patient
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

BORN = date(1959, 3, 14)
RIGHT = {"day": "14", "month": "3", "year": "1959"}
WRONG = RIGHT | {"year": "1958"}
TOMORROW_10 = datetime(2026, 11, 24, 10)
SCANNERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Safe Links",
    "Barracuda Sentinel (EE)",
    "Slackbot-LinkExpanding 1.0",
    "WhatsApp/2.23.20.0",
    "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
]


def snapshot() -> dict[str, list[Any]]:
    """Return every row of every table."""
    return {
        model._meta.label: sorted(map(repr, model._base_manager.values_list()))
        for model in apps.get_models(include_auto_created=True)
    }


def path_of(address: str) -> str:
    return "/p/" + address.split("/p/", 1)[1]


def a_link(whose: Patient | None = None, **fields: Any) -> tuple[Link, str]:
    """Return a link to a visit tomorrow, Grace's or another's, and its path."""
    at = TOMORROW_10 + timedelta(minutes=20 * Link.objects.count())
    visit = booked(whose or patient(birth_date=BORN), at=at)
    link, address = make_link(
        purpose="visit",
        subject_id=visit.pk,
        patient=visit.patient,
        **({"expires_at": visit.link_until} | fields),
    )
    return link, path_of(address)


def opened(client: Client, path: str) -> str:
    """Open a link with the right birth date and return where that leads."""
    answer = client.post(path, RIGHT)
    assert answer.status_code == 303
    return answer["Location"]


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_only_the_hash_of_a_token_is_kept(monday, tmp_path):
    link, path = a_link()
    token = path.split("/")[2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", token)
    dump = tmp_path / "dump.json"
    call_command("dumpdata", output=str(dump))
    assert link.token_hash in dump.read_text()
    assert token not in dump.read_text()


def test_the_address_is_the_public_one(monday, settings):
    settings.PUBLIC_BASE_URL = "https://harbour.example"
    visit = booked(patient(birth_date=BORN))
    _link, address = make_visit_link(
        visit=visit, by=member_of_staff("femi", Role.FRONT_DESK)
    )
    assert address.startswith("https://harbour.example/p/")


def test_the_right_birth_date_opens_it(client, monday):
    link, path = a_link()
    where = opened(client, path)
    assert where == reverse("links:open", args=[link.pk])
    page = client.get(where)
    assert page.status_code == 200
    assert "Visit for Grace" in text_of(page)
    link.refresh_from_db()
    assert link.opened_at == timezone.now()


def test_nothing_of_the_patient_stands_before_the_birth_date(client, monday):
    grace = patient(birth_date=BORN, preferred_name="Gracie", language="es")
    _link, path = a_link(grace)
    answer = client.get(path, headers={"Accept-Language": "en"})
    page = text_of(answer)
    for told in ("Grac", "Okafor", "1959", "Rao", "Consult", "visit", "10:00"):
        assert told not in page
    assert "Harbour Clinic" in page
    assert "617 555 0100" in page
    assert answer["Content-Language"] == "en"
    assert "sessionid" not in answer.cookies
    assert "patient" not in answer.cookies


def test_a_thousand_fetches_change_nothing(client, monday):
    _link, path = a_link()
    before = snapshot()
    for number in range(1000):
        agent = SCANNERS[number % len(SCANNERS)]
        headers = {"User-Agent": agent}
        if number % 3 == 1:
            answer = client.head(path, headers=headers)
        else:
            if number % 3 == 2:
                headers |= {"Sec-Purpose": "prefetch", "Purpose": "prefetch"}
            answer = client.get(path, headers=headers)
        assert answer.status_code == 200
    assert snapshot() == before


@pytest.mark.parametrize(
    "form",
    [{}, {"day": "", "month": "", "year": ""}, {"day": "x", "month": "y", "year": "z"}],
)
def test_a_form_without_a_date_changes_nothing(client, monday, form):
    _link, path = a_link()
    before = snapshot()
    for _again in range(20):
        assert client.post(path, form).status_code == 200
    assert snapshot() == before


@pytest.mark.parametrize(
    "said",
    [
        RIGHT,
        {"day": "14", "month": "March", "year": "1959"},
        {"day": " 14 ", "month": "marzo", "year": "1959"},
        {"day": "3", "month": "14", "year": "1959"},
        {"month": "3/14/1959"},
        {"day": "1959-03-14"},
    ],
)
def test_dates_as_people_write_them(client, monday, said):
    _link, path = a_link()
    assert client.post(path, said).status_code == 303


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "Fill in the date of birth."),
        (RIGHT | {"year": "59"}, "Write the year with four digits"),
        (RIGHT | {"month": "13", "day": "32"}, "This is not a date"),
        (RIGHT | {"year": "2059"}, "This is not a date"),
        (WRONG, "This is not the date we have"),
    ],
)
def test_what_is_wrong_is_said_beside_the_date(client, monday, said, told):
    link, path = a_link()
    answer = client.post(path, said)
    assert answer.status_code == 200
    assert told in text_of(answer)
    assert answer.context["form"]["day"].value() == said.get("day")
    link.refresh_from_db()
    assert link.tries == (1 if said == WRONG else 0)


def test_month_first_in_english_and_day_first_in_spanish(client, monday):
    _link, path = a_link()
    for language, first, then in (("en", "Month", "Day"), ("es", "id_day", "id_month")):
        page = client.get(path, headers={"Accept-Language": language}).content.decode()
        assert page.index(first) < page.index(then)


def test_it_works_until_the_second_it_ends(client, monday):
    end = timezone.now() + timedelta(hours=1)
    _link, path = a_link(expires_at=end)
    where = opened(client, path)
    monday.move_to(end - timedelta(seconds=1))
    assert client.get(path).status_code == 200
    where = opened(client, path)
    assert client.get(where).status_code == 200
    monday.move_to(end)
    assert client.get(path).status_code == 404
    assert client.post(path, RIGHT).status_code == 404
    assert client.get(where).status_code == 404


def test_every_dead_link_looks_like_one_that_never_was(client, monday):
    def page_of(path: str) -> tuple[int, str]:
        answer = client.get(path)
        body = re.sub(r'value="[^"]{64}"', "", answer.content.decode())
        return answer.status_code, body.replace(path, "")

    SiteFactory()
    never = page_of(f"/p/{'x' * 22}/")
    assert never[0] == 404
    assert "617 555 0100" in never[1]
    ends = [
        lambda link: Link.objects.filter(pk=link.pk).update(expires_at=timezone.now()),
        lambda link: revoke_link(link_id=link.pk),
        lambda link: revoke_links(purpose="visit", subject_id=link.subject_id),
        lambda link: Patient.objects.filter(pk=link.patient_id).update(
            deceased_on=date(2026, 11, 1)
        ),
        lambda link: Patient.objects.filter(pk=link.patient_id).update(
            merged_into=patient("Other", phone="")
        ),
        lambda link: Link.objects.filter(pk=link.pk).update(subject_id=0),
        lambda link: Link.objects.filter(pk=link.pk).update(purpose="gone"),
    ]
    for end in ends:
        link, path = a_link()
        where = opened(client, path)
        end(link)
        assert page_of(path) == never
        assert client.post(path, RIGHT).status_code == 404
        assert client.get(where).status_code == 404


def test_without_a_birth_date_on_file_there_is_only_a_number(client, monday):
    _link, path = a_link(patient(birth_date=None))
    before = snapshot()
    for answer in (client.get(path), client.post(path, RIGHT)):
        assert answer.status_code == 200
        assert "Call 617 555 0100" in text_of(answer)
        assert "Grace" not in text_of(answer)
    assert snapshot() == before


def test_tries_are_throttled_by_link(client, monday):
    link, path = a_link()
    for _again in range(PER_LINK):
        assert client.post(path, WRONG).status_code == 200
    answer = client.post(path, RIGHT)
    assert answer.status_code == 429
    assert "Too many tries" in text_of(answer)
    link.refresh_from_db()
    assert link.tries == PER_LINK
    monday.shift(timedelta(minutes=15))
    opened(client, path)


def test_tries_are_throttled_by_where_they_come_from(client, monday, monkeypatch):
    monkeypatch.setattr("patients.links.views.PER_NETWORK", 3)
    paths = [a_link()[1] for _again in range(4)]
    for path in paths[:3]:
        assert client.post(path, WRONG).status_code == 200
    assert client.post(paths[3], RIGHT).status_code == 429
    assert client.post(paths[3], RIGHT, REMOTE_ADDR="198.51.100.7").status_code == 303


def test_ten_wrong_dates_close_it_and_somebody_is_told(client, monday):
    link, path = a_link()
    for _again in range(MOST_WRONG):
        answer = client.post(path, WRONG)
        monday.shift(timedelta(minutes=15))
    assert answer.status_code == 404
    assert client.post(path, RIGHT).status_code == 404
    item = WorkItem.objects.get(kind="link_closed")
    assert (item.patient, item.subject_id) == (link.patient, link.pk)
    refused = AuditEvent.objects.filter(verb=AuditEvent.Verb.REFUSED)
    assert refused.count() == MOST_WRONG
    assert {event.actor for event in refused} == {"patient link"}


def test_the_right_date_forgives_the_wrong_ones_before_it(client, monday):
    link, path = a_link()
    for _again in range(MOST_WRONG - 1):
        client.post(path, WRONG)
        monday.shift(timedelta(minutes=15))
    opened(client, path)
    link.refresh_from_db()
    assert link.tries == 0
    client.post(path, WRONG)
    assert client.get(path).status_code == 200


def test_it_stays_open_for_half_an_hour_however_busy(client, monday):
    _link, path = a_link()
    where = opened(client, path)
    for _minute in range(29):
        monday.shift(timedelta(minutes=1))
        assert client.get(where).status_code == 200
    monday.shift(timedelta(minutes=1))
    answer = client.get(where)
    assert answer.status_code == 404
    assert "open the link you got from us once more" in text_of(answer)
    opened(client, path)


def test_each_of_two_links_opens_its_own(client, monday):
    """A mother opens the links of both her children in two tabs."""
    paths = {}
    for name in ("Ana", "Leo"):
        _link, path = a_link(patient(name, "Silva", phone="", birth_date=BORN))
        paths[name] = opened(client, path)
        monday.shift(timedelta(minutes=20))
    assert client.get(paths["Ana"]).status_code == 404
    assert "Visit for Leo" in text_of(client.get(paths["Leo"]))


def test_both_stay_open_side_by_side(client, monday):
    _grace, path = a_link()
    _leo, other_path = a_link(patient("Leo", "Silva", phone="", birth_date=BORN))
    first, second = opened(client, path), opened(client, other_path)
    assert "Visit for Grace" in text_of(client.get(first))
    assert "Visit for Leo" in text_of(client.get(second))
    assert Session.objects.count() == 1


def test_another_browser_sees_nothing(client, monday):
    _link, path = a_link()
    where = opened(client, path)
    assert Client().get(where).status_code == 404
    assert Client().get(reverse("links:open", args=[99])).status_code == 404


def test_nobody_can_set_the_session_before(client, monday):
    _link, path = a_link()
    client.cookies["patient"] = "a" * 32
    opened(client, path)
    assert client.cookies["patient"].value != "a" * 32


def test_the_cookie_is_bound_and_holds_nothing(client, monday, settings):
    settings.SESSION_COOKIE_SECURE = True
    _link, path = a_link()
    cookie = client.post(path, RIGHT, secure=True).cookies["__Host-patient"]
    assert re.fullmatch(r"[a-z0-9]{32}", cookie.value)
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (
        True,
        True,
        "Strict",
    )
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", 1800)


def test_a_login_stays_as_it_is(client, monday):
    """Femi tries the link she made, at her own desk."""
    femi = member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(femi)
    client.get("/patients/")
    _link, path = a_link()
    key = client.cookies["sessionid"].value
    kept = Session.objects.get(pk=key)
    where = opened(client, path)
    assert "Visit for Grace" in text_of(client.get(where))
    client.post(reverse("links:leave"))
    assert client.cookies["sessionid"].value == key
    after = Session.objects.get(pk=key)
    assert (after.session_data, after.expire_date) == (
        kept.session_data,
        kept.expire_date,
    )
    assert client.get("/patients/").status_code == 200
    shown = AuditEvent.objects.filter(address__startswith="links:")
    assert {event.actor for event in shown} == {"patient link"}


def test_an_opened_link_is_no_login(client, monday):
    _link, path = a_link()
    opened(client, path)
    client.cookies["sessionid"] = client.cookies["patient"].value
    assert client.get("/patients/").status_code == 302


def test_what_a_patient_was_shown_is_in_the_audit(client, monday):
    link, path = a_link()
    client.get(path)
    where = opened(client, path)
    assert not AuditEvent.objects.filter(verb=AuditEvent.Verb.READ).exists()
    client.get(where)
    event = AuditEvent.objects.get(verb=AuditEvent.Verb.READ)
    assert (event.actor, event.actor_id, event.subject) == (
        "patient link",
        None,
        f"link:{link.pk}",
    )
    assert (event.patient_ids, event.ip) == ([link.patient_id], "127.0.0.1")


def test_leaving_ends_it_at_once(client, monday):
    _link, path = a_link()
    where = opened(client, path)
    key = client.cookies["patient"].value
    answer = client.post(reverse("links:leave"))
    assert (answer.status_code, answer["Location"]) == (303, reverse("links:bye"))
    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert not Session.objects.filter(pk=key).exists()
    assert client.get(where).status_code == 404
    client.cookies["patient"] = key
    assert client.get(where).status_code == 404
    page = client.get(answer["Location"])
    assert "You have left" in text_of(page)
    assert "Leave this page" not in text_of(page)


def test_no_page_under_p_tells_where_it_was(client, monday):
    _link, path = a_link()
    where = opened(client, path)
    answers = [
        client.get(path),
        client.post(path, WRONG),
        client.post(path, RIGHT),
        client.get(where),
        client.get("/p/nothing/"),
        client.get(reverse("links:bye")),
        client.post(reverse("links:leave")),
    ]
    for answer in answers:
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert b"<script" not in answer.content
    assert path not in client.get(where).content.decode()


def test_the_page_speaks_the_browsers_language_then_the_patients(client, monday):
    _link, path = a_link(patient(birth_date=BORN, language="es"))
    answer = client.get(path, headers={"Accept-Language": "en-GB,en"})
    assert '<html lang="en"\n      dir="ltr">' in answer.content.decode()
    page = client.get(opened(client, path), headers={"Accept-Language": "en"})
    assert '<html lang="es"' in page.content.decode()
    assert page["Content-Language"] == "es"


def test_the_language_is_switched_on_every_page(client, monday):
    _link, path = a_link()
    where = opened(client, path)
    client.get(path)
    for page in (path, where, "/p/nothing/", reverse("links:bye")):
        for language in ("es", "en"):
            answer = client.post(page, {"page_language": language})
            assert (answer.status_code, answer["Location"]) == (303, page)
            assert f'<html lang="{language}"' in client.get(page).content.decode()
    cookie = client.cookies["patient_language"]
    assert (cookie.value, cookie["path"]) == ("en", "/p/")
    client.cookies["patient_language"] = "../xx"
    assert client.get(path).status_code == 200


def test_the_form_needs_its_token(monday):
    _link, path = a_link()
    assert Client(enforce_csrf_checks=True).post(path, RIGHT).status_code == 403


def test_staff_see_and_close_the_links_of_a_patient(client, monday):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    link, path = a_link(by=femi)
    client.force_login(femi)
    patient_page = reverse("patients:patient_detail", args=[link.patient_id])
    shown = text_of(client.get(patient_page))
    assert "Their visit" in shown
    assert "made by Femi" in shown
    url = reverse("patients:link_revoke", args=[link.patient_id, link.pk])
    assert client.post(url)["Location"] == patient_page
    assert Client().get(path).status_code == 404
    assert "No link is open to them" in text_of(client.get(patient_page))
    closed = AuditEvent.objects.get(verb=AuditEvent.Verb.DELETE)
    assert (closed.actor, closed.subject) == ("femi", f"link:{link.pk}")
    client.post(url)
    assert AuditEvent.objects.filter(verb=AuditEvent.Verb.DELETE).count() == 1


def test_a_link_is_closed_only_through_its_own_patient(client, monday):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    link, path = a_link()
    leo = patient("Leo", phone="")
    far = patient("Otis", phone="")
    far.sites.set([SiteFactory(name="Harbour Clinic North")])
    client.force_login(femi)
    for whose in (leo.pk, far.pk, 999):
        url = reverse("patients:link_revoke", args=[whose, link.pk])
        assert client.post(url).status_code == 404
    femi.sites.set([SiteFactory(name="Harbour Clinic North")])
    url = reverse("patients:link_revoke", args=[link.patient_id, link.pk])
    assert client.post(url).status_code == 404
    assert Client().get(path).status_code == 200


def test_throttles_name_no_link_and_no_address(client, monday):
    _link, path = a_link()
    client.post(path, WRONG)
    keys = set(Throttle.objects.values_list("key", flat=True))
    assert len(keys) == 2
    assert all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_wrong_dates_at_once_are_counted_one_by_one():
    """Thirty tries in the same moment are not more than ten."""
    link, _path = a_link()
    heard: list[Answer] = []

    def guess() -> None:
        try:
            heard.append(answer_link(link_id=link.pk, born=date(1958, 3, 14)))
        finally:
            connection.close()

    threads = [threading.Thread(target=guess) for _again in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard.count(Answer.WRONG) == MOST_WRONG - 1
    assert heard.count(Answer.CLOSED) == 30 - (MOST_WRONG - 1)
    assert WorkItem.objects.filter(kind="link_closed").count() == 1
