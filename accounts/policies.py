"""Who may open which address. An address without a policy does not start.

A view of ours says it with ``@policy``, and by which methods; an address that comes
with a library is given one with ``policies.add``, by its name ("account_login") or its
namespace ("admin:").
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from core.registry import Registry

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Policy:
    """Why an address may be opened.

    ``public``: anyone, because the view itself proves the caller (a signature, a token)
    or shows nothing. ``permission``: a signed-in member of staff who holds it; an empty
    one asks for a login only. ``staff_only`` opens Django admin. ``methods``: those it
    answers, all that the view does itself when empty. ``fresh``: only for somebody who
    proved who they are in the last minutes. ``polled``: asked by a page by itself, so
    that it never counts as somebody being there.
    """

    reason: str
    public: bool = False
    permission: str = ""
    staff_only: bool = False
    methods: frozenset[str] = frozenset()
    fresh: bool = False
    polled: bool = False

    def allows(self, user: User | AnonymousUser) -> bool:
        """Return whether this signed-in user may pass; one query a request at most."""
        if self.staff_only and not user.is_staff:
            return False
        return not self.permission or user.has_perm(self.permission)


policies: Registry[Policy] = Registry("policies")

SIGNED_IN = Policy("any signed-in member of staff")


def public(reason: str) -> Policy:
    """Return the policy of an address that needs no login, and why."""
    return Policy(reason, public=True)


def requires(permission: str) -> Policy:
    """Return the policy of an address for those who hold ``permission``."""
    return Policy(f"holds {permission}", permission=permission)


def policy(
    rule: Policy, *methods: str, fresh: bool = False, polled: bool = False
) -> Callable[[ViewT], ViewT]:
    """Return a decorator that declares a view's policy and the methods it answers.

    GET brings HEAD with it.
    """
    answered = frozenset(methods) | ({"HEAD"} if "GET" in methods else frozenset())
    rule = replace(rule, methods=answered, fresh=fresh, polled=polled)

    def declare(view: ViewT) -> ViewT:
        view.policy = rule  # type: ignore[attr-defined]
        return view

    return declare


def policy_for(callback: Callable[..., Any], view_name: str) -> Policy | None:
    """Return the policy of a resolved address, or None when nobody declared one.

    Only a namespace registered as such ("admin:") covers what stands in it.
    """
    declared: Policy | None = getattr(callback, "policy", None)
    if declared is not None:
        return declared
    if view_name in policies:
        return policies[view_name]
    namespace = view_name.split(":", 1)[0] + ":" if ":" in view_name else ""
    return policies.get(namespace)


@dataclass(frozen=True)
class Address:
    """One entry of the URLconf."""

    route: str
    name: str
    callback: Callable[..., Any]


def walk_addresses(
    resolver: URLResolver | None = None, route: str = "", namespace: str = ""
) -> Iterator[Address]:
    """Yield every address of the URLconf, those of libraries too."""
    resolver = resolver or get_resolver()
    for entry in resolver.url_patterns:
        here = route + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield Address(here, namespace + (entry.name or ""), entry.callback)
        else:
            inner = f"{entry.namespace}:" if entry.namespace else ""
            yield from walk_addresses(entry, here, namespace + inner)
