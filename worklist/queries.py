"""Reads of the worklist."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.audit.trail import note_opened, note_seen
from accounts.models import Site, User
from patients.access import not_there, of_visible
from patients.calling import call_hints
from patients.chips import load_warnings
from patients.models import Patient
from worklist.models import WorkItem
from worklist.registry import work_kinds


def items_of(user: User | AnonymousUser) -> QuerySet[WorkItem]:
    """Return the open items this user is to see."""
    return _visible_to(user).filter(closed_at=None)


def _visible_to(user: User | AnonymousUser) -> QuerySet[WorkItem]:
    """Return the items of this user's sites, of the kinds they may see.

    An item about a patient is seen only by those who may see the patient. One of no
    site goes to all of them, and so does one whose site the patient has left: somebody
    must find it. About nobody we know and of no site, it goes to everybody. A kind with
    ``subjects_of`` says itself who sees which.
    """
    hidden = [
        key
        for key, kind in work_kinds
        if kind.permission and not user.has_perm(kind.permission)
    ]
    still_there = Patient.sites.through.objects.filter(
        patient=OuterRef("patient"), site=OuterRef("site")
    )
    ours = (Q(patient=None) | of_visible(user)) & (
        Q(site=None)
        | Q(site__in=Site.objects.filter(staff=user.pk or 0))
        | (Q(patient__isnull=False) & ~Exists(still_there))
    )
    for key, kind in work_kinds:
        if kind.subjects_of and key not in hidden:
            theirs = kind.subjects_of(user).values("pk")
            ours = Q(kind=key, subject_id__in=theirs) | (~Q(kind=key) & ours)
    return WorkItem.objects.exclude(kind__in=hidden).filter(ours)


def get_item(user: User | AnonymousUser, pk: int) -> WorkItem:
    """Return one item, open or closed; 404 out of scope. Two queries at most."""
    items = _visible_to(user).select_related("patient", "owner", "site")
    item = items.filter(pk=pk).first()
    if item is None:
        raise not_there("work_item", WorkItem.objects.filter(pk=pk))
    if item.patient_id:
        note_opened(item.patient_id)
    _note_whom_they_may_be_about([item])
    _say_how_to_call(user, [item])
    return item


def _note_whom_they_may_be_about(items: Sequence[WorkItem]) -> None:
    """Note the patients of whom items speak that name none; a query a registrant."""
    subjects: dict[Callable[[Sequence[int]], set[int]], list[int]] = {}
    for item in items:
        if item.patient_id is None:
            ask = work_kinds[item.kind].may_be_about
            subjects.setdefault(ask, []).append(item.subject_id)
    for ask, ids in subjects.items():
        for patient_id in ask(ids):
            note_seen(patient_id)


def open_items(user: User | AnonymousUser, limit: int = 200) -> list[WorkItem]:
    """Return what needs somebody at this user's sites: past its time, red, soonest.

    Two queries, and one more where some name no patient.
    """
    items = WorkItem.objects.filter(pk__in=items_of(user))
    found = list(items.select_related("patient", "owner", "site").in_order()[:limit])
    _note_whom_they_may_be_about(found)
    _say_how_to_call(user, found)
    return found


def _say_how_to_call(user: User | AnonymousUser, items: Sequence[WorkItem]) -> None:
    """Give each item ``hints``, its patient's safe contact ``plan`` and ``warnings``.

    Read when it is shown, not when it was raised: who calls must obey what holds now.
    One query.
    """
    load_warnings(user, [item.patient for item in items])
    for item in items:
        known: Any = item
        known.plan = getattr(item.patient, "plan_now", None)
        known.hints = call_hints(item.patient) if item.patient else []
