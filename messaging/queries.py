"""Reads of messages that cross tables."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import (
    Case,
    Count,
    Exists,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Coalesce
from django.http import Http404

from accounts.audit.trail import note_opened, note_refused, note_seen
from accounts.models import User
from core.time import next_decent, zone
from messaging.gateways import closed_gateways, gateway_for
from messaging.models import Conversation, Message, Notice, NoticeMessage
from messaging.purposes import DAILY_CAP, DAY_CLOSES, DAY_OPENS, PURPOSES
from patients.access import of_visible
from patients.models import Channel, ContactPoint, Patient

#: Conversations the inbox shows at once; it says when there are more.
PAGE = 200
#: Messages of a thread the page shows; older ones stand on the timeline.
THREAD = 100


def conversations_of(user: User | AnonymousUser) -> QuerySet[Conversation]:
    """Return the conversations with the user's patients and with unknown senders.

    A sender nobody is known by is everybody's: whichever site they mean must find them.
    As soon as the address is that of patients, of one or of several who share it, only
    those who may see one of them read what comes from it.
    """
    points = ContactPoint.objects.filter(address=OuterRef("address"))
    known = points.filter(
        Q(patient__isnull=False, patient__merged_into=None)
        | Q(contact_person__isnull=False, contact_person__patient__merged_into=None)
    )
    ours = points.filter(of_visible(user) | of_visible(user, "contact_person__patient"))
    return Conversation.objects.filter(
        of_visible(user) | Q(patient=None) & (~Exists(known) | Exists(ours))
    ).select_related("patient")


def get_conversation(user: User | AnonymousUser, pk: int) -> Conversation:
    """Return one conversation; 404 out of scope. Two queries at most."""
    conversation = conversations_of(user).filter(pk=pk).first()
    if conversation is None:
        _note_out_of_reach(pk)
        raise Http404
    if conversation.patient_id:
        note_opened(conversation.patient_id)
    _note_owners([conversation])
    return conversation


def owners_of(addresses: Iterable[Any]) -> QuerySet[Patient]:
    """Return whom texts from these addresses may be about: whose they are, or whom
    their owner answers for. ``addresses`` may be a query for them.
    """
    points = ContactPoint.objects.filter(address__in=addresses)
    return Patient.objects.filter(
        Q(pk__in=points.values("patient"))
        | Q(contact_persons__in=points.values("contact_person")),
        merged_into=None,
    ).distinct()


def may_be_about(message_ids: Iterable[int]) -> set[int]:
    """Return the ids of the patients of whom messages may speak; one query."""
    addresses = Message.objects.filter(pk__in=message_ids).values("address")
    return set(owners_of(addresses).values_list("pk", flat=True))


def _note_owners(conversations: Iterable[Conversation]) -> None:
    """Note everybody who has the address of a conversation that is nobody's alone.

    One query, where there is such a conversation.
    """
    shared = {row.address for row in conversations if row.patient_id is None}
    for patient_id in owners_of(shared).values_list("pk", flat=True):
        note_seen(patient_id)


def _note_out_of_reach(pk: int) -> None:
    conversation = Conversation.objects.filter(pk=pk)
    for patient_id, address in conversation.values_list("patient_id", "address"):
        whose = owners_of([address]).values_list("pk", flat=True)
        note_refused(f"conversation:{pk}", [patient_id] if patient_id else whose)


def waiting_for_us(user: User | AnonymousUser) -> QuerySet[Conversation]:
    """Return the user's conversations in which somebody waits for an answer."""
    return conversations_of(user).filter(state=Conversation.State.WAITING)


def waiting_summary(user: User | AnonymousUser) -> dict[str, Any]:
    """Return {"count", "oldest"} of what waits for us; one query."""
    return waiting_for_us(user).aggregate(
        count=Count("pk"), oldest=Min("waiting_since")
    )


