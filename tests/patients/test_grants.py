"""Emergency access: one patient, one hour, a reason, and somebody who looks into it."""

import re
import threading
import uuid
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Draft, User
from accounts.roles import Role
from accounts.ticks import run_pass
from patients.grants import end_access, grant_access, review_access
from patients.models import AccessGrant, HistoryEntry, Identifier, Patient
from patients.queries import reviewers_of
from patients.registry import granted
from patients.terms import index_patients
from tests.accounts.test_door import PASSWORD
from tests.factories import (
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    come_in,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.queries import get_item, items_of
from worklist.services import raise_item

pytestmark = pytest.mark.django_db

EMERGENCY = reverse("patients:emergency_access")
REVIEWS = reverse("patients:access_review_list")
WHY = "Brought in unconscious, no relatives here."
NOBODY = "This finds no single patient."


@pytest.fixture
def north(monday):
    return SiteFactory(name="Harbour Clinic North")


@pytest.fixture
def grace(north) -> Patient:
    """Grace is a patient of North only."""
    grace = patient(birth_date=date(1959, 3, 14))
    grace.sites.set([north])
    Identifier.objects.create(patient=grace, system="mrn", value="H-1001")
    index_patients([grace.pk])
    return grace


@pytest.fixture
def maya(client, grace):
    """Maya is a nurse at Harbour."""
    maya = member_of_staff("maya", Role.NURSE)
    come_in(client, maya)
    return maya


@pytest.fixture
def ada(north):
    """Ada manages North."""
    return member_of_staff("ada", Role.MANAGER, north)


def page_of(somebody: Patient) -> str:
    return reverse("patients:patient_detail", args=[somebody.pk])


def ask(client, **typed):
    form = {"reason": WHY, "client_key": str(uuid.uuid4())} | typed
    return client.post(EMERGENCY, form)


def audited(verb: AuditEvent.Verb) -> list[tuple[str, list[int], str]]:
    events = AuditEvent.objects.filter(verb=verb).order_by("id")
    return list(events.values_list("actor", "patient_ids", "reason"))


def read(client, url: str) -> str:
    """Return a page without the marks that keep names apart from other scripts."""
    return re.sub("[\u2066-\u2069]", "", client.get(url).content.decode())


def seen(client, somebody: Patient) -> bool:
    status = client.get(page_of(somebody)).status_code
    assert status in (200, 404)
    return status == 200


@pytest.mark.parametrize(
    "typed",
    [
        {"identifier": "H-1001"},
        {"identifier": " h-1001 "},
        {"name": "Grace Okafor", "birth_date": "1959-03-14"},
        {"name": "okafor, gracé", "birth_date": "1959-03-14"},
        {"identifier": "H-1001", "name": "Grace Okafor", "birth_date": "1959-03-14"},
    ],
)
def test_one_who_fits_opens_for_an_hour(client, monday, maya, grace, typed):
    assert not seen(client, grace)
    assert ask(client, **typed)["Location"] == page_of(grace)
    assert seen(client, grace)
    assert audited(AuditEvent.Verb.GRANT) == [("maya", [grace.pk], WHY)]
    monday.shift(timedelta(minutes=59, seconds=59))
    come_in(client, maya)
    assert seen(client, grace)
    monday.shift(timedelta(seconds=1))
    assert not seen(client, grace)


@pytest.mark.parametrize(
    "typed",
    [
        {"identifier": "H-100"},
        {"identifier": "617 555 0143"},
        {"name": "Grace", "birth_date": "1959-03-14"},
        {"name": "Grace Okafor", "birth_date": "1959-03-15"},
        {"identifier": "H-1001", "name": "Leo Silva", "birth_date": "1959-03-14"},
    ],
)
def test_nobody_and_several_sound_the_same(client, maya, grace, typed):
    answer = ask(client, **typed)
    assert answer.status_code == 200
    assert NOBODY in answer.content.decode()
    # What was typed is still there.
    assert all(value in answer.content.decode() for value in typed.values())
    assert not AccessGrant.objects.exists()
    assert audited(AuditEvent.Verb.REFUSED) == [("maya", [], WHY)]

    twin = patient(birth_date=date(1959, 3, 14), phone="")
    twin.sites.set(grace.sites.all())
    answer = ask(client, name="Grace Okafor", birth_date="1959-03-14")
    assert NOBODY in answer.content.decode()
    assert audited(AuditEvent.Verb.REFUSED)[1:] == [("maya", [], WHY)]
    # Whom it looked at and did not show stands in no trail.
    assert not AuditEvent.objects.exclude(patient_ids=[]).exists()


def test_somebody_merged_into_another_is_not_found(client, maya, grace):
    grace.merged_into = patient("Gracie", phone="")
    grace.save()
    assert NOBODY in ask(client, identifier="H-1001").content.decode()


def test_ones_own_patient_opens_without(client, maya, grace):
    grace.sites.add(SiteFactory())
    assert ask(client, identifier="H-1001")["Location"] == page_of(grace)
    assert not AccessGrant.objects.exists()
    assert audited(AuditEvent.Verb.REFUSED) == [("maya", [grace.pk], WHY)]


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({}, "identifier", "Give an identifier"),
        ({"name": "Grace Okafor"}, "birth_date", "needs the birth date"),
        ({"birth_date": "1959-03-14"}, "name", "needs the full name"),
        ({"identifier": "H-1001", "reason": "   urgent    "}, "reason", "at least 10"),
        ({"identifier": "H-1001", "reason": ""}, "reason", "required"),
        ({"name": "G", "birth_date": "31 Feb"}, "birth_date", "valid date"),
    ],
)
def test_what_is_missing_is_said_beside_the_field(client, maya, typed, field, says):
    answer = ask(client, **typed)
    assert says in str(answer.context["form"].errors[field])
    assert not AuditEvent.objects.exists()


