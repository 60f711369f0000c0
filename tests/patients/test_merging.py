"""Two records of one person made one."""

from datetime import date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.audit.record import record
from accounts.drafts import save_draft
from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.ticks import run_pass
from appointments.links import make_visit_link
from messaging.ladder import open_due
from messaging.models import Conversation, Message, Notice
from messaging.promises import broken_promises
from messaging.ticks import run_messaging
from patients.grants import grant_access
from patients.links.intake import make_intake_link
from patients.merging.profile import GROUPS, NOT_ASKED
from patients.merging.registry import KEPT, LOST, Pair, belongs
from patients.merging.services import (
    follow_merges,
    merge_patients,
    note_not_the_same,
    questions,
    refusals,
    undo_merge,
)
from patients.models import (
    ContactPerson,
    ContactPoint,
    Flag,
    HistoryEntry,
    HistoryReview,
    Identifier,
    Patient,
    PatientTerm,
    SafeContactPlan,
)
from patients.notes import draft_key, note_drafts
from patients.queries import consents_of, deeds_under
from patients.services import record_consent
from patients.terms import index_patients
from tests.factories import (
    GRACE,
    MONDAY,
    SiteFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
)
from tests.patients.merging_scene import (
    OTHER_PHONE,
    allergy,
    at,
    dump,
    flag,
    go,
    keys_to_patients,
    merge,
    plan,
    reply,
    run_opening,
)
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def femi(monday):
    return member_of_staff("femi", Role.FRONT_DESK)


@pytest.fixture
def grace(monday) -> Patient:
    return patient("Grace", "Okafor", birth_date=date(1959, 3, 14))


@pytest.fixture
def gracie(monday) -> Patient:
    return patient(
        "Gracie", "Okafor", phone=OTHER_PHONE, birth_date=date(1959, 3, 14), city="Lynn"
    )


def test_every_key_to_a_patient_says_what_a_merge_does_with_it():
    assert {key for key, _field in keys_to_patients()} == {key for key, _b in belongs}


def test_every_field_of_the_profile_is_asked_about_or_settled_by_a_rule():
    fields = {field.name for field in Patient._meta.concrete_fields}
    asked = {name for _title, names in GROUPS.values() for name in names}
    assert asked | NOT_ASKED == fields
    assert not asked & NOT_ASKED


def test_the_kept_record_takes_the_fields_that_were_chosen(grace, gracie, femi):
    merge(grace, gracie, femi, name=LOST)
    grace.refresh_from_db()
    assert (grace.given_name, grace.city) == ("Gracie", "Lynn")
    gracie.refresh_from_db()
    assert gracie.merged_into == grace


def test_what_only_one_record_says_is_the_default(grace, gracie, femi):
    asked = {q.key: q.default for q in questions(Pair(grace, gracie))}
    assert asked["address"] == LOST
    assert asked["name"] == KEPT


def test_a_question_says_what_each_record_holds_as_people_read_it(grace, gracie):
    gracie.spoken_language, gracie.needs = "yue", ["audio", "relay"]
    gracie.birth_date, gracie.needs_interpreter = date(1959, 3, 13), True
    asked = {q.key: q.options[1].label for q in questions(Pair(grace, gracie))}
    assert asked["spoken"] == "Cantonese"
    assert asked["needs"] == "Audio, Relay calls"
    assert asked["birth_date"] == "13 Mar 1959"
    assert asked["interpreter"] == "Yes"


def test_a_question_without_an_answer_stops_the_merge(grace, gracie, femi):
    SafeContactPlan.objects.create(**plan(grace, femi))
    SafeContactPlan.objects.create(**plan(gracie, femi))
    with pytest.raises(ValidationError):
        merge(grace, gracie, femi)
    assert Patient.objects.get(pk=gracie.pk).merged_into is None


def test_a_profile_changed_meanwhile_stops_the_merge(grace, gracie, femi):
    with pytest.raises(ValidationError, match="meanwhile"):
        merge_patients(
            kept_id=grace.pk, lost_id=gracie.pk, answers={}, seen=(0, 1), by=femi
        )


def test_dead_and_alive_are_settled_first(grace, gracie, femi):
    Patient.objects.filter(pk=gracie.pk).update(deceased_on=date(2026, 11, 1))
    with pytest.raises(ValidationError, match="died"):
        merge(grace, gracie, femi)
    Patient.objects.filter(pk=grace.pk).update(deceased_on=date(2026, 11, 2))
    merge(grace, gracie, femi, death=LOST)
    assert Patient.objects.get(pk=grace.pk).deceased_on == date(2026, 11, 1)


