"""What Django admin asks a manager to prove before it changes a login."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Job, User
from accounts.roles import Role
from tests.accounts.test_admin import STAFF, act, each_admin, form_of, page_of
from tests.accounts.test_door import PASSWORD, sign_in, with_password
from tests.factories import come_in, member_of_staff

pytestmark = pytest.mark.django_db

AGAIN = "/accounts/reauthenticate/"
NEW = "seven small boats at dawn"
TYPED = {"password1": NEW, "password2": NEW, "usable_password": "true"}


@pytest.fixture
def ada(client, monday) -> User:
    """A manager who signed in ten minutes ago."""
    ada = with_password("ada", Role.MANAGER)
    ada.is_staff = True
    ada.save()
    sign_in(client, "ada")
    monday.shift(timedelta(minutes=10))
    return ada


def password_of(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.pk])


@pytest.mark.parametrize("pk", ["{}", "0{}", "%30{}"])
def test_ones_own_password_is_not_set_without_the_old_one(client, ada, pk):
    come_in(client, ada)
    path = password_of(ada).replace(f"/{ada.pk}/", f"/{pk.format(ada.pk)}/")
    for answer in (client.get(path), client.post(path, TYPED)):
        assert answer["Location"] == reverse("account_change_password")
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_a_colleagues_password_is_set_after_a_proof_and_ends_what_they_had_open(
    client, ada
):
    maya = with_password("maya")
    desk = Client()
    sign_in(desk, "maya")
    assert client.post(password_of(maya), TYPED)["Location"].startswith(AGAIN)
    maya.refresh_from_db()
    assert maya.check_password(PASSWORD)
    client.post(AGAIN, {"password": PASSWORD})
    assert client.post(password_of(maya), TYPED)["Location"] == page_of(maya)
    maya.refresh_from_db()
    assert maya.check_password(NEW)
    assert not UserSession.objects.filter(user=maya).exists()
    assert desk.get("/").status_code == 302
    ended = AuditEvent.objects.get(verb="sign_out")
    assert (ended.actor, ended.subject) == ("ada", f"user:{maya.pk}")
    # The manager stays, in a session that still stands in their list.
    assert client.get("/").status_code == 200
    (entry,) = UserSession.objects.filter(user=ada)
    assert entry.session_key == client.session.session_key


def test_a_password_that_was_refused_ends_nothing(client, ada):
    maya = with_password("maya")
    desk = Client()
    sign_in(desk, "maya")
    come_in(client, ada)
    client.post(password_of(maya), TYPED | {"password2": "another"})
    assert desk.get("/").status_code == 200


def test_whoever_found_the_desk_open_changes_nobody(client, ada):
    maya = member_of_staff("maya", Role.NURSE)
    new = {"username": "ghost", "name": "Ghost"} | TYPED
    answers = [
        client.post(reverse("admin:accounts_user_add"), new),
        client.post(page_of(maya), form_of(maya, is_active="")),
        act(client, "end_all_sessions", maya, meant="yes"),
        act(client, "reset_second_factors", maya, meant="yes"),
    ]
    assert all(answer["Location"].startswith(AGAIN) for answer in answers)
    maya.refresh_from_db()
    assert maya.is_active
    assert not User.objects.filter(username="ghost").exists()


def test_but_may_look(client, ada):
    for path in (STAFF, reverse("admin:accounts_user_add"), page_of(ada)):
        assert client.get(path).status_code == 200


def test_what_was_typed_is_there_after_the_proof(client, ada):
    maya = member_of_staff("maya", Role.NURSE)
    sent = client.post(page_of(maya), form_of(maya, name="Maya Lund"))
    proved = client.post(sent["Location"], {"password": PASSWORD})
    page = client.get(proved["Location"]).content.decode()
    assert f'action="{page_of(maya)}"' in page
    assert 'name="name" value="Maya Lund"' in page


#: One field of each model that no filter is about.
UNLISTED = {
    "User": "email",
    "Clinician": "name",
    "Site": "phone",
    "Job": "work__text",
    "Heartbeat": "key",
    "Throttle": "key",
    "AuditSeal": "hash",
    "LogEntry": "object_repr",
    "VisitType": "name",
    "BookableHours": "pk",
    "Template": "body",
    "Duty": "user__email",
}


@pytest.mark.parametrize(("model", "model_admin"), each_admin())
def test_a_list_is_narrowed_by_its_filters_alone(client, ada, model, model_admin):
    """Else what a list does not show could be found out letter by letter."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    field = UNLISTED[model.__name__]
    assert field not in model_admin.list_filter
    assert client.get(f"{url}?{field}__contains=a").status_code == 400
    for way in admin_filters(client, url):
        assert client.get(url + way).status_code == 200, way


def admin_filters(client, url: str) -> list[str]:
    """Return the addresses that the filters beside a list lead to."""
    shown = client.get(url).context["cl"]
    return [
        choice["query_string"]
        for spec in shown.filter_specs
        for choice in spec.choices(shown)
    ]


def test_an_uploaded_list_cannot_be_searched(client, ada):
    Job.objects.create(
        kind="check_patients",
        user=ada,
        work={"text": "Grace"},
        language="en",
        created_at=ada.date_joined,
    )
    url = reverse("admin:accounts_job_changelist")
    for asked in ("work__text__icontains=Grace", "work__icontains=x", "user__name=a"):
        assert client.get(f"{url}?{asked}").status_code == 400
    staff = ("groups__name=nurse", "sites__patients__family_name=a", "password=a")
    for asked in staff:
        assert client.get(f"{STAFF}?{asked}").status_code == 400
    assert client.get(f"{url}?state__exact=waiting").status_code == 200
