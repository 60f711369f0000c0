"""The trail speaks in words: every page has a title, every code and actor a name."""

import ast
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.urls import NoReverseMatch, reverse

from accounts.audit.record import record
from accounts.audit.sentences import actor_name, details_in_words, sentence
from accounts.audit.vocabulary import ACTORS, CODES, FACTS, PAGES, page_title
from accounts.models import AuditEvent
from accounts.policies import walk_addresses
from accounts.roles import Role
from appointments.models import Appointment
from messaging.models import Conversation
from patients.household import FIELDS
from patients.models import (
    Channel,
    Consent,
    Flag,
    HistoryEntry,
    HistoryReview,
    Note,
)
from patients.profile import PROFILE_FIELDS
from patients.retention import retention
from tests.factories import come_in, member_of_staff

ROOT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "patients", "worklist", "messaging", "appointments", "clinic_crm")
#: Asked by machines, or with a record of its own (``admin:accounts_user``).
UNTITLED = ("healthz", "readyz", "metrics", "messaging:twilio_", "admin:")
#: What stands in ``details`` by way of a variable.
BY_VALUE = {
    *Appointment.State.values,
    *Channel.values,
    *Consent.Purpose.values,
    *Flag.Category.values,
    *HistoryEntry.Kind.values,
    *HistoryReview.Outcome.values,
    *(Note.Relation.ADDENDUM, Note.Relation.CORRECTION, Note.Relation.LATE_ENTRY),
    *(key for key, _rule in retention),
    # Which fields of a profile, a contact person and an address were changed.
    *PROFILE_FIELDS,
    *FIELDS,
    *("sites", "rank", "usable", "why_not", "safe_to_text", "voicemail"),
    *Authenticator.Type.values,
    Conversation.State.DONE.value,
    # What a visit is compared by, and how allauth calls a proof by a second factor.
    *("start", "end", "clinician", "site", "state", "mfa"),
}
#: What a rule does stands in the history of the work alone.
NOBODYS = {"opened"}
#: Titles of pages whose heading names what they show, or says it at more length.
OTHER_HEADING = {
    "today": "the day",
    "appointments:schedule": "the day",
    "patients:patient_find": "without htmx, the list of patients",
    "messaging:operations_lately": "its tab",
    "messaging:operations_promises": "its tab",
    "messaging:operations_test": "its tab",
}


def test_every_address_of_ours_has_a_title():
    names = {
        address.name
        for address in walk_addresses()
        if not address.name.startswith(UNTITLED)
    }
    assert names - set(PAGES) == set()
    assert set(PAGES) - names == set()


@pytest.mark.django_db
def test_a_title_is_what_the_page_itself_is_headed(client, monday):
    ada = member_of_staff("ada", Role.MANAGER)
    compared, differs = set(), []
    for name in sorted(set(PAGES) - set(OTHER_HEADING)):
        come_in(client, ada)
        try:
            answer = client.get(reverse(name))
        except NoReverseMatch:
            continue
        if answer.status_code != 200 or answer.streaming:
            continue
        headings = re.findall(r"<h1>(.*?)</h1>", answer.content.decode(), re.DOTALL)
        compared |= {name for _heading in headings}
        differs += [
            (name, heading.strip())
            for heading in headings
            if unescape(heading.strip()) != page_title(name)
        ]
    assert differs == []
    assert {"mfa_index", "patients:patient_list", "job_list"} <= compared


def _functions() -> list[ast.FunctionDef]:
    """Return the functions of every file that writes to the trail."""
    texts = [path.read_text() for app in APPS for path in (ROOT / app).rglob("*.py")]
    return [
        node
        for text in texts
        if re.search(r"audit\.record import|\b(?:note|record)_\w+\(", text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    ]


def _called(node: ast.AST) -> str:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return node.func.id if is_call else ""


def _texts(nodes: list[ast.expr]) -> set[str]:
    """Return what a value may be as far as the source says so."""
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                # "closed: kept" is a code and more; "import:history" is a subject.
                code = text.partition(": ")[0]
                found |= set() if ":" in code else {code}
            case ast.List(elts=parts) | ast.JoinedStr(values=parts):
                found |= _texts(parts)
            case ast.IfExp(body=one, orelse=other):
                found |= _texts([one, other])
            case ast.Call(func=ast.Name(id="gettext_noop"), args=parts):
                found |= _texts(parts)
    return found - {""}


def _written() -> tuple[set[str], set[str]]:
    """Return the keys and codes that stand in ``details`` in the source.

    Those too that come by way of a function around it: ``_note(visit, "booked")``.
    """
    functions = _functions()
    around = {"record"}
    for _depth in range(2):
        around |= {
            function.name
            for function in functions
            if function.name.startswith(("_", "note_", "record_"))
            and any(_called(node) in around for node in ast.walk(function))
        }
    keys: set[str] = set()
    codes: set[str] = set()
    calls = (node for function in functions for node in ast.walk(function))
    for call in calls:
        if not isinstance(call, ast.Call) or _called(call) not in around:
            continue
        if _called(call) != "record":
            codes |= _texts([*call.args, *(given.value for given in call.keywords)])
        for given in call.keywords:
            if given.arg == "details" and isinstance(given.value, ast.Dict):
                keys |= _texts([key for key in given.value.keys if key])
                codes |= _texts(given.value.values)
    return keys, codes


def test_every_code_that_is_written_has_a_word_and_no_other():
    keys, codes = _written()
    assert {"booked", "suppressed", "no single match", "claimed"} <= codes
    assert keys - set(FACTS) == set()
    assert codes - set(CODES) - set(FACTS) == NOBODYS
    assert set(CODES) - codes - BY_VALUE == set()
    assert BY_VALUE - set(CODES) == set()


@pytest.mark.django_db
@pytest.mark.parametrize("actor", sorted(set(ACTORS) - {""}))
def test_whoever_is_no_member_of_staff_is_named_in_words(actor):
    event = record(AuditEvent.Verb.READ, actor=actor)
    assert actor_name(event, {}) == str(ACTORS[actor]) != actor


def test_filters_of_the_audit_are_told_in_words():
    told: dict[str, Any] = {"verb": "sign_in", "address": "mfa_index", "staff": 3}
    assert details_in_words(told) == (
        f"what was done: {AuditEvent.Verb.SIGN_IN.label}; page: Security; login: 3"
    )


def test_what_is_set_up_in_admin_is_told_by_its_name():
    event = AuditEvent(verb=AuditEvent.Verb.CHANGE, subject="accounts_site:2")
    assert sentence(event, "Ada") == "Ada changed site 2"
