"""Every page as staff meet it: on desk and phone, light and dark, by keyboard."""

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from axe_playwright_python.sync_playwright import Axe
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.drafts import save_draft
from accounts.models import Duty, Job, StaffedHours, User
from accounts.policies import walk_addresses
from accounts.roles import Role
from appointments.links import make_visit_link
from clinic_crm.views import server_error
from messaging.duty import alert_now
from messaging.duty.links import address_of
from messaging.leave import leave_path
from messaging.models import Conversation, DutyAlert, Message, Notice
from messaging.tryout import send_test
from patients.contact_points import add_contact_point
from patients.flags import pin_flag
from patients.forms.profile import SECTIONS
from patients.grants import end_access, grant_access, review_access
from patients.importing import ImportResult, Problem
from patients.importing.jobs import CHECK, IMPORT, as_json
from patients.intake import review_intake, take_intake
from patients.merging.registry import Pair
from patients.merging.services import merge_patients, questions
from patients.models import Flag, HistoryEntry, Identifier, Patient
from patients.notes import draft_key, follow_note, sign_note
from patients.safe_contact import make_plan
from patients.terms import index_patients
from tests.accounts.keys import key_of
from tests.factories import (
    GRACE,
    SiteFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
)
from worklist.models import WorkItem
from worklist.services import claim_item, raise_item

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

#: What answers a form, a machine or the administrator: no page of ours to look at.
NO_PAGES = {
    "account_active",
    "account_kept",  # the same page as account_unlock ends with
    "account_language",
    "account_lock",
    "account_session",
    # These two are looked at in test_lock.py.
    "account_unlock",
    "mfa_authenticate",
    "draft_save",
    "audit:event_export",
    "healthz",
    "job_cancel",
    "job_progress",  # a part of job_detail
    "metrics",
    "mfa_download_recovery_codes",
    "mfa_login_webauthn",
    "readyz",
    "patients:patient_find",
    "patients:point_retire",
    "patients:flag_unpin",
    "patients:safe_contact_end",
    "patients:access_end",
    "patients:note_draft_drop",
    "appointments:appointment_cancel",
    "appointments:appointment_link",  # looked at, as the next one, in test_links.py
    "links:open",
    "links:leave",
    "patients:link_revoke",
    "patients:contact_person_end",
    "patients:import_rejects",
    "patients:record_file",
    "patients:history_codes",
    "patients:history_verify",
    "patients:history_end",
    "patients:history_error",
    "patients:history_review",
    "patients:duplicate_hints",
    "patients:not_the_same",
    "appointments:appointment_mark",
    "messaging:conversation_done",
    "messaging:duty_take",
    "messaging:operations_now",  # a part of operations
    "messaging:operations_test_state",  # a part of operations_test
    "messaging:patient_conversation",
    "messaging:phone_messages",
    "messaging:twilio_inbound",
    "messaging:twilio_inbound_bare",
    "messaging:twilio_status",
    "messaging:twilio_status_bare",
    "worklist:item_claim",
}
#: Columns of a list as the page that corrects them shows them.
COLUMNS_SEEN = [
    ["Chart", "identifier", ["H-1", "H-2"]],
    ["Christian name", "", ["Grace", "Tomás"]],
    ["Shoe size", "", []],
]
SCREENS = {"desk": (1360, 900), "phone": (390, 844)}
INLINE = {
    "style attribute": re.compile(r"<[^>]+\sstyle\s*="),
    "script without nonce": re.compile(
        r"<script(?![^>]*\snonce=\"[^\"]+\")(?![^>]*type=\"application/json\")"
    ),
    "inline handler": re.compile(r"<[^>]+\son[a-z]+\s*=\s*[\"']"),
}

LookAt = Callable[[User | None, tuple[int, int]], Page]


