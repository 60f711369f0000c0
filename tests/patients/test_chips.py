"""What stands beside a name, for whom, and at what cost."""

from datetime import date

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.roles import Role
from messaging.models import Conversation
from messaging.services import suppress
from patients.chips import load_chips, load_warnings
from patients.flags import pin_flag
from patients.models import (
    Channel,
    ContactPerson,
    ContactPoint,
    HistoryEntry,
    HistoryReview,
    Patient,
)
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.services import raise_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def nora(monday):
    return member_of_staff("nora", Role.NURSE)


def chips_of(who, user):
    fresh = Patient.objects.get(pk=who.pk)
    load_chips(user, [fresh])
    return [chip.text for chip in fresh.chips]


def entry(who, kind, label, **fields):
    told = {"status": "active", "source": "staff", "recorded_at": MONDAY, **fields}
    return HistoryEntry.objects.create(patient=who, kind=kind, label=label, **told)


def test_allergies_and_dangerous_medicines_come_first(nora):
    grace = patient()
    entry(grace, "medicine", "Apixaban 2.5 mg", risk_class="blood_thinner")
    entry(grace, "medicine", "Amlodipine 5 mg")
    entry(grace, "medicine", "Warfarin", risk_class="blood_thinner", status="stopped")
    entry(grace, "allergy", "penicillin")
    assert chips_of(grace, nora) == [
        "Allergy: penicillin",
        "Blood thinner: Apixaban 2.5 mg",
        "English",
        "SMS ok",
    ]


def test_not_asked_is_not_none(nora):
    grace = patient()
    assert chips_of(grace, nora)[0] == "Allergies: not asked"
    HistoryReview.objects.create(
        patient=grace, kind="allergy", outcome="none_known", source="staff", at=MONDAY
    )
    assert chips_of(grace, nora)[0] == "No known allergies"


def test_the_desk_sees_nothing_clinical(monday):
    grace = patient()
    entry(grace, "allergy", "penicillin")
    femi = member_of_staff("femi", Role.FRONT_DESK)
    assert chips_of(grace, femi) == ["English", "SMS ok"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"language": "es"}, "Spanish"),
        ({"language": "es", "needs_interpreter": True}, "Spanish, interpreter"),
        (
            {"spoken_language": "pt", "needs_interpreter": True},
            "Reads English, speaks Portuguese, interpreter",
        ),
        ({"spoken_language": "en"}, "English"),
        ({"needs": ["large_print"]}, "Large print"),
        ({"reading_help": "sometimes"}, "Read along with them"),
        ({"deceased_on": date(2026, 11, 20)}, "Died 20 Nov 2026"),
    ],
)
def test_how_to_speak_with_them(nora, fields, says):
    assert says in chips_of(patient(**fields), nora)


@pytest.mark.parametrize("rarely", ["", "never", "rarely"])
def test_who_reads_alone_needs_nobody(nora, rarely):
    chips = chips_of(patient(reading_help=rarely), nora)
    assert "Read along with them" not in chips


def test_what_may_be_used_is_ok(nora):
    grace = patient(email="g@harbour.example")
    assert chips_of(grace, nora)[-2:] == ["SMS ok", "Email ok"]
    ContactPoint.objects.filter(channel="email").update(safe_to_text=False)
    assert chips_of(grace, nora)[-2:] == ["SMS ok", "Email off"]
    suppress(address=GRACE, channel=Channel.SMS, cause="STOP")
    assert chips_of(grace, nora)[-2:] == ["SMS off", "Email off"]


