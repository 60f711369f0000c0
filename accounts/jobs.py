"""Long work that a worker does while its page is watched, or left.

The row is the truth: it is claimed with a lease and a token, tells how far it is, and
is taken up again when its worker died. A kind of job must therefore bear being begun
anew.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.models import Job, User
from accounts.tasks import wake_jobs
from core.faults import persistently
from core.registry import Registry
from core.sql import delete_found

logger = logging.getLogger(__name__)

#: How long a worker may say nothing before another one takes the job up.
LEASE = timedelta(seconds=60)
#: How often a job is begun before it has failed.
MOST_TRIES = 3
#: How often progress is written at most.
TOLD_EVERY = timedelta(seconds=1)
#: How long an ended job keeps the work that a next step may need.
KEEP_WORK = timedelta(days=1)
#: How long an ended job is kept at all.
KEEP = timedelta(days=30)


class Cancelled(Exception):  # noqa: N818 - it says what happened
    """The person does not want it any more; what is done stays done."""


class Refused(Exception):  # noqa: N818 - it says what happened
    """The work cannot be done, in words for the person who asked for it."""


class LeaseLost(Exception):  # noqa: N818 - it says what happened
    """The job is another worker's by now."""


class Progress:
    """Tells how far a job is; a job stops where it calls this.

    Raises ``Cancelled`` when the person wants that, and ``LeaseLost`` when the job is
    another worker's by now. Call it outside a transaction.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._told: datetime | None = None

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take how much is done; written, and the lease renewed, about once a second.

        One statement where it is written, none otherwise.
        """
        job = self._job
        job.done, job.total = done, job.total if total is None else total
        now = timezone.now()
        # A clock that was put back must not silence it.
        if self._told is not None and abs(now - self._told) < TOLD_EVERY:
            return
        if not persistently(lambda: self._write(now), f"job {job.pk}: progress"):
            wanted = held(job).filter(cancel_wanted=True).exists()
            raise Cancelled if wanted else LeaseLost
        self._told = now

    def _write(self, now: datetime) -> int:
        return (
            held(self._job)
            .filter(cancel_wanted=False)
            .update(done=self._job.done, total=self._job.total, lease_until=now + LEASE)
        )


@dataclass(frozen=True)
class JobKind:
    """How one kind of job is done and shown.

    ``run`` puts what came of it into ``job.result`` as JSON, of which also stays what
    stood there when it was cancelled or failed. ``permission`` is asked when it starts
    to run and when it is looked at. ``template`` shows ``job`` with what ``context``
    returns; ``page`` is the name of the address it is started from. With ``keeps_work``
    the work outlives a good end by a day, for the next step.
    """

    title: str | Promise
    run: Callable[[Job, Progress], None]
    permission: str
    template: str
    page: str
    context: Callable[[Job], dict[str, Any]] = lambda job: {}
    keeps_work: bool = False


job_kinds: Registry[JobKind] = Registry("job_kinds")


def start_job(
    *,
    kind: str,
    user: User,
    work: dict[str, Any],
    client_key: uuid.UUID | None,
    total: int | None = None,
) -> Job:
    """Queue a job and wake a worker on commit; a client key makes one job only.

    ``work`` is what ``run`` needs, as JSON; ``total`` how much there is, if known.
    Two queries.
    """
    job, created = Job.objects.defer("work").get_or_create(
        client_key=client_key or uuid.uuid4(),
        defaults={
            "kind": kind,
            "user": user,
            "work": work,
            "total": total,
            "language": translation.get_language() or settings.LANGUAGE_CODE,
            "created_at": timezone.now(),
        },
    )
    if created:
        wake_jobs()
    return job


def cancel_job(*, job: Job) -> None:
    """End a job that waits, or ask the one under way to stop; two statements."""
    waiting = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    if not waiting.update(
        state=Job.State.CANCELLED,
        cancel_wanted=True,
        ended_at=timezone.now(),
        work={},
    ):
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(
            cancel_wanted=True
        )


def run_jobs() -> int:
    """Run the jobs that are due, one after the other; return how many were begun."""
    count = 0
    while (job := claim()) is not None:
        _run(job)
        count += 1
    return count


