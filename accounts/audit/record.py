"""Writing the trail: each event in the transaction of what it tells of."""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.addresses import plain_ip
from accounts.audit.trail import View, current_view
from accounts.models import AuditedPatient, AuditEvent, User
from core.sql import insert_rows

#: What an event's MAC covers, in this order: all of it but its place in the chain.
SIGNED = (
    "at",
    "actor_id",
    "actor",
    "verb",
    "subject",
    "patient_ids",
    "address",
    "reason",
    "details",
    "ip",
    "view_id",
)
#: A page that asks again and again writes whom it shows once in so long: that they are
#: on a screen still, and that nobody can look for ever under one page's id.
PART_WITHIN = timedelta(hours=1)


def mac_of(event: AuditEvent, secret: str | None = None) -> str:
    """Return an event's MAC, keyed by ``SECRET_KEY`` or by another secret.

    Of an event as it was made and as either database gives it back it is the same.
    """
    told = {name: getattr(event, name) for name in SIGNED}
    told["at"] = in_utc(event.at)
    told["ip"] = plain_ip(event.ip)
    text = json.dumps(list(told.values()), default=str, sort_keys=True)
    return salted_hmac(
        "accounts.audit.event", text, secret=secret, algorithm="sha256"
    ).hexdigest()


def in_utc(moment: datetime | None) -> str:
    """Return a moment in the one spelling that is signed; "" for an unreadable one."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else ""


def record(
    verb: AuditEvent.Verb,
    *,
    patient_ids: Iterable[int] = (),
    opened: Collection[int] = (),
    subject: str = "",
    reason: str = "",
    details: dict[str, Any] | None = None,
    by: User | None = None,
    actor: str = "system",
) -> AuditEvent:
    """Write one event in the caller's transaction; two inserts.

    Who, from where and on which page come from the request being answered; ``by``
    names who acts when there is none, or before they are signed in, and ``actor``
    what part of the system does when nobody does. ``opened`` are those of the patients
    whose own page it was. ``details`` hold names and ids, never content of a patient.
    A failure here ends the caller's transaction, even when it is caught there.
    """
    view = current_view.get()
    here = view or View()
    told = (details or {}) | ({"opened": sorted(opened)} if opened else {})
    event = AuditEvent(
        at=timezone.now(),
        actor_id=by.pk if by else here.actor_id,
        actor=by.username if by else here.actor or actor,
        verb=verb,
        subject=subject,
        patient_ids=sorted(set(patient_ids)),
        address=here.address,
        reason=reason,
        # As it will be read: no tuples, no numbers as keys.
        details=json.loads(json.dumps(told)),
        ip=plain_ip(here.ip),
        # Outside a request it is of this event alone, so that no two are the same.
        view_id=here.view_id,
    )
    event.mac = mac_of(event)
    with transaction.atomic(savepoint=False):
        event.save(force_insert=True)
        insert_rows(
            AuditedPatient,
            ("patient_id", "event_id", "opened"),
            [(pk, event.pk, pk in opened) for pk in event.patient_ids],
        )
    if view:
        view.has_recorded = True
    return event


def record_page(view: View) -> None:
    """Write whom a page showed: whose own page it was, and whom it listed.

    A later part of the same page (htmx) writes only what the page had not shown yet
    in this part, or at all when it asks for the part by itself: another address never
    hides behind a page. One query more.
    """
    shown = view.seen | view.opened
    if shown and view.is_part:
        of_this_page = AuditEvent.objects.filter(
            view_id=view.view_id,
            actor_id=view.actor_id,
            at__gt=timezone.now() - PART_WITHIN,
        )
        if not view.is_polled:
            of_this_page = of_this_page.filter(address=view.address)
        written = dict(
            AuditedPatient.objects.filter(
                patient_id__in=shown, event_id__in=of_this_page.values("pk")
            )
            .order_by("opened")
            .values_list("patient_id", "opened")
        )
        shown = {
            pk
            for pk in shown
            if pk not in written or (pk in view.opened and not written[pk])
        }
    if shown:
        opened = view.opened & shown
        verb = AuditEvent.Verb.READ if opened else AuditEvent.Verb.LIST
        record(verb, patient_ids=shown, opened=opened)
