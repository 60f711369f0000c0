"""What happens when somebody stops working here."""

from collections.abc import Callable

from django.db import transaction
from django.db.models import Q

from accounts.door.services import end_sessions
from accounts.models import User
from accounts.roles import Role
from core.registry import Registry

#: What each app does with what a leaver still held. Called with who left and who
#: switched them off; returns a sentence on what was passed on, blank for nothing.
leaving: Registry[Callable[[User, User], str]] = Registry("leaving")


@transaction.atomic
def leave(*, user: User, by: User) -> list[str]:
    """End the sessions of a login just switched off and pass on what it held.

    Never refused: a login that was stolen must be off at once. Returns what to tell
    whoever did it.
    """
    end_sessions(user=user, by=by)
    return [told for _key, pass_on in leaving if (told := pass_on(user, by))]


def other_managers(user: User) -> list[User]:
    """Return who else can manage the clinic; locks the rows of all who can, so that of
    two who take each other's role away at once the second sees what the first did.

    Two queries: one that had to wait for a lock knows the roles of before it waited.
    """
    manages = Q(groups__name=Role.MANAGER.value) | Q(is_superuser=True)
    managers = User.objects.filter(manages, is_active=True).order_by("pk")
    list(managers.select_for_update(of=("self",)))
    return list(managers.exclude(pk=user.pk))
