"""What somebody wrote in a mail themselves, apart from what they quote. Pure."""

import re
from typing import TYPE_CHECKING

from patients.models import Channel

if TYPE_CHECKING:
    from messaging.models import Message

#: What mail programs write above what they quote, in English and in Spanish: it has a
#: time in it and the quote below, and may take up three lines.
_WROTE = re.compile(
    r"^(?:On|El)\b[^\n]*(?:\n(?!On\b|El\b)[^\n]*){0,2}?\b(?:wrote|escribió)\s*:"
    r"[ \t]*$(?=\s*(?:>|\Z))",
    re.MULTILINE,
)
_TIME = re.compile(r"\d[:.]\d\d")
_ORIGINAL = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|Mensaje original"
    r"|Mensaje reenviado)[ \t]*-{2,}.*$"
    r"|^[ \t]*\*?(?:From|De)\s*:.*\n(?:.*\n){0,2}?[ \t]*\*?"
    r"(?:Sent|Date|To|Enviado|Fecha|Para)(?: el)?\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
_SENT_FROM = re.compile(
    r"^[ \t]*(?:Sent from my|Get Outlook for|Enviado desde mi|Obtener Outlook para)\b"
    r".*$",
    re.IGNORECASE | re.MULTILINE,
)


def own_words(body: str) -> str:
    """Return what somebody wrote in a mail, without what they quote and their name.

    For showing it, and for the rules that look for words: what we asked comes back in
    most answers. The whole text where nothing else is left, so that nothing hides.
    """
    quoted_from = _ORIGINAL.search(body)
    fresh = body[: quoted_from.start()] if quoted_from else body
    fresh = _WROTE.sub(lambda m: "" if _TIME.search(m[0]) else m[0], fresh)
    fresh = "\n".join(x for x in fresh.split("\n") if not x.lstrip().startswith(">"))
    signed = _SIGNATURE.search(fresh)
    if signed:
        fresh = fresh[: signed.start()]
    fresh = re.sub(r"\n{3,}", "\n\n", _SENT_FROM.sub("", fresh)).strip()
    return fresh or body.strip()


def words_of(message: "Message") -> str:
    """Return the sender's own words of a message; only mails that came in quote."""
    came_in = message.direction == message.Direction.IN
    mail = came_in and message.channel == Channel.EMAIL
    return own_words(message.body) if mail else message.body