def inbox(user: User | AnonymousUser, folder: str) -> list[Conversation]:
    """Return a folder of the inbox, each with the text to show; three queries at most.

    That is the first reply since somebody began to wait, so that a "STOP" sent after a
    worry does not hide it, and how many more came since; else the last reply.
    """
    if folder == "waiting":
        rows = waiting_for_us(user).order_by("waiting_since")
    else:
        rows = (
            conversations_of(user)
            .exclude(last_message_at=None)
            .order_by("-last_message_at")
        )
    heard = Message.objects.filter(
        conversation=OuterRef("pk"), direction=Message.Direction.IN
    )
    since = heard.filter(at__gte=OuterRef("waiting_since"))
    # With what the annotations add, which types do not follow.
    page: list[Any] = list(
        rows.annotate(
            shown_id=Coalesce(
                Subquery(since.order_by("at", "id").values("pk")[:1]),
                Subquery(heard.order_by("-at", "-id").values("pk")[:1]),
            ),
            since=Subquery(
                since.order_by()
                .values("conversation")
                .annotate(n=Count("pk"))
                .values("n")
            ),
        )[:PAGE]
    )
    shown = Message.objects.in_bulk([row.shown_id for row in page if row.shown_id])
    _note_owners(page)
    for row in page:
        row.latest = shown.get(row.shown_id)
        row.more = (row.since or 1) - 1
    return page


def thread(conversation: Conversation) -> list[Message]:
    """Return the latest messages of a conversation, oldest first; one query."""
    latest = conversation.messages.order_by("-at", "-id")[:THREAD]
    return list(reversed(latest))


def kept_since(moment: datetime) -> int:
    """Return how many promises were kept since then; one query."""
    return Notice.objects.filter(
        state=Notice.State.REACHED, reached_at__gte=moment
    ).count()


def texts_of_phone(user: User | AnonymousUser, number: str) -> list[Message]:
    """Return the latest texts of a simulated phone, oldest first; one query."""
    shown = _simulated(user).filter(address=number).order_by("-at", "-id")
    return list(reversed(shown[:50]))


def busy_phones(user: User | AnonymousUser) -> list[str]:
    """Return the numbers texted last, to pick from; one query."""
    latest = (
        _simulated(user)
        .filter(channel=Channel.SMS, direction=Message.Direction.OUT)
        .order_by("-id")
        .values_list("address", flat=True)[:200]
    )
    return list(dict.fromkeys(latest))[:6]


def _simulated(user: User | AnonymousUser) -> QuerySet[Message]:
    """Return what passed the simulated gateway and this user may read."""
    nobodys = Q(conversation=None) | Q(conversation__in=conversations_of(user))
    return Message.objects.filter(
        of_visible(user) | Q(patient=None) & nobodys,
        provider="simulated",
    )


def oldest_sendable(now: datetime) -> datetime | None:
    """Return since when a message could have been sent and was not; None for none.

    Waiting that the gate would order does not count: for a time yet to come, for decent
    hours where the recipient is, for the daily cap of an address, for a gateway that is
    closed. Two queries, over what is queued alone.
    """
    capped = [key for key, purpose in PURPOSES.items() if purpose.capped]
    sent_today = (
        NoticeMessage.objects.filter(
            message__address=OuterRef("message__address"),
            message__direction=Message.Direction.OUT,
            message__submitting_at__gte=now - timedelta(days=1),
            notice__purpose__in=capped,
        )
        .order_by()
        .values("message__address")
        .annotate(n=Count("pk"))
        .values("n")
    )
    due = (
        NoticeMessage.objects.filter(
            message__state=Message.State.QUEUED, message__not_before__lte=now
        )
        .annotate(
            sent_today=Case(
                When(
                    notice__purpose__in=capped, then=Coalesce(Subquery(sent_today), 0)
                ),
                default=0,
            )
        )
        .filter(sent_today__lt=DAILY_CAP)
        .order_by()
        .values_list(
            "notice__purpose",
            "notice__zone",
            "message__channel",
            Coalesce("message__patient__is_demo", False),
        )
        .annotate(oldest=Min("message__not_before"))
    )
    waiting = [
        (
            gateway_for(channel, is_demo=is_demo),
            _decent(oldest, purpose, where, channel),
        )
        for purpose, where, channel, is_demo, oldest in due
    ]
    closed = closed_gateways((gateway for gateway, _since in waiting), now)
    since = (moment for gateway, moment in waiting if gateway not in closed)
    return min((moment for moment in since if moment <= now), default=None)


def _decent(moment: datetime, purpose: str, where: str, channel: str) -> datetime:
    if not PURPOSES[purpose].quiet_hours or channel != Channel.SMS:
        return moment
    return next_decent(moment, zone(where), DAY_OPENS, DAY_CLOSES)