def test_after_ten_tries_one_waits(client, monday, maya, grace):
    for _try in range(10):
        assert ask(client, identifier="H-1").status_code == 200
    assert ask(client, identifier="H-1001").status_code == 429
    assert not AccessGrant.objects.exists()
    assert len(audited(AuditEvent.Verb.REFUSED)) == 11
    monday.shift(timedelta(minutes=7))
    come_in(client, maya)
    assert ask(client, identifier="H-1001").status_code == 302


def test_the_same_form_twice_opens_once(client, monday, maya, grace):
    key = str(uuid.uuid4())
    first = ask(client, identifier="H-1001", client_key=key)
    again = ask(client, identifier="H-1001", client_key=key)
    assert again["Location"] == first["Location"]
    monday.shift(timedelta(minutes=61))
    come_in(client, maya)
    ask(client, identifier="H-1001", client_key=key)
    assert AccessGrant.objects.count() == 1
    assert not seen(client, grace)


def test_who_is_in_is_not_let_in_for_longer(monday, maya, grace):
    first = grant_access(user=maya, patient=grace, reason=WHY)
    monday.shift(timedelta(minutes=30))
    assert grant_access(user=maya, patient=grace, reason=WHY) == first
    assert len(audited(AuditEvent.Verb.GRANT)) == 1
    monday.shift(timedelta(minutes=30))
    assert grant_access(user=maya, patient=grace, reason=WHY) != first


def test_who_has_been_here_a_while_shows_again_who_they_are(
    client, monday, maya, grace
):
    monday.shift(timedelta(minutes=6))
    answer = ask(client, identifier="H-1001")
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    assert not AccessGrant.objects.exists()


