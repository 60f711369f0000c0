"""A clinic of two sites for ``test_access``, and what to ask each address about.

A new address that names a thing gets a line in ``THINGS``.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from allauth.mfa.models import Authenticator
from django.utils import timezone

from accounts.crypto import encrypt
from accounts.models import Draft, Duty, Job, User
from accounts.roles import Role
from appointments.models import VisitType
from messaging.models import Conversation, DutyAlert, Message
from patients.flags import pin_flag
from patients.grants import grant_access
from patients.intake import take_intake
from patients.merging.services import merge_patients
from patients.models import HistoryEntry, Link, SafeContactPlan
from patients.notes import sign_note
from patients.record_jobs import start_export
from tests.factories import (
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.services import raise_item

#: In the names of those out of reach, and of nobody else.
FAR = "Elsewhere"
FAR_NUMBER = "555 0199"


class Scene:
    """A clinic of two sites: all the staff work at Harbour.

    Grace is theirs, Leo is North's, Tomás is a patient of both. Each has a visit, a
    conversation, a piece of work, a link and emergency access to look into.
    """

    def __init__(self) -> None:
        self.harbour = SiteFactory()
        self.north = SiteFactory(name="Harbour Clinic North")
        self.knee = VisitType.objects.create(
            name="Knee injection", discreet_name="nurse visit"
        )
        self.staff = {
            role.value: member_of_staff(role.value.replace(" ", "_"), role)
            for role in Role
        }
        self.staff["nobody"] = UserFactory(username="nobody")
        self.staff["superuser"] = UserFactory(username="root", is_superuser=True)
        for user in (self.staff["nobody"], self.staff["superuser"]):
            user.sites.set([self.harbour])
        self.stranger = member_of_staff("noor", Role.NURSE, self.north)
        # Without a manager of its own, North's emergency access is every manager's.
        member_of_staff("nils", Role.MANAGER, self.north)
        self.grace = Person(self, "Grace", "Okafor", "+16175550143", self.harbour)
        self.leo = Person(self, "Leo", FAR, "+16175550199", self.north)
        self.tomas = Person(self, "Tomás", "Silva", "+16175550144", self.north)
        self.tomas.patient.sites.add(self.harbour)
        self.unknown = conversation(address="+16175550111")
        # Two of North's patients share this number.
        patient("Ana", FAR, phone="+16175550199").sites.set([self.north])
        self.shared = conversation(address="+16175550199")
        self.gateway = work("gateway", self.north.pk)


class Person:
    """Somebody with one of everything, at one site."""

    def __init__(self, scene: Scene, given, family, phone, site) -> None:
        self.patient = patient(given, family, phone=phone)
        self.patient.sites.set([site])
        doctor = clinician(f"Dr {given}")
        doctor.sites.set([site])
        self.visit = booked(
            self.patient, site=site, clinician=doctor, visit_type=scene.knee
        )
        self.entry = HistoryEntry.objects.create(
            patient=self.patient,
            kind="condition",
            label="Hypertension",
            status="active",
            source="staff",
            recorded_at=MONDAY,
        )
        self.conversation = conversation(patient=self.patient)
        self.item = work("cancel_word", self.patient.pk, self.patient, site)
        self.point = self.patient.contact_points.get()
        self.flag = pin_flag(
            patient_id=self.patient.pk,
            category="support",
            text="Comes with her walker",
            reason="Asked us to.",
            by=UserFactory(),
        )
        # Ended: one in force would change whom everything else goes to.
        self.plan = SafeContactPlan.objects.create(
            patient=self.patient,
            reason="Asked us to.",
            made_by=self.flag.author,
            made_at=MONDAY,
            ended_at=MONDAY,
        )
        self.link = Link.objects.create(
            token_hash=given,
            purpose="visit",
            subject_id=self.visit.pk,
            patient=self.patient,
            created_at=MONDAY,
            expires_at=self.visit.ends_at,
        )
        self.grant = grant_access(
            user=UserFactory(), patient=self.patient, reason="Brought in unconscious."
        )
        self.contact_person = self.patient.contact_persons.create(
            name=f"Sister of {given}", relation="sister"
        )
        self.note = sign_note(
            patient=self.patient, by=UserFactory(), type="call", body="Slept well."
        )
        self.intake = take_intake(
            patient=self.patient,
            answers={"social_none": "declined"},
            source="patient",
            method="paper",
        )


def conversation(**whose) -> Conversation:
    found = Conversation.objects.create(
        state="waiting", waiting_since=MONDAY, last_message_at=MONDAY, **whose
    )
    Message.objects.create(
        direction="in",
        conversation=found,
        patient=found.patient,
        channel="sms",
        address=found.address or found.patient.contact_points.get().address,
        body=f"I am {found.patient or found.address}",
        encoding="GSM-7",
        state="received",
        provider="simulated",
        not_before=MONDAY,
        at=MONDAY,
    )
    return found


def work(kind: str, number: int, patient=None, site=None) -> WorkItem:
    return raise_item(
        kind=kind,
        severity=WorkItem.Severity.AMBER,
        reason="Somebody has to look at this.",
        subject_kind="scene",
        subject_id=number,
        dedupe_key=f"{kind}:{number}",
        due_at=timezone.now(),
        patient=patient,
        site=site,
    )


@dataclass
class Things:
    """What an address may be asked about: within somebody's reach, and beyond it."""

    within: list[tuple] = field(default_factory=list)
    beyond: list[tuple] = field(default_factory=list)

    @property
    def every(self) -> list[tuple]:
        return [*self.within, *self.beyond]


