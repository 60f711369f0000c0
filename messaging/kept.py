"""What messages keep about people, for their export and their erasing.

Rows stay, for they say what the clinic did and when; what was said in them goes.
"""

from django.core.exceptions import ValidationError
from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.models import User
from core.sayings import told
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Hold,
    Message,
    Notice,
    NoticeMessage,
    Question,
    Suppression,
)
from messaging.purposes import PURPOSES
from messaging.services import withdraw_queued
from patients.personal import Personal, Whose, not_personal, personal
from patients.retention import Retention, retention
from worklist.models import WorkEvent, WorkItem
from worklist.services import close_by_rule

#: Why what was promised is not any more.
WHY = gettext_noop("the patient's record was erased")
_UNDER_WAY = (Message.State.CLAIMED, Message.State.SUBMITTING)


def _notices(whose: Whose) -> QuerySet[Notice]:
    return Notice.objects.filter(
        Q(patient__in=whose.ids)
        | Q(about_patient__in=whose.ids)
        | Q(contact_person__patient__in=whose.ids)
        | Q(address__in=whose.addresses)
    )


def _messages(whose: Whose) -> QuerySet[Message]:
    """Return what was written to and by them, and about them to those around them.

    A text about two children of one parent is each one's.
    """
    carried = NoticeMessage.objects.filter(notice__in=_notices(whose).values("pk"))
    return Message.objects.filter(
        Q(patient__in=whose.ids)
        | Q(conversation__patient__in=whose.ids)
        | Q(address__in=whose.addresses)
        | Q(pk__in=carried.values("message"))
    )


def _work(whose: Whose) -> QuerySet[WorkItem]:
    """Return work about their texts that names no patient."""
    return WorkItem.objects.filter(
        Q(subject_kind="message", subject_id__in=_messages(whose).values("pk"))
        | Q(subject_kind="notice", subject_id__in=_notices(whose).values("pk")),
        patient=None,
    )


def _settle(whose: Whose, by: User | None) -> None:
    """Take back all that is promised to them; refuse while a text is on its way."""
    theirs = _messages(whose)
    coming = Q(direction=Message.Direction.IN, handled_at=None)
    if theirs.filter(Q(state__in=_UNDER_WAY) | coming).exists():
        raise ValidationError(
            _("A message to them or from them is on its way. Try again in a minute.")
        )
    open_notices = _notices(whose).filter(
        state__in=[Notice.State.PLANNED, Notice.State.OPEN, Notice.State.WITH_STAFF]
    )
    ids = [
        one.pk for one in open_notices.select_for_update(of=("self",)).order_by("pk")
    ]
    for pk in ids:
        close_by_rule(subject_kind="notice", subject_id=pk, rule=WHY, unclaimed=False)
    Notice.objects.filter(pk__in=ids).update(state=Notice.State.SUPERSEDED, why=WHY)
    withdraw_queued(theirs, why=WHY)
    now = timezone.now()
    Question.objects.filter(message__in=theirs.values("pk")).update(
        expires_at=now, closed_at=now
    )
    Conversation.objects.filter(patient__in=whose.ids).update(
        state=Conversation.State.DONE, waiting_since=None, snooze_until=None
    )


def _holds(whose: Whose) -> QuerySet[Hold]:
    """Return what was held of them, and of what they have written."""
    return Hold.objects.filter(
        Q(patient__in=whose.ids)
        | Q(address__in=whose.addresses)
        | Q(message__in=_messages(whose).values("pk"))
    )


def _let_go(whose: Whose, by: User | None) -> None:
    """End what is held: there is nothing left to hold, and nobody to ask."""
    ended = {"ended_at": timezone.now(), "ended_by": by}
    Hold.objects.filter(
        Q(patient__in=whose.ids) | Q(address__in=whose.addresses), ended_at=None
    ).update(**ended)


def _no_longer_closed(whose: Whose) -> QuerySet[Suppression]:
    """Return what was noted of addresses of theirs that are open again.

    One that is closed stays on the list of those nothing may go to.
    """
    closed = CurrentSuppression.objects.filter(address__in=whose.addresses)
    return Suppression.objects.filter(address__in=whose.addresses).exclude(
        address__in=closed.values("address")
    )


def register_retention() -> None:
    """Name how long what was said in messages may be kept."""
    retention.add(
        "message_text",
        Retention(
            title=gettext_lazy("What messages say"),
            goes=gettext_lazy(
                "Subject and text. That there was one, when and how it went stays."
            ),
            due=lambda cutoff: Message.objects.filter(at__lt=cutoff).exclude(
                subject="", body="", media=[]
            ),
            apply=lambda ids: Message.objects.filter(pk__in=ids).update(
                subject="", body="", media=[]
            ),
            patient="patient",
            days=2557,
            least=1461,
            source=gettext_lazy(
                "Four years: until then somebody may claim that a text should not have "
                "come (47 U.S.C. 227 with 28 U.S.C. 1658)."
            ),
        ),
    )


