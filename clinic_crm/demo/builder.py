"""Fill an empty database with the demo clinic, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from appointments.planner import plan_reminders
from clinic_crm.demo import plots, under_way
from clinic_crm.demo.cast import the_cast
from clinic_crm.demo.chart import write_charts
from clinic_crm.demo.clinic import ZONE, Clinic, set_up_clinic
from clinic_crm.demo.course import tell
from clinic_crm.demo.crowd import book_the_crowd
from clinic_crm.demo.diary import Diary
from clinic_crm.demo.ledger import Ledger
from clinic_crm.demo.people import draw_people
from clinic_crm.demo.profiles import write_profiles
from clinic_crm.demo.stage import Stage, Telling
from clinic_crm.demo.store import Known, store_people
from core.time import to_local, zone
from patients.models import Patient
from worklist.untold import look_for_untold

#: A story, and the number of the patient whom it takes.
STORIES: tuple[tuple[int, Callable[[Stage], Telling]], ...] = (
    (1, plots.rosa_writes_of_danger),
    (2, plots.amina_is_not_reached),
    (3, plots.george_cannot_come),
    (7, plots.ana_answers_for_leo),
    (8, plots.paul_wants_another_time),
    (9, plots.ines_texts_cancel),
    (10, plots.diego_was_answered),
    (12, plots.kwame_may_have_been_told),
    (13, under_way.layla_sleeps),
    (14, under_way.li_hua_is_next),
    (15, under_way.priya_is_being_written_to),
    (16, under_way.nobody_knows_of_yusuf),
    (17, under_way.sean_is_awaited),
    (18, under_way.fatou_is_awaited),
    (19, plots.calvin_stopped_us),
    (20, plots.elena_has_read),
    (21, plots.suryani_hears_nothing_back),
    (22, plots.mei_ling_keeps_her_time),
    (23, plots.karim_was_moved_and_asks),
    (24, plots.dolores_was_told_by_telephone),
    (26, plots.bruna_comes_alone),
    (1, plots.a_stranger_writes),
)
CAST = max(number for number, _story in STORIES)


class RealPatientsError(Exception):
    """The database holds patients who are not of the demo."""


@dataclass(frozen=True)
class Seeded:
    """What came of it, and the password when one was made up just now."""

    sentence: str
    password: str


@transaction.atomic
def seed_clinic(*, count: int, seed: int) -> Seeded:
    """Set the clinic up and fill it with ``count`` patients and what they live through.

    A database that has demo patients already stays exactly as it is.
    """
    if Patient.objects.filter(is_demo=False).exists():
        raise RealPatientsError(
            "This database holds real patients; the demo clinic needs an empty one."
        )
    clinic = set_up_clinic()
    there = Patient.objects.count()
    if there or not count:
        return Seeded(
            f"The demo clinic was there already, with {there} patients."
            if there
            else "The clinic is set up, without patients.",
            clinic.password,
        )
    now = timezone.now()
    today = to_local(now, zone(ZONE)).date()
    people = draw_people(count, seed, today, the_cast(today))
    known = store_people(people, clinic, now, today)
    _live_through(known, clinic, Diary(clinic, now, today, seed), Ledger(now, seed))
    write_charts(known, clinic, now)
    write_profiles(known, clinic, now)
    # Only now, and once for all: what the cadence owes from here on, and whom nobody
    # has told of what was found.
    plan_reminders()
    look_for_untold()
    return Seeded(f"The demo clinic is filled: {len(known)} patients.", clinic.password)


def _live_through(
    known: list[Known], clinic: Clinic, diary: Diary, ledger: Ledger
) -> None:
    """Book everybody's visits, then write what was said about them."""
    stage = Stage(diary, known, clinic)
    tellings = [story(stage) for number, story in STORIES if number <= len(known)]
    courses = book_the_crowd(diary, known, CAST)
    diary.save()
    for telling in tellings:
        telling(ledger)
    for course in courses:
        tell(course, ledger, clinic)
    ledger.save()
