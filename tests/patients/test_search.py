"""Finding people by whatever somebody remembers of them."""

import random
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import Role
from patients.models import (
    ContactPerson,
    ContactPoint,
    Identifier,
    NameToken,
    Patient,
    PatientTerm,
    SafeContactPlan,
)
from patients.search import find_patients, list_patients
from patients.search.reading import holding, read
from patients.terms import index_patients
from tests.factories import SiteFactory, member_of_staff, patient
from tests.typos import SLIPS, a_name, people_with_names

pytestmark = pytest.mark.django_db

BORN = date(1959, 3, 14)


@pytest.fixture
def femi():
    return member_of_staff("femi", Role.FRONT_DESK)


def index_everybody() -> None:
    index_patients(list(Patient.objects.values_list("pk", flat=True)))


@pytest.fixture
def people(femi) -> None:
    grace = patient(birth_date=date(1959, 3, 14), preferred_name="Gigi")
    Identifier.objects.create(patient=grace, system="mrn", value="H-1001")
    patient("José María", "Álvarez O'Neill", phone="+16175550144")
    patient("Leo", "Okafor", phone="+16175550143", birth_date=date(2015, 11, 2))
    index_everybody()


def names(user, text, *, month_first=True, **more) -> list[str]:
    return [
        found.patient.given_name
        for found in find_patients(user, text, month_first=month_first, **more).found
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("okafor grace", ["Grace"]),
        ("OKAFOR", ["Grace", "Leo"]),
        ("oka gr", ["Grace"]),
        ("gr oka", ["Grace"]),
        ("gigi", ["Grace"]),
        ("grace gigi okafor", ["Grace"]),
        ("jose alv", ["José María"]),
        ("josé ÁLVAREZ", ["José María"]),
        ("neill maria", ["José María"]),
        ("o'neill", ["José María"]),
        # Numbers, from either end.
        ("5550143", ["Grace", "Leo"]),
        ("0144", ["José María"]),
        ("617 555", ["Grace", "Leo", "José María"]),
        ("+1 (617) 555-0144", ["José María"]),
        ("143", []),
        # Birth dates.
        ("14 Mar 1959", ["Grace"]),
        ("March 14, 1959", ["Grace"]),
        ("14 de marzo de 1959", ["Grace"]),
        ("3/14/1959", ["Grace"]),
        ("3/14/59", ["Grace"]),
        ("14.3.59", ["Grace"]),
        ("1959-03-14", ["Grace"]),
        ("1959-3-14", ["Grace"]),
        ("19590314", ["Grace"]),
        ("11/2/15", ["Leo"]),
        # Birth date or its year, and name.
        ("okafor 14/03/1959", ["Grace"]),
        ("3/14/1959 okafor", ["Grace"]),
        ("okafor 14 mar 1959", ["Grace"]),
        ("okafor, grace 1959", ["Grace"]),
        ("okafor 2015", ["Leo"]),
        ("okafor 1960", []),
        ("h-1001", ["Grace"]),
        ("H-10", ["Grace"]),
        # Slips of the finger, fragments, and sounds.
        ("okafro", ["Grace", "Leo"]),
        ("okafr leo", ["Leo"]),
        ("grcae okafro", ["Grace"]),
        ("okafro 1959", ["Grace"]),
        ("oneill", ["José María"]),
        ("varez", ["José María"]),
        ("afo", ["Grace", "Leo"]),
        ("okaphor", ["Grace", "Leo"]),
        # One key of sounds, and yet another name.
        ("ayakiforae", []),
        ("hosay", []),
        ("", []),
        ("nobody", []),
        ("' OR 1=1 --", []),
        ("%", []),
        ("_race", ["Grace"]),
        ("gr%ce", []),
        ("\0", []),
        ("31/02/1959", []),
        ("x" * 500, []),
    ],
)
def test_find(femi, people, text, found):
    assert names(femi, text) == found


