"""The roles staff have: a Django group says who holds one, this file what it allows.

Kept in code, so that a new permission reaches every clinic with the release that
brings it, and no edit in a database can widen a role.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    """The name of a group."""

    FRONT_DESK = "front desk", _("Front desk")
    NURSE = "nurse", _("Nurse")
    CLINICIAN = "clinician", _("Clinician")
    MANAGER = "manager", _("Manager")
    AUDITOR = "auditor", _("Auditor")

    @property
    def bit(self) -> int:
        """The role's place in a number that stands for several."""
        return 1 << list(Role).index(self)


#: The front desk sees who comes when, and how to reach them: nothing clinical.
_DESK = {
    "accounts.view_duty",
    "patients.view_patient",
    "patients.add_patient",
    "patients.change_patient",
    "patients.merge_patient",
    "patients.import_patient",
    "appointments.view_appointment",
    "appointments.change_appointment",
    "messaging.view_message",
    "messaging.change_message",
    "messaging.play_patient",
    "worklist.view_workitem",
    "worklist.change_workitem",
}
_CLINICAL = _DESK | {
    "patients.view_historyentry",
    "patients.view_note",
    "appointments.view_visit_name",
}
_CARES = _CLINICAL | {
    "patients.break_glass",
    "patients.change_historyentry",
    "patients.verify_historyentry",
    "patients.add_note",
    "patients.change_safecontactplan",
}
#: What a manager keeps up in Django admin. Next to nothing is deleted there: what
#: visits point at is switched off instead.
_SET_UP = {
    f"{app}.{verb}_{model}"
    for app, model in (
        ("accounts", "site"),
        ("accounts", "staffedhours"),
        ("accounts", "clinician"),
        ("accounts", "duty"),
        ("accounts", "user"),
        ("appointments", "visittype"),
        ("appointments", "cadencestep"),
        ("appointments", "bookablehours"),
        ("messaging", "template"),
    )
    for verb in ("view", "add", "change")
} | {
    "accounts.delete_staffedhours",
    "appointments.delete_cadencestep",
    "appointments.delete_bookablehours",
    "accounts.view_auditseal",
    "accounts.view_heartbeat",
    "accounts.view_job",
    "accounts.view_throttle",
    "admin.view_logentry",
    "messaging.view_breaker",
    "messaging.change_breaker",
}

PERMISSIONS: dict[Role, set[str]] = {
    Role.FRONT_DESK: _DESK,
    Role.NURSE: _CARES,
    Role.CLINICIAN: _CARES
    | {"patients.tell_historyentry", "patients.view_sensitive_note"},
    # Whoever looks into emergency access does not take it.
    Role.MANAGER: _CLINICAL
    | _SET_UP
    | {
        "patients.review_accessgrant",
        "patients.export_patient",
        "patients.change_retentionrule",
        "accounts.read_trail",
    },
    # An auditor reads who looked at whom, and nothing of a patient.
    Role.AUDITOR: {"accounts.read_trail"},
}


def roles_in(bits: int | None) -> list[Role]:
    """Return the roles a number stands for; none for None."""
    return [role for role in Role if (bits or 0) & role.bit]


def permissions_of(roles: Iterable[Role]) -> set[str]:
    """Return what these roles allow together."""
    return set().union(*(PERMISSIONS[role] for role in roles))


def roles_with(permission: str) -> Collection[Role]:
    """Return the roles that allow something, such as to ask who holds them."""
    return [role for role, names in PERMISSIONS.items() if permission in names]


def sync_roles(**_: Any) -> None:
    """Make a group for every role there is.

    Groups hold no permissions: what a role allows stands in ``PERMISSIONS``.
    """
    for role in Role:
        Group.objects.get_or_create(name=role.value)
