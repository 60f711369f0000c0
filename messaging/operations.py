"""How sending stands: what a manager looks at when something may be wrong.

Reads only. What went wrong lately, and what it costs, is ``lately.py``; who is told of
trouble by itself, ``vigilance.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import (
    Count,
    Exists,
    FilteredRelation,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, NullIf
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Heartbeat, Site, User
from core.time import tzdata_version
from messaging.gateways import credential_of
from messaging.models import Breaker, Mailbox, Message, Notice
from messaging.purposes import PURPOSES
from messaging.queries import oldest_sendable
from patients.access import of_visible
from patients.models import Channel

#: A part of the machinery that has not shown itself for so long does not work, as
#: /readyz has it (delivery.md, 5.1: a health check fails after two minutes).
ALIVE_WITHIN = timedelta(minutes=2)
#: A message that could have gone and waits longer is late (delivery.md, 5.1).
LATE_AFTER = timedelta(minutes=5)
#: Unknown messages the page lists; it says how many there are.
SHOWN = 20


@dataclass(frozen=True)
class Part:
    """A part of the machinery: whether it shows itself, and what that means."""

    title: str | Promise
    at: datetime | None
    works: bool
    says: str | Promise


#: What staff call the ways out.
GATEWAYS = {
    "simulated": _("Simulated phone and mailbox"),
    "twilio": _("Twilio"),
    "smtp": _("Mail server"),
}


@dataclass(frozen=True)
class Gateway:
    """One way out: what leaves through it, and whether it may be used."""

    name: str
    channels: tuple[str, ...]
    breaker: Breaker

    @property
    def title(self) -> str:
        """What staff call it."""
        return str(GATEWAYS.get(self.name, self.name))

    @property
    def leaves(self) -> str:
        """What leaves through it, in words."""
        return ", ".join(self.channels)


def now_of(user: User, now: datetime) -> dict[str, Any]:
    """Return what the page shows of this moment; ten queries whatever there is.

    Figures are the whole clinic's; the messages that are named are those of patients
    this manager may see, and of nobody.
    """
    beats = list(Heartbeat.objects.all())
    return {
        "now": now,
        "parts": parts(beats, now),
        "broken": next((one for one in beats if one.key == "promises"), None),
        "queue": queue(now),
        "lag_since": (oldest := oldest_sendable(now)),
        "is_late": oldest is not None and now - oldest > LATE_AFTER,
        "gateways": gateways(),
        "unknown": unknown_summary(),
        "unknown_shown": list(unknown_shown(user)),
        "heard_at": last_heard(),
        "duties": duties(user, now),
        "mailboxes": list(Mailbox.objects.order_by("name")),
        "tz_version": tzdata_version(),
        "tz_of_machine": tzdata_of_machine(),
    }


def parts(beats: Iterable[Heartbeat], now: datetime) -> list[Part]:
    """Return whether passes are run, by whom, and whether the broker delivers.

    The broker itself is not asked: that a worker takes what beat sends is the proof,
    and no page waits for a broker that is away. No query.
    """
    seen = {one.key: one.at for one in beats}

    def alive(key: str) -> bool:
        return key in seen and now - seen[key] < ALIVE_WITHIN

    uses_celery = "worker" in seen or "beat" in seen
    found = [
        Part(
            _("Passes"),
            seen.get("tick"),
            alive("tick"),
            _("What is due is sent, swept and reconciled.")
            if alive("tick")
            else _("Nothing is sent, and no reply is handled, until a pass runs."),
        )
    ]
    if not uses_celery:
        return found
    if alive("worker"):
        says = _("Takes what beat sends: the broker delivers.")
    elif alive("beat"):
        says = _("Takes nothing of what beat sends: the broker or the worker is away.")
    else:
        says = _("Neither it nor beat shows itself: passes come from cron, or not.")
    return [
        *found,
        Part(_("Worker"), seen.get("worker"), alive("worker"), says),
        Part(
            _("Beat"),
            seen.get("beat"),
            alive("beat"),
            _("Asks for a pass every few seconds.")
            if alive("beat")
            else _("Asks for no passes. One from cron does its work."),
        ),
    ]


def queue(now: datetime) -> dict[str, Any]:
    """Return what is queued: {"count", "due", "waits"}; one query.

    ``due`` might go this moment. ``waits`` are the reasons of the others, as the gate
    gave them, each with how many, and when the first of them is looked at again.
    """
    rows = (
        Message.objects.filter(state=Message.State.QUEUED)
        .order_by()
        .values("why")
        .annotate(
            n=Count("pk"),
            due=Count("pk", filter=Q(not_before__lte=now)),
            next=Min("not_before", filter=Q(not_before__gt=now)),
        )
    )
    found = sorted(rows, key=lambda row: -row["n"])
    return {
        "count": sum(row["n"] for row in found),
        "due": sum(row["due"] for row in found),
        "waits": [
            {"why": row["why"], "n": row["n"] - row["due"], "next": row["next"]}
            for row in found
            if row["n"] > row["due"]
        ],
    }


def gateways() -> list[Gateway]:
    """Return the ways out in use, each with its breaker; one query.

    One that was never closed has no row yet: an unsaved one stands for it.
    """
    uses: dict[str, list[str]] = {}
    for channel, name in (
        (Channel.SMS, settings.SMS_GATEWAY),
        (Channel.EMAIL, settings.EMAIL_GATEWAY),
    ):
        if name:
            uses.setdefault(name, []).append(str(channel.label))
    rows = {
        (row.provider, row.credential): row
        for row in Breaker.objects.filter(provider__in=uses)
    }
    return [
        Gateway(
            name,
            tuple(channels),
            rows.get((name, credential_of(name)))
            or Breaker(provider=name, credential=credential_of(name)),
        )
        for name, channels in uses.items()
    ]


def unknown_messages() -> QuerySet[Message]:
    """Return the messages of which nobody knows whether they went, and that still
    matter: not sent once more, and their promise neither kept nor taken back.
    """
    matters = Notice.objects.filter(
        messages=OuterRef("pk"),
        state__in=[Notice.State.OPEN, Notice.State.WITH_STAFF],
    )
    return Message.objects.filter(
        Exists(matters), state=Message.State.UNKNOWN, resent_as=None
    )


def unknown_summary() -> dict[str, Any]:
    """Return {"count", "oldest"} of the unknown messages; one query."""
    return unknown_messages().aggregate(count=Count("pk"), oldest=Min("submitting_at"))


def unknown_shown(user: User) -> QuerySet[Message]:
    """Return the oldest unknown messages this user may see, with ``purpose`` (its key)
    and ``with_staff``; one query.
    """
    notices = Notice.objects.filter(messages=OuterRef("pk")).order_by("pk")
    return (
        unknown_messages()
        .filter(of_visible(user) | Q(patient=None))
        .select_related("patient")
        .annotate(
            purpose=Subquery(notices.values("purpose")[:1]),
            with_staff=Exists(notices.filter(state=Notice.State.WITH_STAFF)),
        )
        .order_by("submitting_at", "pk")[:SHOWN]
    )


def purpose_title(key: str) -> str:
    """Return what staff call a reason to write; the key where it is gone."""
    return str(PURPOSES[key].title) if key in PURPOSES else key


def last_heard() -> datetime | None:
    """Return when the last text or email came in; one query."""
    heard: datetime | None = Message.objects.filter(
        direction=Message.Direction.IN
    ).aggregate(at=Max("at"))["at"]
    return heard


def duties(user: User, now: datetime) -> dict[str, list[tuple[str, datetime]]]:
    """Return {site: [(who, until when)]} of who is on duty now at this user's sites.

    A site with nobody has an empty list; one query.
    """
    on_now = Q(duties__starts_at__lte=now, duties__ends_at__gt=now)
    rows = (
        Site.objects.filter(staff=user)
        .annotate(
            duty=FilteredRelation("duties", condition=on_now),
            who=Coalesce(NullIf("duty__user__name", Value("")), "duty__user__username"),
        )
        .order_by("name", "duty__starts_at", "duty__id")
        .values_list("name", "who", "duty__ends_at")
    )
    found: dict[str, list[tuple[str, datetime]]] = {}
    for site, who, until in rows:
        there = found.setdefault(site, [])
        if who:
            there.append((who, until))
    return found


@lru_cache(maxsize=1)
def tzdata_of_machine(folder: Path = Path("/usr/share/zoneinfo")) -> str:
    """Return the version of the machine's own tz files, such as "2025b"; "" for none.

    Nothing of ours reads them (``core.time``), but PostgreSQL and logs may.
    """
    try:
        with (folder / "tzdata.zi").open(encoding="ascii") as file:
            words = file.readline(80).split()
    except (OSError, ValueError):
        return ""
    return words[2] if words[:2] == ["#", "version"] and len(words) > 2 else ""
