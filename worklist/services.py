"""Every write to the worklist."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from core.sayings import Places
from patients.models import Patient
from worklist.models import WorkEvent, WorkItem
from worklist.registry import work_kinds


@transaction.atomic
def raise_item(
    *,
    kind: str,
    severity: WorkItem.Severity,
    reason: str,
    subject_kind: str,
    subject_id: int,
    dedupe_key: str,
    due_at: datetime,
    patient: Patient | None = None,
    site: Site | None = None,
    reason_places: Places | None = None,
) -> WorkItem:
    """Put something before the staff; the same ``dedupe_key`` twice is one item.

    ``due_at`` is the instant by which somebody must have dealt with it. ``reason`` is
    English and marked for translation; what its places hold comes beside it.
    """
    work_kinds[kind]
    item, created = WorkItem.objects.get_or_create(
        dedupe_key=dedupe_key,
        defaults={
            "kind": kind,
            "severity": severity,
            "reason": reason,
            "reason_places": reason_places or {},
            "patient": patient,
            "subject_kind": subject_kind,
            "subject_id": subject_id,
            "site": site,
            "opened_at": timezone.now(),
            "due_at": due_at,
        },
    )
    if created:
        _note(item, "opened")
    return item


@transaction.atomic
def claim_item(*, item_id: int, by: User) -> WorkItem:
    """Take an item on; refused when a colleague has it or it is closed."""
    taken = WorkItem.objects.open().filter(pk=item_id, owner=None).update(owner=by)
    item = WorkItem.objects.get(pk=item_id)
    if taken:
        _note(item, "claimed", by=by)
    elif item.closed_at:
        raise ValidationError(_("This is already done."))
    elif item.owner_id != by.pk:
        raise ValidationError(
            _("%(name)s has it already.") % {"name": item.owner or ""}
        )
    return item


@transaction.atomic
def give_back_items(*, owner: User, by: User) -> int:
    """Put a colleague's open items back before everybody; return how many.

    For somebody who left: nobody else could take them on.
    """
    given_back = 0
    for item in WorkItem.objects.open().filter(owner=owner).select_for_update():
        item.owner = None
        item.save(update_fields=["owner"])
        _note(item, gettext_noop("given back"), by=by)
        given_back += 1
    return given_back


@transaction.atomic
def press_item(
    *,
    item_id: int,
    what: str,
    note: str = "",
    severity: WorkItem.Severity,
    due_at: datetime,
    reason: str,
    reason_places: Places,
) -> WorkItem | None:
    """Note that something more has happened about an open item; locks it.

    It only becomes more pressing: a higher severity, an earlier ``due_at``. One that
    rises goes back before everybody, for whoever has it took on something less. Returns
    None, and changes nothing, when it has been closed meanwhile. ``what`` and
    ``reason`` are English, marked for translation.
    """
    item = WorkItem.objects.open().select_for_update().filter(pk=item_id).first()
    if item is None:
        return None
    had_owner, rises = item.owner_id is not None, severity < item.severity
    item.severity = min(severity, item.severity)
    item.due_at = min(due_at, item.due_at)
    item.reason, item.reason_places = reason, reason_places
    item.owner = None if rises else item.owner
    item.save()
    _note(item, what, note=note)
    if rises and had_owner:
        _note(item, gettext_noop("given back"))
    return item


@transaction.atomic
def close_item(*, item_id: int, outcome: str, by: User, note: str = "") -> WorkItem:
    """End an item with one of its kind's outcomes; locks its subject, then the row.

    Closing what is closed changes nothing: two people may press the button.
    """
    item = WorkItem.objects.get(pk=item_id)
    kind = work_kinds[item.kind]
    kind.lock(item)
    item = WorkItem.objects.select_for_update().get(pk=item_id)
    if outcome not in kind.outcomes:
        raise ValidationError(_("Choose how it ended."))
    if item.closed_at:
        return item
    item.outcome, item.closed_by, item.closed_at = outcome, by, timezone.now()
    item.save(update_fields=["outcome", "closed_by", "closed_at"])
    _note(item, f"closed: {outcome}", by=by, note=note)
    kind.on_close(item, outcome, by)
    return item


@transaction.atomic
def close_by_rule(
    *, subject_kind: str, subject_id: int, rule: str, kind: str = "", unclaimed: bool
) -> int:
    """Close what settled itself, and return how many items that were.

    Never a red one. With ``unclaimed`` only those nobody has taken on: a colleague may
    be on the phone about it this minute. ``rule`` is English, marked for translation.
    """
    items = (
        WorkItem.objects.open()
        .filter(subject_kind=subject_kind, subject_id=subject_id)
        .exclude(severity=WorkItem.Severity.RED)
    )
    if kind:
        items = items.filter(kind=kind)
    if unclaimed:
        items = items.filter(owner=None)
    closed = 0
    for item in items.select_for_update():
        item.outcome, item.closed_by_rule = gettext_noop("settled itself"), rule
        item.closed_at = timezone.now()
        item.save(update_fields=["outcome", "closed_by_rule", "closed_at"])
        _note(item, "closed", note=rule)
        closed += 1
    return closed


def _note(item: WorkItem, what: str, *, by: User | None = None, note: str = "") -> None:
    """Write what was done about an item; what a person did stands in the audit too."""
    WorkEvent.objects.create(item=item, what=what, by=by, note=note, at=timezone.now())
    if by:
        record(
            AuditEvent.Verb.CHANGE,
            patient_ids=[item.patient_id] if item.patient_id else [],
            subject=f"work_item:{item.pk}",
            # How it ended stands at the item: what is in words there, is a code here.
            details={"what": what.partition(":")[0]},
            by=by,
        )
