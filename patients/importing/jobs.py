"""Bringing in a patient list in the browser: one job looks, another takes it over.

The text waits in the checking job until it is taken over, for a day at most, and so do
the rows that were rejected. What a job's result holds names no patient.
"""

import io
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, astuple
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.jobs import JobKind, Progress, Refused, job_kinds, start_job
from accounts.models import Job, Site, User
from core.text import clean
from patients.importing import patient_list
from patients.importing.patient_list import TITLES
from patients.importing.rejects import Rejects
from patients.importing.resources import is_fhir
from patients.importing.rows import (
    HistoryCounts,
    ImportResult,
    Problem,
    UnreadableFile,
)
from patients.importing.run import import_files
from patients.importing.tables import Column, MissingColumns, as_text

CHECK = "check_patients"
IMPORT = "import_patients"


def start_check(
    *, name: str, text: str, site: Site, user: User, client_key: uuid.UUID | None
) -> Job:
    """Start to read a patient list without changing anything."""
    work = {"name": clean(name), "text": text, "site": site.pk}
    # A line a row; a bundle says only at its end how much there was.
    total = None if is_fhir(as_text(text)) else max(1, text.count("\n") - 1)
    return start_job(
        kind=CHECK, user=user, work=work, client_key=client_key, total=total
    )


def start_check_again(
    *,
    checked_id: int,
    columns: Mapping[int, str],
    user: User,
    client_key: uuid.UUID | None,
) -> Job | None:
    """Start to read a list anew, with somebody's word for what its columns are.

    ``columns`` is {place: name}. Returns None when the list is no longer there. Locks
    the job that looked before, which gives the text away.
    """
    with transaction.atomic():
        checked = _checked(checked_id, user)
        if checked is None:
            return None
        if before := checked.result.get("again"):
            return Job.objects.defer("work").filter(pk=before).first()
        if not checked.work.get("text"):
            return None
        work = {name: checked.work[name] for name in ("name", "text", "site")}
        job = start_job(
            kind=CHECK,
            user=user,
            work=work | {"columns": {str(k): name for k, name in columns.items()}},
            client_key=client_key,
            total=checked.total,
        )
        _give_away(checked, "again", job)
    return job


def _checked(pk: int, user: User) -> Job | None:
    """Return the job by which this user looked through a list; locks it."""
    return (
        Job.objects.select_for_update()
        .filter(pk=pk, user=user, kind=CHECK, state=Job.State.DONE)
        .first()
    )


def _give_away(checked: Job, to: str, job: Job) -> None:
    """Leave the list to another job, of which the one before knows."""
    checked.work = {}
    checked.result[to] = job.pk
    checked.save(update_fields=["work", "result"])


def start_import(
    *, checked_id: int, user: User, client_key: uuid.UUID | None
) -> Job | None:
    """Start to take over the list this user's job has checked; it is done once.

    Returns the job that does it, also when it was started before, and None when the
    list is no longer there. Locks the checking job; five queries.
    """
    with transaction.atomic():
        checked = _checked(checked_id, user)
        if checked is None:
            return None
        if before := checked.result.get("import"):
            return Job.objects.defer("work").filter(pk=before).first()
        if not checked.work.get("text") or "missing" in checked.result:
            return None
        job = start_job(
            kind=IMPORT,
            user=user,
            work=checked.work,
            client_key=client_key,
            total=checked.done,
        )
        _give_away(checked, "import", job)
    return job


def columns_seen(*, checked_id: int, user: User) -> list[Column] | None:
    """Return the columns of a list that waits, with what stands in them; one query.

    None when the list is no longer there, or is no table.
    """
    kept = Job.objects.filter(
        pk=checked_id, user=user, kind=CHECK, state=Job.State.DONE
    ).values_list("work__columns_seen", flat=True)
    seen = kept.first()
    return [Column(*column) for column in seen] if seen else None


def rejects_of(*, job_id: int, user: User) -> tuple[str, str] | None:
    """Return the name of a list and its rejected rows as CSV, while they are kept."""
    kept = Job.objects.filter(
        pk=job_id, user=user, kind__in=[CHECK, IMPORT], state=Job.State.DONE
    ).values_list("result__name", "work__rejects")
    name, rejects = kept.first() or ("", None)
    return (name, rejects) if rejects else None


