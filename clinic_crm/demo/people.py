"""The people of the demo clinic, drawn from a seed. Pure: no database, no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import cycle

from django.utils.translation import gettext_noop

from clinic_crm.demo import history, names
from clinic_crm.demo.history import Entry
from core.text import words

#: 555-0100 to 555-0199 are nobody's, so the demo can never text a stranger. 0100 is the
#: clinic's own; the cast has 0101 to 0125 to itself; 0190 is a sender nobody knows.
STRANGER = "+16175550190"
#: Left free for patients whom somebody adds while looking at the demo.
FREE_NUMBERS = range(143, 147)
#: The mobiles of those who are on duty.
STAFF_NUMBERS = range(147, 150)
_TAKEN = {*FREE_NUMBERS, *STAFF_NUMBERS, 190}
_POOL = [n for n in range(126, 200) if n not in _TAKEN]
_MAIL_DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True)
class Contact:
    """A relative or carer; ``parent`` is the number of the person, when one of ours."""

    name: str
    relation: str
    phone: str = ""
    email: str = ""
    scopes: tuple[str, ...] = ("schedule",)
    barred: tuple[str, ...] = ()
    days: int | None = None
    responsible: bool = False
    person: int | None = None


@dataclass(frozen=True)
class Person:
    """One patient to be. Consent is "yes", "no", "withdrawn" or "" (never asked)."""

    number: int
    given: str
    family: str
    sex: str
    born: date | None
    language: str = "en"
    preferred: str = ""
    phone: str = ""
    #: Why the phone cannot be texted, such as "landline".
    phone_fault: str = ""
    safe_to_text: bool = True
    voicemail: bool = False
    email: str = ""
    #: Why nothing arrives there any more.
    mail_fault: str = ""
    sms: str = "yes"
    mail: str = "yes"
    street: str = ""
    town: str = ""
    postal_code: str = ""
    zone: str = ""
    north: bool = False
    clinician: str = "Dr Rao"
    deceased_days: int | None = None
    history: tuple[Entry, ...] = ()
    contacts: tuple[Contact, ...] = ()

    @property
    def identifier(self) -> str:
        """What the demo calls them."""
        return f"DEMO-{self.number:04}"

    def age(self, today: date) -> int:
        """Return how old they are; 40 when nobody asked."""
        return (today - self.born).days * 400 // 146097 if self.born else 40


def phone(number: int) -> str:
    """Return one of the hundred numbers that are nobody's, as E.164."""
    return f"+1617555{number:04}"


def draw_people(
    count: int, seed: int, today: date, cast: Sequence[Person]
) -> list[Person]:
    """Return ``count`` people, the cast first; the same for the same seed and day.

    Beyond the cast they come as households: some single, some a parent with children
    who share a number.
    """
    people = list(cast[:count])
    rng = random.Random(f"people:{seed}")  # noqa: S311 - a demo, no secret
    numbers = cycle(rng.sample(_POOL, len(_POOL)))
    while len(people) < count:
        people += _household(
            rng, len(people) + 1, count - len(people), today, next(numbers)
        )
    return people


def _household(
    rng: random.Random, number: int, room: int, today: date, number_of_phone: int
) -> list[Person]:
    culture = rng.choices(names.CULTURES, [c.weight for c in names.CULTURES])[0]
    family = _family(rng, culture)
    children = rng.choices((0, 1, 2, 3), (72, 12, 11, 5))[0]
    age = rng.randint(22, 48) if children else _adult_age(rng)
    born = _born(rng, age, today)
    adult = _adult(rng, culture, number, family, number_of_phone, born)
    adult = replace(
        adult,
        history=_history(rng, age, adult.sex),
        deceased_days=None if children else adult.deceased_days,
    )
    return [adult] + [
        _child_of(rng, adult, culture, number + place, today)
        for place in range(1, min(children, room - 1) + 1)
    ]


def _adult(
    rng: random.Random,
    culture: names.Culture,
    number: int,
    family: str,
    number_of_phone: int,
    born: date,
) -> Person:
    sex = rng.choices(("female", "male", "other"), (51, 47, 2))[0]
    given = rng.choice(culture.male if sex == "male" else culture.female)
    town, postal_code = rng.choice(names.TOWNS)
    reach = rng.choices(
        ("both", "text", "mail", "landline", "nothing"), (50, 26, 8, 8, 8)
    )[0]
    mail = _address(rng, given, family, number) if reach in ("both", "mail") else ""
    has_phone = reach in ("both", "text", "landline")
    elder = born.year < 1962
    gone = rng.random() < (0.11 if elder else 0.01)
    return Person(
        number=number,
        given=given,
        family=family,
        sex=sex if rng.random() > 0.02 else "unknown",
        born=born if rng.random() > 0.01 else None,
        language="es" if rng.random() < culture.spanish else "en",
        preferred=names.PREFERRED.get(given, "") if rng.random() < 0.7 else "",
        phone=phone(number_of_phone) if has_phone else "",
        phone_fault=gettext_noop("landline") if reach == "landline" else "",
        safe_to_text=rng.random() > 0.02,
        voicemail=rng.random() < 0.6,
        email=mail,
        sms=_consent(rng) if has_phone else "",
        mail=_consent(rng) if mail else "",
        street=f"{rng.randint(1, 240)} {rng.choice(names.STREETS)}",
        town=town,
        postal_code=postal_code,
        north=rng.random() < 0.12,
        clinician=rng.choice(("Dr Rao", "Dr Rao", "Dr Lin", "Dr Haddad")),
        deceased_days=rng.randint(3, 300) if gone else None,
        contacts=_carers(rng, culture, family) if elder and rng.random() < 0.4 else (),
    )


