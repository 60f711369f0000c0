"""The demo clinic: invented through and through, honest, and always the same."""

import random
import re
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Clinician, Site, StaffedHours, User
from appointments.models import Appointment, BookableHours, CadenceStep, VisitType
from clinic_crm.demo import DEMO_LOGINS
from clinic_crm.demo.builder import CAST
from clinic_crm.demo.cast import the_cast
from clinic_crm.demo.diary import KEPT_FREE
from clinic_crm.demo.people import FREE_NUMBERS, STRANGER, draw_people, phone
from core import triggers
from core.time import to_local, zone
from messaging.inbound import receive
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Message,
    Notice,
    Question,
)
from messaging.promises import broken_promises
from patients.duplicates import likely_pairs
from patients.models import (
    Channel,
    Consent,
    ContactPerson,
    ContactPoint,
    HistoryEntry,
    Intake,
    Note,
    Patient,
    SafeContactPlan,
)
from tests.factories import patient
from worklist.models import WorkItem

TODAY = date(2026, 11, 23)
PASSWORD = "harbour-demo-1"
NEW_YORK = zone("America/New_York")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def demo_password(settings: Any) -> None:
    settings.DEMO_PASSWORD = PASSWORD
    # Five logins a clinic, and a slow hash is slow on purpose.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def seed(patients: int, **options: Any) -> None:
    call_command("seed_demo", patients=patients, **options)


def rows() -> dict[str, int]:
    models = (
        User,
        Site,
        VisitType,
        BookableHours,
        Patient,
        ContactPoint,
        Consent,
        HistoryEntry,
        Appointment,
        Message,
        Notice,
        WorkItem,
        Question,
    )
    return {model.__name__: model.objects.count() for model in models}


def everything() -> list[Any]:
    """What a second database with the same seed must hold, too."""
    return [
        list(
            Patient.objects.order_by("id").values_list(
                "given_name", "family_name", "birth_date", "language"
            )
        ),
        list(
            Appointment.objects.order_by("id").values_list(
                "starts_at", "clinician__name", "state", "version"
            )
        ),
        list(Message.objects.order_by("at", "ref").values_list("ref", "body", "state")),
        Counter(Notice.objects.values_list("purpose", "state")),
        Counter(WorkItem.objects.values_list("kind", "outcome")),
    ]


def test_same_seed_draws_the_same_people() -> None:
    cast = the_cast(TODAY)
    assert draw_people(200, 1, TODAY, cast) == draw_people(200, 1, TODAY, cast)


def test_another_seed_draws_others() -> None:
    cast = the_cast(TODAY)
    one, other = (draw_people(200, number, TODAY, cast) for number in (1, 2))
    assert one != other
    assert one[:CAST] == other[:CAST]


def test_the_global_random_is_left_alone() -> None:
    random.seed(7)
    before = random.getstate()
    draw_people(50, 1, TODAY, the_cast(TODAY))
    assert random.getstate() == before


@pytest.mark.parametrize("count", [1, 5, 24, 25, 301])
def test_as_many_people_as_asked_for(count: int) -> None:
    people = draw_people(count, 1, TODAY, the_cast(TODAY))
    assert [p.number for p in people] == list(range(1, count + 1))


def test_people_are_many_kinds_of_people() -> None:
    people = draw_people(300, 1, TODAY, the_cast(TODAY))
    ages = [p.age(TODAY) for p in people]
    assert min(ages) <= 3
    assert 90 <= max(ages) <= 98
    assert {p.language for p in people} == {"en", "es"}
    assert 0.1 < sum(p.language == "es" for p in people) / 300 < 0.45
    assert any(not p.family for p in people)
    assert any("-" in p.given for p in people)
    assert any(not p.given.isascii() for p in people)
    assert any(p.preferred for p in people)
    assert any(not p.phone for p in people)
    assert any(p.email and not p.phone for p in people)
    assert any(p.phone_fault == "landline" for p in people)
    assert {"yes", "no", "withdrawn", ""} <= {p.sms for p in people}
    assert sum(p.sms == "yes" for p in people) > 180
    assert any(p.deceased_days is not None for p in people)


@pytest.mark.parametrize("day", [date(2028, 2, 29), date(2027, 1, 1), TODAY])
def test_the_cast_is_as_old_as_told_on_any_day(day: date) -> None:
    ages = {p.given: p.age(day) for p in the_cast(day)}
    assert ages["Rosa"] == 67
    assert ages["Leo"] == 6


