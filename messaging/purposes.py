"""Why the clinic writes to somebody, and the rules each reason brings: one table.

The gate and the ladder read it; nothing else decides about consent, hours or caps.
"""

from dataclasses import dataclass
from datetime import time, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from messaging.models import Message
from patients.models import Channel, Consent, ContactPerson
from patients.registry import Topic, topics

#: Decent hours in the recipient's own zone. US telephone rules (47 CFR 64.1200(c)(1))
#: bar calls and texts before 8 and after 21 local time.
DAY_OPENS, DAY_CLOSES = time(8), time(21)

#: How many capped notices one address gets in a day.
DAILY_CAP = 4

#: States of a message from least to most that is known of its arrival. A status with a
#: lower rank than what is known never changes it (callbacks come out of order).
RANKS = {
    Message.State.ACCEPTED: 1,
    Message.State.SENT: 3,
    Message.State.FAILED: 4,
    Message.State.UNDELIVERED: 4,
    Message.State.DELIVERED: 5,
    Message.State.READ: 6,
}


@dataclass(frozen=True)
class Rung:
    """One try: a channel, what counts as reached on it, and how long to wait for that.

    ``settles_after``: for a channel without receipts, how long nothing bad must be
    heard before "accepted" counts (an email's bounce window).
    """

    channel: Channel
    reached_at: Message.State
    wait: timedelta
    settles_after: timedelta | None = None


@dataclass(frozen=True)
class Purpose:
    """The rules of one reason to write.

    ``title`` is what staff call it, ``scope`` what a contact person must be allowed to
    know to be told in the patient's stead; None is what patients are never told.
    """

    title: str | Promise
    scope: ContactPerson.Scope | None
    consent: Consent.Purpose | None
    quiet_hours: bool
    capped: bool
    matters: bool
    ladder: tuple[Rung, ...]
    #: May a text of which nobody knows whether it went be sent a second time?
    safe_twice: bool = False
    #: May its mails be left with one click (RFC 8058)? Where the clinic only reminds.
    leavable: bool = False
    #: What is claimed first when much waits: 0 danger, 1 somebody may set out in vain.
    urgency: int = 2

    @property
    def to_staff(self) -> bool:
        """Whether it goes to a colleague: nobody's conversation, nobody's topic."""
        return self.scope is None


_TEXT = Rung(Channel.SMS, Message.State.DELIVERED, timedelta(minutes=30))
_MAIL = Rung(
    Channel.EMAIL,
    Message.State.ACCEPTED,
    wait=timedelta(hours=2),
    settles_after=timedelta(hours=1),
)
#: A colleague on duty looks at once or is not looking: both ways within a minute.
_ON_DUTY = (
    Rung(Channel.SMS, Message.State.DELIVERED, timedelta(minutes=1)),
    Rung(Channel.EMAIL, Message.State.ACCEPTED, timedelta(minutes=5)),
)
#: An answer goes back the way the question came, and only there.
_ANSWER = (Rung(Channel.SMS, Message.State.ACCEPTED, timedelta(minutes=30)),)

PURPOSES: dict[str, Purpose] = {
    # The patient has just arranged it with us: they are awake, and expect it now.
    "visit_booked": Purpose(
        title=_("A visit was booked"),
        scope=ContactPerson.Scope.SCHEDULE,
        consent=Consent.Purpose.CARE,
        quiet_hours=False,
        capped=False,
        matters=True,
        ladder=(_TEXT, _MAIL),
        safe_twice=True,
    ),
    "visit_reminder": Purpose(
        title=_("Reminders of visits"),
        scope=ContactPerson.Scope.SCHEDULE,
        consent=Consent.Purpose.CARE,
        quiet_hours=True,
        capped=True,
        matters=True,
        ladder=(_TEXT, _MAIL),
        safe_twice=True,
        leavable=True,
    ),
    # The clinic changed it: an uncapped word, or the patient stands at a closed door.
    "visit_changed": Purpose(
        title=_("A visit was moved or cancelled"),
        scope=ContactPerson.Scope.SCHEDULE,
        consent=Consent.Purpose.CARE,
        quiet_hours=True,
        capped=False,
        matters=True,
        ladder=(_TEXT, _MAIL),
        safe_twice=True,
        urgency=1,
    ),
    # An answer to what a patient has just written.
    "reply": Purpose(
        title=_("Answers to texts"),
        scope=ContactPerson.Scope.MESSAGES,
        consent=None,
        quiet_hours=False,
        capped=False,
        matters=False,
        ladder=_ANSWER,
    ),
    # The one text that may follow a "stop" in other words than the provider's (47 CFR
    # 64.1200(a)(12)): it passes the suppression that these very words made.
    "opted_out": Purpose(
        title=_("That texts have ended"),
        scope=ContactPerson.Scope.MESSAGES,
        consent=None,
        quiet_hours=False,
        capped=False,
        matters=False,
        ladder=_ANSWER,
    ),
    # "Call 911 now": ignores hours and caps, never a suppression.
    "emergency_reply": Purpose(
        title=_("Advice in an emergency"),
        scope=ContactPerson.Scope.MESSAGES,
        consent=None,
        quiet_hours=False,
        capped=False,
        matters=False,
        ladder=_ANSWER,
        urgency=0,
    ),
    # Something urgent waits: whatever the hour, and to nobody but a colleague.
    "duty_alert": Purpose(
        title=_("Urgent work for a colleague on duty"),
        scope=None,
        consent=None,
        quiet_hours=False,
        capped=False,
        # Unreached, the next one is told (``messaging.duty``).
        matters=False,
        ladder=_ON_DUTY,
        safe_twice=True,
        urgency=0,
    ),
    # A manager tries the way out on a phone or mailbox of their own.
    "test_send": Purpose(
        title=_("Test messages"),
        scope=None,
        consent=None,
        quiet_hours=False,
        capped=False,
        matters=False,
        ladder=(_TEXT, _MAIL),
    ),
}

for _key, _purpose in PURPOSES.items():
    if _purpose.scope is not None:
        topics.add(_key, Topic(_purpose.title, _purpose.scope))
