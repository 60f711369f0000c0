"""Messages on a patient's page: the timeline, and addresses nothing may go to."""

from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from core.templatetags.house import moment
from messaging.models import CurrentSuppression, Hold, Message, Notice, NoticeMessage
from patients.models import Patient
from patients.registry import Bar, TimelineSource, barred, timeline
from patients.timeline import parse_instant

#: How a promise ended of which no message tells.
MISSED = (Notice.State.EXPIRED, Notice.State.WITH_STAFF, Notice.State.SETTLED)


#: What a bubble shows of a message.
_SHOWN = (
    "direction",
    "channel",
    "subject",
    "body",
    "state",
    "why",
    "error_code",
    "note",
    "media_count",
    "at",
)


def _message(facts: dict[str, Any]) -> Message:
    """Return the message with what its bubble shows, and nothing else."""
    return Message(**facts | {"at": parse_instant(facts["at"])})


timeline.add(
    "messages",
    TimelineSource(
        rows=lambda patient, user: Message.objects.filter(patient=patient),
        facts={name: name for name in _SHOWN},
        build=_message,
        at="at",
        template="messaging/event_message.html",
        permission="messaging.view_message",
        group="messages",
    ),
)


def _of_family(patient: Patient, user: Any) -> QuerySet[Message]:
    """Return texts that spoke of a sibling first and of this patient too.

    They stand in the sibling's conversation, and are each one's to read.
    """
    carried = NoticeMessage.objects.filter(notice__about_patient=patient)
    texts = Message.objects.filter(pk__in=carried.values("message"))
    return texts.exclude(patient=patient)


timeline.add(
    "messages_family",
    TimelineSource(
        rows=_of_family,
        facts={name: name for name in _SHOWN},
        build=_message,
        at="at",
        template="messaging/event_message.html",
        permission="messaging.view_message",
        group="messages",
    ),
)
timeline.add(
    "notices",
    TimelineSource(
        rows=lambda patient, user: Notice.objects.filter(
            about_patient=patient, state=Notice.State.PLANNED
        ),
        at="not_before",
        template="messaging/event_notice.html",
        permission="messaging.view_message",
        group="messages",
        facts={"purpose": "purpose"},
        upcoming=True,
    ),
)
# A promise that went to a person, or came too late, stands where its time was up.
timeline.add(
    "notices_missed",
    TimelineSource(
        rows=lambda patient, user: Notice.objects.filter(
            about_patient=patient,
            state__in=MISSED,
            deadline__lte=timezone.now(),
        ),
        at="deadline",
        template="messaging/event_missed.html",
        permission="messaging.view_message",
        group="messages",
        facts={"purpose": "purpose", "state": "state", "why": "why"},
    ),
)


barred.add(
    "suppressed",
    Bar(
        fact=Subquery(
            CurrentSuppression.objects.filter(
                address=OuterRef("address"), channel=OuterRef("channel")
            ).values("suppression__at")[:1]
        ),
        says=lambda since: _("Asked us to stop (%(when)s)") % {"when": moment(since)},
    ),
)
barred.add(
    "held",
    Bar(
        fact=Subquery(
            Hold.objects.filter(
                Q(address=OuterRef("address")) | Q(patient=OuterRef("patient")),
                ended_at=None,
            ).values("kind")[:1]
        ),
        says=lambda kind: (
            _("%(why)s: nothing goes until somebody has looked")
            % {"why": Hold.Kind(kind).label}
        ),
    ),
)
