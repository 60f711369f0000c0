"""A mail that came in, read: whose, about which of ours, and in which words.

Pure: bytes in, a ``Mail`` out, whatever the bytes. No header of it is proof of anything
but a token of ours, and a Message-ID of ours, which nobody guesses.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message as Parsed
from email.utils import getaddresses
from html import unescape

from imap_tools import MailMessage

from core.text import clean
from messaging.mail_tokens import Token, read_addresses

#: The longest text that is kept, in characters; that of a text message, too.
LONGEST_BODY = 10_000
LONGEST_SUBJECT = 200
LONGEST_ADDRESS = 254
#: As many as a message can be said to have.
MOST_ATTACHMENTS = 99
#: As many mails of ours as a thread is searched for.
MOST_REFS = 50
#: Who wrote a mail that does not say (RFC 2606: nobody will ever have this address).
NOBODY = "unknown@invalid"

#: Where a mail says to whom it was delivered; the first ones are the servers' own word.
_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc")
_REF = re.compile(
    r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>\s]+>", re.IGNORECASE
)


@dataclass(frozen=True)
class Mail:
    """What is kept of a mail, and what it says of itself."""

    provider_id: str
    #: What to call it where another mail has taken its Message-ID.
    other_id: str
    from_address: str
    to_address: str
    subject: str
    body: str
    attachments: int
    #: Which of our messages it is about, by a token we signed, and what that is for.
    token: tuple[Token, uuid.UUID] | None
    #: Which of ours it answers by its own word, the nearest first.
    answers: tuple[uuid.UUID, ...]
    #: A machine wrote it: nobody is waiting for us.
    automatic: bool
    #: We wrote it.
    ours: bool


def read_mail(message: MailMessage, raw: bytes, own: set[str]) -> Mail:
    """Return what a mail says; ``own`` are the addresses we write from."""
    head = message.obj
    delivered = [address for name in _TO for address in _addresses(head, name)]
    token = read_addresses(delivered)
    message_id = clean(str(head.get("Message-ID", "")))
    message_id = "".join(message_id.split())
    digest = hashlib.sha256(raw).hexdigest()
    from_address = next(iter(_addresses(head, "From")), NOBODY)
    ours = [address for address in delivered if _bare(address) in own]
    return Mail(
        provider_id=message_id if 0 < len(message_id) <= 120 else digest,
        other_id=digest,
        from_address=from_address,
        to_address=(ours or delivered or [""])[0],
        subject=" ".join(clean(message.subject).split())[:LONGEST_SUBJECT],
        body=clean(_text(message))[:LONGEST_BODY],
        attachments=min(len(list(_attached(head))), MOST_ATTACHMENTS),
        token=token,
        answers=_answers(head),
        automatic=_is_automatic(head),
        ours=from_address in own or _REF.fullmatch(message_id) is not None,
    )


def unreadable(raw: bytes) -> Mail:
    """Return a mail that cannot be read, so that a person looks for it."""
    digest = hashlib.sha256(raw).hexdigest()
    return Mail(digest, digest, NOBODY, "", "", "", 0, None, (), False, False)


def refs_in(text: str) -> list[uuid.UUID]:
    """Return the references in Message-IDs that look like ours."""
    return [uuid.UUID(ref) for ref in _REF.findall(text)]


def _addresses(head: Parsed, name: str) -> list[str]:
    """Return the addresses in a header, in small letters, those that are ones."""
    values = [clean(str(value)) for value in head.get_all(name, [])]
    found = (address.strip().lower() for _name, address in getaddresses(values))
    return [a for a in found if "@" in a and len(a) <= LONGEST_ADDRESS]


def _bare(address: str) -> str:
    """Return an address without what stands after a plus."""
    local, _at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _answers(head: Parsed) -> tuple[uuid.UUID, ...]:
    """Return the references of ours that a mail says it answers; the nearest first."""
    direct = refs_in(str(head.get("In-Reply-To", "")))
    before = refs_in(str(head.get("References", "")))
    return tuple(dict.fromkeys([*direct, *before[::-1]]))[:MOST_REFS]


def _is_automatic(head: Parsed) -> bool:
    """Return whether a machine wrote it (RFC 3834, and what came before it)."""

    def says(name: str) -> str:
        return str(head.get(name, "")).strip().lower()

    submitted = says("Auto-Submitted").partition(";")[0].strip()
    return (
        submitted not in ("", "no")
        or says("Precedence") in ("bulk", "list", "junk", "auto_reply")
        or says("X-Auto-Response-Suppress") not in ("", "none")
        or bool(says("X-Autoreply") or says("X-Autorespond"))
        or says("Return-Path") == "<>"
        or head.get_content_type() == "multipart/report"
    )


def _attached(head: Parsed) -> Iterator[Parsed]:
    for part in head.walk():
        is_text = part.get_content_maintype() in ("text", "multipart")
        if part.get_filename() or not is_text:
            yield part


def _text(message: MailMessage) -> str:
    """Return what a mail says, as plain text."""
    plain = re.sub(r"\r\n?", "\n", message.text).strip()
    return plain or _from_html(message.html)


#: One thing that is not text. Each alternative ends somewhere or takes all that is
#: left: no page takes longer than its length (html.parser does, and gives up on some).
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|template|title)\b.*?(?:</\1\b[^>]*(?:>|\Z)|\Z)"
    r"|<(?P<end>/?)(?P<tag>[a-z][a-z0-9]*)[^>]*(?:>|\Z)"
    r"|<[!?][^>]*(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
#: What runs on in the same line; anything else begins a new one.
_INLINE = re.compile(
    "a|abbr|b|bdi|bdo|code|em|font|i|img|mark|o|q|s|small|span|strong|sub|sup|td|th|time"
    "|u|wbr"
)


def _from_html(page: str) -> str:
    """Return the text of a page: nothing runs or is fetched; quotes keep a mark."""
    lines, quoted, last = [""], 0, 0

    def say(data: str) -> None:
        said = re.sub(r"\s+", " ", unescape(data))
        if said.strip() and not lines[-1].strip() and quoted:
            lines[-1] = "> "
        lines[-1] += said

    for found in _MARKUP.finditer(page):
        say(page[last : found.start()])
        last = found.end()
        tag = (found["tag"] or "").lower()
        if tag and not _INLINE.fullmatch(tag):
            lines.append("")
        elif tag in ("td", "th"):
            lines[-1] += " "
        if tag == "blockquote":
            quoted = max(0, quoted + (-1 if found["end"] else 1))
    say(page[last:])
    return "\n".join(line.strip() for line in lines if line.strip())