def _child_of(
    rng: random.Random,
    parent: Person,
    culture: names.Culture,
    number: int,
    today: date,
) -> Person:
    """Return a child who shares the parent's home and number."""
    sex = rng.choice(("female", "male"))
    age = rng.randint(0, 17)
    return replace(
        parent,
        number=number,
        given=rng.choice(culture.male if sex == "male" else culture.female),
        preferred="",
        sex=sex,
        born=_born(rng, age, today),
        email="",
        mail="",
        deceased_days=None,
        history=_history(rng, age, sex),
        contacts=(
            Contact(
                name=f"{parent.given} {parent.family}".strip(),
                relation="father" if parent.sex == "male" else "mother",
                phone=parent.phone if not parent.phone_fault else "",
                email=parent.email,
                scopes=("schedule", "messages", "clinical"),
                responsible=True,
                person=parent.number,
            ),
        ),
    )


def _carers(
    rng: random.Random, culture: names.Culture, family: str
) -> tuple[Contact, ...]:
    relation, sex = rng.choice(names.RELATIONS_OF_ELDERS)
    given = rng.choice(culture.male if sex == "male" else culture.female)
    return (
        Contact(
            name=f"{given} {family}".strip(),
            relation=relation,
            phone=phone(rng.choice(_POOL)),
            scopes=rng.choice((("schedule",), ("schedule", "clinical"))),
            barred=("mental health",) if rng.random() < 0.2 else (),
            days=rng.choice((None, 90, 365)),
        ),
    )


def _family(rng: random.Random, culture: names.Culture) -> str:
    return " ".join(rng.sample(culture.family, culture.families))


def _adult_age(rng: random.Random) -> int:
    return rng.choices(
        (rng.randint(18, 39), rng.randint(40, 64), rng.randint(65, 97)), (30, 36, 34)
    )[0]


def _born(rng: random.Random, age: int, today: date) -> date:
    return today - timedelta(days=age * 365 + age // 4 + rng.randint(1, 360))


def _address(rng: random.Random, given: str, family: str, number: int) -> str:
    name = ".".join(words(f"{given} {family}")[:2])
    plain = name.encode("ascii", "ignore").decode()
    return f"{plain}{number}@{rng.choice(_MAIL_DOMAINS)}"


def _consent(rng: random.Random) -> str:
    return rng.choices(("yes", "no", "withdrawn", ""), (86, 5, 5, 4))[0]


def _history(rng: random.Random, age: int, sex: str) -> tuple[Entry, ...]:
    """Return what somebody of this age has been through; most have little."""
    entries = []
    fitting = [c for c in history.CONDITIONS if c.from_age <= age]
    most = 1 if age < 40 else 3
    for condition in rng.sample(fitting, min(len(fitting), rng.randint(0, most))):
        since = rng.randint(10, max(20, (age - condition.from_age) * 365 + 20))
        entries.append(
            _entry(rng, "condition", condition.label, since, code=condition.code)
        )
        entries += [
            _entry(rng, "medicine", medicine, since) for medicine in condition.medicines
        ]
    if rng.random() < 0.25:
        label, reaction = rng.choice(history.ALLERGIES)
        entries.append(_entry(rng, "allergy", label, 900, details=reaction))
    done = [
        label
        for label, from_age, only in history.PROCEDURES
        if from_age <= age and only in ("", sex)
    ]
    if done and rng.random() < 0.35:
        days = rng.randint(30, min(4000, max(40, age * 300)))
        entries.append(
            _entry(rng, "procedure", rng.choice(done), days, status="completed")
        )
    if age >= 18 and rng.random() < 0.3:
        entries.append(_entry(rng, "family", rng.choice(history.FAMILY), 700))
    if rng.random() < 0.35:
        lives = [label for label, from_age in history.SOCIAL if from_age <= age]
        entries.append(_entry(rng, "social", rng.choice(lives), 400))
    return tuple(entries)


def _entry(
    rng: random.Random,
    kind: str,
    label: str,
    days_ago: int,
    *,
    code: str = "",
    status: str = "active",
    details: str = "",
) -> Entry:
    source = rng.choices(("staff", "patient", "proxy", "imported"), (55, 25, 5, 15))[0]
    return Entry(
        kind=kind,
        label=label,
        days_ago=days_ago,
        source=source,
        code=code,
        status=status,
        details=details,
        # A list that came from elsewhere does not say what the patient knows; most of
        # it was gone through since. What they told us themselves they know.
        told=(
            days_ago % 9 > 0
            if source == "imported"
            else rng.random() > 0.04 or source == "patient" or days_ago > 60
        ),
        verified=source == "staff" or rng.random() < 0.5,
    )