def check_list(job: Job, progress: Progress) -> None:
    """Read the list of a job and keep what would come of it."""
    text = as_text(job.work["text"])
    if not is_fhir(text):
        columns = patient_list.columns_of(text, _chosen(job))
        job.work["columns_seen"] = [list(astuple(column)) for column in columns]
    try:
        rejects = _read(job, progress, dry_run=True)
    except MissingColumns as why:
        # No failure: somebody may say which columns they are.
        job.result = {"name": job.work["name"], "missing": why.names}
        return
    if rejects:
        job.work["rejects"] = rejects


def import_list(job: Job, progress: Progress) -> None:
    """Take the list of a job over, chunk by chunk; begun anew, it goes on.

    What stands in the result when it stops is what was committed.
    """
    rejects = _read(job, progress, dry_run=False)
    job.work = {"rejects": rejects} if rejects else {}


def _chosen(job: Job) -> dict[int, str] | None:
    chosen = job.work.get("columns")
    return {int(place): name for place, name in chosen.items()} if chosen else None


def _read(job: Job, progress: Progress, *, dry_run: bool) -> str:
    """Read a list and return its rejected rows as CSV; empty when there are none."""
    site = job.user.sites.filter(pk=job.work["site"]).first()
    if site is None:
        raise Refused(_("You no longer work at the site of this list."))
    result = ImportResult()
    with Rejects() as rejects:
        try:
            import_files(
                [(job.work["name"], job.work["text"])],
                site=site,
                by=job.user,
                dry_run=dry_run,
                on_row=rejects.take,
                on_progress=progress,
                into=result,
                columns=_chosen(job),
            )
        except MissingColumns:
            raise
        except UnreadableFile as why:
            raise Refused(str(why)) from why
        finally:
            job.result = {"name": job.work["name"], "counts": as_json(result)}
        if not rejects.first:
            return ""
        table = io.StringIO(newline="")
        rejects.write(table)
        return table.getvalue()


def as_json(result: ImportResult) -> dict[str, Any]:
    """Return a result as JSON keeps it: without the rows themselves."""
    numbers = ("created", "updated", "unchanged", "rejected", "warnings")
    return {name: getattr(result, name) for name in numbers} | {
        "history": asdict(result.history),
        "problems": [
            [p.row, p.field, clean(p.reason), p.is_rejection] for p in result.problems
        ],
        "unknown_columns": [clean(name) for name in result.unknown_columns],
        "ignored": {clean(kind): n for kind, n in result.ignored.items()},
    }


def from_json(kept: dict[str, Any]) -> ImportResult:
    """Return the result that ``as_json`` kept."""
    return ImportResult(
        **kept
        | {
            "history": HistoryCounts(**kept["history"]),
            "problems": [Problem(*problem) for problem in kept["problems"]],
            "ignored": Counter(kept["ignored"]),
        }
    )


def _shown(job: Job) -> dict[str, Any]:
    """Return the result as the templates show it; nothing of a job that never ran.

    Two queries more, for what is kept beside the result.
    """
    counts = job.result.get("counts")
    kept = Job.objects.filter(pk=job.pk)
    seen = kept.values_list("work__columns_seen", flat=True).first() or ()
    return {
        "result": from_json(counts) if counts else None,
        "columns": [(Column(*one), TITLES.get(one[1], "")) for one in seen],
        "missing": [TITLES[name] for name in job.result.get("missing", ())],
        "has_rejects": kept.filter(work__has_key="rejects").exists(),
    }


job_kinds.add(
    CHECK,
    JobKind(
        title=gettext_lazy("Check of a patient list"),
        run=check_list,
        permission="patients.import_patient",
        template="patients/patient_import_checked.html",
        page="patients:patient_import",
        context=_shown,
        keeps_work=True,
    ),
)
job_kinds.add(
    IMPORT,
    JobKind(
        title=gettext_lazy("Import of a patient list"),
        run=import_list,
        permission="patients.import_patient",
        template="patients/patient_import_done.html",
        page="patients:patient_import",
        context=_shown,
        keeps_work=True,
    ),
)
