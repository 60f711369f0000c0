"""Who somebody is and what they may do: from their roles, in one query."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.models import AnonymousUser, Group
from django.db.models import Case, OuterRef, Subquery, Sum, When

from accounts.models import Site, User
from accounts.roles import Role, permissions_of, roles_in

#: The bits of all the user's roles; a group is held once, so that a sum is enough.
_ROLE_BITS = Subquery(
    Group.objects.filter(user=OuterRef("pk"))
    .values("user")
    .annotate(bits=Sum(Case(*(When(name=role.value, then=role.bit) for role in Role))))
    .values("bits")
)


class RoleBackend(AuthenticationBackend):
    """Allauth's login; what somebody may do comes from their roles and from code only.

    A role taken away is gone at the next request: roles are read with the user.
    """

    def get_user(self, user_id: Any) -> User | None:
        """Return the signed-in user, with what every page shows of them; one query."""
        user = (
            User.objects.filter(pk=user_id)
            .annotate(
                role_bits=_ROLE_BITS,
                clinic=Subquery(
                    Site.objects.filter(staff=OuterRef("pk")).values("name")[:1]
                ),
            )
            .first()
        )
        if user is None or not self.user_can_authenticate(user):
            return None
        roles = roles_in(user.role_bits)
        user.role = roles[0].label if roles else ""  # type: ignore[attr-defined]
        # Who opens Django admin; the column of that name is not asked.
        user.is_staff = user.is_superuser or Role.MANAGER in roles
        return user

    def _get_permissions(
        self, user_obj: User | AnonymousUser, obj: Any, from_name: str
    ) -> set[str]:
        """Return what the roles allow; no query for a user of ``get_user``.

        Django asks this for its "user" and "group" permissions. Superusers are as
        Django has them; the switched off, the anonymous and those without a role may
        do nothing.
        """
        if user_obj.is_superuser:
            allowed: set[str] = super()._get_permissions(user_obj, obj, from_name)
            return allowed
        if obj is not None or not user_obj.is_active or user_obj.is_anonymous:
            return set()
        # What ``get_user`` adds, types do not know.
        asked: Any = user_obj
        if not hasattr(asked, "role_bits"):
            users = User.objects.filter(pk=asked.pk)
            asked.role_bits = users.values_list(_ROLE_BITS, flat=True).first()
        return permissions_of(roles_in(asked.role_bits))
