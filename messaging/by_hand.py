"""What a manager does by hand: a gateway off and on, and an unknown message settled.

Each says why, and stands in the audit. A report of the provider may come at the same
moment: whoever holds the message's row first has the say, the other is told.
"""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from messaging.gateways import credential_of
from messaging.ladder import note_progress, start_rung
from messaging.models import Breaker, Message, Notice
from messaging.purposes import RANKS
from messaging.registry import causes
from messaging.tasks import wake
from worklist.models import WorkItem
from worklist.services import close_by_rule

#: What is noted at a message that was settled by hand.
SEEN, GIVEN_UP = gettext_noop("settled by hand: it went"), gettext_noop("given up")


@transaction.atomic
def switch_gateway(*, gateway: str, on: bool, reason: str, by: User) -> Breaker:
    """Let nothing leave through a gateway any more, or everything again.

    Locks its row. Switching on tries at once what waited for a refusing one. Messages
    wait meanwhile as long as their rung would wait for a receipt, then go another way.
    """
    breaker, _created = Breaker.objects.select_for_update().get_or_create(
        provider=gateway, credential=credential_of(gateway)
    )
    state = Breaker.State.CLOSED if on else Breaker.State.OFF
    if breaker.state == state:
        return breaker
    breaker.state, breaker.since = state, timezone.now()
    breaker.why = "" if on else reason[:120]
    breaker.until = breaker.trouble_since = None
    breaker.trouble = 0
    breaker.save()
    if on:
        close_by_rule(
            subject_kind="gateway",
            subject_id=breaker.pk,
            rule=gettext_noop("switched on by hand"),
            unclaimed=False,
        )
        wake()
    record(
        AuditEvent.Verb.CHANGE,
        subject=f"gateway:{breaker.pk}",
        reason=reason,
        details={"changed": ["state"], "state": "on" if on else "off"},
        by=by,
    )
    return breaker


@transaction.atomic
def mark_sent(*, message_id: int, reason: str, by: User) -> Message:
    """Note that an unknown message did go out: it was seen at the provider.

    What then counts as reached is the purpose's to say: without a receipt the ladder
    goes on after the rung's wait. Locks the message, then its notices.
    """
    message = _unknown(message_id)
    message.state, message.rank = Message.State.SENT, RANKS[Message.State.SENT]
    message.accepted_at = message.accepted_at or message.submitting_at
    message.why = SEEN
    message.save()
    note_progress(message)
    _write(message, "marked as sent", reason, by)
    return message


@transaction.atomic
def send_again(*, message_id: int, reason: str, by: User) -> Message:
    """Send what an unknown message said once more, as a message of its own.

    Its notices are open again, and items nobody has taken on are closed. Refused when
    that is too late, when a colleague has it, or when nothing may be sent now: then
    everything stays as it was. Locks the message, its causes, its notices, the items.
    """
    message = _unknown(message_id)
    _lock_causes(message)
    notices = list(
        message.notices.select_for_update()
        .filter(state__in=[Notice.State.OPEN, Notice.State.WITH_STAFF])
        .order_by("id")
    )
    if not notices:
        raise ValidationError(_("Nobody needs to hear this any more."))
    if min(notice.deadline for notice in notices) <= timezone.now():
        raise ValidationError(_("It is too late to send it again."))
    items = WorkItem.objects.open().filter(
        subject_kind="notice", subject_id__in=[notice.pk for notice in notices]
    )
    for item in items.exclude(owner=None).exclude(owner=by).select_related("owner"):
        raise ValidationError(
            _("%(name)s has it already.") % {"name": item.owner or ""}
        )
    again = start_rung(notices, notices[0].rung)
    if again is None:
        raise ValidationError(_("Nothing may be sent to them now. Call them."))
    again.resend_of = message
    again.save(update_fields=["resend_of"])
    for notice in notices:
        close_by_rule(
            subject_kind="notice",
            subject_id=notice.pk,
            rule=gettext_noop("sent again by hand"),
            unclaimed=False,
        )
    wake()
    _write(message, "sent again", reason, by)
    return again


@transaction.atomic
def give_up_try(*, message_id: int, reason: str, by: User) -> Message:
    """Stop asking about an unknown message: the next way is tried, or a person.

    Should the provider report it after all, that still counts. Locks the message, its
    causes, its notices.
    """
    message = _unknown(message_id)
    _lock_causes(message)
    message.state, message.why = Message.State.WITHDRAWN, GIVEN_UP
    message.save(update_fields=["state", "why"])
    note_progress(message)
    wake()
    _write(message, "withdrawn", reason, by)
    return message


def _unknown(message_id: int) -> Message:
    """Return the message, locked, while nobody knows about it; else say what is known.

    One that was sent once more is settled by what becomes of that one.
    """
    message = (
        Message.objects.select_for_update(of=("self",))
        .select_related("patient")
        .get(pk=message_id)
    )
    if message.state != Message.State.UNKNOWN:
        raise ValidationError(
            _("It has settled itself meanwhile: %(state)s.")
            % {"state": message.get_state_display()}
        )
    if Message.objects.filter(resend_of=message).exists():
        raise ValidationError(_("It was sent again already."))
    return message


def _lock_causes(message: Message) -> None:
    """Lock what its notices are about, before them (architecture.md, locks)."""
    about: dict[str, set[int]] = {}
    for kind, cause_id in message.notices.values_list("cause_kind", "cause_id"):
        about.setdefault(kind, set()).add(cause_id)
    for kind in sorted(about):
        causes[kind].lock(about[kind])


def _write(message: Message, what: str, reason: str, by: User) -> None:
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[message.patient_id] if message.patient_id else [],
        subject=f"message:{message.pk}",
        reason=reason,
        details={"what": what},
        by=by,
    )