def _at_risk(by: User) -> Patient:
    """Return Wilma: much to know of her, and one safe way to reach her."""
    wilma = patient(
        "Wilma",
        "Castellanos-Featherstonehaugh",
        phone="+16175550145",
        email="wilma@harbour.example",
        pronouns="she/her",
        birth_date=date(1971, 6, 5),
        language="es",
        spoken_language="pt",
        needs_interpreter=True,
        reading_help="often",
        needs=list(Patient.Need.values),
        what_matters="To see my son graduate. " * 6,
        top_worry="That he finds out.",
        wants_to_know="main",
        preferred_way="call",
        best_from=time(10),
        best_until=time(12),
        usual_clinician=clinician(),
    )
    for number, category in enumerate(Flag.Category.values):
        pin_flag(
            patient_id=wilma.pk,
            category=category,
            text=f"Alert number {number} says what helps",
            reason="Told us so in May.",
            by=by,
        )
    for safe_from in (time(10), time(22)):
        make_plan(
            patient_id=wilma.pk,
            reason="Asked us to.",
            by=by,
            region="US",
            address="617 555 0188",
            safe_from=safe_from,
            safe_until=time(12),
            code_word="tulip",
        )
    add_contact_point(
        patient_id=wilma.pk,
        channel="sms",
        address="617 555 0146",
        region="US",
        by=by,
        voicemail=True,
    )
    return wilma


