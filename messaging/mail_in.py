"""The mailbox that answers and bounces come into, read once a minute over IMAP.

Each mail is stored, or applied where it is a bounce, in the transaction that notes how
far the mailbox was read; handling comes later, as for texts. ``From`` proves nothing: a
mail belongs to a patient only by a token or a Message-ID of ours.
"""

import imaplib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from email.utils import parseaddr
from functools import partial
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop
from imap_tools import (
    AND,
    BaseMailBox,
    ImapToolsError,
    MailBox,
    MailBoxStartTls,
    MailBoxUnencrypted,
    MailMessage,
)

from accounts.models import Heartbeat
from core.faults import persistently
from messaging.bounces import take_report
from messaging.inbound import receive
from messaging.mails import Mail, read_mail, unreadable
from messaging.models import Mailbox, Message
from messaging.quoting import own_words
from messaging.services import suppress as close_address
from messaging.words import Wish, wish
from patients.models import Channel
from patients.registry import alarms
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

logger = logging.getLogger(__name__)

#: How often the mailbox is looked at.
EVERY = timedelta(minutes=1)
#: Mails one look takes in, and how long it goes on, in seconds; the rest is next.
MOST, LONGEST = 50, 20.0
#: Bytes fetched of a mail: headers and text come first, a film behind them stays there.
MOST_BYTES = 256 * 1024
#: Seconds to wait for each answer of the server.
TIMEOUT = 8.0
#: How far back a mailbox is read that is new, or whose numbers start anew.
LOOK_BACK = timedelta(days=7)
#: How long the mailbox may be out of reach before somebody is told, and has to mend it.
PATIENCE, MEND_WITHIN = timedelta(minutes=15), timedelta(hours=2)
#: What a mail was taken for, as its conversation shows it.
AUTOMATIC, OURS, UNREADABLE = "automatic answer", "our own mail", "unreadable mail"
#: Ports by scheme, where the address names none.
_PORTS = {"imaps": 993, "imap+tls": 143, "imap": 143}


def read_mailbox() -> int:
    """Take in what has come since the last look; return how many mails.

    One worker at a time, once in ``EVERY``. What cannot be stored stays in the mailbox
    and is tried again; when that lasts, a work item tells of it.
    """
    if not settings.MAIL_IN_URL or not _is_my_turn():
        return 0
    where = urlsplit(settings.MAIL_IN_URL)
    mailbox, _new = Mailbox.objects.get_or_create(
        name=f"{where.username}@{where.hostname}{where.path}"[:254],
        defaults={"at": timezone.now()},
    )
    try:
        with _opened() as box:
            taken = _take_in(box, mailbox)
    except Exception:
        # Out of reach, a wrong password, a mail the database will not have.
        logger.exception("the mailbox cannot be read")
        _tell_if_long(mailbox)
        return 0
    Mailbox.objects.filter(pk=mailbox.pk).update(at=timezone.now())
    close_by_rule(
        subject_kind="mailbox",
        subject_id=mailbox.pk,
        rule=gettext_noop("it can be read again"),
        unclaimed=False,
    )
    return taken


def _is_my_turn() -> bool:
    """Return whether nobody has looked for a while, and say that we do."""
    now = timezone.now()
    looks = Heartbeat.objects.filter(key="mail_in")
    last = looks.values_list("at", flat=True).first()
    if last is None:
        return Heartbeat.objects.get_or_create(key="mail_in", defaults={"at": now})[1]
    if last > now - EVERY:
        return False
    return bool(looks.filter(at__lte=now - EVERY).update(at=now))


def _tell_if_long(mailbox: Mailbox) -> None:
    now = timezone.now()
    if now - mailbox.at < PATIENCE:
        return
    raise_item(
        kind="mailbox",
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "The mailbox for answers cannot be read. What patients write by email, and "
            "what comes back, waits there. Its settings are MAIL_IN_URL."
        ),
        subject_kind="mailbox",
        subject_id=mailbox.pk,
        dedupe_key=f"mailbox:{mailbox.pk}:{mailbox.at:%Y-%m-%dT%H:%M:%S}",
        due_at=now + MEND_WITHIN,
    )


@contextmanager
def _opened() -> Iterator[BaseMailBox]:
    """Open the mailbox of ``MAIL_IN_URL``; raises what imap-tools, imaplib and sockets
    raise.
    """
    where = urlsplit(settings.MAIL_IN_URL)
    host, port = where.hostname or "", where.port or _PORTS[where.scheme]
    clients = {
        "imaps": MailBox,
        "imap+tls": MailBoxStartTls,
        "imap": MailBoxUnencrypted,
    }
    box = clients[where.scheme](host, port, timeout=TIMEOUT)
    try:
        user, password = unquote(where.username or ""), unquote(where.password or "")
        login = box.login if (user + password).isascii() else box.login_utf8
        login(user, password, initial_folder=unquote(where.path).strip("/") or "INBOX")
        yield box
    finally:
        with suppress(ImapToolsError, imaplib.IMAP4.error, OSError):
            box.logout()
        # A goodbye nobody answers leaves the socket open.
        with suppress(OSError):
            box.client.shutdown()


def _take_in(box: BaseMailBox, mailbox: Mailbox) -> int:
    _follow_numbers(box, mailbox)
    found = box.uids(f"UID {mailbox.last_uid + 1}:*", charset=None)
    # "n:*" holds the last mail even when that is before n (RFC 3501, 6.4.8).
    new = sorted(uid for uid in map(int, found) if uid > mailbox.last_uid)
    until, taken = time.monotonic() + LONGEST, list[str]()
    for uid in new[:MOST]:
        raw = _fetch(box, uid)
        store = partial(_store_one, raw, mailbox, uid)
        persistently(store, f"mail {uid}")
        taken.append(str(uid))
        if time.monotonic() > until:
            break
    _mark_seen(box, taken)
    return len(taken)


