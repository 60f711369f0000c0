"""Django admin: what a manager finds there, and what nobody can do in it."""

import threading
import uuid

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.admin_site import SHELVES, HouseAdmin, ReadOnlyAdmin
from accounts.leaving import leaving
from accounts.models import (
    AuditEvent,
    AuditSeal,
    Clinician,
    Heartbeat,
    Job,
    Site,
    StaffedHours,
    Throttle,
    User,
)
from accounts.roles import Role
from accounts.ticks import beat, run_pass
from appointments.models import BookableHours, VisitType
from messaging.models import Template
from tests.factories import (
    SiteFactory,
    UserFactory,
    booked,
    clinician,
    come_in,
    member_of_staff,
    patient,
    visit_type,
)
from worklist.models import WorkItem
from worklist.services import claim_item

pytestmark = pytest.mark.django_db

STAFF = reverse("admin:accounts_user_changelist")


def manager(username: str = "ada") -> User:
    return member_of_staff(username, Role.MANAGER)


def opens_admin(user: User) -> bool:
    browser = Client()
    browser.force_login(user)
    return browser.get("/admin/").status_code == 200


@pytest.fixture
def ada(client):
    somebody = manager()
    come_in(client, somebody)
    return somebody


def page_of(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def form_of(user: User, **changes) -> dict:
    """Return what the page of a member of staff would send."""
    return {
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "language": user.language,
        "groups": [group.pk for group in user.groups.all()],
        "sites": [site.pk for site in user.sites.all()],
        "is_active": "on" if user.is_active else "",
    } | changes


def role(which: Role) -> list[int]:
    return [Group.objects.get(name=which.value).pk]


def test_the_front_page_is_grouped_as_a_manager_thinks(client, ada):
    page = client.get(reverse("admin:index"))
    shelves = page.context["app_list"]
    assert [shelf["name"] for shelf in shelves] == [shelf.title for shelf in SHELVES]
    for shelf in shelves:
        assert str(shelf["says"]) in page.content.decode()
    people = {model["object_name"] for model in shelves[0]["models"]}
    assert people == {"User", "Clinician"}


def test_it_speaks_the_managers_language(client, ada):
    ada.language = "es"
    ada.save()
    page = client.get(reverse("admin:index"))
    assert page["Content-Language"] == "es"


def test_models_of_libraries_are_not_in_it():
    assert all(
        isinstance(model_admin, HouseAdmin)
        for model_admin in admin.site._registry.values()
    )
    assert not admin.site.is_registered(Group)
    assert not admin.site.is_registered(Authenticator)


@pytest.mark.parametrize("who", [Role.FRONT_DESK, Role.NURSE, Role.AUDITOR])
def test_nobody_else_opens_it(client, who):
    client.force_login(member_of_staff("otto", who))
    assert client.get(reverse("admin:index")).status_code == 403
    assert client.get(STAFF).status_code == 403


def each_admin():
    return [
        pytest.param(model, model_admin, id=model.__name__)
        for model, model_admin in admin.site._registry.items()
    ]


@pytest.mark.parametrize(("model", "model_admin"), each_admin())
def test_every_list_has_columns_a_search_and_filters(model, model_admin):
    assert len(model_admin.list_display) > 1
    assert model_admin.search_fields
    assert model_admin.list_filter


@pytest.mark.parametrize(("model", "model_admin"), each_admin())
def test_every_field_says_what_it_is_for(rf, model, model_admin):
    if isinstance(model_admin, ReadOnlyAdmin):
        return
    request = rf.get("/")
    request.user = UserFactory(is_superuser=True, is_staff=True)
    forms = [model_admin.get_form(request), model_admin.get_form(request, change=True)]
    parents = set()
    for inline in model_admin.get_inline_instances(request):
        rows = inline.get_formset(request)
        parents.add(rows.fk.name)
        forms.append(rows.form)
    silent = {
        name
        for form in forms
        for name, field in form.base_fields.items()
        if not field.help_text and name not in ("password1", "password2")
    }
    assert silent - parents == set()


@pytest.mark.parametrize(("model", "model_admin"), each_admin())
def test_nothing_with_a_history_is_deleted(rf, model, model_admin):
    request = rf.get("/")
    request.user = UserFactory(is_superuser=True, is_staff=True)
    deletable = model_admin.has_delete_permission(request)
    assert deletable is (model is BookableHours)
    assert deletable is ("delete_selected" in model_admin.get_actions(request))


def fill(numbers: range) -> None:
    """Bring one row of everything for each number."""
    for n in numbers:
        somebody = member_of_staff(f"user-{n}", Role.NURSE)
        site = SiteFactory(name=f"Site {n}")
        somebody.sites.add(site)
        doctor = clinician(f"Dr {n}")
        doctor.user = somebody
        doctor.save()
        StaffedHours.objects.create(site=site, weekday=n, opens="09:00", closes="17:00")
        BookableHours.objects.create(
            clinician=doctor, site=site, weekday=n, opens="09:00", closes="17:00"
        )
        kind = VisitType.objects.create(name=f"Type {n}")
        kind.cadence.create(days_before=1)
        Template.objects.create(key=f"text {n}", language="en", body="Hello {first}")
        beat(f"part {n}")
        Job.objects.create(
            kind="import", user=somebody, created_at=timezone.now(), language="en"
        )
        Throttle.objects.create(key=f"{n}", at=timezone.now())
        AuditSeal.objects.create(
            pk=n + 1,
            at=timezone.now(),
            first=n,
            last=n,
            count=1,
            prev=str(n),
            hash=uuid.uuid4().hex,
        )


@pytest.mark.parametrize(("model", "model_admin"), each_admin())
def test_a_list_costs_the_same_with_one_row_and_with_three(
    client, ada, model, model_admin
):
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    costs = []
    for numbers in (range(1), range(1, 3)):
        fill(numbers)
        if model._meta.model_name == "logentry":
            for _again in numbers:
                site = SiteFactory()
                model_admin.admin_site._registry[Site].log_change(
                    client.get(url).wsgi_request, site, [{"changed": {}}]
                )
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1], [query["sql"][:150] for query in queries]