NOWHERE = 999_999


def patients(s: Scene, user: User) -> Things:
    return Things(
        [(s.grace.patient.pk,), (s.tomas.patient.pk,)],
        [(s.leo.patient.pk,), (NOWHERE,)],
    )


def pairs_of_patients(s: Scene, user: User) -> Things:
    grace, tomas, leo = (one.patient.pk for one in (s.grace, s.tomas, s.leo))
    return Things([(grace, tomas)], [(grace, leo), (leo, grace), (grace, NOWHERE)])


def merges(s: Scene, user: User) -> Things:
    def merged(kept: Person, name: str) -> tuple[int, int]:
        other = patient(name, kept.patient.family_name, phone="")
        other.sites.set(kept.patient.sites.all())
        by = s.staff["manager"]
        made = merge_patients(
            kept_id=kept.patient.pk,
            lost_id=other.pk,
            answers=dict.fromkeys(("name", "birth_date", "city"), "kept"),
            seen=(type(other).objects.get(pk=kept.patient.pk).version, other.version),
            by=by,
        )
        return kept.patient.pk, made.pk

    ours, theirs = merged(s.grace, "Gracie"), merged(s.leo, "Leonard")
    return Things([ours], [theirs, (ours[0], theirs[1]), (ours[0], NOWHERE)])


def visits_to_see(s: Scene, user: User) -> Things:
    return Things(
        [(s.grace.visit.pk,), (s.tomas.visit.pk,)], [(s.leo.visit.pk,), (NOWHERE,)]
    )


def visits_to_change(s: Scene, user: User) -> Things:
    away = [(s.tomas.visit.pk,), (s.leo.visit.pk,), (NOWHERE,)]
    return Things([(s.grace.visit.pk,)], away)


def conversations(s: Scene, user: User) -> Things:
    return Things(
        [(s.grace.conversation.pk,), (s.tomas.conversation.pk,), (s.unknown.pk,)],
        [(s.leo.conversation.pk,), (s.shared.pk,), (NOWHERE,)],
    )


def items(s: Scene, user: User) -> Things:
    review = WorkItem.objects.get(dedupe_key=f"emergency_access:{s.grace.grant.pk}")
    may_review = user.is_superuser or user is s.staff["manager"]
    away = [(s.tomas.item.pk,), (s.leo.item.pk,), (NOWHERE,)]
    return Things(
        [(s.grace.item.pk,), (s.gateway.pk,)] + [(review.pk,)] * may_review,
        away + [(review.pk,)] * (not may_review),
    )


def links(s: Scene, user: User) -> Things:
    def pair(one: Person, other: Person) -> tuple[int, int]:
        return one.patient.pk, other.link.pk

    return Things(
        [pair(s.grace, s.grace), pair(s.tomas, s.tomas)],
        [pair(s.leo, s.leo), pair(s.grace, s.tomas), pair(s.grace, s.leo)],
    )


def of_patients(name: str) -> Callable[[Scene, User], Things]:
    """Return what to ask about a thing of a patient, by their number and others'."""

    def things(s: Scene, user: User) -> Things:
        def pair(one: Person, other: Person) -> tuple[int, int]:
            return one.patient.pk, getattr(other, name).pk

        return Things(
            [pair(s.grace, s.grace), pair(s.tomas, s.tomas)],
            [pair(s.leo, s.leo), pair(s.grace, s.tomas), pair(s.grace, s.leo)],
        )

    return things