def test_a_child_with_its_mothers_number_is_not_merged_with_her(grace, femi):
    leo = patient("Leo", "Okafor", birth_date=date(2018, 5, 1))
    ContactPerson.objects.create(
        patient=leo, person=grace, name="Grace Okafor", relation="mother"
    )
    with pytest.raises(ValidationError, match="two people"):
        merge(grace, leo, femi)


def test_two_people_are_not_merged(grace, gracie, femi):
    note_not_the_same(patient_id=gracie.pk, other_id=grace.pk, by=femi)
    assert refusals(Pair(grace, gracie))


def test_the_kept_record_is_of_both_sites(grace, gracie, femi):
    north = SiteFactory(name="Harbour Clinic North")
    gracie.sites.set([north])
    merging = merge(grace, gracie, femi)
    assert north in grace.sites.all()
    undo_merge(merge_id=merging.pk, by=femi)
    assert list(grace.sites.all()) == [SiteFactory()]


def test_a_number_on_both_stands_once_as_it_was_chosen(grace, femi):
    again = patient("Gracie", "Okafor", birth_date=date(1959, 3, 14))
    theirs = again.contact_points.get()
    ContactPoint.objects.filter(pk=theirs.pk).update(safe_to_text=False)
    with pytest.raises(ValidationError):
        merge(grace, again, femi)
    merge(grace, again, femi, **{f"point_{theirs.pk}": LOST})
    assert not grace.contact_points.get().safe_to_text


def test_a_no_on_either_record_stands_over_a_later_yes(grace, gracie, femi, monday):
    record_consent(patient=grace, channel="sms", given=False, method="spoken", by=femi)
    monday.shift(60)
    record_consent(patient=gracie, channel="sms", given=True, method="spoken", by=femi)
    merging = merge(grace, gracie, femi)
    assert consents_of([grace.pk])[grace.pk, "sms", "care"] is False
    undo_merge(merge_id=merging.pk, by=femi)
    assert consents_of([gracie.pk])[gracie.pk, "sms", "care"] is True


def test_a_no_stands_over_a_later_yes_of_the_kept_record(grace, gracie, femi, monday):
    record_consent(patient=gracie, channel="sms", given=False, method="spoken", by=femi)
    monday.shift(60)
    record_consent(patient=grace, channel="sms", given=True, method="spoken", by=femi)
    merge(grace, gracie, femi)
    assert consents_of([grace.pk])[grace.pk, "sms", "care"] is False


def test_consent_to_one_number_opens_no_other(grace, femi):
    gracie = patient("Gracie", "Okafor", phone=OTHER_PHONE, consent=False)
    merge(grace, gracie, femi)
    usable = grace.contact_points.filter(usable=True)
    assert [point.address for point in usable] == [GRACE]


def test_none_known_does_not_hide_an_allergy_of_the_other_record(grace, gracie, femi):
    HistoryEntry.objects.create(**allergy(gracie))
    review = HistoryReview.objects.create(
        patient=grace,
        kind="allergy",
        outcome="none_known",
        source="staff",
        at=MONDAY + timedelta(days=1),
    )
    merging = merge(grace, gracie, femi)
    assert not grace.history_reviews.exists()
    assert grace.history.get().label == "Penicillin"
    undo_merge(merge_id=merging.pk, by=femi)
    assert grace.history_reviews.get() == review


def test_at_most_five_alerts_stay(grace, gracie, femi):
    flags = [
        Flag.objects.create(**flag(who, femi, f"Alert {n}"))
        for who in (grace, gracie)
        for n in range(3)
    ]
    stays = {f"flag_{one.pk}": "stays" for one in flags}
    with pytest.raises(ValidationError, match="At most 5"):
        merge(grace, gracie, femi, **stays)
    merge(grace, gracie, femi, **stays | {f"flag_{flags[4].pk}": "ends"})
    assert grace.flags.filter(ended_at=None).count() == 5


def test_of_two_plans_the_chosen_one_holds(grace, gracie, femi):
    SafeContactPlan.objects.create(**plan(grace, femi))
    theirs = SafeContactPlan.objects.create(**plan(gracie, femi))
    merging = merge(grace, gracie, femi, plan=LOST)
    assert grace.safe_contact_plans.get(ended_at=None) == theirs
    undo_merge(merge_id=merging.pk, by=femi)
    assert SafeContactPlan.objects.filter(ended_at=None).count() == 2


