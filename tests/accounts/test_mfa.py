"""The second factor: who must have one, what it takes, and what is kept of it."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts import crypto
from accounts.door.forms import CODE
from accounts.door.services import reset_factors
from accounts.models import AuditEvent
from accounts.roles import Role
from tests.accounts.keys import key_of
from tests.accounts.test_door import PASSWORD, WRONG, sign_in, with_password
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def maya():
    return with_password("maya")


@pytest.fixture
def secret(maya) -> str:
    """Maya's app, set up."""
    text = generate_totp_secret()
    TOTP.activate(maya, text)
    return text


def code_of(secret: str, steps: int = 0) -> str:
    """Return what the app shows, so many half minutes from now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def enter(client: Client, code: str):
    return client.post(reverse("mfa_authenticate"), {"code": code})


def test_the_password_alone_opens_nothing(client, maya, secret, monday):
    answer = sign_in(client)
    assert answer["Location"] == reverse("mfa_authenticate")
    assert client.get("/")["Location"].startswith(reverse("account_login"))
    assert enter(client, code_of(secret))["Location"] == "/"
    assert client.get("/").status_code == 200


def test_which_factor_there_is_shows_only_after_the_right_password(
    client, maya, secret, monday
):
    with_password("femi")
    texts = {
        sign_in(client, login, WRONG).content.decode().count("code")
        for login in ("maya", "femi", "nobody")
    }
    assert len(texts) == 1
    assert client.get(reverse("mfa_authenticate"))["Location"] == reverse(
        "account_login"
    )


def test_a_code_is_good_once_even_on_another_server(maya, secret, monday):
    code = code_of(secret)
    first, second = Client(), Client()
    sign_in(first)
    sign_in(second)
    assert enter(first, code).status_code == 302
    # What allauth remembers is the memory of one process.
    cache.clear()
    answer = enter(second, f"{code[:3]}-{code[3:]}")
    assert b"used already" in answer.content
    assert enter(second, code_of(secret, 1)).status_code == 302


def test_a_code_of_half_a_minute_ago_still_counts_an_older_one_does_not(
    client, maya, secret, monday
):
    sign_in(client)
    assert b"Incorrect code" in enter(client, code_of(secret, -2)).content
    assert enter(client, code_of(secret, -1)).status_code == 302


def test_codes_cannot_be_tried_out(client, maya, secret, monday):
    sign_in(client)
    for _ in range(CODE.limit):
        enter(client, "000000")
    answer = enter(client, code_of(secret))
    assert b"Too many tries" in answer.content
    # Signing in anew, on another machine, gives no new tries.
    other = Client()
    sign_in(other, REMOTE_ADDR="198.51.100.9")
    assert b"Too many tries" in enter(other, code_of(secret)).content


def test_a_wrong_code_is_written(client, maya, secret, monday):
    sign_in(client)
    enter(client, "000000")
    (event,) = AuditEvent.objects.filter(verb="refused")
    assert (event.subject, event.details) == (f"user:{maya.pk}", {"wrong": "code"})
    assert (event.actor_id, event.actor) == (None, "nobody")


def test_a_wrong_code_of_somebody_who_is_in_is_theirs(client, maya, secret, monday):
    client.force_login(maya)
    client.post(reverse("mfa_reauthenticate"), {"code": "000000"})
    (event,) = AuditEvent.objects.filter(verb="refused")
    assert (event.actor, event.subject) == ("maya", f"user:{maya.pk}")


def test_a_recovery_code_opens_once(maya, secret, monday):
    code = RecoveryCodes.activate(maya).get_unused_codes()[0]
    for status in (302, 200):
        client = Client()
        sign_in(client)
        assert enter(client, code).status_code == status


def test_seeds_are_unreadable_in_the_database_and_open_with_an_older_key(
    maya, secret, settings
):
    RecoveryCodes.activate(maya)
    rows = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in rows
    assert code_of(secret) not in rows
    totp = Authenticator.objects.get(type="totp")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert totp.wrap().validate_code(code_of(secret))
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(crypto.UnreadableError):
        totp.wrap().validate_code(code_of(secret))


def test_what_is_encrypted_for_one_use_opens_for_no_other():
    token = crypto.encrypt("text", use="second-factor")
    assert crypto.decrypt(token, use="second-factor") == "text"
    with pytest.raises(crypto.UnreadableError):
        crypto.decrypt(token, use="kept-form:1")


def test_a_lost_key_is_said_in_words(client, maya, secret, settings, monday):
    sign_in(client)
    Authenticator.objects.update(data={"secret": "garbage"})
    assert b"Ask your manager" in enter(client, "123456").content


def test_an_app_is_set_up_with_its_first_code(client, maya, monday):
    sign_in(client)
    client.get(reverse("mfa_activate_totp"))
    secret = client.session["mfa.totp.secret"]
    answer = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert answer["Location"] == reverse("mfa_view_recovery_codes")
    assert len(client.get(answer["Location"]).context["unused_codes"]) == 10
    other = Client()
    sign_in(other)
    assert b"used already" in enter(other, code_of(secret)).content


@pytest.mark.django_db(transaction=True)
def test_adding_and_removing_a_factor_is_written(client, maya, monday):
    sign_in(client)
    client.get(reverse("mfa_activate_totp"))
    secret = client.session["mfa.totp.secret"]
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    client.post(reverse("mfa_deactivate_totp"))
    told = [
        event.details
        for event in AuditEvent.objects.filter(verb="security").order_by("pk")
    ]
    assert told == [
        {"added": "totp"},
        {"added": "recovery_codes"},
        {"removed": "totp"},
        {"removed": "recovery_codes"},
    ]


@pytest.mark.parametrize(
    "name",
    [
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_generate_recovery_codes",
        "mfa_deactivate_totp",
    ],
)
def test_factors_are_touched_only_by_somebody_who_just_proved_who_they_are(
    client, maya, secret, monday, name
):
    client.force_login(maya)
    answer = client.get(reverse(name))
    url = reverse("account_reauthenticate")
    assert answer["Location"] == f"{url}?next={reverse(name).replace('/', '%2F')}"
    answer = client.post(url, {"password": PASSWORD, "next": reverse(name)})
    assert answer["Location"] == reverse(name)
    # The app is there already: setting it up leads on, the others open.
    assert client.get(reverse(name)).status_code in (200, 302)
    monday.shift(6 * 60)
    assert client.get(reverse(name))["Location"].startswith(url)


@pytest.mark.parametrize(
    "path", ["/", "/patients/", "/admin/", "/admin/accounts/user/"]
)
def test_where_one_is_required_nothing_opens_without(client, settings, path):
    settings.REQUIRE_MFA = True
    ada = member_of_staff("ada", Role.MANAGER)
    client.force_login(ada)
    assert client.get(path)["Location"] == reverse("mfa_index")
    assert client.post(path)["Location"] == reverse("mfa_index")
    fragment = client.get(path, headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment["HX-Redirect"]) == (
        401,
        reverse("mfa_index"),
    )
    # Of the pages behind it nothing was seen, and nothing done there.
    assert not AuditEvent.objects.exists()
    assert b"asks for a second factor" in client.get(reverse("mfa_index")).content
    TOTP.activate(ada, generate_totp_secret())
    assert client.get(path).status_code == 200


def test_without_one_required_one_can_still_leave(client, maya, settings):
    settings.REQUIRE_MFA = True
    client.force_login(maya)
    assert client.post(reverse("account_logout")).status_code == 302
    assert client.get("/healthz").status_code == 200


def test_the_last_factor_stays_where_one_is_required(
    client, maya, secret, settings, monday
):
    settings.REQUIRE_MFA = True
    sign_in(client)
    enter(client, code_of(secret))
    client.post(reverse("mfa_deactivate_totp"))
    assert Authenticator.objects.filter(user=maya, type="totp").exists()
    key = key_of(maya)
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.filter(user=maya, type="totp").exists()
    client.post(reverse("mfa_remove_webauthn", args=[key.pk]))
    assert Authenticator.objects.filter(pk=key.pk).exists()
    settings.REQUIRE_MFA = False
    client.post(reverse("mfa_remove_webauthn", args=[key.pk]))
    assert not Authenticator.objects.filter(user=maya).exists()


def test_nobody_touches_a_colleagues_key(client, maya, monday):
    key = key_of(member_of_staff("femi", Role.FRONT_DESK))
    sign_in(client)
    for name in ("mfa_remove_webauthn", "mfa_edit_webauthn"):
        assert client.get(reverse(name, args=[key.pk])).status_code == 404
        assert client.post(reverse(name, args=[key.pk])).status_code == 404


def test_a_manager_resets_a_colleagues_factors(client, maya, secret, monday):
    ada = member_of_staff("ada", Role.MANAGER)
    sign_in(client)
    enter(client, code_of(secret))
    assert reset_factors(user=maya, by=ada) == 1
    assert client.get("/").status_code == 302
    assert sign_in(client)["Location"] == "/"
    event = AuditEvent.objects.get(verb="security")
    assert (event.actor, event.subject, event.details) == (
        "ada",
        f"user:{maya.pk}",
        {"removed": ["totp"]},
    )


def test_the_login_with_a_passkey_names_no_keys_before(client, maya):
    key_of(maya)
    answer = client.get(
        reverse("mfa_login_webauthn"), headers={"Accept": "application/json"}
    )
    options = answer.json()["request_options"]["publicKey"]
    assert not options.get("allowCredentials")


def test_a_passkey_that_means_nothing_is_refused(client, maya):
    answer = client.post(reverse("mfa_login_webauthn"), {"credential": "{}"})
    assert answer["Location"] == reverse("account_login")
    assert client.get("/").status_code == 302
