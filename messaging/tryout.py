"""Trying the way out: a manager sends a test to a phone or mailbox of their own.

It goes by the very same path as what patients get: a notice, the ladder, the gate, the
gateway, its receipts. Nothing is asked about who has the address: an address is never
identity, and the answer would tell who is a patient here.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from accounts.throttling import Tries
from core.sayings import say
from messaging.lately import advice_for
from messaging.models import Message, Notice
from messaging.registry import Cause, Draft
from messaging.services import promise
from messaging.texts import render
from messaging.writing import fill
from patients.models import Channel
from patients.queries import speaking_site

#: Enough to find out what is wrong, too few to trouble anybody.
TRIES = Tries("test_send", limit=5, per=timedelta(hours=1))
#: A test that has not gone by then says enough.
GOOD_FOR = timedelta(minutes=30)
#: How many of one's own tests the page shows.
SHOWN = 5

_ENDED = (
    Message.State.DELIVERED,
    Message.State.READ,
    Message.State.UNDELIVERED,
    Message.State.FAILED,
    Message.State.WITHDRAWN,
)


class TryCause(Cause):
    """The cause "test": a member of staff, by number, wants to see that it works."""

    def untrue(self, notices: Sequence[Notice]) -> dict[int, str]:
        """Return nothing: what was wanted stays wanted."""
        return {}

    def compose(
        self,
        notices: Sequence[Notice],
        *,
        channel: Channel,
        digits_from: int | None,
        neutral: bool,
    ) -> Draft:
        """Return the text in the language of whoever wants it; two queries."""
        site = self.site(notices[0])
        user = User.objects.get(pk=notices[0].cause_id)
        language = user.language or site.language
        subject, body = render(notices[0].template_key, language, clinic=site.name)
        return Draft(body=body, subject=subject, language=language)

    def sentence(self, notice: Notice) -> dict[str, Any]:
        """Return what was to be tried."""
        return say(gettext_noop("A test message"))

    def site(self, notice: Notice) -> Site:
        """Return the first site of whoever wants it; one query, two without one."""
        ours = Site.objects.filter(staff=notice.cause_id).order_by("name")
        return ours.first() or speaking_site(None)


def preview(*, user: User, address: str) -> Message:
    """Return what would go to an address, not saved; a few queries."""
    now = timezone.now()
    message = Message(
        direction=Message.Direction.OUT,
        channel=Channel.EMAIL if "@" in address else Channel.SMS,
        address=address,
        at=now,
        not_before=now,
    )
    notice = Notice(
        purpose="test_send",
        template_key="test_send",
        address=address,
        cause_kind="test",
        cause_id=user.pk,
    )
    fill(message, [notice], digits_from=None)
    return message


@transaction.atomic
def send_test(*, user: User, address: str) -> Notice:
    """Promise a test to an address; the next pass sends it.

    Raises ``ValidationError`` after five in an hour.
    """
    TRIES.insist(str(user.pk))
    site = Site.objects.filter(staff=user).order_by("name").first()
    notice = promise(
        purpose="test_send",
        template_key="test_send",
        cause_kind="test",
        cause_id=user.pk,
        dedupe_key=f"test:{user.pk}:{uuid.uuid4()}",
        deadline=timezone.now() + GOOD_FOR,
        zone=(site or speaking_site(None)).zone,
        address=address,
    )
    record(
        AuditEvent.Verb.CHANGE,
        subject=f"notice:{notice.pk}",
        details={
            "what": "test sent",
            "channel": str(Channel.EMAIL if "@" in address else Channel.SMS),
        },
        by=user,
    )
    return notice


@dataclass(frozen=True)
class Try:
    """One test, and how far it came."""

    notice: Notice
    message: Message | None

    @property
    def is_under_way(self) -> bool:
        """Whether more may be heard of it."""
        if timezone.now() >= self.notice.deadline:
            return False
        if self.message is None:
            return self.notice.state == Notice.State.PLANNED
        return self.message.state not in _ENDED

    @property
    def advice(self) -> str:
        """What to do about it, where it failed."""
        failed = self.message is not None and self.message.state in (
            Message.State.FAILED,
            Message.State.UNDELIVERED,
        )
        return advice_for(self.message) if failed and self.message else ""


def tries_of(user: User) -> list[Try]:
    """Return one's own tests of the last day, the newest first; two queries."""
    since = timezone.now() - timedelta(days=1)
    notices = (
        Notice.objects.filter(
            cause_kind="test", cause_id=user.pk, created_at__gte=since
        )
        .order_by("-pk")
        .prefetch_related("messages")[:SHOWN]
    )
    return [Try(notice, next(iter(notice.messages.all()), None)) for notice in notices]
