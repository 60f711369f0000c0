"""What a failure teaches: about an address, a text, a gateway, and about trying again.

Shared by the hand-over (``dispatch``) and by status reports (``status``): the same code
means the same at either place.
"""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext_noop

from messaging.codes import Failure, meaning_of
from messaging.gateways import trip
from messaging.handover import TAKE_OVER_WITHIN
from messaging.ladder import rung_of
from messaging.models import Message, Notice
from messaging.purposes import PURPOSES
from messaging.services import mark_unusable, suppress
from patients.models import Channel
from worklist.models import WorkItem
from worklist.services import raise_item

#: A text that a provider refuses is looked at within so long: others wait to be sent.
MEND_TEXT_WITHIN = timedelta(hours=4)


def learn_of_address(message: Message, failure: Failure, code: str, why: str) -> None:
    """Keep what a failure says about the address: that it is closed, or dead.

    ``why`` it is dead is English, marked for translation. In the transaction that
    changed the message, before the ladder goes on: it must see that the address is no
    longer to be had.
    """
    channel = Channel(message.channel)
    if failure is Failure.OPTED_OUT:
        suppress(
            address=message.address,
            channel=channel,
            cause=f"{message.provider} {code}",
            message=message,
        )
    elif failure is Failure.BAD_ADDRESS:
        mark_unusable(channel=channel, address=message.address, why=f"{why} ({code})")


def tell_staff(message: Message, failure: Failure, code: str) -> None:
    """Close a gateway that refuses everything, and put a refused text before a person.

    In the transaction that changed the message, after the ladder went on: work items
    come after notices in everybody's order of locks.
    """
    if failure is Failure.CONFIG:
        trip(message.provider, code)
    elif failure is Failure.CONTENT:
        notice = message.notices.order_by("id").first()
        if notice is not None:
            _put_text_before_staff(message, notice, code)


def _put_text_before_staff(message: Message, notice: Notice, code: str) -> None:
    """Raise one item a text and day, whomever it was to go to."""
    today = timezone.now().date()
    raise_item(
        kind="refused_text",
        severity=WorkItem.Severity.AMBER,
        reason=gettext_noop(
            "%(gateway)s refuses the text “%(text)s” (%(code)s). Change it; whoever "
            "was to get it is told another way."
        ),
        reason_places={
            "gateway": message.provider,
            "text": notice.template_key,
            "code": code,
        },
        subject_kind="message",
        subject_id=message.pk,
        dedupe_key=f"refused_text:{notice.template_key}:{code}:{today}"[:160],
        due_at=timezone.now() + MEND_TEXT_WITHIN,
    )


def again_at(message: Message) -> datetime | None:
    """Return when the same words may be tried anew at the same address; None: never.

    For a message the provider took and then failed, with a code that says the trouble
    passes. Only so often as the code allows, and only while a new try and, after it, a
    person still come in time. What must not be said twice is never tried again: some of
    these codes mean "not known". Two queries.
    """
    meaning = meaning_of(message.provider, message.error_code)
    if meaning.wait is None:
        return None
    notices = list(message.notices.filter(state=Notice.State.OPEN).order_by("id"))
    if not notices:
        return None
    purpose = PURPOSES[notices[0].purpose]
    if purpose.to_staff or not purpose.safe_twice:
        return None
    moment = timezone.now() + meaning.wait
    wait = rung_of(notices[0].purpose, message).wait
    if moment + wait + TAKE_OVER_WITHIN > min(notice.deadline for notice in notices):
        return None
    tried = Message.objects.filter(
        notices=notices[0],
        channel=message.channel,
        address=message.address,
        state__in=[Message.State.FAILED, Message.State.UNDELIVERED],
    )
    passing = [
        code
        for code in tried.values_list("error_code", flat=True)
        if meaning_of(message.provider, code).wait is not None
    ]
    return moment if len(passing) <= meaning.times else None
