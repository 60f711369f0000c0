"""Who wants no more texts, or wants them again: what is done about such words.

The first effect on every reply. What words mean says ``words.py``; only addresses are
closed and opened here, and no consent is ever made.
"""

from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import User
from messaging.models import CurrentSuppression, Message, Suppression
from messaging.queries import owners_of
from messaging.reply_work import QUOTED, raise_about
from messaging.services import lift_suppression, promise, suppress
from messaging.words import (
    HELP,
    MAY_MEAN_THE_VISIT,
    OPT_IN_WHEN_OUT,
    PROVIDER_HELP,
    PROVIDER_OPT_OUT,
    Wish,
    normalise,
    wish,
)
from patients.models import Channel
from patients.queries import speaking_site
from worklist.models import WorkItem

#: What Twilio itself took a text for, as the webhook keeps it.
_HINTS = {
    "provider: stop": Wish.STOP,
    "provider: start": Wish.START,
    "provider: help": None,
}
#: What a reply was taken for, as its conversation shows it.
NO_MORE, AGAIN = "no more texts", "texts again"
#: One text may say that there will be no more, within so long of the wish (47 CFR
#: 64.1200(a)(12)).
CONFIRM_WITHIN = timedelta(minutes=5)
#: A visit somebody may want to cancel is asked about within so long.
VISIT_WITHIN = timedelta(hours=2)
#: What only a person can make out is read on the same working day.
SAME_DAY = timedelta(hours=8)
#: What was obeyed already is looked at within so long.
LOOK_WITHIN = timedelta(hours=24)
#: Who we are and whom to call is said once to an address in so long.
HELP_EVERY = timedelta(hours=1)


def is_out(message: Message) -> bool:
    """Return whether nothing may go to where a message came from; one query."""
    return CurrentSuppression.objects.filter(
        address=message.address, channel=message.channel
    ).exists()


def obey(message: Message, words: str, *, asked: bool) -> bool:
    """Do as a reply says about getting texts; return whether that settles it.

    ``words`` are the sender's own, ``asked`` says whether a question waits for their
    answer: then a YES is not for the carrier. What the provider itself took a text for
    counts like the exact word, for it has acted on it.
    """
    said = _HINTS.get(message.note) or wish(words)
    if message.note in _HINTS:
        message.note = ""
    texted = normalise(words)
    if said is Wish.NOTHING and texted in OPT_IN_WHEN_OUT and not asked:
        said = Wish.START if is_out(message) else said
    if said is Wish.STOP:
        _stop(message, texted)
        return True
    if said is Wish.STOP_SHORT:
        _stop_and_ask(message)
        return True
    if message.channel != Channel.SMS:
        # A letter in an email says much of stopping; and From proves nobody's wish.
        return False
    if said is Wish.START:
        return _start(message, texted)
    if said is Wish.UNCLEAR:
        _ask_what_was_meant(message)
    elif said is Wish.CANCEL_VISIT:
        _ask_about_the_visit(
            message,
            gettext_noop("May want to cancel the visit: “%(words)s”. Call them."),
        )
    return False


def _stop(message: Message, texted: str) -> None:
    _close(message, f"texted {texted}"[:120])
    if texted in MAY_MEAN_THE_VISIT:
        _ask_about_the_visit(
            message,
            gettext_noop(
                "Texted CANCEL, which ends all texts: may want to cancel the visit. "
                "Call them."
            ),
        )
    elif texted not in PROVIDER_OPT_OUT:
        _confirm(message)


def _stop_and_ask(message: Message) -> None:
    _close(message, "texted in their own words")
    raise_about(
        message,
        kind="opt_out",
        severity=WorkItem.Severity.REVIEW,
        reason=gettext_noop("Gets no more texts, for they wrote: “%(words)s”."),
        reason_places={"words": message.body[:QUOTED]},
        within=LOOK_WITHIN,
        once=True,
    )
    _confirm(message)


def _close(message: Message, cause: str) -> None:
    suppress(
        address=message.address,
        channel=Channel(message.channel),
        cause=cause,
        message=message,
    )
    message.note = NO_MORE


