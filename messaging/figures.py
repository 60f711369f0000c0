"""What messaging tells a monitor."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Min
from django.utils import timezone
from prometheus_client.core import Metric

from accounts.figures import gauge, gauges
from accounts.models import Heartbeat
from messaging.lately import tallies
from messaging.models import Message, Notice
from messaging.operations import gateways
from messaging.promises import counts
from messaging.queries import oldest_sendable
from messaging.vigilance import unknown_nobody_has


def tell_messaging() -> Iterator[Metric]:
    """Tell of messages, promises and replies: how many, and how late; ten queries."""
    now = timezone.now()

    def age(since: datetime | None) -> float:
        return (now - since).total_seconds() if since else 0.0

    by_state = counts()
    yield gauges(
        "clinic_messages",
        "Messages by where they stand.",
        "state",
        [(s, by_state["messages"].get(s, 0)) for s in Message.State.values],
    )
    yield gauges(
        "clinic_notices",
        "Promises by where they stand.",
        "state",
        [(s, by_state["notices"].get(s, 0)) for s in Notice.State.values],
    )
    yield gauge(
        "clinic_dispatch_lag_seconds",
        "Age of the oldest message that could have been sent: not one that waits for "
        "its time, decent hours, the daily cap or a gateway that is closed.",
        age(oldest_sendable(now)),
    )
    unknown = unknown_nobody_has(now).aggregate(oldest=Min("submitting_at"))
    yield gauge(
        "clinic_unknown_age_seconds",
        "Age of the oldest message nobody knows about and no person has, once it is "
        "older than the machinery takes to settle it.",
        age(unknown["oldest"]),
    )
    yield gauges(
        "clinic_gateway_closed",
        "1 where a gateway refuses, does not answer or is switched off.",
        "gateway",
        [(one.name, float(one.breaker.state != "closed")) for one in gateways()],
    )
    counted = tallies(now)
    yield gauges(
        "clinic_webhook_trouble_today",
        "Webhooks without a valid signature, and what only the provider's list told "
        "of, today (UTC).",
        "what",
        [(key, both["day"]) for key, both in counted.items()],
    )
    overdue = Notice.objects.filter(
        state__in=[Notice.State.PLANNED, Notice.State.OPEN], deadline__lt=now
    )
    yield gauge(
        "clinic_notices_overdue",
        "Promises past their deadline, neither reached nor with a person.",
        overdue.count(),
    )
    # Left out until a pass has looked: nobody knows is not none.
    for broken in Heartbeat.objects.filter(key="promises", value__isnull=False):
        yield gauge(
            "clinic_promises_broken",
            "Promises in no honest state when a pass last looked.",
            broken.value or 0,
        )
    unhandled = Message.objects.filter(
        direction=Message.Direction.IN, handled_at=None
    ).aggregate(oldest=Min("at"))
    yield gauge(
        "clinic_inbound_unhandled_age_seconds",
        "Age of the oldest reply that was stored and not yet acted on.",
        age(unhandled["oldest"]),
    )