def test_without_consent_or_number_texts_are_off(nora):
    assert chips_of(patient(consent=False), nora)[-1] == "SMS off"
    assert chips_of(patient("Leo", phone=""), nora)[-1] == "SMS off"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"scopes": ["schedule", "messages", "clinical", "billing"]},
            "Daughter Lucia may be told of everything",
        ),
        (
            {"scopes": ["schedule"], "until": date(2027, 3, 31)},
            "Daughter Lucia may be told of visits, until Mar 2027",
        ),
        ({"scopes": ["schedule"], "until": date(2026, 11, 23)}, "until Nov 2026"),
        ({"scopes": ["schedule"], "until": date(2026, 11, 22)}, None),
        ({"scopes": ["schedule"], "since": date(2026, 11, 24)}, None),
        ({"scopes": ["schedule"], "ended_at": MONDAY}, None),
        ({"scopes": []}, None),
    ],
)
def test_who_may_be_told(nora, fields, says):
    grace = patient()
    ContactPerson.objects.create(
        patient=grace, name="Lucia", relation="daughter", **fields
    )
    chips = [chip for chip in chips_of(grace, nora) if "Lucia" in chip]
    assert [says in chip for chip in chips] == ([True] if says else [])


def test_many_cost_as_much_as_one(nora):
    def cost(patients):
        with CaptureQueriesContext(connection) as queries:
            load_chips(nora, patients)
        return len(queries)

    nora.has_perm("patients.view_patient")
    for n in range(6):
        somebody = patient(f"Given{n}", phone=f"+1617555014{n}")
        entry(somebody, "allergy", "penicillin")
        person = ContactPerson.objects.create(
            patient=somebody, name="Lucia", relation="daughter", scopes=["schedule"]
        )
        ContactPoint.objects.create(contact_person=person, channel="sms", address=GRACE)
    patients = list(Patient.objects.all())
    assert cost(patients[:1]) == cost(patients[1:]) == 5
    assert all(one.chips for one in patients)


PAGES = {
    "today": "/",
    "worklist": "/worklist/",
    "item": "/worklist/{item}/close/",
    "visit": "/schedule/{visit}/",
    "before": "/schedule/{visit}/before/",
    "book": "/patients/{patient}/book/",
    "move": "/schedule/{visit}/move/",
    "conversation": "/inbox/{conversation}/",
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("is_clinical", [True, False])
def test_what_is_dangerous_stands_wherever_somebody_is_dealt_with(
    client, nora, page, is_clinical
):
    grace = patient()
    entry(grace, "allergy", "penicillin")
    entry(grace, "medicine", "Apixaban 2.5 mg", risk_class="blood_thinner")
    pin_flag(
        patient_id=grace.pk,
        category="safety",
        text="Falls easily",
        reason="Fell twice this year.",
        expires_on=date(2027, 3, 1),
        by=nora,
    )
    visit = booked(grace)
    item = raise_item(
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason="Texted CANCEL.",
        subject_kind="message",
        subject_id=1,
        dedupe_key="item",
        due_at=MONDAY,
        patient=grace,
        site=SiteFactory(),
    )
    conversation = Conversation.objects.create(patient=grace)
    user = nora if is_clinical else member_of_staff("femi", Role.FRONT_DESK)
    client.force_login(user)
    address = page.format(
        patient=grace.pk, visit=visit.pk, item=item.pk, conversation=conversation.pk
    )
    shown = client.get(address).content.decode()
    assert ("Allergy: penicillin" in shown) is is_clinical
    assert ("Blood thinner: Apixaban 2.5 mg" in shown) is is_clinical
    assert "Falls easily" in shown


def test_a_row_says_that_nobody_asked_and_what_was_taken_back_is_no_allergy(nora):
    grace, leo = patient(), patient("Leo", phone="")
    entry(grace, "allergy", "latex", status="entered-in-error")
    HistoryReview.objects.create(
        patient=leo, kind="allergy", outcome="none_known", source="staff", at=MONDAY
    )
    load_warnings(nora, [grace, leo, None])
    assert [chip.text for chip in grace.warnings] == ["Allergies: not asked"]
    assert [chip.text for chip in leo.warnings] == ["No known allergies"]


def test_nobody_signed_in_sees_nothing_clinical(monday):
    grace = patient()
    entry(grace, "allergy", "penicillin")
    load_chips(AnonymousUser(), [grace])
    assert all("penicillin" not in chip.text for chip in grace.chips)
