"""What the messages with a patient have to say before a visit."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messaging.models import Conversation, Message, Notice
from patients.registry import BeforeVisit, Line, VisitAhead, before_visit

#: Of the patient's texts so many are quoted under each question.
QUOTED = 4
#: What a promise was about, in words that tell nothing of anybody's health.
_ABOUT = {
    "visit_booked": gettext_lazy("a new visit"),
    "visit_changed": gettext_lazy("a change of a visit"),
    "visit_reminder": gettext_lazy("a reminder"),
}


def _from_patient(about: VisitAhead) -> list[Message]:
    """Return their latest texts with the conversation; one query."""
    texts = Message.objects.filter(
        patient=about.patient, direction=Message.Direction.IN
    ).select_related("conversation")
    return about.once("texts", lambda: list(texts.order_by("-at", "-pk")[:20]))


def _waits(text: Message) -> bool:
    """Return whether nobody has answered it yet."""
    conversation = text.conversation
    return (
        conversation is not None
        and conversation.state == Conversation.State.WAITING
        and conversation.waiting_since is not None
        and text.at >= conversation.waiting_since
    )


def _thread(about: VisitAhead) -> str:
    return reverse("messaging:patient_conversation", args=[about.patient.pk])


def unanswered(about: VisitAhead) -> list[Line]:
    """Return what they wrote that waits for an answer, in their words."""
    return [
        Line(
            _("Waits for an answer"),
            at=text.at,
            quote=text.body,
            page=_thread(about),
            warn=True,
        )
        for text in _from_patient(about)
        if _waits(text)
    ][:QUOTED]


def written_since(about: VisitAhead) -> list[Line]:
    """Return what they wrote since the last visit and was dealt with."""
    return [
        Line(_("They wrote"), at=text.at, quote=text.body, page=_thread(about))
        for text in _from_patient(about)
        if not _waits(text) and (about.since is None or text.at > about.since)
    ][:QUOTED]


def not_reached(about: VisitAhead) -> list[Line]:
    """Return the promises that no message has kept: with staff, or still under way."""
    owed = Notice.objects.filter(
        about_patient=about.patient,
        state__in=(Notice.State.WITH_STAFF, Notice.State.OPEN),
        matters=True,
    ).order_by("deadline", "pk")[:QUOTED]
    return [
        Line(
            _("Not reached about %(what)s")
            % {"what": _ABOUT.get(notice.purpose, _("a message"))},
            at=notice.created_at,
            page=_thread(about),
            warn=notice.state == Notice.State.WITH_STAFF,
        )
        for notice in owed
    ]


for _key, _question, _lines in (
    ("unanswered", "worries", unanswered),
    ("written", "changed", written_since),
    ("not_reached", "owed", not_reached),
):
    before_visit.add(
        f"messaging.{_key}",
        BeforeVisit(
            question=_question, lines=_lines, permission="messaging.view_message"
        ),
    )
