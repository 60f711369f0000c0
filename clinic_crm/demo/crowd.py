"""Everybody else's visits: three weeks back, two weeks ahead, and today."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from clinic_crm.demo.clinic import ZONE
from clinic_crm.demo.course import Course, plan, route
from clinic_crm.demo.diary import FIRST_DAY, LAST_DAY, Diary, Slot
from clinic_crm.demo.store import Known
from core.time import to_utc, zone

#: Of the cast, those whose story leaves them free to come on any day.
FREE_OF_THE_CAST = (4, 5, 6, 11)
#: Visits on a day at most, however many patients there are; today a few more.
MOST_A_DAY, MOST_TODAY = 17, 20


@dataclass
class _Rota:
    """Who may come on which day: once a day, and one household's number at a time."""

    busy: dict[tuple[Any, int], bool] = field(default_factory=dict)

    def free(self, known: Known, day: int) -> bool:
        near = (day - 1, day, day + 1)
        number = known.person.phone
        return not any(
            (known.key, on) in self.busy or (number and (number, on) in self.busy)
            for on in near
        )

    def note(self, known: Known, day: int) -> None:
        self.busy[known.key, day] = self.busy[known.person.phone, day] = True


def book_the_crowd(diary: Diary, known: Sequence[Known], cast: int) -> list[Course]:
    """Book visits for those beyond the first ``cast``; return how each goes."""
    clinic = diary.clinic
    people = [
        k
        for k in known
        if k.person.number > cast or k.person.number in FREE_OF_THE_CAST
    ]
    rota = _Rota()
    courses = []
    for day in sorted(range(FIRST_DAY, LAST_DAY + 1), key=lambda day: (day != 0, day)):
        on = diary.today + timedelta(days=day)
        rng = random.Random(f"crowd:{diary.seed}:{on}")  # noqa: S311 - a demo
        wanted = _how_many(day, len(known))
        free = rng.sample(diary.free_on(day), len(diary.free_on(day)))
        order = rng.sample(people, len(people))
        if day == 0:
            order.sort(key=lambda k: k.person.number > cast)
            # Somebody is in the house, whenever one looks.
            free.sort(key=lambda slot: not slot.holds(diary.now))
        # Who cannot be written to is one a day: the desk has to ring each of them.
        to_ring = 1
        for slot in free:
            if not wanted:
                break
            chosen = next(
                (
                    k
                    for k in order
                    if rota.free(k, day)
                    and k.person.north == slot.north
                    and _alive(k, day)
                    and (to_ring or route(k))
                ),
                None,
            )
            if chosen is None:
                continue
            wanted -= 1
            to_ring -= not route(chosen)
            rota.note(chosen, day)
            booked_at = _booked_at(rng, slot, diary.now)
            visit = diary.book(chosen, slot, booked_at, by=clinic.staff["femi"])
            courses.append(plan(visit, seed=diary.seed, now=diary.now, clinic=clinic))
    return courses


def _how_many(day: int, patients: int) -> int:
    """Return how many visits a day has; fewer the farther ahead it is."""
    if day == 0:
        return max(1, min(MOST_TODAY, patients // 5))
    usual = max(1, min(MOST_A_DAY, patients // 10))
    return max(1, usual - max(0, day - 2) * usual // 18)


def _alive(known: Known, day: int) -> bool:
    gone = known.person.deceased_days
    return gone is None or day < -gone


def _booked_at(rng: random.Random, slot: Slot, now: datetime) -> datetime:
    """Return when a visit was booked: some office hour before it, and before now."""
    day = slot.start.date() - timedelta(days=rng.randint(2, 24))
    at = time(8 + rng.randint(0, 8), rng.randint(0, 59))
    booked = to_utc(datetime.combine(day, at), zone(ZONE))
    while booked > now - timedelta(hours=1):
        booked -= timedelta(days=1 + rng.randint(0, 4))
    return booked
