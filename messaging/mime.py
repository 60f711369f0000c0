"""A mail as bytes: plain text first, HTML beside it, headers nobody can add to."""

from email.charset import QP, Charset
from email.utils import parseaddr
from functools import lru_cache
from uuid import uuid4

import css_inline
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.html import linebreaks, urlize

#: Where a mail's words go in its frame.
_HERE = "[words]"
#: Where an address stands in the header until the bytes are made: Django would encode
#: letters that stand for a mailbox, and nobody would have that one.
_SOMEBODY = "somebody@invalid"
#: Letters beyond ASCII as ASCII, so that no server on the way has to pass eight bits.
_QUOTED = Charset("utf-8")
_QUOTED.body_encoding = QP


@lru_cache(maxsize=1)
def _frame() -> tuple[str, str]:
    """Return what stands before and after the words, its rules moved to the elements.

    Once a process: mail programs drop ``<style>``, and inlining costs more than the
    rest of a mail. Nothing is fetched for it.
    """
    page = render_to_string("messaging/email.html", {"body": _HERE})
    inlined = css_inline.inline(page, load_remote_stylesheets=False)
    before, _here, after = inlined.partition(_HERE)
    return before, after


def sender_of(*, neutral: bool) -> str:
    """Return who mails come from; for a ``neutral`` one the address without a name."""
    sender = settings.DEFAULT_FROM_EMAIL
    return parseaddr(sender)[1] if neutral else sender


def message_id(ref: str) -> str:
    """Return the Message-ID of the mail with this reference; always the same."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{ref}@{domain}>"


def as_bytes(
    *, subject: str, body: str, to: str, neutral: bool, headers: dict[str, str]
) -> bytes:
    """Return a mail with both parts, ready for the wire.

    ``to`` has been looked at and holds no line break. Raises ``BadHeaderError`` for one
    in the subject or another header.
    """
    mail = EmailMultiAlternatives(
        subject=subject,
        body=body,
        from_email=sender_of(neutral=neutral),
        to=[_SOMEBODY],
        headers=headers,
    )
    mail.encoding = _QUOTED
    before, after = _frame()
    words = linebreaks(urlize(body, autoescape=True))
    mail.attach_alternative(f"{before}{words}{after}", "text/html")
    made = mail.message()
    # A Message-ID or a link on a line of its own is legal, and lost by some readers.
    made.policy = made.policy.clone(max_line_length=None)
    # Python's own is looked for in the text with a pattern compiled for each mail.
    made.set_boundary(f"=_{uuid4().hex}")
    raw: bytes = made.as_bytes(linesep="\r\n")  # type: ignore[call-arg]
    return raw.replace(_SOMEBODY.encode(), to.encode(), 1)
