"""The house as it was drawn: who may know whom, and who may open what."""

import re

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.test import Client
from django.urls import get_resolver, path, reverse

from accounts.checks import check_every_address_has_a_policy
from accounts.policies import policy_for, walk_addresses
from accounts.roles import Role
from tests.factories import booked, member_of_staff

#: From the top of the house down, as import-linter has it.
LAYERS = ["clinic_crm", "appointments", "messaging", "worklist", "patients", "accounts"]


def test_foreign_keys_point_down():
    """Import-linter cannot see keys given as strings."""
    height = {name: len(LAYERS) - place for place, name in enumerate(LAYERS)}
    upward = [
        f"{model.__name__}.{field.name} -> {field.related_model.__name__}"
        for model in apps.get_models()
        if model._meta.app_label in height
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model
        if height.get(field.related_model._meta.app_label, 0)
        > height[model._meta.app_label]
    ]
    assert upward == []


def test_the_checks_find_nothing_in_the_embedded_run():
    assert run_checks() == []


def test_an_address_without_a_policy_does_not_start():
    resolver = get_resolver()
    resolver.url_patterns.append(path("forgotten/", lambda request: None))
    try:
        (error,) = check_every_address_has_a_policy()
    finally:
        resolver.url_patterns.pop()
    assert error.id == "accounts.E001"
    assert "forgotten/" in error.msg


@pytest.mark.django_db
def test_every_address_asks_for_a_login_or_says_why_not(client: Client):
    """Walk the whole URLconf as somebody who is not signed in."""
    open_to_all = []
    for address in walk_addresses():
        rule = policy_for(address.callback, address.name)
        assert rule is not None, address
        if rule.public:
            open_to_all.append(address.name)
            continue
        if address.name.startswith("admin:"):
            continue
        answer = client.get("/" + _filled(address.route))
        assert answer.status_code == 302, address
        assert answer["Location"].startswith("/accounts/login/"), address
    assert sorted(open_to_all) == [
        "account_inactive",
        "account_login",
        "account_logout",
        "healthz",
        "links:bye",
        "links:enter",
        "links:leave",
        "links:open",
        "messaging:duty_alert",
        "messaging:leave",
        "messaging:twilio_inbound",
        "messaging:twilio_inbound_bare",
        "messaging:twilio_status",
        "messaging:twilio_status_bare",
        "metrics",
        "mfa_authenticate",
        "mfa_login_webauthn",
        "readyz",
    ]


def _filled(route: str) -> str:
    return re.sub(r"<slug:\w+>", "word", re.sub(r"<int:\w+>", "1", route))


@pytest.mark.django_db
def test_admin_is_behind_the_one_login(client: Client):
    assert client.get("/admin/")["Location"].startswith("/accounts/login/")
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    assert client.get("/admin/").status_code == 403


@pytest.mark.django_db
def test_the_auditor_sees_nothing_of_a_patient(client: Client, monday):
    visit = booked()
    client.force_login(member_of_staff("otto", Role.AUDITOR))
    for name, arguments in [
        ("patients:patient_list", []),
        ("patients:patient_detail", [visit.patient.pk]),
        ("appointments:schedule", []),
        ("messaging:inbox_list", []),
        ("worklist:item_list", []),
    ]:
        assert client.get(reverse(name, args=arguments)).status_code == 403
    assert b"Okafor" not in client.get("/").content


@pytest.mark.django_db
def test_every_page_is_kept_out_of_caches_and_has_a_fresh_nonce(client: Client):
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    policies = set()
    for _again in range(2):
        answer = client.get("/patients/")
        assert answer["Cache-Control"] == "no-store"
        policies.add(answer["Content-Security-Policy"])
    assert len(policies) == 2
    for directives in policies:
        assert "default-src 'none'" in directives
        assert "img-src 'self' data:" in directives
        assert "unsafe" not in directives
