"""System checks about who may open what."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.core import checks

from accounts.policies import policy_for, walk_addresses
from accounts.roles import PERMISSIONS


@checks.register(checks.Tags.security)
def check_every_address_has_a_policy(**_: Any) -> list[checks.CheckMessage]:
    """Refuse to start while an address says nothing about who may open it."""
    return [
        checks.Error(
            f"The address {address.route!r} ({address.name or 'no name'}) "
            "has no policy.",
            hint=(
                "Decorate its view with @policy(...) or, for a library's view, "
                "register its name in policies (accounts/policies.py)."
            ),
            id="accounts.E001",
        )
        for address in walk_addresses()
        if policy_for(address.callback, address.name) is None
    ]


@checks.register(checks.Tags.security)
def check_every_permission_exists(**_: Any) -> list[checks.CheckMessage]:
    """Refuse to start while an address or a role names a permission no model defines.

    A slip of the pen would shut everybody out of an address, or quietly take something
    from a role.
    """
    named = {
        (rule.permission, f"the address {address.route!r}")
        for address in walk_addresses()
        if (rule := policy_for(address.callback, address.name)) and rule.permission
    } | {
        (permission, f"the role {role.value!r}")
        for role, permissions in PERMISSIONS.items()
        for permission in permissions
    }
    known = set(known_permissions())
    return [
        checks.Error(
            f"There is no permission {permission!r}, which {where} names.",
            hint="Permissions are named app.verb_model, or stand in a model's Meta.",
            id="accounts.E002",
        )
        for permission, where in sorted(named)
        if permission not in known
    ]


def known_permissions() -> Iterator[str]:
    """Yield every permission the models define; no query."""
    for model in apps.get_models():
        meta = model._meta
        for action in meta.default_permissions:
            yield f"{meta.app_label}.{get_permission_codename(action, meta)}"
        for codename, _name in meta.permissions:
            yield f"{meta.app_label}.{codename}"
