"""What patients were not told of: one item a patient, until somebody has told them."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Heartbeat, Site, User
from accounts.ticks import beat
from core.faults import persistently
from patients.history.queries import (
    UNTOLD_FOR,
    longest_waiting,
    overdue,
    waits_for_telling,
)
from patients.models import Patient
from patients.registry import put_off, told
from worklist.models import WorkItem
from worklist.registry import WorkKind, work_kinds
from worklist.services import close_by_rule, close_item, raise_item

KIND = "untold"
#: Somebody has so long to tell the patient, or to say why not yet.
TELL_WITHIN = timedelta(days=3)
#: How often a pass looks: what has waited for two weeks can wait for an hour.
LOOK_EVERY = timedelta(hours=1)
#: At most so many new ones at a time, the longest waiting first.
MOST = 200
SETTLED = gettext_noop("nothing is left to tell")


def _tell_page(item: WorkItem) -> str:
    return reverse("patients:history_tell", args=[item.subject_id])


work_kinds.add(
    KIND,
    WorkKind(
        title=_("Not told yet"),
        outcomes={"later": _("Will be told later")},
        permission="patients.tell_historyentry",
        page=_tell_page,
    ),
)


def sweep_untold() -> int:
    """Do ``look_for_untold`` once an hour; return how many items that moved."""
    key, now = "untold", timezone.now()
    if Heartbeat.objects.filter(key=key, at__gt=now - LOOK_EVERY).exists():
        return 0
    moved = look_for_untold()
    beat(key, moved)
    return moved


def look_for_untold() -> int:
    """Raise an item for each patient with something overdue, close what is settled.

    A patient has one open item at most, and none within 14 days of the last one, which
    is how long telling may be put off. Found by one query each; each item is written in
    a transaction of its own, so that two passes at once raise it once.
    """
    closed = close_settled(_open_subjects())
    now = timezone.now()
    raised = 0
    for patient_id in longest_waiting(now, _dealt_with(), MOST):
        raised += persistently(partial(_raise_for, patient_id), "untold")
    return raised + closed


def _dealt_with() -> Exists:
    """The condition that a row's patient has an item, or had one a short while ago."""
    items = WorkItem.objects.filter(kind=KIND, patient=OuterRef("patient"))
    recent = items.filter(closed_at__gt=timezone.now() - UNTOLD_FOR)
    return Exists((items.filter(closed_at=None) | recent).values("pk"))


@transaction.atomic
def _raise_for(patient_id: int) -> int:
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    now = timezone.now()
    waiting = overdue(now).filter(~_dealt_with(), patient=patient).count()
    if not waiting:
        return 0
    raise_item(
        kind=KIND,
        severity=WorkItem.Severity.AMBER,
        # It names nothing: whoever tells the patient sees what on their page.
        reason=gettext_noop(
            "Conditions in the record that the patient was not told of for 14 days: "
            "%(count)s. Until then nothing we send may name them."
        ),
        reason_places={"count": waiting},
        subject_kind="patient",
        subject_id=patient.pk,
        dedupe_key=f"{KIND}:{patient.pk}:{now:%Y%m%d%H%M%S}",
        due_at=now + TELL_WITHIN,
        patient=patient,
        site=_site_of(patient),
    )
    return 1


def _site_of(patient: Patient) -> Site | None:
    """Return where their usual clinician works, among their sites; else the first."""
    sites = patient.sites.order_by("id")
    if patient.usual_clinician_id:
        there = sites.filter(clinicians=patient.usual_clinician_id).first()
        if there:
            return there
    return sites.first()


def _open_subjects() -> list[int]:
    items = WorkItem.objects.open().filter(kind=KIND)
    return list(items.values_list("subject_id", flat=True))


def close_settled(patient_ids: Collection[int]) -> int:
    """Close the items of those who have been told of everything; return how many.

    Also of those whose conditions are over or were errors, and of the dead.
    """
    settled = set(patient_ids) - waits_for_telling(patient_ids)
    return sum(
        close_by_rule(
            subject_kind="patient",
            subject_id=pk,
            rule=SETTLED,
            kind=KIND,
            unclaimed=False,
        )
        for pk in sorted(settled)
    )


told.add("worklist", close_settled)


@put_off.register("worklist")
def close_for_later(patient: Patient, by: User, why: str) -> None:
    """Close the patient's item, of which there is one, with why telling waits."""
    items = WorkItem.objects.open().filter(kind=KIND, subject_id=patient.pk)
    for item in items:
        close_item(item_id=item.pk, outcome="later", by=by, note=why)
