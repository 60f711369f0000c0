"""Taking somebody's record out, or erasing it, as long work of a manager's.

What is taken out waits a day in the job's own row, encrypted, for whoever started it.
"""

import base64
import uuid

from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit.record import record
from accounts.crypto import decrypt, encrypt
from accounts.jobs import KEEP_WORK, JobKind, Progress, Refused, job_kinds, start_job
from accounts.models import AuditEvent, Job, User
from patients.access import get_patient
from patients.erasing import ERASE_JOB, EXPORT_JOB, erase_patient
from patients.exporting import as_zip, export_patient
from patients.models import Patient

#: What the archive's key is for (``accounts.crypto``).
_USE = "patients.record"


def start_export(*, patient: Patient, user: User, client_key: uuid.UUID | None) -> Job:
    """Start to put together everything about a patient."""
    return start_job(
        kind=EXPORT_JOB,
        user=user,
        work={"patient": patient.pk},
        client_key=client_key,
    )


def start_erasing(
    *, patient: Patient, reason: str, user: User, client_key: uuid.UUID | None
) -> Job:
    """Start to erase a patient."""
    return start_job(
        kind=ERASE_JOB,
        user=user,
        work={"patient": patient.pk, "reason": reason},
        client_key=client_key,
    )


def open_archive(*, job_id: int, user: User) -> tuple[Patient, bytes]:
    """Return what this user's job put together, and whose it is; writes that it left.

    Out of reach, not theirs, not ready or over a day old answers as not there (404).
    Four queries, one insert.
    """
    job = Job.objects.filter(
        pk=job_id,
        user=user,
        kind=EXPORT_JOB,
        state=Job.State.DONE,
        ended_at__gt=timezone.now() - KEEP_WORK,
    ).first()
    if job is None or "file" not in job.work:
        raise Http404
    patient = get_patient(user, job.work["patient"], at_own_site=True)
    record(
        AuditEvent.Verb.EXPORT,
        patient_ids=[patient.pk],
        opened=[patient.pk],
        subject=f"job:{job.pk}",
    )
    return patient, base64.b64decode(decrypt(job.work["file"], use=_USE))


def _of_job(job: Job) -> Patient:
    """Return a job's patient while its owner may still reach them."""
    patient = (
        Patient.objects.at_sites_of(job.user).filter(pk=job.work["patient"]).first()
    )
    if patient is None:
        raise Refused(_("They are no patient of your sites any more."))
    return patient


def _export(job: Job, progress: Progress) -> None:
    """Put everything about a patient together; begun anew, it is made anew."""
    files = export_patient(patient_id=_of_job(job).pk, by=job.user)
    archive = base64.b64encode(as_zip(files)).decode()
    job.work = {"patient": job.work["patient"], "file": encrypt(archive, use=_USE)}
    job.result = {"files": len(files)}
    progress(1, 1)


def _erase(job: Job, progress: Progress) -> None:
    """Erase a patient; begun anew, it finds them erased."""
    pk = job.work["patient"]
    if not Patient.objects.filter(pk=pk).exclude(erased_at=None).exists():
        _of_job(job)
        try:
            erase_patient(patient_id=pk, reason=job.work["reason"], by=job.user)
        except ValidationError as why:
            raise Refused(" ".join(why.messages)) from why
    job.result = {"patient": pk}
    progress(1, 1)


def _until(job: Job) -> dict[str, object]:
    """Return until when what was taken out can be fetched; an instant."""
    until = (job.ended_at or timezone.now()) + KEEP_WORK
    return {"until": until, "is_there": until > timezone.now()}


job_kinds.add(
    EXPORT_JOB,
    JobKind(
        title=_("Everything about a patient"),
        run=_export,
        permission="patients.export_patient",
        template="patients/record_exported.html",
        page="patients:patient_list",
        context=_until,
        keeps_work=True,
    ),
)
job_kinds.add(
    ERASE_JOB,
    JobKind(
        title=_("Erasing a patient's record"),
        run=_erase,
        permission="patients.export_patient",
        template="patients/record_erased.html",
        page="patients:patient_list",
    ),
)
