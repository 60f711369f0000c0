"""Signed tokens that say which message a mail, a bounce or a click is about.

A token holds a message's reference and a MAC: nothing of a patient, and nobody makes
one. It fits into the local part of an address, in letters whose case does not matter,
because servers on the way may change it.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Iterable
from enum import StrEnum

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

#: Bytes of the MAC. With the 16 of the reference a token has 39 letters, which leaves
#: 23 of the 64 a local part may have (RFC 5321, 4.5.3.1.1) to the clinic's own.
_MAC = 8
LENGTH = 39
LONGEST_LOCAL_PART = 64 - LENGTH - len("+r")


class Token(StrEnum):
    """What a token is good for; one kind never passes as another.

    A patient sees the one for replies, and must not make a bounce of it.
    """

    REPLY = "r"
    BOUNCE = "b"
    LEAVE = "l"


_PLUS = re.compile(rf"\+([rb])([a-z2-7]{{{LENGTH}}})@", re.IGNORECASE)


def make_token(kind: Token, ref: uuid.UUID) -> str:
    """Return the token of a message."""
    return _encode(ref.bytes + _mac(kind, ref, settings.SECRET_KEY))


def read_token(kind: Token, token: str) -> uuid.UUID | None:
    """Return the reference in a token; None for one that we did not make.

    One made with an earlier key of ``SECRET_KEY_FALLBACKS`` still holds.
    """
    try:
        raw = base64.b32decode(f"{token.upper()}=")
    except (binascii.Error, ValueError):
        return None
    if len(token) != LENGTH:
        return None
    ref = uuid.UUID(bytes=raw[:16])
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        genuine = _encode(ref.bytes + _mac(kind, ref, secret))
        if constant_time_compare(genuine, token.lower()):
            return ref
    return None


def plus_address(kind: Token, ref: uuid.UUID) -> str:
    """Return the clinic's address for what comes back about a message, or a blank.

    It needs ``MAIL_IN_ADDRESS``, whose mailbox takes plus addresses.
    """
    local, _at, domain = settings.MAIL_IN_ADDRESS.rpartition("@")
    return f"{local}+{kind}{make_token(kind, ref)}@{domain}" if local else ""


def read_addresses(addresses: Iterable[str]) -> tuple[Token, uuid.UUID] | None:
    """Return what the first genuine plus address among these is about."""
    for address in addresses:
        for found in _PLUS.finditer(address):
            kind = Token(found[1].lower())
            ref = read_token(kind, found[2])
            if ref is not None:
                return kind, ref
    return None


def _mac(kind: Token, ref: uuid.UUID, secret: str) -> bytes:
    made = salted_hmac(
        f"messaging.{kind.name}", ref.hex, secret=secret, algorithm="sha256"
    )
    return made.digest()[:_MAC]


def _encode(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()
