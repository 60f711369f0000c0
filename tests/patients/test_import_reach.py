"""A number in a list opens nobody of another site; people settle whose they are."""

import json

import pytest

from accounts.models import AuditEvent
from accounts.roles import Role
from patients.importing import import_files
from patients.models import ContactPoint, HistoryEntry, Identifier, Patient
from tests.factories import PatientFactory, SiteFactory, member_of_staff, patient
from worklist.models import WorkItem
from worklist.queries import items_of

pytestmark = pytest.mark.django_db

NOT_HERE = (2, "identifier", "this number cannot be used here; ask the manager")
COLUMNS = "identifier,given_name,family_name,birth_date,phone"
#: What somebody might try who knows a number and no more, or nearly all.
TRIES = [
    "N-77,Zz,,,",
    "N-77,Celeste,Brand,1970-01-02,617 555 0199",
    "N-77,Quentin,Quill,1901-01-01,",
]


@pytest.fixture
def north(monday):
    return SiteFactory(name="Harbour Clinic North")


@pytest.fixture
def celeste(north) -> Patient:
    """Celeste is a patient of North only."""
    celeste = PatientFactory(
        given_name="Celeste", family_name="Brand", birth_date="1970-01-02"
    )
    celeste.sites.set([north])
    Identifier.objects.create(patient=celeste, system="mrn", value="N-77")
    Identifier.objects.create(patient=celeste, system="fhir/Patient", value="p7")
    ContactPoint.objects.create(patient=celeste, channel="sms", address="+16175550199")
    return celeste


@pytest.fixture
def femi(celeste):
    """Femi sits at the front desk of Harbour."""
    return member_of_staff("femi", Role.FRONT_DESK)


def bring(text: str, by, *, dry_run: bool = False):
    return import_files([("l", text)], site=SiteFactory(), by=by, dry_run=dry_run)


def bring_row(row: str, by, *, dry_run: bool = False):
    return bring(f"{COLUMNS}\n{row}\n", by, dry_run=dry_run)


def told(result) -> list[tuple[int, str, str]]:
    return [(p.row, p.field, p.reason) for p in result.problems]


def state_of(who: Patient):
    who.refresh_from_db()
    return (
        [getattr(who, field.attname) for field in Patient._meta.concrete_fields],
        list(who.sites.values_list("name", flat=True)),
        list(who.contact_points.values_list("address", "usable")),
        list(who.identifiers.values_list("system", "value")),
    )


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("row", TRIES)
def test_a_number_of_another_site_takes_and_tells_nothing(femi, celeste, row, dry_run):
    before = state_of(celeste)
    result = bring_row(row, femi, dry_run=dry_run)
    assert (result.accepted, result.rejected) == (0, 1)
    assert told(result) == [NOT_HERE]
    assert state_of(celeste) == before
    assert not Patient.objects.visible_to(femi).exists()
    # A dry run is a question, too.
    refused = AuditEvent.objects.get(verb=AuditEvent.Verb.REFUSED)
    assert (refused.actor_id, refused.patient_ids) == (femi.pk, [celeste.pk])
    assert WorkItem.objects.exists() is not dry_run


def test_the_other_rows_of_the_list_are_taken(femi):
    result = bring(f"{COLUMNS}\n{TRIES[0]}\nH-1,Ann,Okafor,,\n", femi)
    assert (result.created, result.rejected) == (1, 1)


def test_a_number_as_an_additional_one_takes_and_tells_nothing(femi, celeste):
    before = state_of(celeste)
    ann = {
        "resourceType": "Patient",
        "id": "p7",
        "identifier": [{"system": "urn:mrn", "value": "M-1"}],
        "name": [{"given": ["Ann"]}],
    }
    result = bring(json.dumps(ann) + "\n", femi)
    assert told(result) == [(1, *NOT_HERE[1:])]
    assert state_of(celeste) == before
    assert not Patient.objects.filter(given_name="Ann").exists()


def test_a_number_of_somebody_merged_away_leads_to_whose_it_is_now(femi, celeste):
    once = patient("Old", "Brand", phone="")
    Identifier.objects.create(patient=once, system="mrn", value="H-9")
    Patient.objects.filter(pk=once.pk).update(merged_into=celeste)
    assert told(bring_row("H-9,Zz,,,", femi)) == [NOT_HERE]
    ours = patient("Cel", "Brand", phone="")
    Patient.objects.filter(pk=celeste.pk).update(merged_into=ours)
    assert bring_row("H-9,Zz,,,", femi).updated == 1
    ours.refresh_from_db()
    assert ours.given_name == "Zz"


def test_history_of_somebody_of_another_site_is_not_taken(femi, celeste):
    def allergy(number: str) -> str:
        entry = {
            "resourceType": "AllergyIntolerance",
            "id": "a1",
            "code": {"text": "Penicillin"},
            "patient": {"reference": f"Patient?identifier=mrn|{number}"},
        }
        return json.dumps(entry) + "\n"

    known, unknown = bring(allergy("N-77"), femi), bring(allergy("N-78"), femi)
    assert told(known) == told(unknown) == [(1, "subject", "this patient is not here")]
    assert not HistoryEntry.objects.exists()
    refused = AuditEvent.objects.get(verb=AuditEvent.Verb.REFUSED)
    assert refused.patient_ids == [celeste.pk]
    assert WorkItem.objects.get().patient == celeste


def test_the_patients_own_site_is_asked_once(femi, celeste, north):
    nina = member_of_staff("nina", Role.NURSE, north)
    for row in TRIES:
        bring_row(row, femi)
    item = items_of(nina).get()
    assert (item.kind, item.patient, item.site) == ("import_refused", celeste, north)
    assert item.sentence.startswith("Femi brought a list to Harbour Clinic")
    assert not items_of(femi).exists()
    assert not items_of(member_of_staff("maya", Role.NURSE)).exists()


def test_who_works_at_both_sites_and_the_command_line_bring_them(femi, celeste, north):
    femi.sites.add(north)
    assert bring_row("N-77,Celeste,Stone,1970-01-02,", femi).updated == 1
    celeste.sites.set([north])
    assert bring_row("N-77,Celeste,Brand,1970-01-02,", None).updated == 1
    assert celeste.sites.count() == 2


@pytest.mark.parametrize("rows", [1, 50])
def test_whom_one_may_write_to_is_two_queries_for_a_chunk(
    femi, rows, django_assert_num_queries
):
    text = "".join(f"H{n},P{n},,1980-01-01,617 555 {n:04}\n" for n in range(rows))
    bring(f"{COLUMNS}\n{text}", femi)
    with django_assert_num_queries(10):
        bring(f"{COLUMNS}\n{text}", femi)
