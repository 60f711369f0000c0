"""Keeping a text unreadable where it is stored: AES in Fernet's form, keyed by use."""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class UnreadableError(Exception):
    """What was stored fits none of the keys: tampered with, or a key is missing."""


def secrets_known() -> list[str]:
    """Return the key of today and those in use before, which may still be met."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def encrypt(text: str, *, use: str) -> str:
    """Return ``text`` encrypted and signed with the key for this use."""
    return _keys(use).encrypt(text.encode()).decode()


def decrypt(token: str, *, use: str) -> str:
    """Return what was encrypted, with ``SECRET_KEY`` or one of its fallbacks.

    Raises ``UnreadableError`` when it fits none of them.
    """
    try:
        return _keys(use).decrypt(token.encode()).decode()
    except InvalidToken as reason:
        raise UnreadableError(use) from reason


def _keys(use: str) -> MultiFernet:
    return MultiFernet([Fernet(_derived(secret, use)) for secret in secrets_known()])


def _derived(secret: str, use: str) -> bytes:
    """Return a key of its own for each use, so that none opens another's texts."""
    hkdf = HKDF(SHA256(), length=32, salt=None, info=f"accounts.crypto:{use}".encode())
    return base64.urlsafe_b64encode(hkdf.derive(secret.encode()))
