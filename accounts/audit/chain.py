"""The chain: what was written is sealed in batches, and any change to it shows.

Each event has its own MAC from the start. A tick seals what lies unsealed: the seal's
hash covers the MACs of its events and the hash of the seal before. Each seal is logged
with its hash, so that a copy of the log shows whether the end of the chain was cut off.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import TypeVar

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.audit.record import in_utc, mac_of
from accounts.crypto import secrets_known
from accounts.models import AuditedPatient, AuditEvent, AuditSeal, Heartbeat
from accounts.ticks import beat

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT", AuditEvent, AuditSeal)

#: Events one seal takes at most.
BATCH = 5_000
#: Events that are held in memory while they are verified.
CHUNK = 2_000
#: The keys of the heartbeats: when was sealed last, and when verified.
SEALED, VERIFIED = "audit.seal", "audit.verify"


def seal() -> int:
    """Seal every event that lies unsealed and return how many there were.

    What is written meanwhile goes into the next seal, and so does an event of a
    transaction that ends late, whatever its id. Two passes at once wait for each other.
    """
    sealed = 0
    while AuditEvent.objects.filter(seal_id=None).exists():
        count = _seal_batch()
        sealed += count
        if count < BATCH:
            break
    return sealed


@transaction.atomic
def _seal_batch() -> int:
    Heartbeat.objects.get_or_create(key=SEALED, defaults={"at": timezone.now()})
    Heartbeat.objects.select_for_update().get(key=SEALED)
    before = AuditSeal.objects.order_by("-id").first()
    number = before.pk + 1 if before else 1
    unsealed = AuditEvent.objects.filter(seal_id=None).order_by("id")
    # First marked, then read: what another transaction commits in between is not ours.
    AuditEvent.objects.filter(pk__in=unsealed.values("pk")[:BATCH]).update(
        seal_id=number
    )
    rows = AuditEvent.objects.filter(seal_id=number).order_by("id")
    macs = list(rows.values_list("pk", "mac"))
    if not macs:
        return 0
    made = AuditSeal(
        id=number,
        at=timezone.now(),
        first=macs[0][0],
        last=macs[-1][0],
        count=len(macs),
        prev=before.hash if before else "",
    )
    digest = _Digest()
    for pk, mac in macs:
        digest.add(pk, mac)
    made.hash = _hash_of(made, digest)
    made.save(force_insert=True)
    beat(SEALED)
    # Outside the database: whoever owns that one does not own yesterday's log.
    transaction.on_commit(
        partial(
            logger.info,
            "audit events sealed",
            extra={"count": made.count, "head": f"sha256:{made.hash}"},
        )
    )
    return made.count


class _Digest:
    """What a seal holds, boiled down row by row."""

    def __init__(self) -> None:
        self.ids: tuple[int, int] = (0, 0)
        self.count = 0
        self._sha = hashlib.sha256()

    def add(self, pk: int, mac: str) -> None:
        self.ids = (self.ids[0] if self.count else pk, pk)
        self.count += 1
        self._sha.update(f"{pk}:{mac}\n".encode())

    def text(self) -> str:
        return self._sha.hexdigest()


def _hash_of(seal: AuditSeal, digest: _Digest, secret: str | None = None) -> str:
    told = [
        seal.pk,
        in_utc(seal.at),
        seal.first,
        seal.last,
        seal.count,
        seal.prev,
        digest.text(),
    ]
    return salted_hmac(
        "accounts.audit.seal", json.dumps(told), secret=secret, algorithm="sha256"
    ).hexdigest()


@dataclass
class Finding:
    """What a walk along the chain found; ``broken`` names the first thing wrong."""

    events: int = 0
    seals: int = 0
    unsealed: int = 0
    #: The hash of the last seal.
    head: str = ""
    broken: str = ""


class _BrokenError(Exception):
    """The first thing that is not as it was written."""


def verify(head: str = "") -> Finding:
    """Walk the whole chain and say what it holds, or where it breaks.

    ``head`` is a hash from the log that must be in the chain: without one, nobody can
    tell that its end was cut off. Memory stays flat; a query for each 2,000 events. No
    lock: what is written or sealed meanwhile is left to the next walk.
    """
    finding = Finding()
    try:
        _walk(finding, head.removeprefix("sha256:"))
    except _BrokenError as error:
        finding.broken = str(error)
    return finding


def verify_and_note(head: str = "") -> Finding:
    """Verify, and note in the database and the log whether the chain is whole."""
    finding = verify(head)
    beat(VERIFIED, value=int(bool(finding.broken)))
    if finding.broken:
        logger.critical("the audit's chain is broken: see verify_audit")
    return finding


def _walk(finding: Finding, head: str) -> None:
    newest = AuditSeal.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    # What names one of these seals is fixed from now on.
    sealed = AuditEvent.objects.filter(seal_id__lte=newest).order_by("seal_id", "id")
    seals = _legible(AuditSeal.objects.filter(pk__lte=newest).order_by("id"))
    is_in_chain = not head
    for number, events in groupby(_genuine(sealed), key=lambda event: event.seal_id):
        link = next(seals, None)
        digest = _Digest()
        for event in events:
            digest.add(event.pk, event.mac)
        _check_link(finding, link, number or 0, digest)
        is_in_chain = is_in_chain or finding.head == head
    rest = next(seals, None)
    if rest is not None:
        raise _BrokenError(f"seal {rest.pk} holds no event")
    if not is_in_chain:
        raise _BrokenError(f"no seal has the hash {head}: the end was cut off")
    _check_unsealed(finding, newest)
    _check_strays()


def _check_link(
    finding: Finding, link: AuditSeal | None, number: int, digest: _Digest
) -> None:
    """Check one seal against its events and the seal before."""
    due = finding.seals + 1
    if link is None or link.pk != number or number != due:
        raise _BrokenError(f"seal {due} or what it held is gone")
    if link.prev != finding.head:
        raise _BrokenError(f"seal {number} does not follow the one before")
    if (link.count, link.first, link.last) != (digest.count, *digest.ids):
        raise _BrokenError(f"seal {number} does not hold what it held")
    if not any(
        constant_time_compare(link.hash, _hash_of(link, digest, secret))
        for secret in secrets_known()
    ):
        raise _BrokenError(f"seal {number} or what it held was changed")
    finding.seals, finding.head = due, link.hash
    finding.events += digest.count


def _check_unsealed(finding: Finding, newest: int) -> None:
    rest = AuditEvent.objects.exclude(seal_id__lte=newest).order_by("id")
    named: set[int] = set()
    for event in _genuine(rest):
        finding.events += 1
        if event.seal_id is None:
            finding.unsealed += 1
        else:
            named.add(event.seal_id)
    # They were sealed while we walked, with a seal that is there by now.
    if lost := named - set(AuditSeal.objects.in_bulk(named)):
        raise _BrokenError(f"seal {min(lost)} is not there")


def _check_strays() -> None:
    """Look for what belongs to no event, and for an event that was written again."""
    events = AuditEvent.objects.filter(pk=OuterRef("event_id"))
    stray = AuditedPatient.objects.filter(~Exists(events)).first()
    if stray is not None:
        raise _BrokenError(f"event {stray.event_id} is gone, its patients are not")
    twice = (
        AuditEvent.objects.order_by()
        .values("mac")
        .annotate(n=Count("pk"), pk_of=Max("pk"))
        .filter(n__gt=1)[:1]
    )
    for copy in twice:
        raise _BrokenError(f"event {copy['pk_of']} is a copy of another")


def _genuine(rows: QuerySet[AuditEvent]) -> Iterator[AuditEvent]:
    """Yield events whose MAC and patients are right, up to the first that is not."""
    events = _legible(rows)
    while chunk := list(islice(events, CHUNK)):
        index: dict[int, set[tuple[int, bool]]] = {event.pk: set() for event in chunk}
        for event_id, patient_id, opened in AuditedPatient.objects.filter(
            event_id__in=index
        ).values_list("event_id", "patient_id", "opened"):
            index[event_id].add((patient_id, opened))
        for event in chunk:
            if not any(
                constant_time_compare(event.mac, mac_of(event, secret))
                for secret in secrets_known()
            ):
                raise _BrokenError(f"event {event.pk} was changed")
            opened_ids = set(event.details.get("opened", ()))
            if index[event.pk] != {(pk, pk in opened_ids) for pk in event.patient_ids}:
                raise _BrokenError(f"the patients of event {event.pk} were changed")
            yield event


def _legible(rows: QuerySet[RowT]) -> Iterator[RowT]:
    """Yield rows up to one that cannot be read, such as one with broken JSON."""
    try:
        yield from rows.iterator(CHUNK)
    except ValueError as error:
        table = rows.model._meta.db_table
        raise _BrokenError(f"a row of {table} makes no sense") from error