def test_visits_at_one_time_are_asked_about_and_none_is_lost(grace, gracie, femi):
    ours = booked(grace, at=at(10))
    theirs = booked(gracie, at=at(10, 10), clinician=clinician("Dr Lindqvist"))
    with pytest.raises(ValidationError):
        merge(grace, gracie, femi)
    merging = merge(grace, gracie, femi, **{f"visit_{ours.pk}_{theirs.pk}": KEPT})
    assert set(grace.appointments.values_list("pk", "overbooked")) == {
        (ours.pk, False),
        (theirs.pk, True),
    }
    undo_merge(merge_id=merging.pk, by=femi)
    assert gracie.appointments.get().overbooked is False


def test_visits_one_after_the_other_are_no_question(grace, gracie, femi):
    booked(grace, at=at(10))
    booked(gracie, at=at(10, 20))
    merge(grace, gracie, femi)
    assert grace.appointments.count() == 2


def test_a_queued_text_reaches_the_kept_record_once(grace, gracie, femi, monday):
    booked(gracie, at=at(10))
    run_opening()
    assert Message.objects.get().state == Message.State.QUEUED
    merge(grace, gracie, femi)
    go(monday)
    sent = Message.objects.filter(direction="out")
    assert [(m.patient, m.address) for m in sent] == [(grace, OTHER_PHONE)]
    assert sent.get().state == Message.State.DELIVERED
    assert broken_promises() == []


def test_what_consent_no_longer_allows_goes_to_a_person(grace, gracie, femi, monday):
    booked(gracie, at=at(10))
    run_opening()
    record_consent(patient=grace, channel="sms", given=False, method="spoken", by=femi)
    merge(grace, gracie, femi)
    go(monday)
    assert not Message.objects.filter(state=Message.State.DELIVERED).exists()
    assert broken_promises() == []
    notice = Notice.objects.get(purpose="visit_booked")
    assert (notice.state, notice.patient) == (Notice.State.WITH_STAFF, grace)
    assert WorkItem.objects.open().get(subject_kind="notice").patient == grace


def test_reminders_of_one_day_are_one_text(grace, gracie, femi, monday):
    for who, hour in ((grace, 10), (gracie, 14)):
        booked(who, at=at(hour), tell=False)
    merge(grace, gracie, femi)
    monday.move_to(datetime(2026, 11, 24, 20, 0, tzinfo=MONDAY.tzinfo))
    go(monday)
    reminders = Message.objects.filter(direction="out")
    assert [m.notices.count() for m in reminders] == [2]
    assert broken_promises() == []


def test_two_threads_become_one_and_two_again(grace, gracie, femi):
    for who in (grace, gracie):
        reply(who)
    Conversation.objects.filter(patient=gracie).update(
        state="waiting", waiting_since=MONDAY
    )
    index_patients([grace.pk, gracie.pk])
    before = dump()
    merging = merge(grace, gracie, femi)
    thread = Conversation.objects.get(patient=grace)
    assert thread.messages.count() == 2
    assert (thread.state, thread.waiting_since) == ("waiting", MONDAY)
    undo_merge(merge_id=merging.pk, by=femi)
    assert dump() == before


def test_who_answers_is_asked_where_each_has_somebody(grace, gracie, femi):
    ada = member_of_staff("ada", Role.MANAGER)
    for who, owner in ((grace, femi), (gracie, ada)):
        Conversation.objects.create(patient=who, owner=owner)
    with pytest.raises(ValidationError):
        merge(grace, gracie, femi)
    merge(grace, gracie, femi, conversation=LOST)
    assert Conversation.objects.get(patient=grace).owner == ada


def test_a_link_of_the_lost_record_still_opens_its_visit(grace, gracie, femi):
    link, _token = make_visit_link(visit=booked(gracie, at=at(10)), by=femi)
    merge(grace, gracie, femi)
    assert list(grace.links.live()) == [link]


def test_a_note_somebody_has_begun_is_still_theirs(client, grace, gracie, femi):
    nora, rao = (member_of_staff(n, Role.NURSE) for n in ("nora", "rao"))
    for author, who, body in (
        (nora, gracie, "Calf soft."),
        (rao, gracie, "Walks well."),
        (rao, grace, "Walks."),
    ):
        save_draft(user=author, key=draft_key(who), text={"body": body})
    merged = merge(grace, gracie, femi)
    client.force_login(nora)
    page = client.get(reverse("patients:note_add", args=[grace.pk]))
    assert "Calf soft." in page.content.decode()
    # Nothing is written over; the other one is still among their drafts.
    texts = {draft.text["body"] for draft, _patient in note_drafts(rao)}
    assert texts == {"Walks well.", "Walks."}
    undo_merge(merge_id=merged.pk, by=femi)
    page = client.get(reverse("patients:note_add", args=[gracie.pk]))
    assert "Calf soft." in page.content.decode()