def claim() -> Job | None:
    """Lease the oldest job that waits or whose worker died; None when there is none.

    One job at a time in the whole clinic: however many wait, a worker's other threads
    stay free for messages. Locks what waits and what runs, oldest first, so that of two
    workers the second sees what the first has taken. One query when none is due, else
    four.
    """
    now = timezone.now()
    token = uuid.uuid4()
    is_due = Q(state=Job.State.QUEUED) | Q(
        state=Job.State.RUNNING, lease_until__lte=now
    )
    # Looking first: on SQLite a lock is the one write lock.
    if not Job.objects.filter(is_due).exists():
        return None
    with transaction.atomic():
        open_jobs = (
            Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])
            .order_by("created_at", "id")
            .select_for_update()
            .values_list("pk", "lease_until", "tries")
        )
        jobs = list(open_jobs)
        if any(until is not None and until > now for _pk, until, _tries in jobs):
            return None
        due = [pk for pk, _until, tries in jobs if tries < MOST_TRIES]
        if not due:
            return None
        Job.objects.filter(pk=due[0]).update(
            state=Job.State.RUNNING,
            tries=F("tries") + 1,
            lease_token=token,
            lease_until=now + LEASE,
            started_at=Coalesce(F("started_at"), now),
        )
    return Job.objects.select_related("user").get(lease_token=token)


def held(job: Job) -> QuerySet[Job]:
    """Return the row of a job while its lease is this holder's."""
    return Job.objects.filter(pk=job.pk, lease_token=job.lease_token)


def _run(job: Job) -> None:
    """Run a claimed job and write how it ended.

    A database that gives way ends nothing: the job is taken up again after its lease.
    """
    try:
        with translation.override(job.language):
            _run_kind(job)
        _end(job, Job.State.DONE)
    except Cancelled:
        _end(job, Job.State.CANCELLED)
    except LeaseLost:
        logger.warning("the lease was lost", extra={"job": job.pk})
    except OperationalError:
        logger.warning(
            "the database gave way", extra={"job": job.pk, "count": job.tries}
        )
    except Refused as why:
        job.result["says"] = str(why)
        _end(job, Job.State.FAILED)
    except Exception:
        logger.exception("a job failed", extra={"job": job.pk})
        _end(job, Job.State.FAILED)


def _run_kind(job: Job) -> None:
    kind = job_kinds[job.kind]
    if not (job.user.is_active and job.user.has_perm(kind.permission)):
        raise Refused(_("You may not do this any more."))
    kind.run(job, Progress(job))


def _end(job: Job, state: Job.State) -> None:
    """Write how a job ended, if it is still ours; what it was to do is forgotten.

    Of a kind that keeps its work, what ``run`` left of it stays.
    """
    is_done = state == Job.State.DONE
    keeps = is_done and job_kinds[job.kind].keeps_work
    ended = partial(
        held(job).update,
        state=state,
        done=job.done,
        total=job.done if is_done else job.total,
        result=job.result,
        ended_at=timezone.now(),
        lease_token=None,
        lease_until=None,
        work=job.work if keeps else {},
    )
    if not persistently(ended, f"job {job.pk}: ending"):
        logger.warning("the lease was lost", extra={"job": job.pk})


def sweep_jobs() -> int:
    """Give up jobs that died too often and forget what is old; return how many."""
    now = timezone.now()
    died = Job.objects.filter(
        state=Job.State.RUNNING, lease_until__lte=now, tries__gte=MOST_TRIES
    )
    ended = Job.objects.filter(state__in=Job.ENDED)
    kept = ended.filter(ended_at__lte=now - KEEP_WORK).exclude(work={})
    old = ended.filter(ended_at__lte=now - KEEP)
    count = 0
    for pk in died.values_list("pk", flat=True):
        count += died.filter(pk=pk).update(
            state=Job.State.FAILED, ended_at=now, work={}, lease_token=None
        )
        logger.error("a job failed: its worker was lost each time", extra={"job": pk})
    # Looking first: on SQLite a change of nothing still waits for the write lock.
    if kept.exists():
        count += kept.update(work={})
    return count + delete_found(old)
