"""Long work: how far it is, what came of it, and one's own of late."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.jobs import cancel_job, job_kinds
from accounts.models import Job
from accounts.once import once
from accounts.policies import SIGNED_IN, policy

#: How many of one's own jobs the list shows; older ones are forgotten after 30 days.
SHOWN = 50


@policy(SIGNED_IN, "GET")
def job_list(request: StaffRequest) -> HttpResponse:
    """List one's own jobs, the newest first; one query."""
    jobs = request.user.jobs.defer("work", "result").order_by("-created_at", "-id")
    rows = [(job, job_kinds[job.kind]) for job in jobs[:SHOWN] if job.kind in job_kinds]
    return render(request, "accounts/job_list.html", {"rows": rows})


@policy(SIGNED_IN, "GET")
def job_detail(request: StaffRequest, pk: int) -> HttpResponse:
    """Show how far a job is, or what came of it; it looks again by itself."""
    return render(request, "accounts/job_detail.html", _shown(_job_of(request, pk)))


@policy(SIGNED_IN, "GET", polled=True)
def job_progress(request: StaffRequest, pk: int) -> HttpResponse:
    """Answer the page of a job, which asks every two seconds until it has ended."""
    return render(request, "accounts/job_progress.html", _shown(_job_of(request, pk)))


@policy(SIGNED_IN, "POST")
@once
def job_cancel(request: StaffRequest, pk: int) -> HttpResponse:
    """Stop a job; one under way stops at its next step."""
    job = _job_of(request, pk)
    cancel_job(job=job)
    if job.has_ended:
        messages.info(request, _("It had ended already."))
    return redirect("job_detail", pk=job.pk)


def _job_of(request: StaffRequest, pk: int) -> Job:
    """Return a job of this user's who may still do its kind, else 404; two queries."""
    known = [key for key, _kind in job_kinds]
    jobs = Job.objects.defer("work").filter(kind__in=known, user=request.user)
    job = get_object_or_404(jobs, pk=pk)
    if not request.user.has_perm(job_kinds[job.kind].permission):
        raise Http404
    return job


def _shown(job: Job) -> dict[str, Any]:
    kind = job_kinds[job.kind]
    more = kind.context(job) if job.has_ended else {}
    return {"job": job, "kind": kind, **more}
