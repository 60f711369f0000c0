"""Who works here, what they may do, and how they come in."""

import pytest
from django.test import Client

from accounts.door.hashers import Argon2idHasher
from accounts.roles import Role
from tests.factories import SiteFactory, UserFactory, member_of_staff, patient

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def femi():
    user = member_of_staff("femi", Role.FRONT_DESK)
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client: Client, **data: str):
    return client.post(
        "/accounts/login/", {"login": "femi", "password": PASSWORD} | data
    )


def test_femi_signs_in_and_lands_on_today(client, femi):
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/").status_code == 200


def test_a_wrong_password_says_so_beside_the_form(client, femi):
    answer = sign_in(client, password="wrong horse battery")
    assert answer.status_code == 200
    assert b"not correct" in answer.content


def test_nobody_signs_up_by_themselves(client):
    assert client.get("/accounts/signup/").status_code == 404


def test_after_signing_in_one_is_where_one_wanted_to_be(client, femi):
    answer = client.get("/patients/")
    assert answer["Location"] == "/accounts/login/?next=/patients/"
    answer = client.post(
        answer["Location"],
        {"login": "femi", "password": PASSWORD, "next": "/patients/"},
    )
    assert answer["Location"] == "/patients/"


def test_but_never_elsewhere(client, femi):
    answer = sign_in(client, next="https://evil.example/")
    assert answer["Location"] == "/"


def test_a_fragment_of_an_ended_session_reloads_the_page(client):
    answer = client.get("/patients/", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer["HX-Refresh"] == "true"


def test_a_patient_of_another_site_is_not_there(client, femi):
    somebody = patient()
    somebody.sites.set([SiteFactory(name="Harbour Clinic North")])
    client.force_login(femi)
    assert client.get(f"/patients/{somebody.pk}/").status_code == 404
    assert client.get("/patients/999999/").status_code == 404
    assert client.post(f"/patients/{somebody.pk}/book/").status_code == 404


def test_passwords_are_kept_in_the_lighter_argon2id(femi):
    hasher = Argon2idHasher()
    decoded = hasher.decode(femi.password)
    assert (decoded["memory_cost"], decoded["time_cost"]) == (47104, 1)
    assert decoded["variety"] == "argon2id"


def test_a_login_that_is_switched_off_is_off_now(client, femi):
    client.force_login(femi)
    femi.is_active = False
    femi.save()
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    "path", ["accounts/site/", "accounts/user/add/", "appointments/visittype/add/"]
)
def test_a_manager_keeps_the_clinic_up_in_admin(client, path):
    ada = member_of_staff("ada", Role.MANAGER)
    client.force_login(ada)
    assert client.get(f"/admin/{path}").status_code == 200


def test_staff_are_known_by_name():
    maya = UserFactory(username="maya", name="Maya Osei")
    assert (str(maya), maya.get_short_name()) == ("Maya Osei", "Maya")