def kinds_of_history(s: Scene, user: User) -> Things:
    kind = "condition"
    return Things(
        [(s.grace.patient.pk, kind), (s.tomas.patient.pk, kind)],
        [(s.leo.patient.pk, kind), (s.grace.patient.pk, "gossip")],
    )


def own_drafts(s: Scene, user: User) -> Things:
    def draft(owner: User) -> tuple[int]:
        key = f"note:{s.grace.patient.pk}"
        made, _new = Draft.objects.get_or_create(
            user=owner, key=key, defaults={"text": {"body": "x"}, "at": MONDAY}
        )
        return (made.pk,)

    # Another's, or none, is as if it had been dropped before.
    return Things([draft(user), draft(s.stranger), (NOWHERE,)])


def sections(s: Scene, user: User) -> Things:
    asked = patients(s, user)
    return Things(
        [(pk, "identity") for (pk,) in asked.within],
        [(pk, "identity") for (pk,) in asked.beyond],
    )


def own_grants(s: Scene, user: User) -> Things:
    own = grant_access(
        user=user, patient=s.leo.patient, reason="Brought in unconscious."
    )
    # Over, so that Leo is out of reach again.
    type(own).objects.filter(pk=own.pk).update(ended_at=own.at)
    return Things([(own.pk,)], [(s.grace.grant.pk,), (NOWHERE,)])


def grants_to_review(s: Scene, user: User) -> Things:
    return Things(
        [(s.grace.grant.pk,), (s.tomas.grant.pk,)], [(s.leo.grant.pk,), (NOWHERE,)]
    )


def keys(s: Scene, user: User) -> Things:
    def key(owner: User) -> tuple[int]:
        made = Authenticator.objects.create(
            user=owner, type=Authenticator.Type.WEBAUTHN, data={"name": "Key"}
        )
        return (made.pk,)

    return Things([key(user)], [key(s.stranger), (NOWHERE,)])


def jobs(s: Scene, user: User) -> Things:
    def job(owner: User) -> tuple[int]:
        made = Job.objects.create(
            kind="import_patients", user=owner, created_at=MONDAY, state="queued"
        )
        return (made.pk,)

    own, away = [job(user)], [job(s.stranger), (NOWHERE,)]
    # The kind of job must still be theirs.
    if not user.has_perm("patients.import_patient"):
        return Things([], away + own)
    return Things(own, away)


def duties(s: Scene, user: User) -> Things:
    def duty(site) -> tuple[int]:
        made = Duty.objects.create(
            site=site,
            user=s.staff["nurse"],
            starts_at=timezone.now(),
            ends_at=timezone.now() + timedelta(hours=8),
        )
        return (made.pk,)

    return Things([duty(s.harbour)], [duty(s.north), (NOWHERE,)])


def own_alerts(s: Scene, user: User) -> Things:
    def alert(who: User) -> tuple[int]:
        made = DutyAlert.objects.create(
            site=s.harbour,
            user=who,
            step="duty",
            token_hash=str(uuid4()),
            at=timezone.now(),
            until=timezone.now(),
        )
        return (made.pk,)

    return Things([alert(user)], [alert(s.stranger), (NOWHERE,)])


def messages_sent(s: Scene, user: User) -> Things:
    def sent(person: Person) -> tuple[int]:
        made = Message.objects.create(
            direction="out",
            patient=person.patient,
            channel="sms",
            address=person.point.address,
            body=f"To {person.patient}",
            encoding="GSM-7",
            state="unknown",
            submitting_at=MONDAY,
            not_before=MONDAY,
            at=MONDAY,
        )
        return (made.pk,)

    return Things([sent(s.grace), sent(s.tomas)], [sent(s.leo), (NOWHERE,)])


def checked_lists(s: Scene, user: User) -> Things:
    def checked(owner: User) -> tuple[int]:
        made = Job.objects.create(
            kind="check_patients",
            user=owner,
            created_at=MONDAY,
            ended_at=timezone.now(),
            state="done",
            result={"name": "list.csv"},
            work={
                "name": "list.csv",
                "text": "Chart,Christian name\n1,Grace\n",
                "site": s.harbour.pk,
                "columns_seen": [["Chart", "identifier", ["1"]], ["Name", "", []]],
                "rejects": "Chart,reason\n1,none\n",
            },
        )
        return (made.pk,)

    return Things([checked(user)], [checked(s.stranger), (NOWHERE,)])


