"""What a patient's answer does to their visit, and what they hear of it."""

from datetime import timedelta

from django.utils import timezone

from appointments.answers import (
    cannot_come,
    decide_to_cancel,
    decide_to_keep,
    wants_another_time,
    will_come,
)
from appointments.models import Appointment
from messaging.models import Message, Question
from messaging.registry import replies
from messaging.services import promise

#: An answer to a text is worth having for so long.
ANSWER_WITHIN = timedelta(hours=12)


@replies.register("visit")
def answer_visit(
    *, question: Question, meaning: str, rest: str, message: Message
) -> bool:
    """Take "I will come", "move it" and "I can't" for the visits the text named."""
    visits = _visits(question)
    if not visits:
        return False
    if meaning == "come":
        changed = [will_come(visit=visit) for visit in visits]
        if any(changed):
            _echo(visits[0], "reply_confirmed", message)
    elif meaning == "move":
        for visit in visits:
            wants_another_time(visit=visit, said=f"m{message.pk}")
        _echo(visits[0], "reply_move", message)
    else:
        for visit in visits:
            cannot_come(visit=visit, said=f"m{message.pk}")
            _echo(visit, "reply_cancel_ask", message)
    return True


@replies.register("visit_cancel")
def answer_cancel(
    *, question: Question, meaning: str, rest: str, message: Message
) -> bool:
    """Cancel or keep a visit the patient was asked about a second time.

    "4 days of fever now" begins with a 4 and does not mean it: to cancel, the digit
    must stand alone.
    """
    visits = _visits(question)
    if meaning == "cancel" and rest:
        return False
    for visit in visits:
        if meaning == "cancel":
            cancelled = decide_to_cancel(visit=visit)
            _echo(cancelled, "reply_cancelled", message)
        else:
            decide_to_keep(visit=visit)
            _echo(visit, "reply_kept", message)
    return bool(visits)


def _visits(question: Question) -> list[Appointment]:
    """Return the visits a question is about that can still be answered for."""
    ids = question.message.notices.filter(cause_kind="appointment").values_list(
        "cause_id", flat=True
    )
    return list(
        Appointment.objects.select_related("patient", "site")
        .filter(
            pk__in=set(ids),
            state__in=Appointment.AHEAD,
            starts_at__gt=timezone.now(),
        )
        .order_by("starts_at")
    )


def _echo(visit: Appointment, template_key: str, message: Message) -> None:
    """Say in words what an answer did, to where it came from."""
    promise(
        purpose="reply",
        template_key=template_key,
        cause_kind="appointment",
        cause_id=visit.pk,
        cause_version=visit.version,
        dedupe_key=f"reply:{message.pk}:{visit.pk}:{template_key}",
        deadline=timezone.now() + ANSWER_WITHIN,
        zone=visit.zone,
        address=message.address,
        about_patient=visit.patient,
        confidential=visit.confidential,
    )