def test_nobody_has_a_number_that_is_kept_free() -> None:
    people = draw_people(400, 1, TODAY, the_cast(TODAY))
    numbers = {p.phone for p in people} | {
        contact.phone for p in people for contact in p.contacts
    }
    kept = {phone(n) for n in FREE_NUMBERS} | {STRANGER, phone(100)}
    assert not numbers & kept


def test_no_patients_is_the_clinic_alone() -> None:
    seed(0)
    assert not Patient.objects.exists()
    assert not Appointment.objects.exists()
    assert {user.username: user.groups.get().name for user in User.objects.all()} == {
        "femi": "front desk",
        "maya": "nurse",
        "rao": "clinician",
        "ada": "manager",
        "otto": "auditor",
    }
    assert [name for name, _role in DEMO_LOGINS] == [
        "femi",
        "maya",
        "rao",
        "ada",
        "otto",
    ]
    assert all(user.check_password(PASSWORD) for user in User.objects.all())
    harbour = Site.objects.get(name="Harbour Clinic")
    assert (harbour.place, harbour.phone, harbour.zone) == (
        "Pier St",
        "617 555 0100",
        "America/New_York",
    )
    assert Site.objects.count() == 2
    assert Clinician.objects.get(name="Dr Rao").user.username == "rao"
    assert VisitType.objects.get(name="Consultation").minutes == 20
    assert not VisitType.objects.exclude(cadence__days_before=1).exists()
    assert CadenceStep.objects.count() == VisitType.objects.count()
    assert StaffedHours.objects.filter(site=harbour).count() == 7
    assert not Clinician.objects.filter(bookable_hours=None).exists()


def test_emergency_access_can_be_tried() -> None:
    """As the README says: a nurse of one site, and somebody of the other."""
    seed(40)
    maya, ada = (User.objects.get(username=name) for name in ("maya", "ada"))
    far = Patient.objects.get(identifiers__value="DEMO-0027")
    assert not Patient.objects.visible_to(maya).filter(pk=far.pk).exists()
    assert Patient.objects.visible_to(ada).filter(pk=far.pk).exists()


def test_the_clinic_alone_is_filled_later() -> None:
    seed(0)
    seed(12)
    assert Patient.objects.count() == 12
    assert User.objects.count() == 5


