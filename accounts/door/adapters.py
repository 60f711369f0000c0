"""How allauth is bent to a clinic: who may try how often, and what is kept how."""

from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse

from accounts import crypto
from accounts.addresses import UNKNOWN_IP, client_ip, network_of_request
from accounts.door.factors import is_last_factor
from accounts.door.guard import is_fresh
from accounts.throttling import Tries

#: By the name typed, by where it comes from, and by whoever is signed in already: a
#: stranger at the login must not keep anybody from unlocking their own page.
LOGIN = Tries("login", 10, timedelta(minutes=15))
LOGIN_FROM = Tries("login-from", 100, timedelta(minutes=15))
AGAIN = Tries("again", 10, timedelta(minutes=15))


class StaffAccountAdapter(DefaultAccountAdapter):
    """Closes the door marked sign up, and counts tries before any hash is made."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return False: logins are given by a manager."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the rest of the house believes in."""
        return client_ip(request) or UNKNOWN_IP

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the try; raises ``ValidationError`` when there were too many.

        The machine first: one that has used up its tries adds none to a login's.
        """
        for tries, value in _tries(request, credentials):
            tries.insist(value)

    def authenticate(
        self, request: HttpRequest, **credentials: Any
    ) -> AbstractBaseUser | None:
        """Return whose credentials these are; one hash, whoever is asked for.

        A login that is switched off is answered like one that does not exist: its
        password may have been found out.
        """
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user is None or not user.is_active:
            return None
        for tries, value in _tries(request, credentials):
            tries.forgive(value)
        return user

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Return whether allauth's own views ask for a password once more."""
        return not is_fresh(self.request)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Return where a changed password leads."""
        return reverse("mfa_index")


class StaffMFAAdapter(DefaultMFAAdapter):
    """Keeps seeds encrypted, and the last second factor where one is required."""

    def encrypt(self, text: str) -> str:
        """Return a seed as the database keeps it."""
        return crypto.encrypt(text, use="second-factor")

    def decrypt(self, encrypted_text: str) -> str:
        """Return the seed; raises ``UnreadableError`` when its key is gone."""
        return crypto.decrypt(encrypted_text, use="second-factor")

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Return False for the last factor of somebody who must have one."""
        return not is_last_factor(authenticator)


def _tries(
    request: HttpRequest, credentials: dict[str, Any]
) -> list[tuple[Tries, str]]:
    """Return what a password counts against."""
    if request.user.is_authenticated:
        return [(AGAIN, str(request.user.pk))]
    username = str(credentials.get("username", ""))
    return [(LOGIN_FROM, network_of_request(request)), (LOGIN, username.casefold())]