class Scene:
    """A morning at the clinic with something on every page."""

    def __init__(self) -> None:
        self.maya = member_of_staff("maya", Role.NURSE)
        self.femi = member_of_staff("femi", Role.FRONT_DESK)
        self.otto = member_of_staff("otto", Role.AUDITOR)
        self.rao = member_of_staff("rao", Role.CLINICIAN)
        self.ben = member_of_staff("ben", Role.NURSE)
        TOTP.activate(self.ben, generate_totp_secret())
        RecoveryCodes.activate(self.ben)
        self.key = key_of(self.ben)
        self.grace = patient(
            preferred_name="Gracie",
            birth_date=datetime(1959, 3, 14).date(),
            email="grace@harbour.example",
            is_demo=True,
        )
        self.tomas = patient("Tomás", "Silva", phone="+16175550144", consent=False)
        self.otis = patient(
            "Otis",
            "Bell",
            phone="",
            deceased_on=timezone.localdate(),
            address_line="1 A St",
        )
        self.wilma = _at_risk(self.femi)
        self.sister = self.tomas.contact_persons.create(
            name="Inés Silva",
            relation="sister",
            scopes=["schedule"],
            barred_topics=["mental health"],
            until=timezone.localdate(),
        )
        for number in range(26):
            patient(f"Row{number}", "Zeta", phone="")
        index_patients(list(Patient.objects.values_list("pk", flat=True)))
        Identifier.objects.create(
            patient=self.grace,
            system="urn:oid:2.16.840.1.113883.19.5.99999.1",
            value="H-1",
        )
        self._history()
        self._writing()
        today = datetime.combine(timezone.localdate(), time(10))
        imported = {"tell": False, "source": "calendar"}
        self.visit = booked(self.grace, by=self.femi)
        _link, address = make_visit_link(visit=self.visit, by=self.femi)
        self.link = "/p/" + address.split("/p/", 1)[1]
        booked(self.tomas, at=today, external_id="1", **imported)
        self._messages()
        self._work()
        self._jobs()
        self._emergencies()
        self._duplicates()
        self._duty()
        self._sending()

    def _sending(self) -> None:
        """One text of which nobody knows, one that failed, one that waits."""
        now = timezone.now()
        notice = Notice.objects.filter(about_patient=self.grace).earliest("pk")
        Notice.objects.filter(pk=notice.pk).update(state="with_staff")
        for state, fields in (
            ("unknown", {"submitting_at": now, "why": "the worker was lost"}),
            ("failed", {"why": "bad address", "error_code": "21614"}),
            ("queued", {"why": "not at this hour"}),
        ):
            made = Message.objects.create(
                direction="out",
                patient=self.grace,
                channel="sms",
                address=GRACE,
                body="Harbour Clinic: Grace, see you tomorrow.",
                encoding="GSM-7",
                state=state,
                not_before=now + timedelta(hours=3),
                at=now,
                **fields,
            )
            if state == "unknown":
                made.notices.add(notice)
                self.unknown = made
        send_test(user=self.ada, address="+16175550177")

    def _duty(self) -> None:
        """Maya is on duty and was told; Ben, who has no mobile, is her backup."""
        now, site = timezone.now(), SiteFactory()
        User.objects.filter(pk=self.maya.pk).update(phone="+16175550147")
        self.ada.sites.add(site)
        StaffedHours.objects.create(
            site=site, weekday=now.weekday(), opens=time(8), closes=time(17)
        )
        self.duty = Duty.objects.create(
            site=site,
            user=self.maya,
            backup=self.ben,
            starts_at=now - timedelta(hours=1),
            ends_at=now + timedelta(hours=1),
        )
        alert_now(self.items[0])
        address = address_of(DutyAlert.objects.get(user=self.maya))
        self.duty_link = "/d/" + address.split("/d/", 1)[1]

    def _duplicates(self) -> None:
        """Grace was taken in three times; two of the records were made one."""
        self.grace.refresh_from_db()
        born = self.grace.birth_date
        self.alike = patient(
            "Grace", "Okafor", phone="+16175550177", birth_date=born, city="Lynn"
        )
        booked(self.alike, clinician=clinician("Dr Lin"), tell=False)
        again = patient("Grace", "Okafor", phone="", birth_date=born)
        self.merged = merge_patients(
            kept_id=self.grace.pk,
            lost_id=again.pk,
            answers={q.key: "kept" for q in questions(Pair(self.grace, again))},
            seen=(self.grace.version, again.version),
            by=self.femi,
        )
        index_patients([self.grace.pk, self.alike.pk])

    def _emergencies(self) -> None:
        """Hannah is North's; Maya has opened her, and somebody did before."""
        north = SiteFactory(name="Harbour Clinic North")
        self.ada = member_of_staff("ada", Role.MANAGER, north)
        self.hannah = patient("Hannah", "Voss", phone="", birth_date=date(1990, 2, 3))
        self.hannah.sites.set([north])
        self.grants = [
            grant_access(user=user, patient=self.hannah, reason="Brought in, fainted.")
            for user in (self.ben, self.femi, self.maya)
        ]
        for grant in self.grants[:2]:
            end_access(grant_id=grant.pk)
        review_access(
            grant_id=self.grants[0].pk, by=self.ada, finding="Needed, and well kept."
        )

    def _writing(self) -> None:
        """A corrected note, one in error, a sensitive one, a draft, and two intakes."""
        rao = self.rao
        self.note = sign_note(
            patient=self.grace, by=self.maya, type="call", body="Right knee hurts."
        )
        reason = {"by": self.maya, "reason": "Wrong side."}
        follow_note(
            note=self.note, relation="correction", body="Left knee hurts.", **reason
        )
        self.wrong = sign_note(
            patient=self.grace, by=self.maya, type="visit", body="Of somebody else."
        )
        follow_note(note=self.wrong, relation="error", **reason)
        sign_note(
            patient=self.grace,
            by=rao,
            type="visit",
            body="Afraid.",
            sensitive="violence",
        )
        save_draft(
            user=self.maya,
            key=draft_key(self.tomas),
            text={"type": "call", "body": "Rang, and then"},
        )
        self.intakes = [
            take_intake(patient=who, answers=told, source="patient", method="paper")
            for who, told in (
                (self.grace, {"allergy": "nuts", "what_matters": "Her garden."}),
                (self.tomas, {"family_none": "none_known", "needs": ["audio"]}),
            )
        ]
        review_intake(intake_id=self.intakes[1].pk, by=self.maya, decisions={})

    def _history(self) -> None:
        for kind, label, source in (
            ("allergy", "penicillin", "staff"),
            ("condition", "Osteoarthritis, right knee", "imported"),
            ("medicine", "Apixaban 2.5 mg", "patient"),
        ):
            self.entry = HistoryEntry.objects.create(
                patient=self.grace,
                kind=kind,
                label=label,
                status="active",
                source=source,
                recorded_at=timezone.now(),
            )

    def _messages(self) -> None:
        now = timezone.now()
        self.conversation, _ = Conversation.objects.update_or_create(
            patient=self.grace,
            defaults={
                "state": Conversation.State.WAITING,
                "waiting_since": now,
                "last_message_at": now,
            },
        )
        Conversation.objects.create(address="+16175550190", last_message_at=now)
        for direction, state, body, more in (
            ("out", "failed", "Your visit is tomorrow.", {"error_code": "30006"}),
            (
                "out",
                "delivered",
                "See https://clinic.example/" + "k3Vx9QmT2LwZ" * 5,
                {},
            ),
            ("in", "received", "1 but it hurts", {"note": "come"}),
        ):
            Message.objects.create(
                direction=direction,
                conversation=self.conversation,
                patient=self.grace,
                channel="sms",
                address=GRACE,
                body=body,
                encoding="GSM-7",
                state=state,
                provider="simulated",
                not_before=now,
                at=now,
                **more,
            )

    def _work(self) -> None:
        now = timezone.now()
        self.items = [
            raise_item(
                kind=kind,
                severity=severity,
                reason="Cannot come, and nobody has called back yet.",
                subject_kind="scene",
                subject_id=number,
                dedupe_key=f"scene:{number}",
                due_at=now + timedelta(minutes=30 * (number - 1)),
                patient=self.grace if number < 2 else None,
            )
            for number, (kind, severity) in enumerate(
                (
                    ("red_flag", WorkItem.Severity.RED),
                    ("visit_cancel", WorkItem.Severity.AMBER),
                    ("gateway", WorkItem.Severity.REVIEW),
                )
            )
        ]
        claim_item(item_id=self.items[1].pk, by=self.femi)
        self.letter = raise_item(
            kind="letter",
            severity=WorkItem.Severity.AMBER,
            reason="Has not heard of the visit, and likes letters best.",
            reason_places={"letter": "Harbour Clinic: Grace, your visit is Mon 7 Dec."},
            subject_kind="scene",
            subject_id=9,
            dedupe_key="scene:letter",
            due_at=now + timedelta(days=2),
            patient=self.grace,
        )

    def _jobs(self) -> None:
        """An import in each state, and the look through a list before it."""
        problems = [
            Problem(3, "identifier", "is missing", True),
            Problem(9, "phone", "12: not a valid number", False),
        ]
        counts = ImportResult(
            created=2_400,
            rejected=1,
            warnings=1,
            problems=problems,
            unknown_columns=["Shoe size"],
        )
        result = {"name": "list-of-harbour-clinic.csv", "counts": as_json(counts)}
        self.jobs = [
            Job.objects.create(
                kind=kind,
                user=self.maya,
                state=state,
                done=1_200,
                total=None if state == "queued" else 2_402,
                result={} if state in ("queued", "running") else result,
                work={"text": "x", "columns_seen": COLUMNS_SEEN, "rejects": "x"},
                created_at=timezone.now(),
            )
            for kind, state in [
                (CHECK, "done"),
                *((IMPORT, state) for state in Job.State.values),
            ]
        ]

    def pages(self) -> dict[str, list[tuple[User | None, str]]]:
        """Return {name of the address: [(who looks, path)]}."""

        def at(
            name: str, *args: int | str, query: str = "", who: Any = self.maya
        ) -> Any:
            return who, reverse(name, args=args) + query

        return {
            "today": [at("today"), at("today", who=self.otto)],
            "audit:event_list": [
                at("audit:event_list", who=self.otto),
                at("audit:event_list", query="?since=soon&patient=x", who=self.ada),
            ],
            "audit:patient_trail": [
                at("audit:patient_trail", self.grace.pk, who=self.ada),
                at("audit:patient_trail", 99_999, who=self.otto),
            ],
            "account_login": [at("account_login", who=None)],
            "account_logout": [at("account_logout")],
            "account_inactive": [at("account_inactive", who=None)],
            "account_reauthenticate": [at("account_reauthenticate")],
            "account_change_password": [at("account_change_password")],
            "account_sessions": [at("account_sessions")],
            "mfa_index": [at("mfa_index"), at("mfa_index", who=self.ben)],
            "mfa_activate_totp": [at("mfa_activate_totp")],
            "mfa_deactivate_totp": [at("mfa_deactivate_totp", who=self.ben)],
            "mfa_view_recovery_codes": [at("mfa_view_recovery_codes", who=self.ben)],
            "mfa_generate_recovery_codes": [
                at("mfa_generate_recovery_codes", who=self.ben)
            ],
            "mfa_add_webauthn": [at("mfa_add_webauthn")],
            "mfa_list_webauthn": [at("mfa_list_webauthn", who=self.ben)],
            "mfa_edit_webauthn": [at("mfa_edit_webauthn", self.key.pk, who=self.ben)],
            "mfa_remove_webauthn": [
                at("mfa_remove_webauthn", self.key.pk, who=self.ben)
            ],
            "mfa_reauthenticate": [at("mfa_reauthenticate", who=self.ben)],
            "mfa_reauthenticate_webauthn": [
                at("mfa_reauthenticate_webauthn", who=self.ben)
            ],
            "patients:patient_list": [
                at("patients:patient_list"),
                at("patients:patient_list", who=self.ada),
            ],
            "patients:note_list": [
                at("patients:note_list", self.grace.pk),
                at("patients:note_list", self.otis.pk),
            ],
            "patients:note_add": [at("patients:note_add", self.tomas.pk)],
            "patients:note_detail": [
                at("patients:note_detail", self.grace.pk, note.pk)
                for note in (self.note, self.wrong)
            ],
            "patients:note_addend": [
                at("patients:note_addend", self.grace.pk, self.note.pk)
            ],
            "patients:note_correct": [
                at("patients:note_correct", self.grace.pk, self.note.pk)
            ],
            "patients:note_take_back": [
                at("patients:note_take_back", self.grace.pk, self.note.pk)
            ],
            "patients:note_draft_list": [
                at("patients:note_draft_list"),
                at("patients:note_draft_list", who=self.ben),
            ],
            "patients:people_around": [
                at("patients:people_around", self.tomas.pk),
                at("patients:people_around", self.otis.pk, who=self.femi),
            ],
            "patients:contact_person_add": [
                at("patients:contact_person_add", self.tomas.pk)
            ],
            "patients:contact_person_edit": [
                at("patients:contact_person_edit", self.tomas.pk, self.sister.pk)
            ],
            "patients:intake_add": [at("patients:intake_add", self.grace.pk)],
            "patients:intake_link": [
                at("patients:intake_link", self.grace.pk),
                at("patients:intake_link", self.tomas.pk, who=self.femi),
            ],
            "patients:intake_review": [
                at("patients:intake_review", one.patient_id, one.pk)
                for one in self.intakes
            ],
            "patients:emergency_access": [at("patients:emergency_access")],
            "patients:access_review_list": [
                at("patients:access_review_list", who=self.ada)
            ],
            "patients:access_review": [
                at("patients:access_review", grant.pk, who=self.ada)
                for grant in self.grants
            ],
            **{
                f"patients:{name}": [
                    at(f"patients:{name}", self.hannah.pk, who=self.ada)
                ]
                for name in ("patient_record", "record_hold", "record_erase")
            },
            "patients:retention_list": [at("patients:retention_list", who=self.ada)],
            "patients:retention_edit": [
                at("patients:retention_edit", "links", who=self.ada)
            ],
            "patients:duplicate_list": [at("patients:duplicate_list")],
            "patients:merge_start": [at("patients:merge_start", self.grace.pk)],
            "patients:patient_merge": [
                at("patients:patient_merge", self.grace.pk, self.alike.pk),
                at("patients:patient_merge", self.grace.pk, self.tomas.pk),
            ],
            "patients:patient_unmerge": [
                at("patients:patient_unmerge", self.grace.pk, self.merged.pk)
            ],
            "patients:patient_timeline": [
                at("patients:patient_timeline", self.grace.pk),
                at("patients:patient_timeline", self.otis.pk, query="?show=work"),
            ],
            "patients:consent_edit": [
                at("patients:consent_edit", self.grace.pk),
                at("patients:consent_edit", self.tomas.pk, who=self.femi),
                at("patients:consent_edit", self.otis.pk),
            ],
            "patients:consent_screen": [
                at("patients:consent_screen", self.grace.pk),
                at("patients:consent_screen", self.grace.pk, query="?done=1"),
            ],
            "appointments:consent_list": [at("appointments:consent_list")],
            "appointments:before_visit": [
                at("appointments:before_visit", self.visit.pk),
                at("appointments:before_visit", self.visit.pk, who=self.femi),
            ],
            "patients:patient_import": [at("patients:patient_import")],
            "patients:import_columns": [at("patients:import_columns", self.jobs[0].pk)],
            "patients:patient_add": [at("patients:patient_add")],
            "patients:patient_edit": [
                at("patients:patient_edit", self.grace.pk, section)
                for section in SECTIONS
            ],
            "patients:patient_died": [at("patients:patient_died", self.grace.pk)],
            "patients:death_correct": [at("patients:death_correct", self.otis.pk)],
            "patients:point_add": [at("patients:point_add", self.grace.pk)],
            "patients:point_edit": [
                at("patients:point_edit", self.wilma.pk, point.pk)
                for point in self.wilma.contact_points.all()
            ],
            "patients:flag_pin": [
                at("patients:flag_pin", self.wilma.pk),
                at("patients:flag_pin", self.grace.pk, who=self.femi),
            ],
            "patients:safe_contact": [
                at("patients:safe_contact", self.wilma.pk),
                at("patients:safe_contact", self.grace.pk),
            ],
            "job_list": [at("job_list"), at("job_list", who=self.otto)],
            "job_detail": [at("job_detail", job.pk) for job in self.jobs],
            "patients:history_list": [
                at("patients:history_list", self.grace.pk),
                at("patients:history_list", self.tomas.pk, who=self.rao),
                at("patients:history_list", self.grace.pk, who=self.rao),
            ],
            "patients:history_add": [
                at("patients:history_add", self.grace.pk, kind)
                for kind in ("condition", "medicine", "social")
            ],
            "patients:history_edit": [
                at("patients:history_edit", self.grace.pk, self.entry.pk)
            ],
            "patients:history_untold": [
                at("patients:history_untold", who=self.rao),
                at("patients:history_untold", query="?folder=mine", who=self.rao),
            ],
            "patients:history_tell": [
                at("patients:history_tell", self.grace.pk, who=self.rao)
            ],
            "patients:patient_detail": [
                at("patients:patient_detail", self.grace.pk),
                at("patients:patient_detail", self.tomas.pk, who=self.femi),
                at("patients:patient_detail", self.otis.pk),
                at("patients:patient_detail", self.wilma.pk),
                at("patients:patient_detail", self.wilma.pk, who=self.femi),
                at("patients:patient_detail", self.hannah.pk),
            ],
            "appointments:schedule": [
                at("appointments:schedule"),
                at("appointments:schedule", query="?day=2031-01-01"),
            ],
            "appointments:appointment_book": [
                at("appointments:appointment_book", self.grace.pk)
            ],
            "appointments:appointment_detail": [
                at("appointments:appointment_detail", self.visit.pk)
            ],
            "appointments:appointment_move": [
                at("appointments:appointment_move", self.visit.pk)
            ],
            "messaging:inbox_list": [
                at("messaging:inbox_list"),
                at("messaging:inbox_list", query="?folder=all"),
            ],
            "messaging:conversation_detail": [
                at("messaging:conversation_detail", self.conversation.pk)
            ],
            "messaging:phone": [at("messaging:phone")],
            "messaging:duty_list": [
                at("messaging:duty_list"),
                at("messaging:duty_list", who=self.ada),
            ],
            "messaging:duty_add": [at("messaging:duty_add", who=self.ada)],
            "messaging:duty_edit": [
                at("messaging:duty_edit", self.duty.pk, who=self.ada)
            ],
            "messaging:duty_alert": [(None, self.duty_link)],
            **{
                f"messaging:{name}": [at(f"messaging:{name}", who=self.ada)]
                for name in (
                    "operations",
                    "operations_lately",
                    "operations_promises",
                    "operations_test",
                )
            },
            "messaging:gateway_switch": [
                at("messaging:gateway_switch", "simulated", who=self.ada)
            ],
            "messaging:unknown_message": [
                at("messaging:unknown_message", self.unknown.pk, who=self.ada)
            ],
            "links:enter": [(None, self.link)],
            "links:bye": [at("links:bye", who=None)],
            "messaging:leave": [(None, leave_path(uuid.uuid4()))],
            "worklist:item_list": [at("worklist:item_list")],
            "worklist:item_close": [
                at("worklist:item_close", item.pk)
                for item in (*self.items[:2], self.letter)
            ],
        }


