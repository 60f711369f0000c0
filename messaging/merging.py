"""Promises, messages and the conversation of a patient whose record was merged.

What waits goes on under the kept record: the gate asks for that record's addresses and
consents, and the ladder finds another way, or a person, where they forbid it.
"""

from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from messaging.models import Conversation, Hold, Message, Notice
from messaging.services import conversation_with
from patients.merging.ledger import Ledger
from patients.merging.registry import (
    KEPT,
    LOST,
    Answers,
    Belongs,
    Fate,
    MergeRule,
    Option,
    Pair,
    Question,
    belong,
    merge_rules,
)
from worklist.models import WorkItem

_VIEW = "messaging.view_message"

belong(
    Belongs(Message, lock=1, title=_("Messages"), permission=_VIEW),
    Belongs(Notice),
    Belongs(Notice, "about_patient"),
    # The kept record is held by what was written of the lost one.
    Belongs(Hold),
    Belongs(Conversation, fate=Fate.RULE),
)


def _conversations(pair: Pair) -> dict[int, Conversation]:
    """Return {patient id: their conversation}; one query."""
    found = Conversation.objects.filter(patient__in=pair.ids).select_related("owner")
    return {row.patient_id: row for row in found if row.patient_id}


def _ask_who_answers(pair: Pair) -> list[Question]:
    """Ask who goes on with one conversation where each has somebody's name on it."""
    found = _conversations(pair)
    owners = [found[pk].owner if pk in found else None for pk in pair.ids]
    if None in owners or owners[0] == owners[1]:
        return []
    return [
        Question(
            key="conversation",
            title=gettext("Each has a conversation. Who goes on with it?"),
            options=[
                Option(whose, str(owner))
                for whose, owner in zip((KEPT, LOST), owners, strict=True)
            ],
        )
    ]


def _join_conversations(ledger: Ledger, answers: Answers) -> None:
    """Make one thread of two; it waits for us if either did, since the earlier time."""
    kept_id, lost_id = ledger.pair.ids
    found = _conversations(ledger.pair)
    ours, theirs = found.get(kept_id), found.get(lost_id)
    if theirs is None:
        return
    if ours is None:
        ledger.move(Conversation, "patient", [theirs.pk], start=lost_id, end=kept_id)
        return
    thread = list(theirs.messages.values_list("pk", flat=True))
    ledger.move(Message, "conversation", thread, start=theirs.pk, end=ours.pk)
    owner = ours.owner or theirs.owner
    if answers.get("conversation") == LOST:
        owner = theirs.owner
    waits = Conversation.State.WAITING in (ours.state, theirs.state)
    waiting = _both([ours.waiting_since, theirs.waiting_since])
    latest = _both([ours.last_message_at, theirs.last_message_at])
    snoozed = [row.snooze_until for row in (ours, theirs)]
    ledger.change(
        ours,
        owner=owner,
        state=Conversation.State.WAITING if waits else ours.state,
        waiting_since=min(waiting, default=None),
        # Put off only where both are: the other one asks now.
        snooze_until=None if None in snoozed else min(_both(snoozed)),
        last_message_at=max(latest, default=None),
    )
    ledger.change(
        theirs,
        owner=None,
        state=Conversation.State.QUIET,
        waiting_since=None,
        snooze_until=None,
    )


def _both(moments: list[datetime | None]) -> list[datetime]:
    return [moment for moment in moments if moment is not None]


def _follow_back(pair: Pair) -> None:
    """Give each record its own thread again, and work about a message its patient."""
    for patient, other in ((pair.kept, pair.lost), (pair.lost, pair.kept)):
        astray = Message.objects.filter(patient=patient, conversation__patient=other)
        if astray.exists():
            astray.update(conversation=conversation_with(patient=patient))
    notices = Notice.objects.filter(about_patient=pair.lost).values("pk")
    texts = Message.objects.filter(patient=pair.lost).values("pk")
    WorkItem.objects.filter(
        Q(subject_kind="notice", subject_id__in=notices)
        | Q(subject_kind="message", subject_id__in=texts),
        patient=pair.kept,
    ).update(patient=pair.lost)


merge_rules.add(
    "messaging",
    MergeRule(
        asks=_ask_who_answers,
        before=_join_conversations,
        undone=_follow_back,
        follow=lambda ledger: _join_conversations(ledger, {}),
    ),
)