def test_what_is_changed_is_on_the_record_by_field_and_without_values(client, ada):
    site = SiteFactory()
    url = reverse("admin:accounts_site_change", args=[site.pk])
    hours = {
        "staffed_hours-TOTAL_FORMS": 1,
        "staffed_hours-INITIAL_FORMS": 0,
        "staffed_hours-0-weekday": 0,
        "staffed_hours-0-opens": "09:00",
        "staffed_hours-0-closes": "17:00",
    }
    answer = client.post(
        url,
        {
            "name": "Harbour Clinic",
            "place": "Quay St",
            "zone": site.zone,
            "region": "US",
            "language": "en",
            "phone": site.phone,
            "emergency_number": "911",
            "crisis_number": "988",
        }
        | hours,
    )
    assert answer.status_code == 302
    event = AuditEvent.objects.get(subject=f"site:{site.pk}")
    assert (event.actor, event.verb) == ("ada", "change")
    assert event.details == {"fields": ["Place in texts", "staffed hours"]}
    assert "Quay" not in str(event.__dict__)


def test_a_role_given_is_on_the_record_and_opens_the_admin_with_it(client, ada):
    maya = member_of_staff("maya", Role.NURSE)
    client.post(page_of(maya), form_of(maya, groups=role(Role.MANAGER)))
    maya.refresh_from_db()
    assert [group.name for group in maya.groups.all()] == ["manager"]
    assert opens_admin(maya)
    event = AuditEvent.objects.get(verb="security")
    assert event.subject == f"user:{maya.pk}"
    assert event.details == {"fields": ["Roles"]}
    client.post(page_of(maya), form_of(maya, groups=role(Role.NURSE)))
    assert not opens_admin(maya)


def test_a_new_colleague_is_added_with_a_password(client, ada):
    answer = client.post(
        reverse("admin:accounts_user_add"),
        {
            "username": "tess",
            "name": "Tess Lund",
            "usable_password": "true",
            "password1": "a long harbour walk",
            "password2": "a long harbour walk",
        },
    )
    tess = User.objects.get(username="tess")
    assert answer["Location"] == page_of(tess)
    assert tess.check_password("a long harbour walk")
    assert not opens_admin(tess)
    assert AuditEvent.objects.get(subject=f"user:{tess.pk}").verb == "create"


def test_nobody_makes_anybody_a_superuser(client, ada):
    for user in (ada, member_of_staff("maya", Role.NURSE)):
        form = form_of(user, is_superuser="on", user_permissions=[1, 2], is_staff="on")
        client.post(page_of(user), form)
        user.refresh_from_db()
        assert not user.is_superuser
        assert not user.user_permissions.exists()
    assert not opens_admin(User.objects.get(username="maya"))


