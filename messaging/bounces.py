"""Mails that came back: delivery reports (RFC 3464), and what follows from one.

A report is believed when it comes to the address in the envelope of one of our mails,
which we signed; or, where there is no such address, when it returns the Message-ID of
one, which nobody guesses, and names its recipient.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message as Parsed
from email.utils import parseaddr

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.sayings import say
from messaging import mime
from messaging.handover import give_up
from messaging.mail_tokens import Token
from messaging.mails import MOST_REFS, Mail, refs_in
from messaging.models import Message, Notice
from messaging.purposes import RANKS
from messaging.registry import causes
from messaging.status import receive_status
from patients.models import Channel

#: What a report says became of a mail, and our word for it. A failure weighs most.
_STATUS = {
    "failed": "bounced",
    "delivered": "delivered",
    "delayed": "delayed",
    "relayed": "relayed",
    "expanded": "relayed",
}
_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
#: Why a person is told.
CAME_BACK = gettext_noop("mail came back")


@dataclass(frozen=True)
class Report:
    """What a delivery report says of the one recipient a mail of ours has."""

    status: str
    code: str
    recipients: frozenset[str]
    #: The references in the returned headers.
    refs: tuple[uuid.UUID, ...]


def read_report(head: Parsed) -> Report | None:
    """Return what a mail reports; None for one that is no delivery report."""
    fields = [
        block
        for part in head.walk()
        if part.get_content_type() == "message/delivery-status"
        for block in _blocks(part)
        if block.get("Action")
    ]
    by_weight = list(_STATUS)
    found = [
        (by_weight.index(action), action, block)
        for block in fields
        if (action := str(block["Action"]).strip().lower()) in _STATUS
    ]
    if not found:
        return None
    _weight, action, block = min(found, key=lambda one: one[0])
    code = _CODE.search(str(block.get("Status", "")))
    code = code or _CODE.search(str(block.get("Diagnostic-Code", "")))
    named = (
        parseaddr(str(block.get(name, "")).rpartition(";")[2])[1].lower()
        for name in ("Final-Recipient", "Original-Recipient")
    )
    return Report(
        status=_STATUS[action],
        code=code[0] if code else "",
        recipients=frozenset(filter(None, named)),
        refs=tuple(ref for part in _returned(head) for ref in refs_in(part))[
            :MOST_REFS
        ],
    )


def take_report(head: Parsed, mail: Mail) -> bool:
    """Apply a mail that reports on one of ours; return whether it did.

    Any other mail is left alone, and so is a report that is not to be believed.
    """
    report = read_report(head)
    if report is None:
        return False
    signed = mail.token[1] if mail.token and mail.token[0] is Token.BOUNCE else None
    with transaction.atomic():
        message = _reported_on(report, signed)
        if message is None:
            return False
        _apply(message, report)
    return True


def _reported_on(report: Report, signed: uuid.UUID | None) -> Message | None:
    """Return the message a report may speak of, locked."""
    sent = Message.objects.select_for_update(of=("self",)).filter(
        direction=Message.Direction.OUT, channel=Channel.EMAIL
    )
    if signed is not None:
        return sent.filter(ref=signed).first()
    for message in sent.filter(ref__in=report.refs).order_by("id")[:1]:
        if message.address.lower() in report.recipients:
            return message
    return None


def _apply(message: Message, report: Report) -> None:
    new = receive_status(
        provider="smtp",
        provider_id=message.provider_id or mime.message_id(str(message.ref)),
        ref=message.ref,
        status=report.status,
        code=report.code,
    )
    if new and report.status == "bounced":
        _tell_of_late_bounce(message, report.code)


def _tell_of_late_bounce(message: Message, code: str) -> None:
    """Hand to a person what had counted as reached, for nothing bad had been heard.

    Only what matters still: its deadline is ahead, it is still true, and no other
    message of it is known to have arrived or was answered.
    """
    arrived = Q(messages__rank__gte=RANKS[Message.State.DELIVERED])
    answered = Q(messages__question__answer__gt="")
    reached = message.notices.filter(
        state=Notice.State.REACHED, matters=True, deadline__gt=timezone.now()
    )
    known = Notice.objects.filter(arrived | answered, pk__in=reached.values("pk"))
    for kind, pk in sorted(reached.values_list("cause_kind", "cause_id")):
        causes[kind].lock([pk])
    notices = list(
        reached.exclude(pk__in=known.values("pk"))
        .select_for_update(of=("self",))
        .order_by("id")
    )
    for notice in notices:
        if not causes[notice.cause_kind].untrue([notice]):
            Notice.objects.filter(pk=notice.pk).update(reached_at=None)
            give_up(notice, say(f"{CAME_BACK} ({code})" if code else CAME_BACK))


def _blocks(part: Parsed) -> Iterator[Parsed]:
    """Return the blocks of fields in a report: of the mail, then of each recipient."""
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (block for block in payload if isinstance(block, Parsed))


def _returned(head: Parsed) -> Iterator[str]:
    """Return the Message-IDs of what a report sends back."""
    for part in head.walk():
        if part.get_content_type() == "text/rfc822-headers":
            text = str(part.get_payload(decode=False))
            yield from re.findall(r"^Message-ID:\s*(\S+)", text, re.I | re.M)
        elif part.get_content_type() == "message/rfc822":
            yield from (str(one.get("Message-ID", "")) for one in _blocks(part))
