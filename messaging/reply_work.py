"""Work that a reply makes for a person."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from accounts.models import Site
from core.sayings import Places
from messaging.models import Message
from messaging.queries import owners_of
from worklist.models import WorkItem
from worklist.services import raise_item

#: So much of somebody's own words stands on an item; the rest is in the conversation.
QUOTED = 160


def raise_about(
    message: Message,
    *,
    kind: str,
    severity: WorkItem.Severity,
    reason: str,
    reason_places: Places | None = None,
    within: timedelta,
    once: bool = False,
) -> None:
    """Put a message before the staff of each site that must hear of it.

    With ``once`` not while an item of this kind about another text from the same
    address is open: what they write meanwhile stands in the same conversation.
    """
    if once and is_before_somebody(kind, message.address):
        return
    sites = sites_of(message)
    for site in sites:
        key = f"{kind}:{message.pk}"
        raise_item(
            kind=kind,
            severity=severity,
            reason=reason,
            reason_places=reason_places,
            subject_kind="message",
            subject_id=message.pk,
            dedupe_key=f"{key}:{site.pk}" if site and len(sites) > 1 else key,
            due_at=timezone.now() + within,
            patient=message.patient,
            site=site,
        )


def is_before_somebody(kind: str, address: str) -> bool:
    """Return whether open work of a kind is about a text from an address; one query."""
    texts = Message.objects.filter(address=address, direction=Message.Direction.IN)
    items = WorkItem.objects.open().filter(
        kind=kind, subject_kind="message", subject_id__in=texts.values("pk")
    )
    return items.exists()


def sites_of(message: Message) -> Sequence[Site | None]:
    """Return the sites that must hear of a message: the patient's, or, of several who
    share the address, one of each.

    None stands for all sites: nobody knows whose it is.
    """
    if message.patient:
        return [message.patient.sites.first()]
    owners = owners_of([message.address])
    return list(Site.objects.filter(patients__in=owners).distinct()) or [None]
