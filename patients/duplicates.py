"""Two records that may be one person: hinted while somebody types, and listed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.text import fold, slips, words
from patients.models import (
    Channel,
    ContactPoint,
    NotTheSame,
    Patient,
    PatientTerm,
    SafeContactPlan,
)

#: How many likely ones stand under a form: more would not be read.
HINTS = 5
#: Patients born on one day, or with one number, that are looked at.
LOOKED_AT = 200
#: Pairs a page of the list shows.
PAGE = 25
#: Batches one page may read before it ends early, with a way to go on.
BATCHES = 8
#: A word of a name may differ by so many letters, from this length on.
ONE_OFF, TWO_OFF = 4, 8


class Strength(IntEnum):
    """How likely two are one; the highest counts."""

    #: The same number: families share phones.
    SOFT = 1
    #: The same or a similar name and birth date.
    LIKELY = 2
    #: The same identifier, or the same email and name.
    STRONG = 3


@dataclass(frozen=True)
class Hint:
    """A patient who may be the one on the form, and why."""

    patient: Patient
    strength: Strength
    why: str | Promise

    @property
    def is_strong(self) -> bool:
        """Return whether saving all the same should be asked about once more."""
        return self.strength is Strength.STRONG


_SAME_IDENTIFIER = _("The same identifier")
_SAME_EMAIL = _("The same name and email")
_SAME_BORN = _("The same name and birth date")
_NEAR_BORN = _("A similar name and the same birth date")
_SAME_PHONE_NAME = _("The same name and number")
_SAME_PHONE = _("The same number: perhaps a relative")


def hints_for(
    user: User | AnonymousUser,
    *,
    given_name: str = "",
    family_name: str = "",
    birth_date: date | None = None,
    phone: str = "",
    email: str = "",
    identifier: str = "",
    but: int | None = None,
) -> list[Hint]:
    """Return the user's patients who may be the one being typed in, likeliest first.

    ``phone`` as E.164; ``but`` is the patient being edited. Names nobody of another
    site: that somebody is a patient there is not for this desk to learn (decision 7).
    A number alone never leads to somebody whom a safe contact plan hides. Three
    queries at most.
    """
    seen = Patient.objects.visible_to(user).exclude(pk=but or 0)
    name = f"{given_name} {family_name}"
    found: dict[int, Hint] = {}

    def hint(patient: Patient, strength: Strength, why: str | Promise) -> None:
        if patient.pk not in found or found[patient.pk].strength < strength:
            found[patient.pk] = Hint(patient, strength, why)

    if identifier.strip():
        numbered = PatientTerm.objects.filter(
            kind=PatientTerm.Kind.IDENTIFIER, term=fold(identifier)
        )
        for patient in seen.filter(pk__in=numbered.values("patient"))[:HINTS]:
            hint(patient, Strength.STRONG, _SAME_IDENTIFIER)
    if birth_date and words(name):
        for patient in seen.filter(birth_date=birth_date)[:LOOKED_AT]:
            if same_name(name, patient.full_name):
                hint(patient, Strength.LIKELY, _SAME_BORN)
            elif near_name(name, patient.full_name):
                hint(patient, Strength.LIKELY, _NEAR_BORN)
    addresses = [address for address in (phone, email.strip().lower()) if address]
    if addresses:
        for patient, channel in _with_address(seen, addresses):
            named = same_name(name, patient.full_name)
            if channel == Channel.EMAIL and named:
                hint(patient, Strength.STRONG, _SAME_EMAIL)
            elif channel == Channel.SMS and named:
                hint(patient, Strength.LIKELY, _SAME_PHONE_NAME)
            elif channel == Channel.SMS and not patient.is_hidden:  # type: ignore[attr-defined]
                hint(patient, Strength.SOFT, _SAME_PHONE)
    return sorted(found.values(), key=lambda one: (-one.strength, one.patient.pk))[
        :HINTS
    ]


def _with_address(
    seen: QuerySet[Patient], addresses: Collection[str]
) -> list[tuple[Patient, str]]:
    """Return (patient, channel) of those who have one of these; two queries."""
    hidden = SafeContactPlan.objects.hiding().filter(patient=OuterRef("pk"))
    points = ContactPoint.objects.filter(
        address__in=addresses, patient__in=seen.values("pk")
    )
    channels = dict(
        points.order_by("channel").values_list("patient", "channel")[:LOOKED_AT]
    )
    found = seen.filter(pk__in=channels).annotate(is_hidden=Exists(hidden))
    return [(patient, channels[patient.pk]) for patient in found]


def same_name(one: str, other: str) -> bool:
    """Return whether two names have the same words, in any order; pure."""
    return bool(words(one)) and sorted(words(one)) == sorted(words(other))


def near_name(one: str, other: str) -> bool:
    """Return whether two names may be spellings of one; pure.

    Each word of the shorter name must be near a word of its own of the longer one. So
    twins are two people, while a second family name or a slip of a finger is neither.
    """
    short, long = sorted((words(one), words(other)), key=len)
    left = list(long)
    for word in short:
        fitting = next((w for w in left if near_word(word, w)), None)
        if fitting is None:
            return False
        left.remove(fitting)
    # One word alone in common says nothing.
    return len(short) > 1 or (len(short) == 1 and len(long) == 1)


def near_word(one: str, other: str) -> bool:
    """Return whether two words differ by a letter, by two in long ones; pure."""
    if one == other:
        return True
    shortest = min(len(one), len(other))
    allowed = (shortest >= ONE_OFF) + (shortest >= TWO_OFF)
    return abs(len(one) - len(other)) <= allowed and slips(one, other) <= allowed


@dataclass(frozen=True)
class LikelyPair:
    """Two records that look alike, the older one first, and why."""

    first: Patient
    second: Patient
    why: str | Promise


def likely_pairs(
    user: User | AnonymousUser, *, after: int = 0, of: int | None = None
) -> tuple[list[LikelyPair], int | None]:
    """Return records of the user's sites that look alike, page by page.

    ``after`` is the last patient looked at, and so is what comes back beside the pairs,
    None where there are no more. ``of`` asks about one patient only. Pairs that
    somebody found to be two people are left out. Four queries a batch of patients,
    however many there are.
    """
    pairs: list[LikelyPair] = []
    last: int | None = after
    for _batch in range(BATCHES):
        firsts = list(_with_a_likeness(user, last or 0, of)[:PAGE])
        pairs += _pairs_of(user, firsts, both_ways=of is not None)
        last = firsts[-1].pk if len(firsts) == PAGE and of is None else None
        if last is None or len(pairs) >= PAGE:
            break
    return pairs, last


def _with_a_likeness(
    user: User | AnonymousUser, after: int, of: int | None
) -> QuerySet[Patient]:
    """Return patients with whom a later one shares enough to look at both."""
    ours = Patient.objects.at_sites_of(user).filter(erased_at=None)
    if of is not None:
        return ours.filter(pk=of)
    later = ours.filter(pk__gt=OuterRef("pk"))
    shared_word = PatientTerm.objects.filter(
        kind=PatientTerm.Kind.WORD,
        patient=OuterRef("pk"),
        term__in=PatientTerm.objects.filter(
            kind=PatientTerm.Kind.WORD, patient=OuterRef(OuterRef("pk"))
        ).values("term"),
    )
    # From the address to its patients: the other way round each would be asked of all.
    same_address = ContactPoint.objects.filter(
        patient__gt=OuterRef("pk"),
        address__in=ContactPoint.objects.filter(
            patient=OuterRef(OuterRef("pk"))
        ).values("address"),
    )
    return (
        ours.filter(pk__gt=after)
        .filter(
            Exists(later.filter(Exists(shared_word), birth_date=OuterRef("birth_date")))
            | Exists(same_address.filter(patient__birth_date=None))
            | Q(Exists(same_address), birth_date=None)
        )
        .order_by("pk")
    )


def _pairs_of(
    user: User | AnonymousUser, firsts: Collection[Patient], *, both_ways: bool
) -> list[LikelyPair]:
    """Return the pairs these patients make; three queries."""
    if not firsts:
        return []
    ids = [patient.pk for patient in firsts]
    addresses = _addresses_of(ids)
    born = {patient.birth_date for patient in firsts if patient.birth_date}
    known = {address for theirs in addresses.values() for address in theirs}
    others = list(
        Patient.objects.at_sites_of(user)
        .filter(
            Q(birth_date__in=born)
            | Q(
                pk__in=ContactPoint.objects.filter(address__in=known).values("patient")
            ),
            erased_at=None,
        )
        .order_by("pk")
    )
    addresses |= _addresses_of([patient.pk for patient in others])
    told_apart = _told_apart(ids)
    return [
        LikelyPair(first, second, why)
        for first in firsts
        for second in others
        if (second.pk != first.pk if both_ways else second.pk > first.pk)
        and (why := _alike(first, second, addresses))
        and frozenset((first.pk, second.pk)) not in told_apart
    ]


def _alike(
    one: Patient, other: Patient, addresses: dict[int, set[str]]
) -> str | Promise | None:
    """Return why two records may be one person, or None."""
    if one.birth_date and one.birth_date == other.birth_date:
        if same_name(one.full_name, other.full_name):
            return _SAME_BORN
        if near_name(one.full_name, other.full_name):
            return _NEAR_BORN
    if not same_name(one.full_name, other.full_name):
        return None
    if one.birth_date and other.birth_date:
        # A father and a son of one name have one number, and two birth dates.
        return None
    shared = addresses.get(one.pk, set()) & addresses.get(other.pk, set())
    return _SAME_PHONE_NAME if shared else None


def _addresses_of(ids: Iterable[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    points = ContactPoint.objects.filter(patient__in=list(ids))
    for patient_id, address in points.values_list("patient_id", "address"):
        found.setdefault(patient_id or 0, set()).add(address)
    return found


def _told_apart(ids: Collection[int]) -> set[frozenset[int]]:
    rows = NotTheSame.objects.filter(Q(patient__in=ids) | Q(other__in=ids))
    return {frozenset(pair) for pair in rows.values_list("patient_id", "other_id")}