@pytest.fixture
def scene(settings: Any) -> Scene:
    # The embedded run, with its banner and its phone.
    settings.DEBUG = True
    return Scene()


@pytest.fixture
def look_at(chromium: Browser, live_server: Any) -> Iterator[LookAt]:
    """Open a tab as somebody; whatever the browser complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def look(user: User | None, size: tuple[int, int] = SCREENS["desk"]) -> Page:
        width, height = size
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            base_url=live_server.url,
            locale="en-US",
            # Colours half way between two schemes have nobody's contrast.
            reduced_motion="reduce",
        )
        contexts.append(context)
        if user:
            client = Client()
            client.force_login(user)
            session = client.session
            session["phone"] = GRACE
            # They have just entered their password.
            session["account_authentication_methods"] = [
                {"method": "password", "at": timezone.now().timestamp()}
            ]
            session["account_authentication_methods_user"] = str(user.pk)
            session.save()
            context.add_cookies(
                [
                    {
                        "name": "sessionid",
                        "value": client.cookies["sessionid"].value,
                        "url": live_server.url,
                    }
                ]
            )
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                complaints.append(f"{page.url}: {line.text}")
                if line.type == "error"
                else None
            ),
        )
        return page

    yield look
    for context in contexts:
        context.close()
    assert complaints == []


def axe_finds(page: Page, where: str) -> list[str]:
    return _told(Axe().run(page).response, where)


def contrast_finds(page: Page, where: str) -> list[str]:
    """Look at colours alone, with the axe that the page already holds."""
    return _told(page.evaluate("axe.run({runOnly: ['color-contrast']})"), where)


def _told(found: dict[str, Any], where: str) -> list[str]:
    return [
        f"{where}: {rule['id']} at {node['target']}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_is_sound(scene: Scene, look_at: LookAt, screen: str) -> None:
    """Axe, width, console, one heading, and nothing inline."""
    tabs: dict[User | None, Page] = {}
    wrong: list[str] = []
    for visits in scene.pages().values():
        for who, path in visits:
            page = tabs.get(who) or look_at(who, SCREENS[screen])
            tabs[who] = page
            page.emulate_media(color_scheme="light")
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            html = answer.text()
            wrong += [
                f"{path}: {what}" for what, sign in INLINE.items() if sign.search(html)
            ]
            if page.locator("h1").count() != 1:
                wrong.append(f"{path}: not one h1")
            if page.evaluate("document.querySelectorAll('[style]').length"):
                wrong.append(f"{path}: a script set a style attribute")
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wider > 0:
                wrong.append(f"{path}: {wider} px wider than the {screen}")
            wrong += axe_finds(page, path)
            page.emulate_media(color_scheme="dark")
            wrong += contrast_finds(page, f"{path}, dark")
    assert wrong == []


def test_no_page_is_forgotten(scene: Scene) -> None:
    ours = {
        address.name
        for address in walk_addresses()
        if not address.name.startswith("admin:")
    }
    assert ours - NO_PAGES == set(scene.pages())


@pytest.mark.parametrize("screen", SCREENS)
def test_pages_of_errors(
    scene: Scene, look_at: LookAt, settings: Any, screen: str
) -> None:
    settings.DEBUG = False
    page = look_at(scene.otto, SCREENS[screen])
    page.goto(reverse("account_logout"))
    for path, status, says in (
        ("/nowhere/", 404, "There is nothing here"),
        (reverse("patients:patient_list"), 403, "Not for this login"),
    ):
        answer = page.request.get(path)
        assert answer.status == status
        # Set as content, or the browser would complain of the status; without scripts,
        # whose nonce is not that of the page it is set into.
        page.set_content(re.sub(r"(?s)<script.*?</script>", "", answer.text()))
        assert says in answer.text()
        assert axe_finds(page, path) == []


def test_page_of_a_failure_asks_nothing_of_the_rest(
    rf: RequestFactory, django_assert_num_queries: Any
) -> None:
    request = rf.get("/")
    with django_assert_num_queries(0):
        answer = server_error(request)
    assert answer.status_code == 500
    assert b"Something broke on our side" in answer.content


def test_the_find_box_by_keyboard(scene: Scene, look_at: LookAt) -> None:
    page = look_at(scene.maya)
    page.goto("/")
    find = page.get_by_role("searchbox", name="Find a patient")
    page.keyboard.press("/")
    expect(find).to_be_focused()
    page.keyboard.type("silv")
    result = page.locator("#found").get_by_role("link", name="Tomás Silva", exact=True)
    expect(result).to_be_visible()
    expect(page.locator("#said")).to_have_text("1 patient found")
    assert axe_finds(page, "results") == []
    page.keyboard.press("Escape")
    expect(result).to_have_count(0)
    expect(find).to_be_focused()
    page.keyboard.type("a")
    page.keyboard.press("ArrowUp")
    expect(result).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(result).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Tomás Silva")


def test_the_menu_by_keyboard(scene: Scene, look_at: LookAt) -> None:
    """It opens and closes on its own button, and goes when one goes on elsewhere."""
    page = look_at(scene.maya)
    page.goto(reverse("patients:patient_detail", args=[scene.grace.pk]))
    more = page.locator("summary", has_text="More")
    alerts = page.get_by_role("link", name="Pinned alerts")
    expect(alerts).to_be_hidden()
    more.press("Enter")
    expect(alerts).to_be_visible()
    assert axe_finds(page, "menu") == []
    page.keyboard.press("Tab")
    expect(alerts).to_be_focused()
    page.keyboard.press("Escape")
    expect(alerts).to_be_hidden()
    expect(more).to_be_focused()
    more.press("Enter")
    page.get_by_role("heading", level=1).click()
    expect(alerts).to_be_hidden()


def test_the_skip_link_comes_first(scene: Scene, look_at: LookAt) -> None:
    page = look_at(scene.maya)
    page.goto("/worklist/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_patient_list_grows_in_place(scene: Scene, look_at: LookAt) -> None:
    page = look_at(scene.femi)
    page.goto("/patients/")
    rows = page.locator("#results li")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Show more", exact=True).click()
    expect(rows).to_have_count(31)
    page.get_by_role("searchbox").fill("zeta")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Show more", exact=True).click()
    expect(rows).to_have_count(26)
    page.get_by_role("searchbox").fill("5550143")
    expect(rows).to_have_count(1)
    assert page.url.endswith("/patients/")


def test_in_an_emergency_one_patient_opens_and_closes(
    scene: Scene, look_at: LookAt
) -> None:
    index_patients([scene.hannah.pk])
    page = look_at(scene.ben)
    page.goto("/patients/")
    page.get_by_role("searchbox").fill("voss")
    expect(page.get_by_text("Nobody found for “voss”.")).to_be_visible()
    assert axe_finds(page, "nobody found") == []
    page.get_by_role("link", name="Emergency access").last.click()
    page.get_by_label("Full name").fill("Hannah Voss")
    page.get_by_label("Birth date").fill("1990-02-04")
    page.get_by_label("Why you must see").fill("Brought in, fainted again.")
    page.get_by_role("button", name="Open for 60 minutes").click()
    expect(page.get_by_text("This finds no single patient.")).to_be_visible()
    assert axe_finds(page, "no single patient") == []
    page.get_by_label("Birth date").fill("1990-02-03")
    page.get_by_role("button", name="Open for 60 minutes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Hannah Voss")
    banner = page.get_by_role("complementary", name="Emergency access")
    expect(banner).to_contain_text("every page you open: Ada.")
    banner.get_by_role("button", name="End now").click()
    expect(page.get_by_text("Emergency access ended")).to_be_visible()
    assert page.request.get(f"/patients/{scene.hannah.pk}/").status == 404


def test_arrived_is_one_tap(scene: Scene, look_at: LookAt) -> None:
    page = look_at(scene.femi)
    page.goto("/")
    page.get_by_role("button", name="Arrived: Tomás Silva").click()
    row = page.get_by_role("listitem").filter(has_text="Tomás Silva")
    expect(row.get_by_text("Arrived")).to_be_visible()
    expect(page.get_by_role("button", name="Arrived")).to_have_count(0)


def test_history_is_edited_in_its_place(scene: Scene, look_at: LookAt) -> None:
    page = look_at(scene.rao)
    page.goto(reverse("patients:history_list", args=[scene.grace.pk]))
    where = page.url
    page.get_by_role("link", name="Add a condition").click()
    name = page.get_by_role("textbox", name="Condition")
    expect(name).to_be_focused()
    page.keyboard.type("heart f")
    page.get_by_role("button", name="Heart failure").click()
    expect(name).to_have_value("Heart failure")
    page.get_by_label("Known from").first.select_option("staff")
    assert axe_finds(page, "form in place") == []
    name.press("Enter")
    expect(page.get_by_text("Written down")).to_be_visible()
    page.get_by_role("button", name="Verify: Heart failure").click()
    expect(page.get_by_text("Verified by Rao")).to_be_visible()
    page.get_by_role("link", name="Edit: Heart failure").click()
    expect(name).to_have_value("Heart failure")
    assert page.url == where


def test_without_scripts(scene: Scene, chromium: Browser, live_server: Any) -> None:
    """Finding a patient and signing out work in a browser that runs nothing."""
    client = Client()
    client.force_login(scene.maya)
    context = chromium.new_context(java_script_enabled=False, base_url=live_server.url)
    context.add_cookies(
        [
            {
                "name": "sessionid",
                "value": client.cookies["sessionid"].value,
                "url": live_server.url,
            }
        ]
    )
    page = context.new_page()
    page.goto("/")
    find = page.get_by_role("searchbox", name="Find a patient")
    find.fill("5550143")
    find.press("Enter")
    page.get_by_role("link", name="Grace Okafor").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Grace Okafor")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()