def _start(message: Message, texted: str) -> bool:
    """Open an address again that its own texts, or the carrier, had closed.

    What a colleague closed stays closed: then a person reads the text.
    """
    by_hand = CurrentSuppression.objects.filter(
        address=message.address,
        channel=message.channel,
        suppression__by__isnull=False,
        suppression__message=None,
    )
    if by_hand.exists():
        return False
    lift_suppression(
        address=message.address,
        channel=Channel(message.channel),
        cause=f"texted {texted}"[:120],
        message=message,
    )
    message.note = AGAIN
    return True


def _ask_what_was_meant(message: Message) -> None:
    raise_about(
        message,
        kind="may_stop",
        severity=WorkItem.Severity.REVIEW,
        reason=gettext_noop("May want no more texts, or not: “%(words)s”"),
        reason_places={"words": message.body[:QUOTED]},
        within=SAME_DAY,
        once=True,
    )


def _ask_about_the_visit(message: Message, reason: str) -> None:
    places = {"words": message.body[:QUOTED]} if "%(words)s" in reason else None
    raise_about(
        message,
        kind="cancel_word",
        severity=WorkItem.Severity.AMBER,
        reason=reason,
        reason_places=places,
        within=VISIT_WITHIN,
    )


def _confirm(message: Message) -> None:
    """Say once that texts end, where the provider does not and we know whose it is."""
    deadline = message.at + CONFIRM_WITHIN
    late = timezone.now() >= deadline
    if late or message.channel != Channel.SMS or not _is_somebodys(message):
        return
    promise(
        purpose="opted_out",
        template_key="opted_out",
        cause_kind="message",
        cause_id=message.pk,
        dedupe_key=f"opted_out:{message.pk}",
        deadline=deadline,
        zone=speaking_site(message.patient).zone,
        address=message.address,
        about_patient=message.patient,
    )


def help_out(message: Message, words: str) -> None:
    """Answer a bare HELP with who we are and whom to call; a person reads it, too.

    Not where Twilio answers it by itself, nor an address that is nobody's we know.
    """
    texted = normalise(words)
    answered = message.provider == "twilio" and texted in PROVIDER_HELP
    if texted not in HELP or answered or message.channel != Channel.SMS:
        return
    lately = Message.objects.filter(
        address=message.address,
        direction=Message.Direction.OUT,
        at__gt=timezone.now() - HELP_EVERY,
        notices__template_key="help",
    )
    if lately.exists() or not _is_somebodys(message):
        return
    promise(
        purpose="reply",
        template_key="help",
        cause_kind="message",
        cause_id=message.pk,
        dedupe_key=f"help:{message.pk}",
        deadline=timezone.now() + HELP_EVERY,
        zone=speaking_site(message.patient).zone,
        address=message.address,
        about_patient=message.patient,
    )


def _is_somebodys(message: Message) -> bool:
    return bool(message.patient) or owners_of([message.address]).exists()


def look_at_opt_out(item: WorkItem, outcome: str, by: User) -> None:
    """Let texts go again where a short phrase did not mean what it was taken for.

    Only if it is this text that closed the address: a STOP since then stands.
    """
    message = Message.objects.get(pk=item.subject_id)
    facts = Suppression.objects.filter(address=message.address, channel=message.channel)
    latest = facts.order_by("-pk").first()
    this_one = latest is not None and latest.on and latest.message_id == message.pk
    if outcome == "again" and this_one:
        lift_suppression(
            address=message.address,
            channel=Channel(message.channel),
            cause="not meant, says a colleague",
            message=message,
            by=by,
        )


def decide_about_texts(item: WorkItem, outcome: str, by: User) -> None:
    """Close the address where a person read in a sentence that texts are to end."""
    message = Message.objects.get(pk=item.subject_id)
    if outcome == "stop" and not is_out(message):
        suppress(
            address=message.address,
            channel=Channel(message.channel),
            cause="asked in their own words",
            message=message,
            by=by,
        )
