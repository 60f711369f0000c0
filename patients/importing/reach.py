"""Whom the person behind an import may write to, and what follows when they may not.

A number alone opens nobody: what a list says of somebody of another site is not
written, not compared and not answered, whoever the rest of the row names. People settle
it.
"""

from collections.abc import Collection

from accounts.audit.record import record
from accounts.models import AuditEvent, Site, User
from patients.models import Patient
from patients.registry import import_refused


def kept_of(ids: Collection[int]) -> dict[int, int]:
    """Return {patient id: id of the one they were merged into at last, or their own}.

    A query, and one more for each merge on the longest way.
    """
    into: dict[int, int | None] = {}
    wanted = set(ids)
    while wanted:
        into |= dict(
            Patient.objects.filter(pk__in=wanted).values_list("pk", "merged_into_id")
        )
        wanted = {pk for pk in into.values() if pk} - into.keys()
    kept = {}
    for pk in ids:
        last = pk
        while following := into.get(last):
            last = following
        kept[pk] = last
    return kept


def beyond(by: User | None, kept: dict[int, int]) -> dict[int, int]:
    """Return those of ``kept_of`` whom ``by`` may not write to; one query.

    Theirs are the patients of their sites, without those under emergency access, which
    ends while a list stays. Nobody in person is behind the command line: it may write
    to all.
    """
    if by is None or not kept:
        return {}
    ours = set(
        Patient.objects.at_sites_of(by)
        .filter(pk__in=set(kept.values()))
        .values_list("pk", flat=True)
    )
    return {pk: last for pk, last in kept.items() if last not in ours}


def note_beyond(
    ids: Collection[int], *, site: Site, by: User | None, dry_run: bool, subject: str
) -> None:
    """Write down that a list asked for these patients of other sites.

    Once for a chunk in the audit trail, on a dry run as well: it is a question, too. A
    list taken over is also told to the apps above, in the caller's transaction.
    """
    if by is None or not ids:
        return
    record(AuditEvent.Verb.REFUSED, patient_ids=ids, subject=subject, by=by)
    if not dry_run:
        for _key, tell in import_refused:
            tell(sorted(ids), site, by)
