"""Who is told: a table of cases, each with whom the first word goes to.

The day is Monday 23 November 2026. Leo is ten, unless a case says otherwise, and his
mother Ana answers for him; his father Ben stands second where a case adds him.
"""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import Role
from messaging.purposes import PURPOSES
from patients.models import ContactPerson, ContactPoint, Patient, SafeContactPlan
from patients.recipients import is_minor, resolve_recipients
from patients.registry import topics
from tests.factories import GRACE, member_of_staff, patient

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 23)
TOMORROW = TODAY + timedelta(days=1)
YESTERDAY = TODAY - timedelta(days=1)
TEN = date(2016, 5, 1)
ADULT = date(1959, 3, 14)
NOTHING: dict[str, Any] = {}
BEN: dict[str, Any] = {"ben": {}}


def stands_for(
    child: Patient, name: str, *, phone: str = "+16175550161", **fields: Any
) -> ContactPerson:
    """Return somebody who answers for a patient and may know of visits."""
    person = ContactPerson.objects.create(
        patient=child,
        **{
            "name": name,
            "relation": "parent",
            "is_responsible": True,
            "scopes": ["schedule", "messages"],
            "basis": ContactPerson.Basis.PARENT,
        }
        | fields,
    )
    if phone:
        ContactPoint.objects.create(contact_person=person, channel="sms", address=phone)
    return person


def under_a_plan(somebody: Patient, **fields: Any) -> SafeContactPlan:
    """Return the safe contact plan that somebody is under from now on."""
    nora = member_of_staff(f"nora{somebody.pk}", Role.NURSE)
    return SafeContactPlan.objects.create(
        patient=somebody,
        made_by=nora,
        made_at=timezone.now(),
        **{"channel": "sms", "reason": "asked for it"} | fields,
    )


CASES = [
    # (in words, Leo's record, Ana, what else, who hears first)
    ("a child: who answers for them", NOTHING, {}, NOTHING, ["Ana"]),
    ("a child nobody answers for", NOTHING, None, NOTHING, ["Leo"]),
    (
        "a contact person who does not answer for the child",
        NOTHING,
        {"is_responsible": False},
        NOTHING,
        ["Leo"],
    ),
    ("two who answer: the earlier one", NOTHING, {}, BEN, ["Ana", "Ben"]),
    (
        "the first may not know of visits: the next one",
        NOTHING,
        {"scopes": ["billing"]},
        BEN,
        ["Ben"],
    ),
    ("may know of nothing", NOTHING, {"scopes": []}, NOTHING, ["Leo"]),
    (
        "the topic is barred to the first: the next one",
        NOTHING,
        {"barred_topics": ["visit_reminder"]},
        BEN,
        ["Ben"],
    ),
    (
        "the topic is barred to the only one",
        NOTHING,
        {"barred_topics": ["visit_reminder"]},
        NOTHING,
        ["Leo"],
    ),
    (
        "another topic is barred",
        NOTHING,
        {"barred_topics": ["visit_changed"]},
        NOTHING,
        ["Ana"],
    ),
    ("the last day", NOTHING, {"until": TODAY}, NOTHING, ["Ana"]),
    ("the day after the last", NOTHING, {"until": YESTERDAY}, NOTHING, ["Leo"]),
    ("the first day", NOTHING, {"since": TODAY}, NOTHING, ["Ana"]),
    ("the day before the first", NOTHING, {"since": TOMORROW}, NOTHING, ["Leo"]),
    (
        "ended by hand, though until is ahead",
        NOTHING,
        {"until": TOMORROW, "ended": True},
        NOTHING,
        ["Leo"],
    ),
    (
        "overdue for a look, and still in force",
        NOTHING,
        {"review_on": YESTERDAY},
        NOTHING,
        ["Ana"],
    ),
    (
        "the first has no address: the next one",
        NOTHING,
        {"phone": ""},
        BEN,
        ["Ben", "Ana"],
    ),
    (
        "the first has a dead number: the next one",
        NOTHING,
        {"dead": True},
        BEN,
        ["Ben", "Ana"],
    ),
    (
        "nobody who answers has an address: still not the child",
        NOTHING,
        {"phone": ""},
        NOTHING,
        ["Ana"],
    ),
    (
        "who answers has died",
        NOTHING,
        {"record": {"deceased_on": YESTERDAY}},
        BEN,
        ["Ben"],
    ),
    ("who answers was merged away", NOTHING, {"record": "merged"}, BEN, ["Ben"]),
    ("who answers is a patient here", NOTHING, {"record": {}}, NOTHING, ["Ana"]),
    (
        "the day before the 18th birthday",
        {"birth_date": date(2008, 11, 24)},
        {},
        NOTHING,
        ["Ana"],
    ),
    (
        "the 18th birthday itself",
        {"birth_date": date(2008, 11, 23)},
        {},
        NOTHING,
        ["Leo"],
    ),
    ("no birth date on file", {"birth_date": None}, {}, NOTHING, ["Leo"]),
    (
        "an adult with a helper",
        {"birth_date": ADULT},
        {"basis": "agreed"},
        NOTHING,
        ["Leo"],
    ),
    ("an adult with a parent", {"birth_date": ADULT}, {}, NOTHING, ["Leo"]),
    (
        "an adult with a guardian",
        {"birth_date": ADULT},
        {"basis": "guardian"},
        NOTHING,
        ["Ana"],
    ),
    (
        "an adult who gave power of attorney",
        {"birth_date": ADULT},
        {"basis": "power"},
        NOTHING,
        ["Ana"],
    ),
    (
        "an adult whose guardian does not answer for visits",
        {"birth_date": ADULT},
        {"basis": "guardian", "scopes": ["billing"]},
        NOTHING,
        ["Leo"],
    ),
    (
        "an adult whose guardian's time is over",
        {"birth_date": ADULT},
        {"basis": "guardian", "until": YESTERDAY},
        NOTHING,
        ["Leo"],
    ),
    (
        "a confidential visit of a minor",
        {"birth_date": date(2010, 5, 1)},
        {},
        {"confidential": True},
        ["Leo"],
    ),
    ("a hidden safe contact plan", NOTHING, {}, {"plan": {"hidden": True}}, ["Leo"]),
    (
        "a hidden plan of an adult with a guardian",
        {"birth_date": ADULT},
        {"basis": "guardian"},
        {"plan": {"hidden": True}},
        ["Leo"],
    ),
    ("a plan that hides nothing", NOTHING, {}, {"plan": {"hidden": False}}, ["Ana"]),
    (
        "a plan that was ended",
        NOTHING,
        {},
        {"plan": {"hidden": True, "ended": True}},
        ["Ana"],
    ),
    ("the patient died", {"deceased_on": YESTERDAY}, {}, BEN, []),
    ("the patient was merged away", {"merged": True}, {}, BEN, []),
    (
        "died, and the visit was confidential",
        {"deceased_on": YESTERDAY},
        {},
        {"confidential": True},
        [],
    ),
]