def test_a_password_is_made_up_and_shown_once(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.DEMO_PASSWORD = ""
    seed(0)
    shown = re.search(r"Password, shown this once: (\S+)", capsys.readouterr().err)
    assert shown
    assert User.objects.get(username="femi").check_password(shown[1])
    seed(0)
    assert "Password" not in capsys.readouterr().err


def test_what_the_clinic_changed_stays() -> None:
    seed(0)
    Site.objects.filter(name="Harbour Clinic").update(phone="617 555 0199")
    BookableHours.objects.filter(clinician__name="Dr Lin").delete()
    seed(0)
    assert Site.objects.get(name="Harbour Clinic").phone == "617 555 0199"
    assert not BookableHours.objects.filter(clinician__name="Dr Lin").exists()


@pytest.mark.parametrize("count", [0, 5])
def test_real_patients_are_left_alone(count: int) -> None:
    patient()
    with pytest.raises(CommandError, match="real patients"):
        seed(count)
    assert Patient.objects.count() == 1
    assert not User.objects.exists()


def test_fewer_than_none_is_refused() -> None:
    with pytest.raises(CommandError, match="0 or more"):
        seed(-1)


def test_twice_adds_nothing(monday: Any) -> None:
    seed(30)
    before = rows()
    monday.shift(timedelta(hours=30))
    seed(30)
    seed(300, seed=2)
    assert rows() == before


def test_same_seed_and_day_fills_alike(monday: Any) -> None:
    seed(60)
    first = everything()
    triggers.lift()
    Note.objects.update(relates_to=None)
    for model in (Question, Message.notices.through, WorkItem, Note):
        model.objects.all().delete()
    CurrentSuppression.objects.all().delete()
    CurrentSuppression._meta.get_field(
        "suppression"
    ).related_model.objects.all().delete()
    Message.objects.update(resend_of=None)
    for model in (Message, Notice, Conversation, Appointment, Patient):
        model.objects.all().delete()
    seed(60)
    assert everything() == first


def test_everybody_is_of_the_demo_and_can_hurt_nobody(monday: Any) -> None:
    seed(60)
    assert Patient.objects.count() == 60
    assert not Patient.objects.filter(is_demo=False).exists()
    numbers = {
        *ContactPoint.objects.filter(channel=Channel.SMS).values_list(
            "address", flat=True
        ),
        *Message.objects.filter(channel=Channel.SMS).values_list("address", flat=True),
    }
    assert all(re.fullmatch(r"\+161755501\d\d", number) for number in numbers)
    mails = {
        *ContactPoint.objects.filter(channel=Channel.EMAIL).values_list(
            "address", flat=True
        ),
        *Message.objects.filter(channel=Channel.EMAIL).values_list(
            "address", flat=True
        ),
    }
    assert mails
    assert all(
        re.fullmatch(r"[a-z0-9.]+@example\.(com|org|net)", mail) for mail in mails
    )
    assert {m.provider for m in Message.objects.exclude(provider="")} == {"simulated"}


def test_people_are_identified_and_found(monday: Any) -> None:
    seed(30)
    rosa = Patient.objects.get(
        identifiers__system="demo", identifiers__value="DEMO-0001"
    )
    assert rosa.full_name == "Rosa Alvarez"
    assert rosa.terms.filter(term="alvarez").exists()
    leo = Patient.objects.get(given_name="Leo", family_name="Duarte")
    assert (
        ContactPerson.objects.get(patient=leo, is_responsible=True).name == "Ana Duarte"
    )
    assert HistoryEntry.objects.filter(told_on=None, kind="condition").exists()
    assert HistoryEntry.objects.filter(verified_by=None).exists()


def test_there_is_somebody_to_understand(monday: Any) -> None:
    """One at least of all that the product can know of a patient."""
    seed(30)
    cast = {p.given_name + " " + p.family_name: p for p in Patient.objects.all()}
    rosa, bruna = cast["Rosa Alvarez"], cast["Bruna Duarte"]
    assert rosa.what_matters
    assert rosa.top_worry
    assert rosa.flags.filter(ended_at=None).exists()
    assert rosa.contact_persons.filter(name="Lucia Alvarez").exists()
    assert {kind for kind, _name in HistoryEntry.Kind.choices} == set(
        rosa.history.values_list("kind", flat=True)
    )
    assert Note.objects.filter(relation=Note.Relation.CORRECTION).exists()
    pairs, _last = likely_pairs(User.objects.get(username="femi"))
    assert [(pair.first, pair.second) for pair in pairs] == [
        (rosa, cast["Rosa Alvarez Ruiz"])
    ]
    plan = SafeContactPlan.objects.get(ended_at=None)
    assert plan.patient == cast["Hannah Cole"]
    assert bruna.appointments.get().confidential
    assert Intake.objects.filter(reviewed_at=None).count() == 2


def test_every_state_is_there_to_see(monday: Any) -> None:
    seed(60)
    assert set(Message.objects.values_list("state", flat=True)) == set(
        Message.State.values
    )
    assert set(Notice.objects.values_list("state", flat=True)) == set(
        Notice.State.values
    )
    states = set(Appointment.objects.values_list("state", flat=True))
    assert states == set(Appointment.State.values)
    assert CurrentSuppression.objects.exists()
    closed = WorkItem.objects.exclude(closed_at=None)
    assert {"unreached", "visit_move"} <= set(closed.values_list("kind", flat=True))


def test_today_looks_lived_in(monday: Any) -> None:
    seed(300)
    assert sorted(WorkItem.objects.open().values_list("kind", flat=True)) == [
        "cancel_word",
        "intake",
        "intake",
        "red_flag",
        "unreached",
        "unreached",
        "untold",
        "visit_cancel",
        "visit_move",
    ]
    waiting = Conversation.objects.filter(state=Conversation.State.WAITING)
    assert waiting.count() == 4
    today = Appointment.objects.filter(local_date=TODAY).exclude(state="cancelled")
    assert 15 <= today.count() <= 25
    assert {"arrived", "confirmed", "booked"} <= set(
        today.values_list("state", flat=True)
    )
    tomorrow = Appointment.objects.filter(local_date=TODAY + timedelta(days=1))
    assert 12 <= tomorrow.count() <= 25
    first, last = (
        Appointment.objects.order_by(order).values_list("local_date", flat=True)[0]
        for order in ("local_date", "-local_date")
    )
    assert (first, last) == (TODAY - timedelta(days=21), TODAY + timedelta(days=14))


def test_visits_lie_within_bookable_hours_and_apart(monday: Any) -> None:
    seed(60)
    hours = list(
        BookableHours.objects.values_list(
            "clinician_id", "site_id", "weekday", "opens", "closes"
        )
    )
    taken: set[tuple[int, datetime]] = set()
    for visit in Appointment.objects.select_related("clinician"):
        ends = to_local(visit.ends_at, NEW_YORK).time()
        assert any(
            (visit.clinician_id, visit.site_id, visit.local_date.weekday())
            == (clinician, site, weekday)
            and opens <= visit.local_time
            and ends <= closes
            for clinician, site, weekday, opens, closes in hours
        ), visit
        kept = KEPT_FREE.get(visit.clinician.name)
        assert not kept or not (visit.local_time < kept[1] and ends > kept[0])
        minute = visit.starts_at
        while minute < visit.ends_at:
            for who in (f"c{visit.clinician_id}", f"p{visit.patient_id}"):
                assert (who, minute) not in taken
                taken.add((who, minute))
            minute += timedelta(minutes=5)


def test_states_fit_the_clock(monday: Any) -> None:
    seed(60)
    now = timezone.now()
    ahead = Appointment.objects.filter(starts_at__gt=now + timedelta(minutes=10))
    assert set(ahead.values_list("state", flat=True)) <= {
        "booked",
        "confirmed",
        "cancelled",
    }
    over = Appointment.objects.filter(ends_at__lt=now - timedelta(minutes=30))
    assert set(over.values_list("state", flat=True)) <= {"done", "noshow", "cancelled"}
    assert not Appointment.objects.filter(version_at__gt=now).exists()
    assert not Message.objects.filter(at__gt=now).exists()
    assert not Notice.objects.filter(reached_at__gt=now).exists()
    assert not WorkItem.objects.filter(opened_at__gt=now).exists()
    assert not WorkItem.objects.filter(closed_at__gt=now).exists()
    gone = Patient.objects.exclude(deceased_on=None)
    assert not Appointment.objects.live().filter(patient__in=gone).exists()


HOURS = [
    datetime(2026, 11, 23, 14, 0, tzinfo=zone("UTC")),  # a Monday morning
    datetime(2026, 11, 22, 7, 30, tzinfo=zone("UTC")),  # Sunday, in the night
    datetime(2026, 11, 25, 1, 20, tzinfo=zone("UTC")),  # Tuesday, 20:20 there
    datetime(2026, 3, 7, 20, 45, tzinfo=zone("UTC")),  # the day before the clocks go
]


@pytest.mark.parametrize("now", HOURS)
def test_no_promise_is_broken_whenever_it_was_seeded(
    now: datetime, time_machine: Any
) -> None:
    time_machine.move_to(now, tick=False)
    seed(30)
    assert broken_promises() == []
    before = WorkItem.objects.count()
    call_command("tick", until_idle=True)
    assert broken_promises() == []
    assert WorkItem.objects.count() == before


def test_the_machinery_goes_on_from_there(monday: Any) -> None:
    """Over two hours everything under way arrives somewhere, and nothing floods."""
    seed(30)
    open_before = WorkItem.objects.open().count()
    going = Message.objects.filter(
        state__in=[Message.State.CLAIMED, Message.State.SUBMITTING]
    )
    assert going.count() == 2
    for _pass in range(15):
        monday.shift(timedelta(minutes=8))
        call_command("tick", until_idle=True)
        assert broken_promises() == []
    assert not going.exists()
    assert WorkItem.objects.open().count() <= open_before + 5


def test_a_patient_answers_on_the_simulated_phone(monday: Any) -> None:
    """George was asked whether to cancel; the digit his text names still works."""
    seed(24)
    george = Patient.objects.get(given_name="George")
    asked = Question.objects.get(
        message__patient=george, handler="visit_cancel", closed_at=None
    )
    digit = next(d for d, meaning in asked.options.items() if meaning == "cancel")
    assert f"Reply {digit} to cancel it" in asked.message.body
    receive(
        provider="simulated",
        provider_id="SIM-george",
        channel=Channel.SMS,
        from_address=asked.address,
        to_address="",
        body=digit,
    )
    call_command("tick", until_idle=True)
    assert george.appointments.get().state == Appointment.State.CANCELLED
    assert not WorkItem.objects.open().filter(kind="visit_cancel").exists()
    assert broken_promises() == []