def test_what_they_wrote_is_there_after_it_and_not_on_the_way(
    client, monday, maya, grace
):
    maya.set_password(PASSWORD)
    maya.save()
    come_in(client, maya)
    monday.shift(timedelta(minutes=6))
    asked = ask(client, identifier="H-1001")
    proof = client.get(asked["Location"])
    for seen_on_the_way in (asked["Location"], proof.content.decode()):
        assert "H-1001" not in seen_on_the_way
    # Not in the session's row either.
    assert WHY not in str(dict(client.session))
    proved = client.post(asked["Location"], {"password": PASSWORD})
    page = client.get(proved["Location"])
    assert page.templates[0].name == "account/kept.html"
    fields = dict(page.context["fields"])
    assert (fields["identifier"], fields["reason"]) == ("H-1001", WHY)
    answer = client.post(page.context["path"], fields)
    assert answer["Location"] == f"/patients/{grace.pk}/"
    # Shown once: a colleague who comes to the address later finds nothing there.
    assert client.get(proved["Location"])["Location"] == "/"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_let_in_once(grace):
    maya = member_of_staff("maya", Role.NURSE)
    start = threading.Barrier(4)
    taken: list[int] = []

    def press() -> None:
        start.wait()
        taken.append(grant_access(user=maya, patient=grace, reason=WHY).pk)
        connection.close()

    threads = [threading.Thread(target=press) for _press in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 4
    assert AccessGrant.objects.count() == WorkItem.objects.count() == 1


def test_a_reason_says_something(maya, grace):
    with pytest.raises(ValidationError):
        grant_access(user=maya, patient=grace, reason="   urgent!   ")


def test_it_opens_one_patient_to_one_person_and_no_list(client, maya, grace, north):
    leo = patient("Leo", "Silva", phone="")
    leo.sites.set([north])
    visit = booked(grace, site=north)
    raise_item(
        kind="visit_move",
        severity=WorkItem.Severity.AMBER,
        reason="Wants another time for the visit.",
        subject_kind="appointment",
        subject_id=visit.pk,
        dedupe_key="move",
        due_at=timezone.now(),
        patient=grace,
        site=north,
    )
    grace.sites.set([north])
    ask(client, identifier="H-1001")
    assert seen(client, grace)
    assert not seen(client, leo)
    visit_page = reverse("appointments:appointment_detail", args=[visit.pk])
    assert client.get(visit_page).status_code == 200
    for name in ("move", "cancel", "mark"):
        url = reverse(f"appointments:appointment_{name}", args=[visit.pk])
        assert client.post(url).status_code == 404
    book = reverse("appointments:appointment_book", args=[grace.pk])
    assert client.get(book).status_code == 404
    assert book not in client.get(page_of(grace)).content.decode()
    assert "Okafor" not in client.get("/schedule/?day=2026-11-24").content.decode()
    assert "Okafor" not in client.get("/worklist/").content.decode()
    client.force_login(member_of_staff("noor", Role.NURSE))
    assert not seen(client, grace)


def test_every_page_of_the_patient_says_so(client, monday, maya, ada, grace, north):
    visit = booked(grace, site=north)
    ask(client, identifier="H-1001")
    monday.shift(timedelta(minutes=20))
    come_in(client, maya)
    run_pass()
    conversation = grace.conversation
    for name, pk in (
        ("patients:patient_detail", grace.pk),
        ("appointments:appointment_detail", visit.pk),
        ("messaging:conversation_detail", conversation.pk),
    ):
        page = read(client, reverse(name, args=[pk]))
        assert "Emergency access to Grace Okafor: 40 min left." in page, name
        assert "every page you open: Ada." in page
        assert "End now" in page
    own = patient("Leo", "Silva", phone="")
    for page in ("/", "/patients/", page_of(own)):
        assert "End now" not in client.get(page).content.decode()


def test_a_patient_of_ones_own_costs_no_query_more(
    client, maya, django_assert_num_queries
):
    own = page_of(patient("Leo", "Silva", phone=""))
    with django_assert_num_queries(100, exact=False) as before:
        client.get(own)
    assert not [q for q in before if 'FROM "patients_accessgrant"' in q["sql"][:60]]


def test_end_now(client, maya, grace):
    ask(client, identifier="H-1001")
    grant = AccessGrant.objects.get()
    end = reverse("patients:access_end", args=[grant.pk])
    assert client.post(end)["Location"] == reverse("patients:patient_list")
    assert not seen(client, grace)
    client.post(end)
    assert len(audited(AuditEvent.Verb.GRANT_END)) == 1


def test_nobody_ends_anothers(client, maya, grace):
    grant = grant_access(
        user=member_of_staff("noor", Role.NURSE), patient=grace, reason=WHY
    )
    assert client.post(f"/patients/emergency/{grant.pk}/end/").status_code == 404


def test_a_pass_writes_down_what_ran_out(monday, maya, grace):
    grant = grant_access(user=maya, patient=grace, reason=WHY)
    assert run_pass()["patients.end_expired"] == 0
    monday.shift(timedelta(hours=2))
    assert run_pass()["patients.end_expired"] == 1
    assert run_pass()["patients.end_expired"] == 0
    grant.refresh_from_db()
    assert grant.ended_at == grant.expires_at
    assert grant.minutes_used == 60
    ((actor, whom, _why),) = audited(AuditEvent.Verb.GRANT_END)
    assert (actor, whom) == ("system", [grace.pk])


def test_a_role_taken_away_takes_the_access_with_it(client, maya, grace):
    ask(client, identifier="H-1001")
    maya.groups.set(member_of_staff("femi", Role.FRONT_DESK).groups.all())
    assert not seen(client, grace)


def test_the_front_desk_and_the_manager_have_none(client, grace):
    for role in (Role.FRONT_DESK, Role.MANAGER, Role.AUDITOR):
        come_in(client, member_of_staff(role.value, role))
        assert ask(client, identifier="H-1001").status_code == 403


def test_the_manager_is_told_at_once_and_nobody_else(client, maya, ada, grace, north):
    nurse = member_of_staff("noor", Role.NURSE, north)
    grant = grant_access(user=maya, patient=grace, reason=WHY)
    (item,) = items_of(ada)
    assert (item.kind, item.patient, item.site) == ("emergency_access", grace, north)
    assert item.sentence == f"Maya took emergency access: {WHY}"
    assert item.due_at == grant.at + timedelta(hours=24)
    assert list(items_of(nurse)) == list(items_of(maya)) == []
    close = reverse("worklist:item_close", args=[item.pk])
    client.force_login(nurse)
    assert client.get(close).status_code == client.post(close).status_code == 404
    # One way to end it: the worklist leads to the review.
    client.force_login(ada)
    review = reverse("patients:access_review", args=[grant.pk])
    assert client.get(close)["Location"] == review
    answer = client.post(close, {"outcome": "reviewed", "note": "x"})
    assert answer["Location"] == review
    item.refresh_from_db()
    assert item.closed_at is None


def test_a_try_that_fails_counts(client, monkeypatch, maya, grace):
    def broken(grant: AccessGrant) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setitem(granted._entries, "worklist", broken)
        for _try in range(10):
            with pytest.raises(RuntimeError):
                ask(client, identifier="H-1001")
    assert ask(client, identifier="H-1001").status_code == 429
    assert not AccessGrant.objects.exists()


def test_a_failed_notice_keeps_the_patient_shut(monkeypatch, maya, grace):
    def broken(grant: AccessGrant) -> None:
        raise RuntimeError("boom")

    monkeypatch.setitem(granted._entries, "worklist", broken)
    with pytest.raises(RuntimeError):
        grant_access(user=maya, patient=grace, reason=WHY)
    assert not AccessGrant.objects.exists()
    assert not AuditEvent.objects.exists()


def test_review(client, monday, maya, ada, grace):
    HistoryEntry.objects.create(
        patient=grace,
        kind="allergy",
        label="penicillin",
        status="active",
        source="staff",
        recorded_at=MONDAY,
    )
    ask(client, identifier="H-1001")
    client.get(page_of(grace))
    monday.shift(timedelta(minutes=5))
    client.get(page_of(grace))
    monday.shift(timedelta(minutes=6))
    grant = AccessGrant.objects.get()
    review = reverse("patients:access_review", args=[grant.pk])

    client.force_login(ada)
    page = client.get(REVIEWS).content.decode()
    assert "Open now" in page
    assert "2 pages opened" in page
    assert "11 minutes" in page
    answer = client.post(review, {"finding": "Needed."})
    assert "still open" in str(answer.context["form"].errors["__all__"])

    end_access(grant_id=grant.pk)
    monday.shift(timedelta(hours=3))
    come_in(client, ada)
    page = client.get(review).content.decode()
    assert WHY in page
    assert page.count("Patient page") == 2
    assert "11 minutes" in page
    draft = {"draft_key": f"review:{grant.pk}", "finding": "Rang the ward"}
    client.post(reverse("draft_save"), draft)
    assert "Rang the ward</textarea>" in client.get(review).content.decode()
    answer = client.post(review, {"finding": "   "})
    assert "required" in str(answer.context["form"].errors["finding"])
    answer = client.post(review, {"finding": "Needed: emergency of 23 Nov."})
    assert answer["Location"] == REVIEWS
    assert not Draft.objects.exists()
    grant.refresh_from_db()
    assert (grant.reviewed_by, grant.finding) == (ada, "Needed: emergency of 23 Nov.")
    item = WorkItem.objects.get(kind="emergency_access")
    assert (item.outcome, item.closed_by) == ("reviewed", ada)
    assert item.events.last().note == "Needed: emergency of 23 Nov."
    assert list(items_of(ada)) == []
    listed = client.get(REVIEWS)
    assert list(listed.context["waiting"]) == []
    assert list(listed.context["history"]) == [grant]
    # A second one changes nothing.
    answer = client.post(review, {"finding": "Not needed."})
    assert "reviewed this already" in str(answer.context["form"].errors["__all__"])
    grant.refresh_from_db()
    assert grant.finding == "Needed: emergency of 23 Nov."


def test_nobody_reviews_their_own(maya, grace):
    grant = grant_access(user=maya, patient=grace, reason=WHY)
    end_access(grant_id=grant.pk)
    with pytest.raises(ValidationError, match="their own"):
        review_access(grant_id=grant.pk, by=maya, finding="Fine.")


def test_a_manager_of_another_site_has_nothing_to_review(client, maya, ada, grace):
    grant = grant_access(user=maya, patient=grace, reason=WHY)
    ben = member_of_staff("ben", Role.MANAGER)
    client.force_login(ben)
    assert list(client.get(REVIEWS).context["waiting"]) == []
    assert client.get(f"/patients/emergency/review/{grant.pk}/").status_code == 404
    assert list(items_of(ben)) == []


@pytest.mark.parametrize("why", ["nobody", "left", "own"])
def test_where_the_patients_site_has_nobody_every_manager_reviews(
    client, maya, grace, north, why
):
    if why == "left":
        member_of_staff("ada", Role.MANAGER, north)
        User.objects.filter(username="ada").update(is_active=False)
    if why == "own":
        maya.groups.add(Group.objects.get(name=Role.MANAGER))
        maya.sites.add(north)
    grant = grant_access(user=maya, patient=grace, reason=WHY)
    ben = member_of_staff("ben", Role.MANAGER)
    assert list(reviewers_of(grant)) == [ben]
    assert "Ben" in client.get(page_of(grace)).content.decode() or why == "own"
    end_access(grant_id=grant.pk)
    come_in(client, ben)
    item = items_of(ben).get()
    assert get_item(ben, item.pk) == item
    assert list(client.get(REVIEWS).context["waiting"]) == [grant]
    review = reverse("patients:access_review", args=[grant.pk])
    answer = client.post(review, {"finding": "Needed."})
    assert answer["Location"] == REVIEWS
    item.refresh_from_db()
    assert item.closed_by == ben
    # It opens no patient to them.
    assert client.get(page_of(grace)).status_code == 404


def test_who_comes_to_manage_the_site_takes_the_review_over(maya, grace, north):
    grant_access(user=maya, patient=grace, reason=WHY)
    ben = member_of_staff("ben", Role.MANAGER)
    assert items_of(ben).exists()
    ada = member_of_staff("ada", Role.MANAGER, north)
    assert items_of(ada).exists()
    assert not items_of(ben).exists()


def test_the_review_list_costs_the_same_with_one_and_with_more(
    client, monday, maya, ada, grace, django_assert_num_queries
):
    def fill(n: int) -> None:
        for _each in range(n):
            user = UserFactory()
            for reviewed in (True, False):
                grant = grant_access(user=user, patient=grace, reason=WHY)
                end_access(grant_id=grant.pk)
                if reviewed:
                    review_access(grant_id=grant.pk, by=ada, finding="Needed.")

    client.force_login(ada)
    costs = []
    for more in (1, 3):
        fill(more)
        with django_assert_num_queries(15, exact=False) as queries:
            client.get(REVIEWS)
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_history_goes_page_by_page(client, monday, maya, ada, grace):
    for _each in range(26):
        grant = grant_access(user=maya, patient=grace, reason=WHY)
        end_access(grant_id=grant.pk)
        review_access(grant_id=grant.pk, by=ada, finding="Needed.")
        monday.shift(timedelta(minutes=1))
    client.force_login(ada)
    first = client.get(REVIEWS)
    second = client.get(REVIEWS, {"page": 2})
    shown = [g.pk for page in (first, second) for g in page.context["history"]]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 26
    assert client.get(REVIEWS, {"page": "nonsense"}).status_code == 200
