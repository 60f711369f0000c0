"""What a role allows: from code, in no query of its own, and gone when it is gone."""

import json
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.checks import run_checks
from django.urls import get_resolver, path
from django.utils import timezone

from accounts.checks import check_every_permission_exists, known_permissions
from accounts.door.backends import RoleBackend
from accounts.models import User
from accounts.policies import policy, requires
from accounts.roles import PERMISSIONS, Role, permissions_of, roles_in, roles_with
from accounts.ticks import run_pass
from appointments.models import VisitType
from messaging.models import Message
from patients.importing import import_files
from patients.importing.jobs import as_json
from patients.models import HistoryEntry
from patients.registry import panels, timeline
from tests.factories import (
    MONDAY,
    SiteFactory,
    UserFactory,
    booked,
    clinician,
    member_of_staff,
    patient,
)
from worklist.registry import work_kinds

pytestmark = pytest.mark.django_db

TEMPLATES = Path(__file__).parents[2] / "templates"


def signed_in(user: User) -> User:
    """Return the user as a request has them."""
    found = RoleBackend().get_user(user.pk)
    assert found is not None
    return found


def give(user: User, *roles: Role) -> None:
    user.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))


@pytest.mark.parametrize("role", Role)
def test_a_role_allows_what_is_written_and_nothing_else(role):
    user = signed_in(member_of_staff("somebody", role))
    assert user.get_all_permissions() == PERMISSIONS[role]
    assert user.role == role.label


def test_asking_costs_no_query(django_assert_num_queries):
    maya = member_of_staff("maya", Role.NURSE)
    with django_assert_num_queries(1):
        maya = signed_in(maya)
        assert maya.has_perm("patients.view_historyentry")
        assert not maya.has_perm("accounts.add_site")
        assert maya.has_module_perms("patients")


def test_two_roles_allow_what_either_does():
    ada = member_of_staff("ada", Role.AUDITOR)
    give(ada, Role.AUDITOR, Role.FRONT_DESK, Role.NURSE)
    assert signed_in(ada).get_all_permissions() == permissions_of(
        [Role.AUDITOR, Role.FRONT_DESK, Role.NURSE]
    )


def test_a_number_stands_for_any_set_of_roles():
    assert roles_in(None) == roles_in(0) == []
    assert roles_in(sum(role.bit for role in Role)) == list(Role)
    for role in Role:
        assert roles_in(role.bit) == [role]


def test_who_has_no_role_may_do_nothing():
    """Neither by a permission nor by a group that was made in Django admin."""
    nobody = UserFactory(username="new")
    allowed = Permission.objects.get(codename="view_patient")
    nobody.user_permissions.add(allowed)
    group = Group.objects.create(name="friends of the house")
    group.permissions.add(allowed)
    nobody.groups.add(group)
    assert signed_in(nobody).get_all_permissions() == set()
    assert signed_in(nobody).role == ""
    assert not User.objects.get(pk=nobody.pk).has_perm("patients.view_patient")


def test_a_group_widens_no_role():
    group = Group.objects.get(name=Role.FRONT_DESK.value)
    group.permissions.set(Permission.objects.all())
    femi = member_of_staff("femi", Role.FRONT_DESK)
    assert not signed_in(femi).has_perm("patients.view_historyentry")


def test_who_is_switched_off_may_do_nothing():
    maya = member_of_staff("maya", Role.NURSE)
    maya.is_active = False
    maya.save()
    assert RoleBackend().get_user(maya.pk) is None
    assert not maya.has_perm("patients.view_patient")
    maya.is_superuser = True
    assert not maya.has_perm("patients.view_patient")


def test_a_superuser_is_as_django_has_it():
    root = UserFactory(username="root", is_superuser=True)
    content_type = ContentType.objects.get_for_model(User)
    Permission.objects.create(
        codename="dance", name="Can dance", content_type=content_type
    )
    assert signed_in(root).has_perm("accounts.dance")
    assert "accounts.dance" in signed_in(root).get_all_permissions()


def test_a_role_taken_away_is_gone_at_the_next_request(client, monday):
    ada = member_of_staff("ada", Role.NURSE)
    grace = patient()
    client.force_login(ada)
    assert client.get(f"/patients/{grace.pk}/").status_code == 200
    give(ada, Role.AUDITOR)
    assert client.get(f"/patients/{grace.pk}/").status_code == 403
    give(ada)
    assert client.get(f"/patients/{grace.pk}/").status_code == 403


def test_who_holds_a_permission():
    assert roles_with("patients.review_accessgrant") == [Role.MANAGER]
    assert roles_with("patients.break_glass") == [Role.NURSE, Role.CLINICIAN]
    assert roles_with("patients.dance") == []


def test_who_takes_emergency_access_does_not_review_it():
    for role in Role:
        assert (
            not {"patients.break_glass", "patients.review_accessgrant"}
            <= (PERMISSIONS[role])
        )


def test_an_auditor_holds_nothing_of_a_patient():
    clinical = ("patients.", "appointments.", "messaging.", "worklist.")
    assert [p for p in PERMISSIONS[Role.AUDITOR] if p.startswith(clinical)] == []


