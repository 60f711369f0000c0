"""Making two records one, undoing it, and saying that two are two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.faults import logged
from patients.merging.ledger import Ledger, profile_of, repoint, restore
from patients.merging.registry import (
    Answers,
    Belongs,
    Fate,
    Pair,
    Question,
    belongs,
    merge_rules,
)
from patients.models import NotTheSame, Patient, PatientMerge
from patients.profile import raise_version
from patients.terms import index_patients

#: For so long a sweep looks for rows that were being written while two became one.
FOLLOWED = timedelta(hours=1)


@dataclass
class Undone:
    """What came of undoing a merge: the record that is there again, and how much
    stayed as it is now because somebody changed it since.
    """

    lost: Patient
    stayed: int = 0


def refusals(pair: Pair) -> list[str]:
    """Return why two records cannot be merged, in sentences."""
    return [why for _key, rule in merge_rules for why in rule.refuses(pair)]


def questions(pair: Pair) -> list[Question]:
    """Return what a person has to decide before two records are merged."""
    return [question for _key, rule in merge_rules for question in rule.asks(pair)]


def consequences(pair: Pair, user: User) -> list[str]:
    """Return what a merge decides by itself, in sentences this user may read."""
    return [said for _key, rule in merge_rules for said in rule.tells(pair, user)]


@transaction.atomic
def merge_patients(
    *,
    kept_id: int,
    lost_id: int,
    answers: Answers,
    seen: tuple[int, int],
    by: User,
) -> PatientMerge:
    """Make two records one: all that points at the lost one points at the kept one.

    ``seen`` are the versions of both profiles that the answers were given to. Locks
    messages and visits of both, then both patients by number. Raises
    ``ValidationError`` where they cannot be merged, where a question has no answer,
    and where somebody changed a profile meanwhile.
    """
    pair = _locked(kept_id, lost_id)
    if whys := refusals(pair):
        raise ValidationError(whys)
    if (pair.kept.version, pair.lost.version) != seen:
        raise ValidationError(
            _("Somebody changed one of the records meanwhile. Look at them again.")
        )
    _are_answered(questions(pair), answers)
    snapshot = {"kept": profile_of(pair.kept), "lost": profile_of(pair.lost)}
    ledger = Ledger(pair, by)
    for _key, rule in merge_rules:
        rule.before(ledger, answers)
    _move_rows(ledger)
    for _key, rule in merge_rules:
        rule.after(ledger, answers)
    _close(pair.lost, into=pair.kept)
    # A profile that somebody has open this moment must not be saved over this.
    raise_version(pair.kept)
    index_patients(pair.ids)
    merge = PatientMerge.objects.create(
        kept=pair.kept,
        lost=pair.lost,
        snapshot={**snapshot, "rows": ledger.changed},
        moved=ledger.moved,
        dropped={
            "left": dict(ledger.left),
            "added": ledger.added,
            "marks": _marks(pair.kept),
        },
        by=by,
        at=timezone.now(),
    )
    _record(merge, "merged", by)
    return merge


@transaction.atomic
def undo_merge(*, merge_id: int, by: User) -> Undone:
    """Make two records of one again, each as it was; what came since stays with the
    kept one.

    A field or row that somebody changed since keeps what it says now. Locks as
    ``merge_patients``; raises ``ValidationError`` where it cannot be undone.
    """
    merge = PatientMerge.objects.get(pk=merge_id)
    pair = _locked(merge.kept_id, merge.lost_id)
    merge = PatientMerge.objects.select_for_update().get(pk=merge_id)
    if whys := undo_refusals(merge):
        raise ValidationError(whys)
    stayed = _move_back(merge)
    for label, pk, fields in reversed(merge.snapshot["rows"]):
        stayed += restore(label, pk, fields)
    for label, pk in reversed(merge.dropped["added"]):
        stayed += _remove(merge, label, pk)
    _close(pair.lost, into=None)
    for patient in (pair.kept, pair.lost):
        raise_version(patient)
    merge.undone_by, merge.undone_at = by, timezone.now()
    merge.save(update_fields=["undone_by", "undone_at"])
    pair = Pair(*(Patient.objects.get(pk=pk) for pk in pair.ids))
    # The other way round: a message follows its visit, and work its message.
    for _key, rule in reversed(list(merge_rules)):
        rule.undone(pair)
    index_patients(pair.ids)
    _record(merge, "merge undone", by)
    return Undone(lost=pair.lost, stayed=stayed)


def undo_refusals(merge: PatientMerge) -> list[str]:
    """Return why a merge cannot be undone; two queries at most.

    Merges are undone from the last one back: each knows only what it found.
    """
    if merge.undone_at:
        return [_("This was undone already.")]
    if merge.kept.erased_at or merge.lost.erased_at:
        return [_("What was kept of them was erased.")]
    later = PatientMerge.objects.filter(
        kept=merge.kept_id, undone_at=None, pk__gt=merge.pk
    )
    if merge.kept.merged_into_id or later.exists():
        return [_("It was merged again since. Undo the later merge first.")]
    return []


def since_merge(merge: PatientMerge) -> list[tuple[Belongs, int]]:
    """Return how many rows of each titled table came since a merge.

    They stay with the kept record. One query.
    """
    marks: Mapping[str, int] = merge.dropped["marks"]
    counted = rows_of([merge.kept_id], since=marks)
    return [(table, n) for table, (n,) in counted if n]


def rows_of(
    patient_ids: Sequence[int], *, since: Mapping[str, int] | None = None
) -> list[tuple[Belongs, list[int]]]:
    """Return each titled table and how many rows of it each patient has; one query.

    ``since`` counts those after a row, by table.
    """
    tables = [
        table for _key, table in belongs if table.title and table.fate is Fate.MOVES
    ]
    counts = {
        f"rows_{place}": Coalesce(
            Subquery(
                table.model._base_manager.filter(
                    pk__gt=(since or {}).get(table.key, 0),
                    **{table.field: OuterRef("pk")},
                )
                .order_by()
                .values(table.field)
                .annotate(n=Count("pk"))
                .values("n")
            ),
            0,
        )
        for place, table in enumerate(tables)
    }
    found = {
        pk: numbers
        for pk, *numbers in Patient.objects.filter(pk__in=patient_ids)
        .annotate(**counts)
        .values_list("pk", *counts)
    }
    return [
        (table, [found[pk][place] for pk in patient_ids])
        for place, table in enumerate(tables)
    ]


@transaction.atomic
def note_not_the_same(*, patient_id: int, other_id: int, by: User) -> NotTheSame:
    """Note that two records that look alike are two people; once is enough."""
    low, high = sorted((patient_id, other_id))
    note, is_new = NotTheSame.objects.get_or_create(
        patient_id=low, other_id=high, defaults={"by": by, "at": timezone.now()}
    )
    if is_new:
        _record_difference(low, high, "not the same", by)
    return note


@transaction.atomic
def forget_not_the_same(*, patient_id: int, other_id: int, by: User) -> None:
    """Take back that two records are two people."""
    low, high = sorted((patient_id, other_id))
    if NotTheSame.objects.filter(patient=low, other=high).delete()[0]:
        _record_difference(low, high, "may be the same", by)


def follow_merges() -> int:
    """Carry on what was written to a lost record while it was being merged.

    Whoever was just adding a row to it waited for the merge and then finished. A record
    kept here may have become part of a third one meanwhile; that merge, being later,
    carries the rows on. Returns how many rows that were.
    """
    carried = 0
    fresh = PatientMerge.objects.filter(
        at__gt=timezone.now() - FOLLOWED, undone_at=None
    )
    for pk in fresh.order_by("pk").values_list("pk", flat=True):
        with logged(f"merge {pk}: following"):
            carried += _follow(pk)
    return carried


def _follow(merge_id: int) -> int:
    merge = PatientMerge.objects.get(pk=merge_id)
    if not any(
        _rows(table, merge.lost_id)
        .exclude(pk__in=merge.dropped["left"].get(key, []))
        .exists()
        for key, table in belongs
        if table.fate is Fate.MOVES
    ):
        return 0
    with transaction.atomic():
        pair = _locked(merge.kept_id, merge.lost_id)
        merge = PatientMerge.objects.select_for_update().get(pk=merge_id)
        if merge.undone_at:
            return 0
        ledger = Ledger(pair, merge.by)
        ledger.left.update(merge.dropped["left"])
        for _key, rule in merge_rules:
            rule.follow(ledger)
        _move_rows(ledger)
        merge.moved += ledger.moved
        merge.snapshot["rows"] += ledger.changed
        merge.dropped["left"] = dict(ledger.left)
        merge.save(update_fields=["moved", "snapshot", "dropped"])
        index_patients(pair.ids)
        return sum(len(ids) for *_where, ids in ledger.moved)


def _locked(kept_id: int, lost_id: int) -> Pair:
    """Return both patients as they are now, with all that is locked before them."""
    first = sorted(
        (table for _key, table in belongs if table.lock is not None),
        key=lambda table: table.lock or 0,
    )
    for table in first:
        rows = table.model._base_manager.filter(
            **{f"{table.field}__in": [kept_id, lost_id]}
        )
        list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
    patients = Patient.objects.select_for_update().order_by("pk")
    found = {
        patient.pk: patient for patient in patients.filter(pk__in=[kept_id, lost_id])
    }
    return Pair(found[kept_id], found[lost_id])


def _rows(table: Belongs, patient_id: int, **more: Any) -> Any:
    rows = table.model._base_manager
    return rows.filter(**{f"{table.field}_id": patient_id}, **more)


def _are_answered(asked: list[Question], answers: Answers) -> None:
    open_ones = {
        question.key: _("Choose one.")
        for question in asked
        if answers.get(question.key) not in [o.value for o in question.options]
    }
    if open_ones:
        raise ValidationError(open_ones)


def _move_rows(ledger: Ledger) -> None:
    kept_id, lost_id = ledger.pair.ids
    for key, table in belongs:
        if table.fate is Fate.MOVES:
            rows = _rows(table, lost_id).exclude(pk__in=ledger.left.get(key, []))
            ids = list(rows.values_list("pk", flat=True))
            ledger.move(table.model, table.field, ids, start=lost_id, end=kept_id)


def _marks(kept: Patient) -> dict[str, int]:
    """Return the last row there is of each titled table: what comes later is new."""
    return {
        table.key: table.model._base_manager.aggregate(last=Max("pk"))["last"] or 0
        for _key, table in belongs
        if table.title
    }


def _move_back(merge: PatientMerge) -> int:
    """Point every moved row where it pointed; return how many could not be."""
    stayed = 0
    for label, name, start, end, ids in reversed(merge.moved):
        model = apps.get_model(label)
        try:
            with transaction.atomic():
                moved = repoint(model, name, ids, start=end, end=start)
        except IntegrityError:
            moved = sum(_move_one(model, name, pk, end, start) for pk in ids)
        stayed += len(ids) - moved
    return stayed


def _move_one(model: Any, name: str, pk: int, start: int, end: int) -> int:
    try:
        with transaction.atomic():
            return repoint(model, name, [pk], start=start, end=end)
    except IntegrityError:
        return 0


def _remove(merge: PatientMerge, label: str, pk: int) -> int:
    """Remove a row the merge added; return 1 where it has to stay.

    A site stays where it has had something of the kept record since: its staff go on
    with that.
    """
    row = apps.get_model(label)._base_manager.filter(pk=pk).first()
    if row is None:
        return 0
    if label == Patient.sites.through._meta.label:
        for _key, table in belongs:
            fields = {one.name for one in table.model._meta.concrete_fields}
            is_of_a_site = "site" in fields and table.fate is Fate.MOVES
            if is_of_a_site and _rows(table, merge.kept_id, site=row.site_id).exists():
                return 1
    row.delete()
    return 0


def _close(lost: Patient, *, into: Patient | None) -> None:
    lost.merged_into = into
    lost.save(update_fields=["merged_into"])


def _record(merge: PatientMerge, what: str, by: User) -> None:
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[merge.kept_id, merge.lost_id],
        subject=f"patient:{merge.kept_id}",
        details={"what": what, "patient": merge.lost_id},
        by=by,
    )


def _record_difference(low: int, high: int, what: str, by: User) -> None:
    record(
        AuditEvent.Verb.CHANGE,
        patient_ids=[low, high],
        subject=f"patient:{low}",
        details={"what": what, "patient": high},
        by=by,
    )
