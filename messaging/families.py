"""Notices about several people that go to one: a mother of two gets one text.

Whom a notice is for says ``patients.recipients``; here is when two of them are for the
same person.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from core.sql import skips_locked
from core.text import fold
from core.time import to_local, zone
from messaging.models import Notice
from patients.models import ContactPoint, Patient, SafeContactPlan
from patients.queries import consents_of
from patients.recipients import Recipient, resolve_all

#: Two notices with the same key are for the same person, in the same words.
Key = tuple[Any, ...]


def recipient_now(notice: Notice) -> Recipient | None:
    """Return who is to learn it, as of now; None when nobody may any more.

    Two queries. A notice to an address or a colleague keeps its recipient; whoever
    answers at an address is taken for the patient, as far as their safe contact plan
    goes.
    """
    return recipients_now([notice])[notice.pk]


def recipients_now(notices: Sequence[Notice]) -> dict[int, Recipient | None]:
    """Return {notice id: who is to learn it now}; three queries, however many."""
    found: dict[int, Recipient | None] = {}
    resolved: list[Notice] = []
    kept: list[Notice] = []
    for notice in notices:
        theirs = notice.patient_id or notice.contact_person_id
        (resolved if notice.about_patient and theirs else kept).append(notice)
    recipients = resolve_all(
        [
            (
                notice.about_patient,
                notice.purpose,
                to_local(timezone.now(), zone(notice.zone)).date(),
                notice.confidential,
            )
            for notice in resolved
            if notice.about_patient
        ]
    )
    for notice, possible in zip(resolved, recipients, strict=True):
        found[notice.pk] = possible[0] if possible else None
    about = [notice.about_patient_id for notice in kept if notice.about_patient_id]
    plans = SafeContactPlan.objects.in_force().filter(patient__in=about)
    plan_of = {plan.patient_id: plan for plan in plans} if about else {}
    for notice in kept:
        plan = plan_of.get(notice.about_patient_id or 0)
        found[notice.pk] = Recipient(notice.patient, notice.contact_person, plan)
    return found


def of_siblings(due: Sequence[Notice], soon: QuerySet[Notice]) -> list[Notice]:
    """Return those of ``soon`` that belong with a due one about a sibling; locked.

    Siblings are patients whose responsible contact persons share an address. Three
    queries at most.
    """
    kinds = {_family(notice) for notice in due if notice.together}
    patients = {notice.about_patient_id or 0 for notice in due if notice.together}
    answering = ContactPoint.objects.filter(
        contact_person__is_responsible=True, contact_person__ended_at=None
    )
    addresses = set(
        answering.filter(contact_person__patient__in=patients).values_list(
            "address", flat=True
        )
        if patients
        else ()
    )
    if not addresses:
        return []
    siblings = (
        Patient.objects.filter(contact_persons__contact_points__address__in=addresses)
        .exclude(pk__in=patients)
        .values("pk")
    )
    known = {notice.pk for notice in due}
    return [
        notice
        for notice in soon.filter(about_patient__in=siblings)
        .exclude(together="")
        .select_for_update(skip_locked=skips_locked())
        if _family(notice) in kinds and notice.pk not in known
    ]


def _family(notice: Notice) -> tuple[str, str]:
    """Return what siblings' notices have in common: ``together`` without the patient.

    It is written as "reason:patient:rest", such as the day and the site.
    """
    reason, _colon, rest = notice.together.partition(":")
    return reason, rest.partition(":")[2]


def merged(bundles: Iterable[list[Notice]]) -> list[list[Notice]]:
    """Join bundles that are alike and for one person; a few queries for each such."""
    bundles = list(bundles)
    alike: dict[tuple[str, str], list[list[Notice]]] = {}
    for bundle in bundles:
        if bundle[0].together and not bundle[0].confidential:
            alike.setdefault(_family(bundle[0]), []).append(bundle)
    known = _with_responsible(
        {b[0].about_patient_id or 0 for group in alike.values() for b in group[1:]}
        | {group[0][0].about_patient_id or 0 for group in alike.values() if group[1:]}
    )
    joined: list[list[Notice]] = []
    places: dict[Key, list[Notice]] = {}
    for bundle in bundles:
        first = bundle[0]
        lonely = not first.together or len(alike.get(_family(first), ())) < 2
        if lonely or first.about_patient_id not in known:
            joined.append(bundle)
            continue
        key = (*_family(first), *_key(first, recipient_now(first)))
        if key in places:
            places[key].extend(bundle)
        else:
            places[key] = list(bundle)
            joined.append(places[key])
    return joined


def _with_responsible(patients: set[int]) -> set[int]:
    """Return those of these patients for whom somebody answers; one query."""
    if not patients:
        return set()
    found = Patient.objects.filter(
        pk__in=patients, contact_persons__is_responsible=True
    )
    return set(found.values_list("pk", flat=True))


def by_recipient(
    notices: Sequence[Notice], known: Mapping[int, Recipient | None] | None = None
) -> list[tuple[list[Notice], Recipient | None]]:
    """Return the notices with who is to learn them now, one group for each person.

    Two queries where all are about one patient, some more for each further one; fewer
    where ``recipients_now`` has been asked, and its answer is ``known``.
    """
    about: dict[tuple[int | None, bool], list[Notice]] = {}
    for notice in notices:
        about.setdefault((notice.about_patient_id, notice.confidential), []).append(
            notice
        )
    firsts = [group[0] for group in about.values()]
    if known is None or not all(first.pk in known for first in firsts):
        known = recipients_now(firsts)
    found = [(group, known[group[0].pk]) for group in about.values()]
    if len(found) == 1:
        return found
    groups: dict[Key, tuple[list[Notice], Recipient | None]] = {}
    for group, recipient in found:
        key = _key(group[0], recipient)
        if key in groups:
            groups[key][0].extend(group)
        else:
            groups[key] = (group, recipient)
    return list(groups.values())


def _key(notice: Notice, recipient: Recipient | None) -> Key:
    """Return who somebody is beyond one child's list of contact persons.

    The same record here, or the same name, at the same addresses; and each child's
    consent and language, for one text obeys both. Two queries for a contact person.
    """
    if recipient is None or recipient.contact_person is None:
        return (notice.about_patient_id, notice.confidential, recipient is None)
    person = recipient.contact_person
    points = ContactPoint.objects.filter(
        contact_person=person, usable=True, safe_to_text=True
    )
    agreed = consents_of([notice.about_patient_id or 0])
    ways = sorted(
        (channel, purpose) for (_pk, channel, purpose), yes in agreed.items() if yes
    )
    return (
        person.person_id or fold(person.name),
        tuple(points.values_list("channel", "address")),
        tuple(ways),
        notice.about_patient.language if notice.about_patient else "",
    )


def counterpart(notice: Notice, recipient: Recipient) -> Recipient:
    """Return the recipient as this notice's own patient lists them.

    A mother of two stands on each child's list; one query for the second child.
    """
    person = recipient.contact_person
    if person is None or person.patient_id == notice.about_patient_id:
        return recipient
    own = recipient_now(notice)
    return own if own is not None and own.contact_person else recipient