def _follow_numbers(box: BaseMailBox, mailbox: Mailbox) -> None:
    """Begin anew where the server has numbered its mails anew (RFC 3501, 2.3.1.1).

    What is read a second time is known by its Message-ID.
    """
    validity = _number(box, "UIDVALIDITY")
    if mailbox.uid_validity == validity:
        return
    since: date = (mailbox.at - LOOK_BACK).date()
    recent = [int(u) for u in box.uids(AND(date_gte=since), charset=None)]
    mailbox.uid_validity = validity
    mailbox.last_uid = min(recent) - 1 if recent else _number(box, "UIDNEXT") - 1
    mailbox.last_uid = max(0, mailbox.last_uid)
    mailbox.save(update_fields=["uid_validity", "last_uid"])


def _number(box: BaseMailBox, name: str) -> int:
    """Return a number the server gave when the folder was opened, else 0."""
    _kind, values = box.client.response(name)
    return int(values[0]) if values and values[0] else 0


def _fetch(box: BaseMailBox, uid: int) -> bytes:
    """Return the beginning of a mail, unmarked; blank when it is gone meanwhile."""
    said, parts = box.client.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{MOST_BYTES}>)")
    if said != "OK":
        raise imaplib.IMAP4.error("FETCH failed")
    found = (part[1] for part in parts if isinstance(part, tuple))
    return bytes(next(found, b""))


def _store_one(raw: bytes, mailbox: Mailbox, uid: int) -> None:
    """Store or apply one mail, and note that it was, in one transaction.

    One that breaks our reading is stored as unreadable: the next must not wait for it.
    """
    try:
        with transaction.atomic():
            if raw:
                _take_one(raw)
            _note_read(mailbox, uid)
    except OperationalError:
        raise
    except Exception:
        logger.exception("a mail cannot be read", extra={"what": f"mail {uid}"})
        with transaction.atomic():
            _receive(unreadable(raw), None, UNREADABLE, set_aside=False)
            _note_read(mailbox, uid)


def _note_read(mailbox: Mailbox, uid: int) -> None:
    Mailbox.objects.filter(
        pk=mailbox.pk, uid_validity=mailbox.uid_validity, last_uid__lt=uid
    ).update(last_uid=uid)


def _take_one(raw: bytes) -> None:
    own = {
        parseaddr(address)[1].lower()
        for address in (settings.DEFAULT_FROM_EMAIL, settings.MAIL_IN_ADDRESS)
    }
    message = MailMessage.from_bytes(raw)
    mail = read_mail(message, raw, own - {""})
    if take_report(message.obj, mail):
        return
    note = OURS if mail.ours else AUTOMATIC if mail.automatic else ""
    words = own_words(mail.body)
    # A machine that speaks of a danger may be none.
    danger = any(speaks(words) for _key, speaks in alarms)
    set_aside = mail.ours or (mail.automatic and not danger)
    answered = _answered(mail)
    if _receive(mail, answered, note, set_aside=set_aside) and not set_aside:
        _close_answered(mail, answered, words)


def _receive(
    mail: Mail, answered: Message | None, note: str, *, set_aside: bool
) -> bool:
    """Keep a mail; return False when it was here already.

    A Message-ID is its sender's to choose: another mail under one that we have is kept
    under what it consists of.
    """

    def keep(provider_id: str) -> bool:
        return receive(
            provider="imap",
            provider_id=provider_id,
            channel=Channel.EMAIL,
            from_address=mail.from_address,
            to_address=mail.to_address,
            subject=mail.subject,
            body=mail.body,
            media_count=mail.attachments,
            note=note,
            in_reply_to=answered,
            set_aside=set_aside,
        )

    if keep(mail.provider_id):
        return True
    same = Message.objects.filter(
        provider="imap",
        provider_id=mail.provider_id,
        # One that was erased is not read in anew.
        body__in=(mail.body, ""),
        address__in=(mail.from_address, ""),
    )
    return not same.exists() and keep(mail.other_id)


def _answered(mail: Mail) -> Message | None:
    """Return the message of ours that a mail is about; a query at most for each way.

    By the token in the address it came to, else by the Message-IDs it names, the
    nearest first. Never by subject or sender.
    """
    refs = ([mail.token[1]] if mail.token else []) + list(mail.answers)
    sent = Message.objects.filter(
        ref__in=refs, direction=Message.Direction.OUT, channel=Channel.EMAIL
    ).select_related("patient", "conversation")
    by_ref = {message.ref: message for message in sent}
    return next((by_ref[ref] for ref in refs if ref in by_ref), None)


def _close_answered(mail: Mail, answered: Message | None, words: str) -> None:
    """Close the address we wrote to as well, where "stop" comes from another of theirs.

    The one it came from is closed when the reply is handled.
    """
    other = answered is not None and answered.address != mail.from_address
    if answered is not None and other and wish(words) in (Wish.STOP, Wish.STOP_SHORT):
        close_address(
            address=answered.address,
            channel=Channel.EMAIL,
            cause="asked by email",
            message=answered,
        )


def _mark_seen(box: BaseMailBox, uids: list[str]) -> None:
    """Show people who look into the mailbox what was taken in; no harm if not."""
    if not uids:
        return
    try:
        # Not box.flag: that expunges what somebody else has marked as deleted.
        said, _ = box.client.uid("STORE", ",".join(uids), "+FLAGS", r"(\Seen)")
    except (imaplib.IMAP4.error, OSError):
        said = "lost"
    if said != "OK":
        logger.warning("mails taken in could not be marked")
