"""How long what tells of patients is kept: rules a manager switches on, one a kind.

Each app names the kinds it has. All are off at first: what a clinic must keep, its
country's law decides, and nobody may lose a record because a program thought so. A
kind says how short a rule may be made at least, and by what source.

What goes by itself and has no rule: the text of a list that is brought in after a day,
drafts nobody came back to and ended jobs after thirty.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet, Window
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, Heartbeat, User
from accounts.ticks import beat
from core.faults import logged
from core.registry import Registry
from patients.models import RetentionRule

logger = logging.getLogger(__name__)

#: The heartbeat that says when there was nothing left to do, and how often to look.
DONE, LOOK_EVERY = "retention", timedelta(days=1)
#: So many rows are named, by number, before a rule takes them.
EXAMPLES = 3
#: A century: longer is for ever, and that is what switching a rule off is for.
LONGEST = 36_525


@dataclass(frozen=True)
class Retention:
    """One kind of what is kept, and how it goes.

    ``due(cutoff)``: the rows that last mattered before this instant and still hold
    something. ``patient`` is the way from a row to its patient, empty where it is the
    patient: nothing of one under a legal hold is due. ``apply(ids)`` takes at most
    ``batch`` of them, in a transaction, and returns how many went; what it leaves is
    asked for again the next day. ``days`` is what a new rule says, ``least`` the
    shortest it may be, and ``source`` why.
    """

    title: str | Promise
    goes: str | Promise
    due: Callable[[datetime], QuerySet[Any]]
    apply: Callable[[list[int]], int]
    patient: str
    days: int
    least: int
    source: str | Promise
    batch: int = 200


retention: Registry[Retention] = Registry("retention")


@dataclass(frozen=True)
class Outlook:
    """What a rule would do now: to how many rows, the first of them by number."""

    kind: str
    retention: Retention
    rule: RetentionRule
    count: int
    examples: tuple[int, ...]


def rule_of(kind: str) -> RetentionRule:
    """Return the rule of a kind, as it stands or as a new one would; one query."""
    return RetentionRule.objects.filter(kind=kind).first() or RetentionRule(
        kind=kind, days=retention[kind].days
    )


def due_rows(kind: str, days: int) -> QuerySet[Any]:
    """Return what a rule of so many days takes now, the oldest rows first."""
    kept = retention[kind]
    rows = kept.due(timezone.now() - timedelta(days=days))
    hold = f"{kept.patient}__legal_hold__gt".removeprefix("__")
    return rows.exclude(**{hold: ""}).order_by("pk")


def outlook() -> list[Outlook]:
    """Return what each rule would do now, on or off; a query, and one for each kind."""
    rules = {rule.kind: rule for rule in RetentionRule.objects.all()}
    found = []
    for kind, kept in retention:
        rule = rules.get(kind) or RetentionRule(kind=kind, days=kept.days)
        rows = due_rows(kind, rule.days).annotate(due_count=Window(Count("pk")))
        some = list(rows.values_list("pk", "due_count")[:EXAMPLES])
        examples = tuple(pk for pk, _count in some)
        found.append(Outlook(kind, kept, rule, some[0][1] if some else 0, examples))
    return found


@transaction.atomic
def set_rule(*, kind: str, days: int, is_on: bool, by: User) -> RetentionRule:
    """Say how long a kind is kept and whether that is in force; locks the rule.

    Raises ``ValidationError`` for fewer days than the kind bears.
    """
    least = retention[kind].least
    if days < least:
        raise ValidationError({"days": _("At least %d days.") % least})
    if days > LONGEST:
        raise ValidationError({"days": _("At most %d days.") % LONGEST})
    rule, _made = RetentionRule.objects.select_for_update().get_or_create(
        kind=kind, defaults={"days": days}
    )
    rule.days, rule.is_on = days, is_on
    rule.save()
    # Looked at with the next pass, not tomorrow.
    Heartbeat.objects.filter(key=DONE).delete()
    record(
        AuditEvent.Verb.CHANGE,
        subject=f"retention:{rule.pk}",
        details={
            "changed": ["retention_rule"],
            "what": kind,
            "days": days,
            "state": "on" if is_on else "off",
        },
        by=by,
    )
    return rule


def apply_rule(rule: RetentionRule) -> int:
    """Take one batch of what is due by a rule in force; return how many rows went.

    One transaction a batch, with its line in the audit trail. A batch of which nothing
    could go holds up no other: the next rows are tried. Running it again goes on where
    it ended.
    """
    last: int | None = 0
    while last is not None:
        count, last = _apply_batch(rule, after=last)
        if count:
            return count
    return 0


@transaction.atomic
def _apply_batch(rule: RetentionRule, *, after: int) -> tuple[int, int | None]:
    """Take one batch of rows; return how many went, and the last one's id if any."""
    # Whoever switches the rule off waits for this batch, and no other follows.
    found = RetentionRule.objects.select_for_update().filter(pk=rule.pk, is_on=True)
    if (current := found.first()) is None:
        return 0, None
    kept = retention[current.kind]
    rows = due_rows(current.kind, current.days).filter(pk__gt=after)
    batch = list(rows.values_list("pk", kept.patient or "pk")[: kept.batch])
    if not batch:
        return 0, None
    count = kept.apply([pk for pk, _patient in batch])
    if count:
        record(
            AuditEvent.Verb.DELETE,
            patient_ids={patient for _pk, patient in batch if patient},
            subject=f"retention:{current.pk}",
            details={"what": current.kind, "days": current.days, "removed": count},
            actor="retention",
        )
    return count, batch[-1][0]


def apply_due() -> int:
    """Take a batch of each rule in force, until nothing is due; then rest for a day.

    A step of every pass: one query while there is nothing to do.
    """
    rested = Heartbeat.objects.filter(key=DONE, at__gt=timezone.now() - LOOK_EVERY)
    if rested.exists():
        return 0
    count = 0
    for rule in RetentionRule.objects.filter(is_on=True):
        if rule.kind in retention:
            with logged(f"retention rule {rule.pk}"):
                count += apply_rule(rule)
    if not count:
        beat(DONE)
    return count
