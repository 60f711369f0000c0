"""What becomes of visits when their patient dies, or leaves a site."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Site
from appointments.models import Appointment
from core.sayings import say, wall
from patients.models import Patient
from patients.registry import death_corrected, died, site_left
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

#: Somebody frees the slots, and rings who would have come along, within so long.
WITHIN = timedelta(hours=4)


@died.register("appointments")
def ask_to_cancel(patient: Patient) -> None:
    """Put the visits that still stand before the staff, as one item.

    They are not cancelled by themselves: somebody looks whether it is the right person,
    and nobody is texted of it. None without a visit ahead. Two queries.
    """
    close_by_rule(
        subject_kind="patient",
        subject_id=patient.pk,
        rule=gettext_noop("the patient has died"),
        kind="death_corrected",
        unclaimed=False,
    )
    _put_before_staff(
        patient,
        "died",
        gettext_noop("Has died. Cancel what still stands: %(visits)s"),
    )


@death_corrected.register("appointments")
def ask_to_tell(patient: Patient) -> None:
    """Put before the staff which visits the patient may not have been told of.

    What was taken back with the death is not promised anew: somebody rings and says
    that it was our mistake.
    """
    close_by_rule(
        subject_kind="patient",
        subject_id=patient.pk,
        rule=gettext_noop("the death was noted by mistake"),
        kind="died",
        unclaimed=False,
    )
    _put_before_staff(
        patient,
        "death_corrected",
        gettext_noop(
            "Was noted as dead by mistake, and all texts were taken back. Call, and "
            "tell them of: %(visits)s"
        ),
    )


@site_left.register("appointments")
def refuse_with_visits(patient: Patient, site: Site) -> None:
    """Keep a patient at a site where they still have a visit: its staff must see it."""
    if _ahead(patient).filter(site=site).exists():
        raise ValidationError(
            {
                "sites": _("They still have a visit at %(site)s. Move or cancel it.")
                % {"site": site}
            }
        )


def _put_before_staff(patient: Patient, kind: str, reason: str) -> None:
    visits = list(_ahead(patient).select_related("clinician", "site"))
    if not visits:
        return
    now = timezone.now()
    raise_item(
        kind=kind,
        severity=WorkItem.Severity.AMBER,
        reason=reason,
        reason_places={"visits": [_named(visit) for visit in visits]},
        subject_kind="patient",
        subject_id=patient.pk,
        # A death noted again after a correction is another one.
        dedupe_key=f"{kind}:{patient.pk}:{patient.version}",
        due_at=min(now + WITHIN, visits[0].starts_at),
        patient=patient,
        site=visits[0].site,
    )


def _ahead(patient: Patient) -> QuerySet[Appointment]:
    return Appointment.objects.filter(
        patient=patient, state__in=Appointment.AHEAD, starts_at__gt=timezone.now()
    ).order_by("starts_at", "id")


def _named(visit: Appointment) -> dict[str, Any]:
    return say(
        gettext_noop("%(when)s with %(clinician)s"),
        when=wall(visit.local_start),
        clinician=visit.clinician.name,
    )