def register() -> None:
    """Name what our tables keep."""
    personal.add(
        "notice",
        Personal(
            title=gettext_lazy("What they were to learn"),
            model=Notice,
            rows=_notices,
            # Whom a notice is for must be somebody, so the place does not stay empty.
            blanks={
                "address": Case(
                    When(address="", then=Value("")), default=Value("erased")
                )
            },
            keeps=frozenset(
                {
                    "purpose",
                    "template_key",
                    "cause_kind",
                    "dedupe_key",
                    "together",
                    "zone",
                    "state",
                    "why",
                }
            ),
            hides=frozenset(
                {"dedupe_key", "together", "contact_person", "about_patient", "patient"}
            ),
            reads={
                "purpose": lambda notice: PURPOSES[notice.purpose].title,
                "why": lambda notice: told(notice.why),
            },
            settle=_settle,
        ),
    )
    personal.add(
        "question",
        Personal(
            title=gettext_lazy("What they were asked"),
            model=Question,
            rows=lambda whose: Question.objects.filter(
                message__in=_messages(whose).values("pk")
            ),
            blanks={"address": "", "answer": ""},
            keeps=frozenset({"handler", "form", "options", "yes_means"}),
        ),
    )
    personal.add(
        "message",
        Personal(
            title=gettext_lazy("Messages"),
            model=Message,
            rows=_messages,
            blanks={"address": "", "subject": "", "body": "", "media": []},
            keeps=frozenset(
                {
                    "direction",
                    "channel",
                    "sender",
                    "encoding",
                    "state",
                    "why",
                    "error_code",
                    "note",
                    "provider",
                    # The provider's bill and its late reports name it.
                    "provider_id",
                }
            ),
            hides=frozenset({"lease_token", "lease_until", "conversation", "patient"}),
            reads={"why": lambda message: told(message.why)},
        ),
    )
    personal.add(
        "conversation",
        Personal(
            title=gettext_lazy("Conversations"),
            model=Conversation,
            rows=lambda whose: Conversation.objects.filter(
                Q(patient__in=whose.ids) | Q(address__in=whose.addresses)
            ),
            blanks={
                "address": Case(
                    When(address=None, then=None),
                    default=Concat(
                        Value("erased "), Cast(F("pk"), CharField(max_length=20))
                    ),
                    output_field=CharField(max_length=254),
                )
            },
            keeps=frozenset({"state"}),
        ),
    )
    personal.add(
        "hold",
        Personal(
            title=gettext_lazy("What waited until somebody had looked"),
            model=Hold,
            rows=_holds,
            # It is of an address or of a patient, so the place does not stay empty.
            blanks={
                "address": Case(
                    When(address="", then=Value("")), default=Value("erased")
                )
            },
            keeps=frozenset({"kind"}),
            hides=frozenset({"patient"}),
            settle=_let_go,
        ),
    )
    personal.add(
        "suppression",
        Personal(
            title=gettext_lazy("Addresses nothing was to go to"),
            model=Suppression,
            rows=_no_longer_closed,
            blanks={"address": ""},
            keeps=frozenset({"channel", "cause"}),
        ),
    )
    personal.add(
        "suppression_in_force",
        Personal(
            title=gettext_lazy("Addresses nothing goes to"),
            model=CurrentSuppression,
            rows=lambda whose: CurrentSuppression.objects.filter(
                address__in=whose.every_address
            ),
            # Who said stop must not be written to when the number turns up again.
            keeps=frozenset({"address", "channel"}),
        ),
    )
    personal.add(
        "work_about_texts",
        Personal(
            title=gettext_lazy("Work about their messages"),
            model=WorkItem,
            rows=_work,
            blanks={"reason": "", "reason_places": {}},
            keeps=frozenset(
                {"kind", "subject_kind", "dedupe_key", "outcome", "closed_by_rule"}
            ),
            hides=frozenset({"dedupe_key"}),
            drafts=("close",),
        ),
    )
    personal.add(
        "work_event_about_texts",
        Personal(
            title=gettext_lazy("What was done about their messages"),
            model=WorkEvent,
            rows=lambda whose: WorkEvent.objects.filter(
                item__in=_work(whose).values("pk")
            ),
            blanks={"note": ""},
            keeps=frozenset({"what"}),
        ),
    )
    not_personal.add("messaging.DutyAlert", "numbers of work, and who on duty was told")
    not_personal.add("messaging.NoticeMessage", "two numbers, of rows that are named")
    not_personal.add("messaging.StatusEvent", "codes for a message's number")
    not_personal.add("messaging.Tally", "how often something happened on a day")
    not_personal.add("messaging.Mailbox", "how far a mailbox was read")
