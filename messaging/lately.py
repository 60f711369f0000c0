"""What went wrong in the last days, in words, and what the month's texts cost.

Reads only; the page of this moment is ``operations.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from messaging.codes import Failure, meaning_of
from messaging.models import Message, Notice, Suppression, Tally
from messaging.operations import purpose_title
from messaging.tally import MISSED_STATUS, MISSED_TEXT, UNSIGNED
from patients.models import Channel

#: How far back the page looks.
LATELY = timedelta(days=7)
DAY = timedelta(days=1)

#: What a failure means for a manager, and what to do about it.
ADVICE: dict[Failure, tuple[Promise, Promise]] = {
    Failure.OPTED_OUT: (
        _("They stopped us"),
        _(
            "Nothing more goes there until they text START. What matters goes another "
            "way, or to the worklist."
        ),
    ),
    Failure.BAD_ADDRESS: (
        _("No such number or mailbox"),
        _(
            "It is marked, and not used again. Ask the patient for another one; a "
            "landline takes no texts."
        ),
    ),
    Failure.REFUSED: (
        _("Refused or filtered"),
        _(
            "A carrier or mail server would not take it. When it happens often, look "
            "at the words, and whether the sender is registered."
        ),
    ),
    Failure.CONTENT: (
        _("Its words were refused"),
        _("Every patient would be refused it: mend the text."),
    ),
    Failure.CONFIG: (
        _("The account may not send"),
        _(
            "Whoever looks after the gateway must mend its account, sender or "
            "registration. Messages wait meanwhile."
        ),
    ),
    Failure.TRY_LATER: (
        _("Not reachable then"),
        _(
            "The phone was off, or the network was busy. It is tried once more where "
            "that helps; then another way, or a person."
        ),
    ),
    Failure.UNKNOWN: (
        _("Nobody knows"),
        _("The provider may have had it. It is looked for, and never sent blindly."),
    ),
}
#: A mailbox that is full (RFC 3463, X.2.2) or an answer without a code we know.
_FULL = (
    _("Mailbox full"),
    _("Reach them another way; the next email may pass."),
)
_NO_CODE = (
    _("Not delivered, no reason given"),
    _("The next way was tried, or a person was told."),
)


@dataclass
class Trouble:
    """Messages that failed for one kind of reason."""

    channel: str
    title: str
    advice: str
    day: int = 0
    week: int = 0
    codes: list[str] = field(default_factory=list)


def lately(now: datetime) -> dict[str, Any]:
    """Return what the page shows of the last days; four queries whatever there is."""
    ended: list[Any] = list(
        Message.objects.filter(
            state__in=[
                Message.State.FAILED,
                Message.State.UNDELIVERED,
                Message.State.WITHDRAWN,
            ],
            at__gte=now - LATELY,
        )
        .order_by()
        .values("channel", "state", "why", "error_code", "provider")
        .annotate(week=Count("pk"), day=Count("pk", filter=Q(at__gte=now - DAY)))
    )
    withdrawn = [row for row in ended if row["state"] == Message.State.WITHDRAWN]
    failed = [row for row in ended if row["state"] != Message.State.WITHDRAWN]
    return {
        "now": now,
        "troubles": troubles(failed),
        "withdrawn": _withdrawn(withdrawn),
        "stopped": stopped(now),
        "tallies": tallies(now),
        "spend": spend(now),
    }


def troubles(rows: Iterable[dict[str, Any]]) -> list[Trouble]:
    """Return failures grouped by what they mean, the most frequent first."""
    found: dict[tuple[str, str], Trouble] = {}
    for row in rows:
        title, advice = _meaning(row)
        one = found.setdefault(
            (row["channel"], str(title)),
            Trouble(str(Channel(row["channel"]).label), str(title), str(advice)),
        )
        one.day += row["day"]
        one.week += row["week"]
        if row["error_code"] and row["error_code"] not in one.codes:
            one.codes.append(row["error_code"])
    return sorted(found.values(), key=lambda one: (-one.day, -one.week, one.title))


def _meaning(row: dict[str, Any]) -> tuple[Promise, Promise]:
    """Return what a failure is called and what to do: by its code, else its class."""
    code = row["error_code"]
    if code.endswith(".2.2"):
        return _FULL
    if not code and row["state"] == Message.State.UNDELIVERED:
        return _NO_CODE
    by_class = {failure.value: failure for failure in Failure}
    failure = by_class.get(row["why"])
    return ADVICE[failure or meaning_of(row["provider"], code).failure]


def advice_for(message: Message) -> str:
    """Return what to do about one message that failed; no query."""
    row = {
        "state": message.state,
        "why": message.why,
        "error_code": message.error_code,
        "provider": message.provider,
    }
    return str(_meaning(row)[1])


def _withdrawn(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was not sent by its reason: {"why", "day", "week"}."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(row["why"], {"why": row["why"], "day": 0, "week": 0})
        one["day"] += row["day"]
        one["week"] += row["week"]
    return sorted(found.values(), key=lambda one: (-one["week"], one["why"]))


def stopped(now: datetime) -> dict[str, int]:
    """Return how many addresses were stopped: {"day", "week"}; one query."""
    return Suppression.objects.filter(on=True, at__gte=now - LATELY).aggregate(
        week=Count("pk"), day=Count("pk", filter=Q(at__gte=now - DAY))
    )


def tallies(now: datetime) -> dict[str, dict[str, int]]:
    """Return {key: {"day", "week"}} of what is only counted; one query.

    ``day`` is today in UTC, ``week`` today and the six days before.
    """
    today = now.date()
    keys = (UNSIGNED, MISSED_TEXT, MISSED_STATUS)
    found = {key: {"day": 0, "week": 0} for key in keys}
    rows = Tally.objects.filter(key__in=found, day__gt=today - LATELY)
    for key, day, count in rows.values_list("key", "day", "count"):
        found[key]["week"] += count
        found[key]["day"] += count if day == today else 0
    return found


def spend(now: datetime) -> dict[str, Any]:
    """Return the texts of this month by purpose, in segments; one query.

    The month is that of the clinic's zone. Texts of demo patients cost nothing and are
    left out, unless the whole run is simulated. ``cost`` is there when
    ``SMS_SEGMENT_PRICE`` is set: an estimate, in Decimal.
    """
    first = timezone.localtime(now).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    notices = Notice.objects.filter(messages=OuterRef("pk")).order_by("pk")
    sent = Message.objects.filter(
        channel=Channel.SMS, accepted_at__gte=first, direction=Message.Direction.OUT
    )
    if settings.SMS_GATEWAY != "simulated":
        sent = sent.exclude(provider="simulated")
    rows: list[Any] = list(
        sent.annotate(purpose=Subquery(notices.values("purpose")[:1]))
        .order_by()
        .values("purpose")
        .annotate(texts=Count("pk"), segments=Sum("segments"))
        .order_by("-segments")
    )
    price, currency = segment_price()
    for row in rows:
        row["title"] = purpose_title(row["purpose"] or "")
        row["cost"] = price and (price * row["segments"]).quantize(Decimal("0.01"))
    segments = sum(row["segments"] for row in rows)
    return {
        "since": first,
        "rows": rows,
        "texts": sum(row["texts"] for row in rows),
        "segments": segments,
        "cost": price and (price * segments).quantize(Decimal("0.01")),
        "currency": currency,
    }


def segment_price() -> tuple[Decimal | None, str]:
    """Return (price, currency) of one segment, from ``SMS_SEGMENT_PRICE``.

    It is written as "0.0083 USD"; (None, "") where it is not set or cannot be read.
    """
    amount, _space, currency = settings.SMS_SEGMENT_PRICE.strip().partition(" ")
    try:
        price = Decimal(amount)
    except InvalidOperation:
        return None, ""
    return (price, currency.strip()) if price.is_finite() and price > 0 else (None, "")
