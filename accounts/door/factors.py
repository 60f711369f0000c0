"""Second factors: who has one, who must, and what must not be taken away."""

from allauth.mfa.models import Authenticator
from django.conf import settings

from accounts.models import User

#: What proves something beside the password; recovery codes stand in for one of them.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_factor(user: User) -> bool:
    """Return whether this login asks for more than a password; one query."""
    owned = Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS)
    return bool(owned.exists())


def is_last_factor(authenticator: Authenticator) -> bool:
    """Return whether a clinic that requires one would be left without it; one query."""
    if not settings.REQUIRE_MFA or authenticator.type not in FACTORS:
        return False
    others = Authenticator.objects.filter(
        user_id=authenticator.user_id, type__in=FACTORS
    ).exclude(pk=authenticator.pk)
    return not others.exists()
