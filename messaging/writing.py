"""Writing a message: one text for the notices of one recipient."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from messaging import questions, segments
from messaging.models import Message, Notice, NoticeMessage
from messaging.purposes import PURPOSES
from messaging.registry import causes
from messaging.services import conversation_with
from messaging.texts import render
from patients.models import Channel


def write(
    notices: Sequence[Notice],
    channel: Channel,
    address: str,
    not_before: datetime,
    *,
    neutral: bool,
) -> Message:
    """Queue a message for these notices, with what it asks, from an instant on.

    One that is ``neutral`` names no clinic. Raises whatever stands in the way of its
    text, and then nothing is to stay: run it in a transaction of its own.
    """
    now = timezone.now()
    first = notices[0]
    # What goes to a colleague is nobody's conversation.
    is_talk = PURPOSES[first.purpose].scope is not None
    message = Message(
        direction=Message.Direction.OUT,
        conversation=conversation_with(patient=first.about_patient, address=address)
        if is_talk
        else None,
        patient=first.about_patient,
        channel=channel,
        address=address,
        state=Message.State.QUEUED,
        not_before=not_before,
        deadline=min(notice.deadline for notice in notices),
        neutral=neutral,
        urgency=PURPOSES[first.purpose].urgency,
        at=now,
    )
    ask = fill(message, notices, digits_from=questions.next_digit(message, notices))
    message.save()
    NoticeMessage.objects.bulk_create(
        [NoticeMessage(notice=notice, message=message) for notice in notices]
    )
    questions.attach(message, ask)
    return message


def fill(
    message: Message, notices: Sequence[Notice], *, digits_from: int | None
) -> questions.Asked | None:
    """Write the text of ``message`` anew for these notices, and return what it asks.

    Does not save. A first text to a number carries the locked opt-out footer, one to
    a colleague does not. One that is ``neutral`` says nothing of a clinic. Raises what
    stands in the way of the text.
    """
    cause = causes[notices[0].cause_kind]
    draft = cause.compose(
        notices,
        channel=Channel(message.channel),
        digits_from=digits_from,
        neutral=message.neutral,
    )
    body = draft.body
    if message.channel == Channel.SMS and _is_first(message, notices):
        body += render("first_text_footer", draft.language)[1]
    message.subject = draft.subject
    if message.channel == Channel.SMS:
        message.body = segments.normalise(body)
        counted = segments.count(message.body)
        message.encoding, message.segments = counted.encoding, counted.segments
    else:
        message.body, message.encoding = body, Message.Encoding.UTF8
    if draft.ask is None or digits_from is None:
        return None
    return questions.Asked(draft.ask, digits_from)


#: What has reached a number's provider and was not sent back.
_WENT = (
    Message.State.ACCEPTED,
    Message.State.SENT,
    Message.State.DELIVERED,
    Message.State.READ,
)


def _is_first(message: Message, notices: Sequence[Notice]) -> bool:
    """Return whether nobody has read a text from us at this number; one query.

    One that waits or is not known to have gone does not count: should it be withdrawn,
    the next would be the first. So two written at once both carry the footer.
    """
    if notices[0].user_id:
        return False
    went = Message.objects.filter(
        address=message.address,
        direction=Message.Direction.OUT,
        channel=Channel.SMS,
        state__in=_WENT,
    )
    return not went.exclude(pk=message.pk).exists()
