"""What patients are found by: kept in step with what is stored about them."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date

import phonenumbers
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from core.sql import insert_rows
from core.text import fold, words
from patients.models import (
    Channel,
    ContactPoint,
    Identifier,
    NameToken,
    Patient,
    PatientTerm,
)

_LONGEST_TERM = PatientTerm._meta.get_field("term").max_length or 120
_LONGEST_REST = PatientTerm._meta.get_field("rest").max_length or 300
#: Fewer letters than this are in every other name.
FEWEST_LETTERS = 3
#: Patient id, kind, term.
Key = tuple[int, str, str]
#: What is stored beside a term: ``PatientTerm.rest``.
Terms = dict[Key, str]


@transaction.atomic
def index_patients(patient_ids: Collection[int]) -> None:
    """Make the search terms of these patients match what is stored about them.

    Eight queries however many patients, two more when a word went; terms that stay are
    not touched. Call it after every change of a name, birth date, number or identifier.
    """
    wanted = _stored_terms(patient_ids)
    spoken = _words_in(wanted)
    stale, gone = [], set()
    for pk, patient_id, kind, term, rest in PatientTerm.objects.filter(
        patient__in=patient_ids
    ).values_list("pk", "patient_id", "kind", "term", "rest"):
        key = (patient_id, kind, term)
        if wanted.get(key) == rest:
            del wanted[key]
        else:
            stale.append(pk)
            if kind == PatientTerm.Kind.WORD and key not in wanted:
                gone.add(term)
    if stale:
        PatientTerm.objects.filter(pk__in=stale).delete()
    _insert(wanted)
    _learn_words(spoken)
    forget_words(gone)


def insert_terms(terms: Mapping[Key, str]) -> None:
    """Add search terms, and what leads to words of names not met before.

    Two statements and one question, however many. What is there already stays: somebody
    else may index the same patient this moment, to the same end.
    """
    _insert(terms)
    _learn_words(_words_in(terms))


def _insert(terms: Mapping[Key, str]) -> None:
    insert_rows(
        PatientTerm,
        ("patient", "kind", "term", "rest"),
        sorted((*key, rest) for key, rest in terms.items()),
        ignore_conflicts=True,
    )


def _words_in(terms: Iterable[Key]) -> set[str]:
    return {term for _pk, kind, term in terms if kind == PatientTerm.Kind.WORD}


def terms_of(
    patient_id: int,
    *,
    given: str = "",
    family: str = "",
    preferred: str = "",
    born: date | None = None,
    identifiers: Iterable[str] = (),
    numbers: Iterable[str] = (),
    their_numbers: Iterable[str] = (),
) -> Terms:
    """Return what a patient is found by. Pure: no query.

    ``their_numbers`` are those of contact persons; one that is the patient's as well
    counts as the patient's.
    """
    kind = PatientTerm.Kind
    found: dict[tuple[str, str], str] = {}
    for owner, owned in ((PatientTerm.THEIRS, their_numbers), ("", numbers)):
        for number in owned:
            for digits in _digits_of(number):
                found[kind.PHONE.value, digits] = owner
            # The national number is the end of the international one, so one reversed
            # spelling serves both.
            found[kind.PHONE_END.value, _only_digits(number)[::-1]] = owner
    for value in identifiers:
        found[kind.IDENTIFIER.value, fold(value)] = ""
    for key, word, rest in _words_of(given, family, preferred, born):
        found.setdefault((key.value, word), rest[:_LONGEST_REST])
    return {
        (patient_id, key, term[:_LONGEST_TERM]): rest
        for (key, term), rest in found.items()
        if term
    }


def _words_of(
    given: str, family: str, preferred: str, born: date | None
) -> Iterable[tuple[PatientTerm.Kind, str, str]]:
    """Yield each word of a name with the others behind it, and the birth date.

    Behind a word of the family name come the given ones, and the other way round, so
    that whoever shares a word stands in the order of a list of names.
    """
    first, last, called = words(given), words(family), words(preferred)
    day = [f"{born:%Y%m%d}"] if born else []
    for mine, others in ((last, first + called), (first, last + called)):
        for n, word in enumerate(mine):
            rest = [*others, *mine[:n], *mine[n + 1 :], *day]
            yield PatientTerm.Kind.WORD, word, "".join(f" {other}" for other in rest)
    for word in called:
        rest = [*last, *first, *day]
        yield PatientTerm.Kind.WORD, word, "".join(f" {other}" for other in rest)
    for digits in day:
        rest = [*last, *first, *called]
        yield PatientTerm.Kind.BORN, digits, "".join(f" {other}" for other in rest)


def _stored_terms(patient_ids: Collection[int]) -> Terms:
    terms: Terms = {}
    # A mother's number finds her child: "who rang me?" is asked of numbers, and a
    # contact person is on nobody's list. The patient's own come last, to count as such.
    for owner, argument in (
        ("contact_person__patient", "their_numbers"),
        ("patient", "numbers"),
    ):
        numbers = ContactPoint.objects.filter(
            channel=Channel.SMS, **{f"{owner}__in": patient_ids}
        ).values_list(owner, "address")
        for pk, number in numbers:
            terms |= terms_of(pk, **{argument: [number]})  # type: ignore[arg-type]
    for pk, value in Identifier.objects.filter(patient__in=patient_ids).values_list(
        "patient_id", "value"
    ):
        terms |= terms_of(pk, identifiers=[value])
    for pk, given, family, preferred, born in Patient.objects.filter(
        pk__in=patient_ids
    ).values_list("pk", "given_name", "family_name", "preferred_name", "birth_date"):
        terms |= terms_of(
            pk, given=given, family=family, preferred=preferred, born=born
        )
    return terms


def _digits_of(address: str) -> Iterable[str]:
    """Return the digits a number may be typed with: abroad, and at home."""
    digits = _only_digits(address)
    if not address.startswith("+"):
        return (digits,)
    if digits.startswith("1") and len(digits) == 11:
        # North America: at home it is the number without its 1.
        return (digits, digits[1:])
    try:
        number = phonenumbers.parse(address, None)
    except phonenumbers.NumberParseException:
        return (digits,)
    # With the 0 in front that people there dial, and without.
    at_home = phonenumbers.format_number(
        number, phonenumbers.PhoneNumberFormat.NATIONAL
    )
    return {
        digits,
        phonenumbers.national_significant_number(number),
        _only_digits(at_home),
    }


def _only_digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


# Words of names, whoever bears them.


def near_keys(word: str) -> set[str]:
    """Return the word, and the word less any one letter.

    Two words share one of these when a letter was dropped, doubled, or put in place of
    another, or when two neighbours were swapped (W. Garbe's symmetric delete).
    """
    return {word} | {word[:n] + word[n + 1 :] for n in range(len(word))}


def sound(word: str) -> str:
    """Return roughly how a folded word sounds to an English or a Spanish ear.

    The first vowel, then consonants in classes that people mix up: b and v, s and z, k,
    c and qu, j, g and x. Blank where too little is left to tell by.
    """
    for written, heard in _HEARD:
        word = word.replace(written, heard)
    key = ""
    for n, letter in enumerate(word):
        if letter in "aeiouy":
            letter = "" if n else "a"
        elif letter in "cg" and word[n + 1 : n + 2] in ("e", "i", "y"):
            letter = "s" if letter == "c" else "j"
        letter = _CLASS.get(letter, letter)
        if letter and not key.endswith(letter):
            key += letter
    return key if len(key) > 1 else ""


#: In this order; capitals stand for a sound and are left alone afterwards.
_HEARD = (
    *(("sch", "X"), ("sh", "X"), ("ch", "X"), ("ph", "f"), ("gh", ""), ("kn", "n")),
    *(("wr", "r"), ("ck", "k"), ("qu", "k"), ("gue", "ge"), ("gui", "gi"), ("th", "t")),
    ("h", ""),
)
_CLASS = {"v": "b", "w": "b", "z": "s", "c": "k", "q": "k", "g": "k", "x": "j"}


def _learn_words(found: Collection[str]) -> None:
    """Note what leads to these words of names, where nothing does yet."""
    told = {word for word in found if len(word) >= FEWEST_LETTERS and word.isalpha()}
    if not told:
        return
    kind = NameToken.Kind
    known = NameToken.objects.filter(kind=kind.NEAR, key__in=told, token=F("key"))
    rows = []
    for word in told.difference(known.values_list("token", flat=True)):
        rows += [(kind.NEAR.value, key, word) for key in near_keys(word)]
        rows += [
            (kind.PART.value, word[n:], word)
            for n in range(1, len(word) - FEWEST_LETTERS + 1)
        ]
        if heard := sound(word):
            rows.append((kind.SOUND.value, heard, word))
    insert_rows(
        NameToken, ("kind", "key", "token"), sorted(rows), ignore_conflicts=True
    )


def forget_words(gone: Collection[str]) -> int:
    """Drop what leads to words that no name holds any more; return how many words.

    Two queries at most. Call it after terms were removed in another way than by
    ``index_patients``.
    """
    if not gone:
        return 0
    borne = PatientTerm.objects.filter(
        kind=PatientTerm.Kind.WORD, term=OuterRef("token")
    )
    dead = list(
        NameToken.objects.filter(kind=NameToken.Kind.NEAR, key__in=gone, token=F("key"))
        .exclude(Exists(borne))
        .values_list("token", flat=True)
    )
    if dead:
        NameToken.objects.filter(token__in=dead).delete()
    return len(dead)