def archives(s: Scene, user: User) -> Things:
    def archive(owner: User, person: Person) -> tuple[int]:
        job = start_export(patient=person.patient, user=owner, client_key=None)
        kept = encrypt(b64encode(b"zip").decode(), use="patients.record")
        Job.objects.filter(pk=job.pk).update(
            state="done",
            ended_at=timezone.now(),
            work={"patient": person.patient.pk, "file": kept},
        )
        return (job.pk,)

    return Things(
        [archive(user, s.grace)],
        [archive(s.stranger, s.grace), archive(user, s.leo), (NOWHERE,)],
    )


#: What each address that names a thing is asked about.
THINGS: dict[str, Callable[[Scene, User], Things]] = {
    "patients:patient_detail": patients,
    "patients:patient_edit": sections,
    "patients:patient_died": patients,
    "patients:death_correct": patients,
    "patients:point_add": patients,
    "patients:point_edit": of_patients("point"),
    "patients:point_retire": of_patients("point"),
    "patients:flag_pin": patients,
    "patients:flag_unpin": of_patients("flag"),
    "patients:safe_contact": patients,
    "patients:safe_contact_end": of_patients("plan"),
    "patients:patient_timeline": patients,
    "patients:import_columns": checked_lists,
    "patients:import_rejects": checked_lists,
    "patients:consent_edit": patients,
    "patients:consent_screen": patients,
    "appointments:before_visit": visits_to_see,
    "patients:link_revoke": links,
    "patients:patient_record": patients,
    "patients:record_hold": patients,
    "patients:record_erase": patients,
    "patients:record_file": archives,
    "patients:retention_edit": lambda s, user: Things([("links",)], [("nothing",)]),
    "patients:people_around": patients,
    "patients:contact_person_add": patients,
    "patients:contact_person_edit": of_patients("contact_person"),
    "patients:contact_person_end": of_patients("contact_person"),
    "patients:merge_start": patients,
    "patients:not_the_same": pairs_of_patients,
    "patients:patient_merge": pairs_of_patients,
    "patients:patient_unmerge": merges,
    "patients:history_list": patients,
    "patients:history_tell": patients,
    "patients:history_review": patients,
    "patients:history_add": kinds_of_history,
    "patients:history_edit": of_patients("entry"),
    "patients:history_verify": of_patients("entry"),
    "patients:history_end": of_patients("entry"),
    "patients:history_error": of_patients("entry"),
    "patients:note_list": patients,
    "patients:note_add": patients,
    "patients:note_detail": of_patients("note"),
    "patients:note_addend": of_patients("note"),
    "patients:note_correct": of_patients("note"),
    "patients:note_take_back": of_patients("note"),
    "patients:note_draft_drop": own_drafts,
    "patients:intake_add": patients,
    "patients:intake_link": patients,
    "patients:intake_review": of_patients("intake"),
    "patients:access_end": own_grants,
    "patients:access_review": grants_to_review,
    "appointments:appointment_book": patients,
    "appointments:appointment_detail": visits_to_see,
    "appointments:appointment_move": visits_to_change,
    "appointments:appointment_cancel": visits_to_change,
    "appointments:appointment_link": visits_to_change,
    "appointments:appointment_mark": visits_to_change,
    "messaging:conversation_detail": conversations,
    "messaging:duty_edit": duties,
    "messaging:gateway_switch": lambda s, user: Things([("simulated",)], [("pigeon",)]),
    "messaging:unknown_message": messages_sent,
    "messaging:duty_take": own_alerts,
    "messaging:duty_alert": lambda s, user: Things([("a-token",)]),
    "messaging:conversation_done": conversations,
    "messaging:patient_conversation": patients,
    "worklist:item_claim": items,
    "worklist:item_close": items,
    "job_detail": jobs,
    "job_progress": jobs,
    "job_cancel": jobs,
    "mfa_edit_webauthn": keys,
    "mfa_remove_webauthn": keys,
    # By number, whether there is such a patient or not: the trail outlives them.
    "audit:patient_trail": lambda s, user: Things([(s.grace.patient.pk,), (NOWHERE,)]),
    # Nobody holds a session for a link here, nor a token.
    "links:open": lambda s, user: Things([(s.grace.link.pk,), (NOWHERE,)]),
    "links:enter": lambda s, user: Things([("a-token",)]),
    "messaging:leave": lambda s, user: Things([("a-token",)]),
}