def test_day_or_month_first_is_the_sites(femi, people):
    assert names(femi, "11/2/2015") == ["Leo"]
    assert names(femi, "2/11/2015") == []
    assert names(femi, "2/11/2015", month_first=False) == ["Leo"]


def test_the_whole_word_before_its_beginnings_before_what_is_near(femi):
    for given in ("Marian", "Maria", "Mario", "Amaria", "Mar"):
        patient(given, "Ng", phone="")
    index_everybody()
    found = find_patients(femi, "maria", month_first=True).found
    assert [f.patient.given_name for f in found] == [
        "Maria",
        "Marian",
        "Amaria",
        "Mario",
        "Mar",
    ]
    assert [f.is_similar for f in found] == [False, False, True, True, True]


def test_whoever_shares_a_word_stands_by_name(femi):
    for given, family in (("Zoe", "Silva"), ("Ana", "Silva"), ("Leo", "Silvan")):
        patient(given, family, phone="")
    index_everybody()
    assert names(femi, "silva") == ["Ana", "Zoe", "Leo"]


def test_somebody_two_of_whose_words_begin_so_stands_once(femi):
    patient("Garbiñe", "García Garrido", phone="")
    patient("Ana", "Garmendia", phone="")
    index_everybody()
    assert names(femi, "gar") == ["Garbiñe", "Ana"]
    assert names(femi, "gar garc") == ["Garbiñe"]
    assert names(femi, "garc garr") == ["Garbiñe"]


def test_another_sites_patients_are_not_there(people):
    elsewhere = SiteFactory(name="Harbour Clinic North")
    otto = member_of_staff("otto", Role.FRONT_DESK, elsewhere)
    for text in ("okafor", "okafro", "afo", "5550143", "14 Mar 1959", "h-1001"):
        assert names(otto, text) == []
    assert list_patients(otto).found == []


def test_a_merged_patient_is_not_found(femi, people):
    kept = patient("Gracie", "Okafor", phone="")
    Patient.objects.filter(given_name="Grace").update(merged_into=kept)
    assert names(femi, "okafor grace") == []
    assert names(femi, "h-1001") == []


def walked(page) -> list[int]:
    """Return whom all pages show; ``page`` takes the last one shown."""
    seen, after = [], None
    while True:
        results = page(after)
        seen += [found.patient.pk for found in results.found]
        after = results.more
        if after is None:
            return seen


def test_pages_show_everybody_once(femi):
    for n in range(23):
        patient("Ana" if n % 2 else f"Ben{n}", "Silva" if n % 3 else "Silvan Silva")
    index_everybody()
    everybody = set(Patient.objects.values_list("pk", flat=True))
    for text in ("silva", "sil", "5550143", "617555"):
        seen = walked(
            lambda after, text=text: find_patients(
                femi, text, month_first=True, after=after, limit=4
            )
        )
        assert len(seen) == len(set(seen)), text
        assert set(seen) == everybody, text
    seen = walked(lambda after: list_patients(femi, after=after, limit=4))
    assert len(seen) == len(everybody) == len(set(seen))


def test_a_page_after_somebody_who_is_no_result_begins_anew(femi, people):
    assert names(femi, "okafor", after=999_999) == ["Grace", "Leo"]


def test_who_rang_finds_the_child_and_says_whose_number_it_is(femi):
    leo = patient("Leo", "Silva", phone="")
    ana = ContactPerson.objects.create(patient=leo, name="Ana", relation="mother")
    ContactPoint.objects.create(
        contact_person=ana, channel="sms", address="+16175550177"
    )
    index_everybody()
    (found,) = find_patients(femi, "0177", month_first=True).found
    assert (found.patient, found.is_theirs) == (leo, True)


def hide(somebody, by, **fields) -> SafeContactPlan:
    return SafeContactPlan.objects.create(
        patient=somebody,
        reason="asked for it",
        made_by=by,
        made_at=timezone.now(),
        **fields,
    )