def test_a_superusers_login_is_out_of_a_managers_reach(client, ada):
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    assert client.post(page_of(root), form_of(root, username="mine")).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.get(password).status_code == 403
    answer = act(client, "end_all_sessions", root)
    assert b"None of these is yours to change" in answer.content


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"groups": []}, "groups"), ({"is_active": ""}, "is_active")],
)
def test_the_last_manager_stays_one(client, ada, changes, field):
    answer = client.post(page_of(ada), form_of(ada, **changes))
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert "Make a colleague manager first" in str(errors)
    ada.refresh_from_db()
    assert ada.is_active
    assert ada.groups.exists()
    manager("bea")
    client.post(page_of(ada), form_of(ada, groups=role(Role.NURSE)))
    assert [group.name for group in ada.groups.all()] == ["nurse"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_managers_cannot_take_the_role_from_each_other():
    ada, bea = manager("ada"), manager("bea")
    gate = threading.Barrier(2)

    def demote(by: User, whom: User) -> None:
        client = Client()
        come_in(client, by)
        form = form_of(whom, groups=role(Role.NURSE))
        gate.wait()
        client.post(page_of(whom), form)
        connection.close()

    both = [
        threading.Thread(target=demote, args=pair) for pair in ((ada, bea), (bea, ada))
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert User.objects.filter(groups__name="manager").count() == 1


def test_who_is_switched_off_is_out_and_their_work_goes_back(client, monday, ada):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    booked(patient(phone=""))
    run_pass()
    item = WorkItem.objects.get()
    claim_item(item_id=item.pk, by=femi)
    desk = Client()
    sign_in(desk, femi)
    answer = client.post(page_of(femi), form_of(femi, is_active=""), follow=True)
    assert "1 thing that Femi had taken on waits for somebody else" in (
        answer.content.decode()
    )
    item.refresh_from_db()
    assert item.owner is None
    assert item.events.last().what == "given back"
    assert desk.get("/").status_code == 302
    assert "worklist" in dict(leaving)


def sign_in(client: Client, user: User) -> None:
    user.set_password("correct horse battery")
    user.save()
    client.post(
        "/accounts/login/",
        {"login": user.username, "password": "correct horse battery"},
    )
    assert client.get("/").status_code == 200


def act(client: Client, action: str, *users: User, **more: str):
    chosen = {"_selected_action": [user.pk for user in users]}
    return client.post(STAFF, {"action": action} | chosen | more)


def test_all_sessions_of_a_colleague_are_ended_after_asking(client, ada):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    desk = Client()
    sign_in(desk, femi)
    asked = act(client, "end_all_sessions", femi)
    assert b"They are signed out everywhere" in asked.content
    assert desk.get("/").status_code == 200
    act(client, "end_all_sessions", femi, meant="yes")
    assert desk.get("/").status_code == 302
    assert AuditEvent.objects.filter(verb="sign_out", actor="ada").exists()


def test_second_factors_of_colleagues_are_reset_after_asking(client, ada):
    femi = member_of_staff("femi", Role.FRONT_DESK)
    for user in (ada, femi):
        Authenticator.objects.create(user=user, type="totp", data={})
    asked = act(client, "reset_second_factors", femi, ada)
    assert b"whoever has their password" in asked.content
    assert b"(femi)" in asked.content
    assert b"(ada)" not in asked.content
    act(client, "reset_second_factors", femi, ada, meant="yes")
    assert [factor.user for factor in Authenticator.objects.all()] == [ada]


def test_a_row_that_comes_about_elsewhere_is_only_looked_at(client, ada):
    beat("tick")
    url = reverse("admin:accounts_heartbeat_change", args=[Heartbeat.objects.get().pk])
    assert b"tick" in client.get(url).content
    assert client.post(url, {"key": "tock"}).status_code == 403
    assert client.get(reverse("admin:accounts_heartbeat_add")).status_code == 403


def test_what_is_in_a_job_stays_out_of_sight(client, ada):
    job = Job.objects.create(
        kind="import",
        user=ada,
        created_at=timezone.now(),
        language="en",
        work={"text": "Grace Okafor"},
        result={"refused": ["Grace Okafor"]},
    )
    page = client.get(reverse("admin:accounts_job_change", args=[job.pk]))
    assert page.status_code == 200
    assert b"Okafor" not in page.content


def test_ones_own_password_is_changed_where_everybodys_is(client, ada):
    answer = client.get(reverse("admin:password_change"))
    assert answer["Location"] == reverse("account_change_password")


def test_a_visit_type_shows_when_it_reminds(client, ada):
    visit_type(3, 1)
    page = client.get(reverse("admin:appointments_visittype_changelist"))
    assert b"3, 1" in page.content
    assert Clinician.objects.count() == 0
