"""Forms at the door."""

import logging
from datetime import timedelta
from typing import Any

from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.forms import ReauthenticateForm as AllauthReauthenticateForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.base.forms import BaseAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as AllauthReauthenticateCodeForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm as AllauthActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm as AllauthAddWebAuthnForm
from allauth.mfa.webauthn.forms import LoginWebAuthnForm as AllauthLoginWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import network_of_request
from accounts.crypto import UnreadableError
from accounts.door.adapters import AGAIN, LOGIN_FROM
from accounts.models import User
from accounts.throttling import Tries

logger = logging.getLogger(__name__)

#: A code has six digits: at five tries a quarter of an hour, finding one takes years.
CODE = Tries("code", 5, timedelta(minutes=15))
#: A code is good once (OWASP ASVS 5.0, 6.5.1). It is right for a minute and a half.
CODE_ONCE = Tries("code-once", 1, timedelta(minutes=3))


class LoginForm(AllauthLoginForm):
    """Username and password; no "remember me" on a machine in a waiting room."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("remember", None)
        self.fields["login"].label = gettext_lazy("Username")
        _plain(self)


class ReauthenticateForm(AllauthReauthenticateForm):
    """The password once more."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self)


class ChangePasswordForm(AllauthChangePasswordForm):
    """The password there is, and twice the one there shall be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self)
        self.fields["oldpassword"].label = gettext_lazy("Your password now")
        self.fields["password1"].label = gettext_lazy("New password")
        self.fields["password1"].help_text = gettext_lazy(
            "At least 12 characters; a few words in a row are easy to remember."
        )
        self.fields["password2"].label = gettext_lazy("New password, once more")

    def clean_oldpassword(self) -> str:
        """Check the password there is; tries are counted before its hash is made."""
        who = str(self.user.pk)
        AGAIN.insist(who)
        password: str = super().clean_oldpassword()
        AGAIN.forgive(who)
        return password


class CountedCode(BaseAuthenticateForm):
    """A code of a second factor: tries are counted, and each code is taken once."""

    user: User
    authenticator: Authenticator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _as_code(self)

    def clean_code(self) -> str:
        """Check the code; a right one is not right again."""
        CODE.insist(str(self.user.pk))
        try:
            code: str = super().clean_code()
        except UnreadableError as reason:
            logger.error("a second factor cannot be read: is a key missing?")
            raise ValidationError(
                _("Your second factor can no longer be read. Ask your manager.")
            ) from reason
        if self.authenticator.type == Authenticator.Type.TOTP:
            _use_up(self.user, code)
        CODE.forgive(str(self.user.pk))
        return code


class AuthenticateForm(CountedCode, AllauthAuthenticateForm):
    """A code to sign in with."""


class ReauthenticateCodeForm(CountedCode, AllauthReauthenticateCodeForm):
    """A code to prove once more who one is."""


class ActivateTOTPForm(AllauthActivateTOTPForm):
    """The first code of a new app, which proves that it holds the secret."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _as_code(self)

    def clean_code(self) -> str:
        """Check the code; it cannot be used to sign in as well."""
        CODE.insist(str(self.user.pk))
        code: str = super().clean_code()
        _use_up(self.user, code)
        CODE.forgive(str(self.user.pk))
        return code


class AddWebAuthnForm(AllauthAddWebAuthnForm):
    """A name for a new passkey or key, and whether it shall stand for the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = gettext_lazy("Name")
        self.fields["name"].help_text = gettext_lazy("By which you will know it.")
        self.fields["passwordless"].label = gettext_lazy("Sign in with it alone")
        self.fields["passwordless"].help_text = gettext_lazy(
            "It then asks for a fingerprint, a face or a PIN in place of the password."
        )


class LoginWebAuthnForm(AllauthLoginWebAuthnForm):
    """A passkey in place of username and password."""

    def clean_credential(self) -> Authenticator:
        """Check the signature; tries are counted by the machine they come from."""
        from_ = network_of_request(context.request)
        LOGIN_FROM.insist(from_)
        authenticator: Authenticator = super().clean_credential()
        LOGIN_FROM.forgive(from_)
        return authenticator


def _use_up(user: User, code: str) -> None:
    """Note that a code was used; raises ``ValidationError`` when it was before.

    "123 456" and "123-456" are one code, as for the check before.
    """
    digits = "".join(filter(str.isalnum, code))
    try:
        CODE_ONCE.insist(f"{user.pk}:{digits}")
    except ValidationError:
        raise ValidationError(
            _("This code was used already. Wait for the next one.")
        ) from None


def _as_code(form: forms.Form) -> None:
    """Show a field for a code as one: digits, from the app or the keyboard."""
    _plain(form)
    form.fields["code"].label = gettext_lazy("Code")
    form.fields["code"].widget.attrs |= {"inputmode": "numeric", "autofocus": True}


def _plain(form: forms.Form) -> None:
    """Leave the words to the labels."""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)
        field.help_text = ""