def test_one_link_to_the_questions_is_open_after_a_merge(grace, gracie, femi):
    first, _address = make_intake_link(patient=gracie, by=femi)
    merge(grace, gracie, femi)
    make_intake_link(patient=grace, by=femi)
    first.refresh_from_db()
    assert first.revoked_at is not None


def test_what_came_to_the_lost_record_meanwhile_follows(grace, gracie, femi):
    merge(grace, gracie, femi)
    late = reply(gracie)
    visit = booked(gracie, at=at(10))
    assert follow_merges() > 0
    late.refresh_from_db()
    assert (late.patient, late.conversation.patient) == (grace, grace)
    assert grace.appointments.get() == visit
    assert follow_merges() == 0


def test_it_follows_through_a_second_merge(grace, gracie, femi):
    third = patient("Grace Ann Okafor")
    merge(grace, gracie, femi)
    merge(third, grace, femi)
    late = reply(gracie)
    visit = booked(gracie, at=at(10))
    assert follow_merges() > 0
    late.refresh_from_db()
    assert (late.patient, late.conversation.patient) == (third, third)
    assert third.appointments.get() == visit
    assert follow_merges() == 0


@pytest.mark.parametrize("opened", [False, True])
def test_what_is_promised_that_very_second_is_kept(grace, gracie, femi, monday, opened):
    if opened:
        booked(gracie, at=at(10))
        open_due()
    merge(grace, gracie, femi)
    if opened:
        # A worker had the notice, and wrote its text when the merge was done.
        Notice.objects.update(patient=gracie, about_patient=gracie)
        Message.objects.update(patient=gracie)
    else:
        # Whoever booked waited for the merge, and then finished.
        booked(gracie, at=at(10))
    # A worker that is woken at once must not find that nobody may be told.
    run_messaging()
    notice = Notice.objects.get(purpose="visit_booked")
    assert notice.state in ("planned", "open")
    assert not Message.objects.filter(accepted_at__isnull=False).exists()
    for _pass in range(2):
        monday.shift(timedelta(minutes=1))
        run_pass()
    notice.refresh_from_db()
    assert notice.about_patient == grace
    assert Message.objects.filter(accepted_at__isnull=False).count() == 1
    assert broken_promises() == []


def test_both_records_have_it_in_their_audit(grace, gracie, femi):
    merging = merge(grace, gracie, femi)
    undo_merge(merge_id=merging.pk, by=femi)
    told = [
        (event.details["what"], event.patient_ids)
        for event in AuditEvent.objects.filter(details__has_key="what").order_by("pk")
    ]
    both = sorted([grace.pk, gracie.pk])
    assert told == [("merged", both), ("merge undone", both)]


def test_the_kept_record_is_found_by_what_moved(grace, gracie, femi):
    Identifier.objects.create(patient=gracie, system="mrn", value="H-77")
    index_patients([grace.pk, gracie.pk])
    merge(grace, gracie, femi)
    assert PatientTerm.objects.get(term="h-77").patient == grace


def test_the_review_of_emergency_access_reads_what_was_opened_before(
    grace, gracie, femi
):
    nora = member_of_staff("nora", Role.NURSE)
    grant = grant_access(user=nora, patient=gracie, reason="Brought in unconscious.")
    record(AuditEvent.Verb.READ, patient_ids=[gracie.pk], by=nora)
    merge(grace, gracie, femi)
    grant.refresh_from_db()
    assert grant.patient == grace
    assert AuditEvent.Verb.READ in [deed.verb for deed in deeds_under(grant)]


def test_the_desk_merges_without_reading_of_health(client, grace, gracie, femi):
    rao = member_of_staff("rao", Role.CLINICIAN)
    Patient.objects.filter(pk=grace.pk).update(top_worry="That the lump is back")
    Patient.objects.filter(pk=gracie.pk).update(top_worry="That it is cancer")
    for n in range(3):
        for who in (grace, gracie):
            Flag.objects.create(**flag(who, rao, f"Clotting trouble {n}"))
    Flag.objects.update(category=Flag.Category.CLINICAL)
    url = reverse("patients:patient_merge", args=[grace.pk, gracie.pk])
    client.force_login(femi)
    page = client.get(url).content.decode()
    assert "A clinical alert" in page
    for secret in ("Clotting", "lump", "cancer"):
        assert secret not in page
    client.force_login(rao)
    page = client.get(url).content.decode()
    for told in ("Clotting trouble 0", "That the lump is back", "That it is cancer"):
        assert told in page
