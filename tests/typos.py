"""Names as many as one likes, and what fingers make of them."""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from accounts.models import Site
from patients.models import Patient
from patients.terms import index_patients

_PARTS = (
    ("al be car da el fer gar hal is jo kar lo mar nor ol pe ra sil tor va", 1.6),
    ("a an ar e en er i in ir o on or u und av et il om ub", 1.3),
    ("a da dez ez ham ia ley lin man mond nez o quez ro son ston tez ton vez", 1.6),
)


def a_name(chance: Random) -> str:
    """Return a word that could be a name; some are much commoner than others."""
    name = ""
    for parts, power in _PARTS:
        pool = parts.split()
        name += pool[int(len(pool) * chance.random() ** power)]
    return name.title()


def people_with_names(chance: Random, count: int, site: Site) -> list[int]:
    """Bring so many patients of a site, findable; return their ids."""
    people = Patient.objects.bulk_create(
        [
            Patient(
                given_name=a_name(chance),
                family_name=a_name(chance),
                birth_date=date(1930, 1, 1) + timedelta(days=chance.randrange(33_000)),
            )
            for _n in range(count)
        ]
    )
    through = Patient.sites.through
    through.objects.bulk_create(
        [through(patient_id=p.pk, site_id=site.pk) for p in people]
    )
    ids = [p.pk for p in people]
    index_patients(ids)
    return ids


def _at(chance: Random, name: str) -> int:
    """Return a place in a name: a letter whose neighbour to the right is one too."""
    return chance.choice([n for n in range(len(name) - 1) if name[n : n + 2].isalpha()])


def _swapped(chance: Random, name: str) -> str:
    n = _at(chance, name)
    return name[:n] + name[n + 1] + name[n] + name[n + 2 :]


def _dropped(chance: Random, name: str) -> str:
    n = _at(chance, name)
    return name[:n] + name[n + 1 :]


def _doubled(chance: Random, name: str) -> str:
    n = _at(chance, name)
    return name[: n + 1] + name[n:]


def _substituted(chance: Random, name: str) -> str:
    n = _at(chance, name)
    return name[:n] + chance.choice("abcdefghijklmnoprstuvz") + name[n + 1 :]


#: What fingers do to a name.
SLIPS: dict[str, Callable[[Random, str], str]] = {
    "swapped": _swapped,
    "dropped": _dropped,
    "doubled": _doubled,
    "substituted": _substituted,
}