def test_a_slip_in_a_permission_does_not_start(monkeypatch):
    assert check_every_permission_exists() == []
    resolver = get_resolver()
    slip = policy(requires("patients.veiw_patient"), "GET")(lambda request: None)
    resolver.url_patterns.append(path("slip/", slip))
    monkeypatch.setitem(PERMISSIONS, Role.AUDITOR, {"accounts.read_tail"})
    try:
        errors = [error for error in run_checks() if error.id == "accounts.E002"]
    finally:
        resolver.url_patterns.pop()
    assert [error.msg for error in errors] == [
        "There is no permission 'accounts.read_tail', which the role 'auditor' names.",
        "There is no permission 'patients.veiw_patient', "
        "which the address 'slip/' names.",
    ]


def test_every_permission_named_anywhere_else_exists():
    """In a template or a registry a slip would hide something for ever."""
    named = {
        f"{app}.{codename}"
        for page in TEMPLATES.rglob("*.html")
        for app, codename in re.findall(r"\bperms\.(\w+)\.(\w+)", page.read_text())
    }
    for registry in (panels, timeline, work_kinds):
        named |= {entry.permission for _key, entry in registry if entry.permission}
    assert named
    assert named - set(known_permissions()) == set()


def test_the_database_knows_the_same_permissions():
    stored = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list(
            "content_type__app_label", "codename"
        )
    }
    assert set(known_permissions()) == stored


class TestWhatTheFrontDeskSees:
    """Nothing clinical, on any page it may open."""

    SECRETS = ("Hypertension", "penicillin", "Warfarin", "Knee injection")

    @pytest.fixture
    def grace(self, monday):
        grace = patient()
        for kind, label in (
            ("condition", "Hypertension"),
            ("allergy", "penicillin"),
            ("medicine", "Warfarin"),
        ):
            HistoryEntry.objects.create(
                patient=grace,
                kind=kind,
                label=label,
                status="active",
                source="staff",
                recorded_at=MONDAY,
            )
        self.visit = booked(grace, visit_type=self.knee)
        today = timezone.localtime().replace(hour=15, tzinfo=None)
        booked(grace, visit_type=self.knee, at=today)
        return grace

    @pytest.fixture(autouse=True)
    def _knee(self):
        self.knee = VisitType.objects.create(
            name="Knee injection", discreet_name="nurse visit", minutes=10
        )

    def pages(self, grace) -> list[str]:
        return [
            "/",
            "/patients/",
            f"/patients/{grace.pk}/",
            f"/patients/{grace.pk}/book/",
            "/schedule/",
            "/schedule/?day=2026-11-24",
            f"/schedule/{self.visit.pk}/",
            f"/schedule/{self.visit.pk}/move/",
            "/worklist/",
            "/inbox/?folder=all",
        ]

    def test_nothing_clinical(self, client, grace):
        client.force_login(member_of_staff("femi", Role.FRONT_DESK))
        read = ""
        for url in self.pages(grace):
            read += client.get(url).content.decode()
        assert [secret for secret in self.SECRETS if secret in read] == []
        assert read.count("nurse visit") >= 8

    def test_a_nurse_sees_it_all(self, client, grace):
        client.force_login(member_of_staff("maya", Role.NURSE))
        read = "".join(client.get(url).content.decode() for url in self.pages(grace))
        assert [secret for secret in self.SECRETS if secret not in read] == []

    def test_nor_when_the_desk_books_it_with_the_wrong_clinician(self, client, grace):
        self.knee.clinicians.add(clinician("Nurse Maya"))
        client.force_login(member_of_staff("femi", Role.FRONT_DESK))
        answer = client.post(
            f"/patients/{grace.pk}/book/",
            {
                "visit_type": self.knee.pk,
                "clinician": clinician().pk,
                "site": SiteFactory().pk,
                "day": "2026-11-25",
                "time": "10:00",
            },
        )
        assert "Dr Rao does not offer nurse visit." in answer.content.decode()
        assert "Knee injection" not in answer.content.decode()

    def test_texts_never_name_what_the_visit_is_for(self, client, grace):
        run_pass()
        bodies = "".join(Message.objects.values_list("body", flat=True))
        assert "your visit" in bodies
        assert "Knee" not in bodies

    def test_nor_in_what_an_import_says(self, grace):
        def condition(number: int, label: str, **more) -> str:
            code = {"text": label}
            told = {"resourceType": "Condition", "id": str(number), "code": code}
            return json.dumps(told | more)

        text = "\n".join(
            [
                '{"resourceType": "Patient", "id": "p", "name": [{"given": ["Leo"]}]}',
                condition(1, "Hypertension", subject={"reference": "Patient/p"}),
                condition(2, "Hypertension"),
                condition(3, "Hypertension", subject={"reference": "Patient/q"}),
                condition(4, "Hypertension" * 90, subject={"reference": "Patient/p"}),
            ]
        )
        result = import_files(
            [("list.ndjson", text)], site=SiteFactory(), by=None, dry_run=True
        )
        assert result.history.rejected == 3
        assert "Hypertension" not in json.dumps(as_json(result))

    def test_a_name_that_tells_nothing_needs_no_other(self, client, grace):
        femi = signed_in(member_of_staff("femi", Role.FRONT_DESK))
        plain = VisitType(name="Consultation", discreet_name="")
        assert plain.name_for(femi) == str(plain) == "Consultation"
        assert self.knee.name_for(femi) == str(self.knee) == "nurse visit"
