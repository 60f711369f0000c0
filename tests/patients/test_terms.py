"""What patients are found by, and what leads to the words of names there are."""

from datetime import date

import pytest

from patients.models import (
    ContactPerson,
    ContactPoint,
    Identifier,
    NameToken,
    PatientTerm,
)
from patients.terms import forget_words, index_patients, near_keys, sound, terms_of
from tests.factories import GRACE, patient

pytestmark = pytest.mark.django_db

BORN = date(1959, 3, 14)


def terms(somebody) -> set[tuple[str, str]]:
    return set(somebody.terms.values_list("kind", "term"))


def test_a_patient_is_found_by_names_numbers_and_identifiers():
    grace = patient(
        "Grace Ada", "O'Brien-Álvarez", preferred_name="Gigi", birth_date=BORN
    )
    Identifier.objects.create(patient=grace, system="mrn", value="H-1001")

    index_patients([grace.pk])

    assert terms(grace) == {
        ("word", "grace"),
        ("word", "ada"),
        ("word", "o"),
        ("word", "brien"),
        ("word", "alvarez"),
        ("word", "gigi"),
        ("phone", "6175550143"),
        ("phone", "16175550143"),
        ("phone_end", "34105557161"),
        ("identifier", "h-1001"),
        ("born", "19590314"),
    }
    # Behind each word stands what else a search may ask for, in the order of a list.
    assert grace.terms.get(term="alvarez").rest == " grace ada gigi o brien 19590314"
    assert grace.terms.get(term="ada").rest == " o brien alvarez gigi grace 19590314"
    assert grace.terms.get(term="19590314").rest == " o brien alvarez grace ada gigi"


@pytest.mark.parametrize(
    ("number", "typed"),
    [
        ("+16175550143", {"16175550143", "6175550143"}),
        # In London one dials the 0 that is not dialled from abroad.
        ("+442079460958", {"442079460958", "2079460958", "02079460958"}),
        ("+34612345678", {"34612345678", "612345678"}),
        ("555-0143", {"5550143"}),
        ("+0", {"0"}),
        ("no digits", set()),
    ],
)
def test_digits_a_number_may_be_typed_with(number, typed):
    found = terms_of(1, numbers=[number])
    assert {term for _pk, kind, term in found if kind == "phone"} == typed


def test_indexing_again_writes_only_what_changed():
    grace = patient()
    index_patients([grace.pk])
    kept = dict(grace.terms.filter(kind="phone").values_list("term", "pk"))
    grace.family_name = "Lind"
    grace.save()

    index_patients([grace.pk])

    words = dict(grace.terms.filter(kind="word").values_list("term", "rest"))
    assert words == {"grace": " lind", "lind": " grace"}
    assert kept == dict(grace.terms.filter(kind="phone").values_list("term", "pk"))


@pytest.mark.parametrize("rows", [1, 30])
def test_indexing_is_as_many_queries_for_one_as_for_many(
    rows, django_assert_num_queries
):
    ids = [patient(f"P{n}").pk for n in range(rows)]
    with django_assert_num_queries(10):
        index_patients(ids)


def test_a_number_that_is_also_a_contact_persons_is_the_patients_own():
    leo = patient("Leo")
    ana = ContactPerson.objects.create(patient=leo, name="Ana", relation="mother")
    for address in (GRACE, "+16175550199"):
        ContactPoint.objects.create(contact_person=ana, channel="sms", address=address)

    index_patients([leo.pk])

    owners = dict(leo.terms.filter(kind="phone_end").values_list("term", "rest"))
    assert owners == {GRACE[:0:-1]: "", "99105557161": PatientTerm.THEIRS}


def test_words_are_learnt_once_and_forgotten_with_their_last_bearer():
    grace, leo = patient(), patient("Leo")
    index_patients([grace.pk, leo.pk])
    leading = NameToken.objects.filter(token="okafor")
    before = sorted(leading.values_list("kind", "key"))
    assert ("near", "okafr") in before
    assert ("part", "for") in before
    assert ("sound", "akfr") in before

    for somebody in (grace, leo):
        assert sorted(leading.values_list("kind", "key")) == before
        somebody.family_name = "Lind"
        somebody.save()
        index_patients([somebody.pk])

    assert not leading.exists()
    assert NameToken.objects.filter(token="lind").exists()


def test_only_words_that_nobody_bears_are_forgotten():
    grace = patient()
    index_patients([grace.pk])
    grace.terms.filter(term="okafor").delete()

    assert forget_words({"okafor", "grace", "nobody"}) == 1

    assert set(NameToken.objects.values_list("token", flat=True)) == {"grace"}


@pytest.mark.parametrize(
    "typed", ["okafro", "oakfor", "okafr", "kafor", "okkafor", "okaforr", "okefor"]
)
def test_one_slip_shares_a_key(typed):
    assert near_keys(typed) & near_keys("okafor")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("smith", "smyth"),
        ("catherine", "kathryn"),
        ("phillips", "filips"),
        ("jimenez", "ximenes"),
        ("gimenez", "jimenes"),
        ("vasquez", "basques"),
        ("hernandez", "ernandes"),
        ("shaw", "schaw"),
        ("quiroga", "kiroga"),
        ("hughes", "hues"),
    ],
)
def test_what_sounds_alike_has_one_key(one, other):
    assert sound(one) == sound(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("smith", "schmidt"), ("lopez", "ruiz"), ("grace", "greta")]
)
def test_what_sounds_different_has_two(one, other):
    assert sound(one) != sound(other)