@pytest.mark.parametrize(
    ("record", "ana", "more", "told"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_who_hears_of_a_reminder(monday, record, ana, more, told):
    record = {"birth_date": TEN} | record
    merged = record.pop("merged", False)
    leo = patient("Leo", "Duarte", **record)
    if merged:
        leo.merged_into = patient("Leonardo", "Duarte", phone="")
        leo.save()
    if ana is not None:
        _add(leo, "Ana", ana)
    if "ben" in more:
        _add(leo, "Ben", more["ben"] | {"phone": "+16175550162"})
    if "plan" in more:
        plan = dict(more["plan"])
        ended = timezone.now() if plan.pop("ended", False) else None
        under_a_plan(leo, ended_at=ended, **plan)
    found = resolve_recipients(
        leo, "visit_reminder", TODAY, confidential=more.get("confidential", False)
    )
    assert [_name(recipient) for recipient in found] == told


def _add(leo: Patient, name: str, fields: dict[str, Any]) -> None:
    fields = dict(fields)
    dead, record = fields.pop("dead", False), fields.pop("record", None)
    if fields.pop("ended", False):
        fields["ended_at"] = timezone.now()
    if record == "merged":
        kept = patient(name, "Duarte-Silva", phone="")
        fields["person"] = patient(name, "Duarte", phone="", merged_into=kept)
    elif record is not None:
        fields["person"] = patient(name, "Duarte", phone="", **record)
    person = stands_for(leo, name, **fields)
    if dead:
        person.contact_points.update(usable=False)


def _name(recipient: Any) -> str:
    who = recipient.contact_person or recipient.patient
    return who.name if recipient.contact_person else who.given_name


@pytest.mark.parametrize(
    ("on", "minor"),
    [
        (date(2026, 2, 27), True),
        # 2026 has no 29 February: they come of age with March.
        (date(2026, 2, 28), True),
        (date(2026, 3, 1), False),
    ],
)
def test_somebody_born_on_29_february_comes_of_age_on_1_march(on, minor):
    assert is_minor(Patient(birth_date=date(2008, 2, 29)), on) is minor


def test_a_plan_of_the_one_who_answers_goes_along(monday):
    leo = patient("Leo", birth_date=TEN, phone="")
    ana = patient("Ana", "Duarte", phone="")
    plan = under_a_plan(ana)
    stands_for(leo, "Ana", person=ana)
    (told,) = resolve_recipients(leo, "visit_reminder", TODAY)
    assert (told.plan, told.contact_person.person_id) == (plan, ana.pk)


def test_it_costs_two_queries_however_many_answer(monday):
    leo = patient("Leo", birth_date=TEN, phone=GRACE)
    for number in range(5):
        stands_for(leo, f"Aunt{number}", phone=f"+1617555017{number}")
    with CaptureQueriesContext(connection) as queries:
        resolve_recipients(leo, "visit_reminder", TODAY)
    assert len(queries) == 2


def test_every_reason_to_write_has_a_right_to_know_it():
    told = {key for key, purpose in PURPOSES.items() if not purpose.to_staff}
    assert {key for key, _topic in topics} >= told
    assert all(topic.scope in ContactPerson.Scope for _key, topic in topics)