def test_a_shared_number_never_leads_to_somebody_hidden(femi):
    rosa = patient("Rosa", "Silva", phone="+16175550177")
    ContactPoint.objects.create(patient=rosa, channel="sms", address="+16175550178")
    patient("Luis", "Silva", phone="+16175550177")
    sister = ContactPerson.objects.create(patient=rosa, name="Eva", relation="sister")
    ContactPoint.objects.create(
        contact_person=sister, channel="sms", address="+16175550179"
    )
    index_everybody()
    assert names(femi, "0177") == ["Rosa", "Luis"]

    plan = hide(rosa, femi)

    assert names(femi, "0177") == names(femi, "6175550177") == ["Luis"]
    assert names(femi, "0179") == []
    # A number that is hers alone, and her name, find her still.
    assert names(femi, "0178") == ["Rosa"]
    assert names(femi, "rosa") == ["Rosa"]
    SafeContactPlan.objects.filter(pk=plan.pk).update(ended_at=timezone.now())
    assert names(femi, "0179") == ["Rosa"]


def test_a_plan_that_hides_nothing_hides_no_number(femi):
    rosa = patient("Rosa", "Silva", phone="+16175550177")
    patient("Luis", "Silva", phone="+16175550177")
    index_everybody()
    hide(rosa, femi, hidden=False)
    assert names(femi, "0177") == ["Rosa", "Luis"]


@pytest.mark.parametrize("slip", SLIPS)
def test_nine_of_ten_mistyped_names_are_found(femi, slip):
    chance = random.Random(4)
    site = SiteFactory()
    people_with_names(chance, 400, site)
    whole = [f"{p.given_name} {p.family_name}" for p in Patient.objects.order_by("pk")]
    typed = [(name, SLIPS[slip](chance, name)) for name in chance.sample(whole, 60)]
    missed = [
        (name, wrong)
        for name, wrong in typed
        if name
        not in {
            p.full_name for p in find_patients(femi, wrong, month_first=True).patients
        }
    ]
    assert len(missed) <= 3, missed


@pytest.mark.parametrize(
    "text",
    [
        *("okafor", "okafor grace 1959", "okafro grcae", "okafro grcae 1959"),
        *("5550143", "14 mar 1959", "afo", "grace a1"),
    ],
)
def test_as_many_queries_for_one_as_for_many(femi, people, text):
    patient("Ada", "Okafur", phone="")
    index_everybody()
    # Who may do what is asked once a request.
    names(femi, text)
    costs: list[int] = []
    for more in (3, 30, 0):
        with CaptureQueriesContext(connection) as queries:
            names(femi, text)
        costs.append(len(queries))
        for n in range(more):
            patient("Grace", f"Okafor{'xyz'[n % 3]}", birth_date=date(1959, 3, 14))
        index_everybody()
    assert max(costs) <= 12
    # With some found, nobody asks for those who only sound alike.
    assert costs[2] <= costs[1]


@pytest.fixture
def smiths(femi) -> list[int]:
    """Bring 1,500 of the name Smith, 90 of them John, and one Maria Garcia Lopez."""
    chance = random.Random(5)
    some = [a_name(chance) for _n in range(40)] + ["John"] * 3
    given = [chance.choice(some) for _n in range(1_500)]
    people = Patient.objects.bulk_create(
        [
            *(Patient(given_name=name, family_name="Smith") for name in given),
            Patient(given_name="Maria", family_name="Garcia Lopez", birth_date=BORN),
            Patient(given_name="Mary Jane", family_name="Smith", birth_date=BORN),
        ]
    )
    site = femi.sites.get()
    through = Patient.sites.through
    through.objects.bulk_create(
        through(patient_id=p.pk, site_id=site.pk) for p in people
    )
    index_everybody()
    return [p.pk for p in people]


