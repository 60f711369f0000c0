"""Finding patients among many, beside the least SQL that finds them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from django.db import connection, transaction
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat
from faker.providers.person.en_US import Provider as English
from faker.providers.person.es_ES import Provider as Spanish

from accounts.models import Site, User
from accounts.roles import Role
from core.sql import insert_rows, insert_select
from core.text import fold
from patients.models import ContactPoint, Identifier, Patient, PatientTerm
from patients.search import find_patients, list_patients
from patients.terms import insert_terms, near_keys, terms_of
from tests.bench.measure import rate_of, say
from tests.factories import SiteFactory, member_of_staff
from tests.typos import SLIPS, a_name

#: Searches of each kind; rows written at a time.
TIMES, CHUNK = 150, 10_000
#: Each search is done so often, and of each of its statements the quickest time counts:
#: others use the machine too.
AGAIN = 5
#: How many are made one by one; the others are their copies, made in the database.
MADE = 200_000

_TERMS = (
    "SELECT t.patient_id FROM patients_patientterm t "
    "WHERE t.kind = %s AND t.term >= %s AND t.term < %s"
)
_ORDER = " ORDER BY t.term, t.rest, t.patient_id LIMIT 26"
_LAST = "\U0010ffff"


def search(count: int) -> None:
    """Fill the database with patients and print what each kind of search costs.

    Milliseconds in the database, as the median and the 95th of a hundred, of our search
    and of the least SQL; then ours with everything Django does around it.
    """
    chance = Random(1)
    site, north = SiteFactory(), SiteFactory(name="Harbour Clinic North")
    nora = member_of_staff("bench-nora", Role.NURSE, site)
    otto = member_of_staff("bench-otto", Role.NURSE, north)
    made = min(count, MADE)
    rate = rate_of(made, lambda: _fill(chance, made, site, north))
    say(f"\n{made:,} patients and their terms written, {rate:,.0f}/s")
    for n in range(1, count // made):
        _copy(made, n * made)
    _settle()
    _figures(chance, nora, otto, count)


def _figures(chance: Random, nora: User, otto: User, count: int) -> None:
    for user in (nora, otto):
        # Who may do what is asked once a request.
        user.has_perm("patients.view_patient")
    people = _sample(chance)
    say(f"{'search, ms':<34}{'ours p50':>9}{'p95':>8}{'least p50':>11}{'p95':>8}"
        f"{'in all p50':>12}{'p95':>8}{'found':>8}")  # fmt: skip
    for kind, (typed, least) in _KINDS.items():
        _measure(kind, nora, chance, people, typed, least)
    for slip, slipped in SLIPS.items():
        _measure(
            f"mistyped: {slip}",
            nora,
            chance,
            people,
            lambda c, p, slipped=slipped: slipped(c, p.full_name),
            _least_near,
        )
    for kind in ("beginning of a name", "name"):
        typed, least = _KINDS[kind]
        _measure(f"{kind}, a tenth is ours", otto, chance, people, typed, least)
    _pages(nora, count)


def _fill(chance: Random, count: int, site: Site, north: Site) -> None:
    given = _weighted(English.first_names, Spanish.first_names)
    family = _weighted(English.last_names, Spanish.last_names)
    names = [f.attname for f in Patient._meta.concrete_fields if not f.primary_key]
    first = (
        Patient.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    ) + 1
    for start in range(first, first + count, CHUNK):
        people = [
            Patient(
                pk=pk,
                given_name=_one(chance, given, 0.02),
                family_name=_one(chance, family, 0.1),
                birth_date=date(1930, 1, 1) + timedelta(days=chance.randrange(33_000)),
                created_at=_SOME_TIME,
            )
            for pk in range(start, min(start + CHUNK, first + count))
        ]
        with transaction.atomic():
            insert_rows(
                Patient,
                ["id", *names],
                [(p.pk, *(getattr(p, name) for name in names)) for p in people],
            )
            _fill_around(chance, people, site, north)


def _copy(made: int, further: int) -> None:
    """Bring those made before once more, with numbers so much further on."""
    for model in (Patient, Patient.sites.through, ContactPoint):
        columns = {
            f.name: F(f.attname)
            for f in model._meta.concrete_fields
            if not (f.primary_key and model is not Patient)
        }
        key = "id" if model is Patient else "patient"
        columns[key] = F("id" if model is Patient else "patient_id") + further
        rows = model.objects.filter(**{f"{key}__lte": made})
        insert_select(model, rows, **columns)
    own = {"patient": F("patient_id") + further}
    name = Cast(own["patient"], CharField())
    insert_select(
        Identifier,
        Identifier.objects.filter(patient__lte=made),
        **own,
        system=F("system"),
        value=Concat(Value("B-"), name),
    )
    numbered = PatientTerm.objects.filter(patient__lte=made)
    for rows, term in (
        (numbered.exclude(kind="identifier"), F("term")),
        (numbered.filter(kind="identifier"), Concat(Value("b-"), name)),
    ):
        insert_select(
            PatientTerm, rows, **own, kind=F("kind"), term=term, rest=F("rest")
        )


def _fill_around(
    chance: Random, people: Sequence[Patient], site: Site, north: Site
) -> None:
    insert_rows(
        Patient.sites.through,
        ("patient", "site"),
        [(p.pk, north.pk if p.pk % 10 == 0 else site.pk) for p in people]
        + [(p.pk, site.pk) for p in people if p.pk % 10 == 0],
    )
    numbers = {
        p.pk: f"+1{chance.randrange(2_000_000_000, 9_999_999_999)}" for p in people
    }
    insert_rows(
        ContactPoint,
        ("patient", "channel", "address", "usable", "why_not", "safe_to_text",
         "voicemail", "rank"),
        [(pk, "sms", each, True, "", True, False, 0) for pk, each in numbers.items()],
    )  # fmt: skip
    insert_rows(
        Identifier,
        ("patient", "system", "value"),
        [(p.pk, "bench", f"B-{p.pk}") for p in people],
    )
    terms: dict[tuple[int, str, str], str] = {}
    for p in people:
        terms |= terms_of(
            p.pk,
            given=p.given_name,
            family=p.family_name,
            born=p.birth_date,
            identifiers=[f"B-{p.pk}"],
            numbers=[numbers[p.pk]],
        )
    insert_terms(terms)


def _weighted(*pools: Any) -> list[str]:
    """Return names, the common ones often: rank by rank, as in a census."""
    names = [name for pool in pools for name in pool]
    return [name for n, name in enumerate(names) for _ in range(1 + 400 // (n + 1))]


def _one(chance: Random, pool: Sequence[str], rare: float) -> str:
    if chance.random() < rare:
        return a_name(chance) + a_name(chance).lower()[: chance.randrange(2, 6)]
    return chance.choice(pool)


def _settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE"
        )


def _sample(chance: Random) -> list[Patient]:
    last = Patient.objects.latest("pk").pk
    ids = {chance.randrange(1, last) for _n in range(TIMES * 2)}
    return list(
        Patient.objects.filter(pk__in=ids).prefetch_related("contact_points")[:TIMES]
    )


def _measure(
    kind: str,
    user: User,
    chance: Random,
    people: Sequence[Patient],
    typed: Callable[[Random, Patient], str],
    least: Callable[[str, Patient], list[tuple[str, list[Any]]]],
) -> None:
    ours, bare, whole, hits = [], [], [], 0
    for patient in people:
        text = typed(chance, patient)
        found: list[Patient] = []
        times, all_times = [], []
        for _n in range(AGAIN):
            began = time.perf_counter()
            with _in_database() as spent:
                found = find_patients(user, text, month_first=True).patients
            all_times.append((time.perf_counter() - began) * 1000)
            times.append(spent)
        ours.append(_quickest(times))
        whole.append(min(all_times))
        hits += any(
            (p.full_name, p.birth_date) == (patient.full_name, patient.birth_date)
            or p.full_name == patient.full_name
            for p in found
        )
        times = []
        for _n in range(AGAIN):
            with _in_database() as spent, connection.cursor() as cursor:
                for sql, arguments in least(text, patient):
                    cursor.execute(sql, arguments)
                    cursor.fetchall()
            times.append(spent)
        bare.append(_quickest(times))
    _row(kind, ours, bare, whole, f"{hits / len(people):.0%}")


def _quickest(times: Sequence[Sequence[float]]) -> float:
    """Return the sum of the quickest time of each statement."""
    return sum(min(each) for each in zip(*times, strict=True))


def _pages(user: User, count: int) -> None:
    """Print the first page of the list, and one nine tenths down."""
    names = Patient.objects.order_by("family_name", "given_name", "id")
    deep = names.values_list("family_name", "given_name", "pk")[int(count * 0.9)]
    least = (
        "SELECT id FROM patients_patient WHERE (family_name, given_name, id) > "
        "(%s, %s, %s) ORDER BY family_name, given_name, id LIMIT 26"
    )
    for kind, after in (("list, first page", ("", "", 0)), ("list, 90 % down", deep)):
        ours, bare, whole = [], [], []
        for _n in range(TIMES // 10 + 1):
            times, bare_times, all_times = [], [], []
            for _m in range(AGAIN):
                began = time.perf_counter()
                with _in_database() as spent:
                    assert list_patients(user, after=after[2] or None).found
                all_times.append((time.perf_counter() - began) * 1000)
                times.append(spent)
                with _in_database() as spent, connection.cursor() as cursor:
                    cursor.execute(least, list(after))
                    cursor.fetchall()
                bare_times.append(spent)
            ours.append(_quickest(times))
            bare.append(_quickest(bare_times))
            whole.append(min(all_times))
        _row(kind, ours, bare, whole, "")


@contextmanager
def _in_database() -> Iterator[list[float]]:
    """Give the milliseconds of every statement, as its client waits for them."""
    spent: list[float] = []

    def timed(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent.append((time.perf_counter() - began) * 1000)

    with connection.execute_wrapper(timed):
        yield spent


def _row(
    kind: str,
    ours: Sequence[float],
    bare: Sequence[float],
    whole: Sequence[float],
    found: str,
) -> None:
    def of(times: Sequence[float], share: float) -> float:
        return sorted(times)[min(len(times) - 1, int(len(times) * share))]

    say(f"{kind:<34}{of(ours, 0.5):>9.2f}{of(ours, 0.95):>8.2f}"
        f"{of(bare, 0.5):>11.2f}{of(bare, 0.95):>8.2f}"
        f"{of(whole, 0.5):>12.1f}{of(whole, 0.95):>8.1f}{found:>8}")  # fmt: skip


def _range(kind: str, start: str, *others: str) -> list[tuple[str, list[Any]]]:
    sql = _TERMS + " AND t.rest LIKE %s" * len(others) + _ORDER
    return [(sql, [kind, start, start + _LAST, *(f"% {o}%" for o in others)])]


def _least_near(_text: str, p: Patient) -> list[tuple[str, list[Any]]]:
    family, given = fold(p.family_name).split()[0], fold(p.given_name).split()[0]
    keys = sorted(near_keys(family))
    marks = ", ".join(["%s"] * len(keys))
    return [
        (
            "SELECT DISTINCT token FROM patients_nametoken "  # noqa: S608 - marks only
            f"WHERE kind = 'near' AND key IN ({marks})",
            keys,
        ),
        *_range("word", family, given),
    ]


def _digits(p: Patient) -> str:
    return p.contact_points.all()[0].address[2:]


def _part(chance: Random, p: Patient) -> str:
    word = max(fold(p.family_name).split(), key=len)
    start = chance.randrange(1, max(2, len(word) - 3))
    return word[start : start + 4]


_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS: dict[
    str,
    tuple[
        Callable[[Random, Patient], str],
        Callable[[str, Patient], list[tuple[str, list[Any]]]],
    ],
] = {
    "beginning of a name": (
        lambda c, p: fold(p.family_name)[: c.randrange(3, 6)],
        lambda text, p: _range("word", text),
    ),
    "name": (
        lambda c, p: p.full_name,
        lambda text, p: _range(
            "word", fold(p.family_name).split()[0], fold(p.given_name).split()[0]
        ),
    ),
    "beginnings of two": (
        lambda c, p: f"{fold(p.given_name)[:3]} {fold(p.family_name)[:3]}",
        lambda text, p: _range("word", text[4:], text[:3]),
    ),
    "fragment": (
        _part,
        lambda text, p: [
            (
                "SELECT token FROM patients_nametoken WHERE kind = 'part' "
                "AND key >= %s AND key < %s LIMIT 26",
                [text, text + _LAST],
            )
        ],
    ),
    "phone, front": (
        lambda c, p: _digits(p)[:6],
        lambda text, p: _range("phone", text),
    ),
    "phone, end": (
        lambda c, p: _digits(p)[-6:],
        lambda text, p: _range("phone_end", text[::-1]),
    ),
    "birth date": (
        lambda c, p: f"{p.birth_date:%Y-%m-%d}",
        lambda text, p: _range("born", text.replace("-", "")),
    ),
    "birth date and name": (
        lambda c, p: f"{p.family_name} {p.birth_date:%m/%d/%Y}",
        lambda text, p: _range(
            "born", f"{p.birth_date:%Y%m%d}", fold(p.family_name).split()[0]
        ),
    ),
    "name and year": (
        lambda c, p: f"{p.family_name} {p.birth_date:%Y}",
        lambda text, p: _range(
            "word", fold(p.family_name).split()[0], f"{p.birth_date:%Y}"
        ),
    ),
    "identifier": (
        lambda c, p: f"b-{p.pk}",
        lambda text, p: _range("identifier", text),
    ),
    "nobody": (
        lambda c, p: f"zzyx{p.pk}",
        lambda text, p: _range("word", text),
    ),
}