def test_a_mistyped_word_beside_a_common_one(femi, smiths):
    meant = {
        "lopez gracia": "Maria",
        "graciia maira": "Maria",
        "garcia lopze": "Maria",
        "jane smiht": "Mary Jane",
        "jnae smith": "Mary Jane",
        "smiht 14 mar 1959": "Mary Jane",
        "smiht 1959": "Mary Jane",
        "jhon smith": "John",
        "john smiht": "John",
        "jhon smiht": "John",
    }
    assert {text: names(femi, text)[:1] for text in meant} == {
        text: [found] for text, found in meant.items()
    }
    assert names(femi, "smith jane 1958") == []


def read_at_most(work) -> int:
    """Return how many terms the greediest statement of some work reads."""
    if connection.vendor != "postgresql":
        pytest.skip("asks PostgreSQL what it read")
    counts: list[int] = []

    def of(node) -> int:
        own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        is_term = node.get("Relation Name") in (
            "patients_patientterm",
            "patients_nametoken",
        )
        return is_term * own * node["Actual Loops"] + sum(
            of(below) for below in node.get("Plans", ())
        )

    def explained(execute, sql, params, many, context):
        if sql.lstrip("(").startswith("SELECT"):
            asked = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
            with connection.connection.cursor() as cursor:
                counts.append(
                    of(cursor.execute(asked, params).fetchone()[0][0]["Plan"])
                )
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL enable_seqscan = off")
    with connection.execute_wrapper(explained):
        work()
    return max(counts)


def test_a_search_reads_little(femi, smiths):
    most = {
        # A page, and who may be shown of it.
        **dict.fromkeys(["smith", "john smith", "smith john", "smiht"], 400),
        # Which of two words is the rarer is told by a thousand; the common one is not
        # read to its end for those who bear the other.
        **dict.fromkeys(["jhon smith", "smiht john", "jhon smiht", "jo smith"], 1_200),
    }
    costs = {text: read_at_most(lambda t=text: names(femi, t)) for text in most}
    assert {text: cost for text, cost in costs.items() if cost > most[text]} == {}


def test_words_that_nobody_bears_together_are_not_looked_for_to_the_end(smiths):
    rows = PatientTerm.objects.filter(kind="word", term="smith").order_by("rest")
    found: list[tuple] = []

    def look() -> None:
        found.extend(holding((rows, [["nobody", "jane"]]), size=5, read=500))

    look()
    # She stands behind them all.
    assert found == []
    assert holding((rows, [["nobody", "jane"]]), size=5) == [
        ("smith", " mary jane 19590314", smiths[-1])
    ]
    assert read_at_most(look) == 500


def test_the_next_page_reads_nothing_of_those_before(femi, smiths):
    last = PatientTerm.objects.filter(term="smith").order_by("rest")[1_300].patient_id
    assert read_at_most(lambda: names(femi, "smith", after=last)) <= 200
    deep = Patient.objects.order_by("family_name", "given_name", "id")[1_300].pk
    assert read_at_most(lambda: list_patients(femi, after=deep)) <= 200


def test_looking_marks_nobody_as_seen_but_the_results(femi, people, monkeypatch):
    loaded = []
    monkeypatch.setattr("accounts.audit.trail.note_seen", loaded.append)
    found = find_patients(femi, "okafor grace", month_first=True).patients
    assert set(loaded) == {p.pk for p in found}


@pytest.mark.parametrize(
    "text", ["okafor", "okafor grace", "5550143", "h-1001", "okafor 14/03/1959"]
)
def test_the_index_answers(femi, people, text):
    if connection.vendor != "postgresql":
        pytest.skip("asks PostgreSQL's planner")
    ranges, _spoken = read(text, month_first=True)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for place in ranges:
        rows = place.rows().order_by("term", "rest", "patient_id")
        plan = rows.values_list("patient_id", "rest").explain()
        assert "Index Only Scan using patient_term_prefix" in plan
        # The index gives the order: nothing is read but the page.
        assert "Sort" not in plan


def test_a_word_of_names_that_nobody_bears_leads_nowhere(femi, people):
    PatientTerm.objects.filter(term="okafor").delete()
    assert NameToken.objects.filter(token="okafor").exists()
    assert names(femi, "okafro") == []
