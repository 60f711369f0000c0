"""What visits keep about people, for their export and their erasing.

The visit stays, without anybody's name: a clinic counts its days.
"""

from datetime import date, datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.audit.vocabulary import CODES
from accounts.models import User
from appointments.models import Appointment, AppointmentEvent
from appointments.services import cancel_appointment
from core.sayings import told
from messaging.models import Message
from patients.erasing import erase_patient
from patients.models import Note, Patient
from patients.personal import Personal, Whose, personal
from patients.recipients import OF_AGE
from patients.retention import Retention, retention

#: Why a record went by itself, as the audit trail says.
UNSEEN = gettext_noop("Not seen for as long as records are kept.")


def _settle(whose: Whose, by: User | None) -> None:
    """Cancel what lies ahead and tell nobody; refuse while somebody is in the house."""
    visits = Appointment.objects.filter(patient__in=whose.ids)
    if visits.filter(state=Appointment.State.ARRIVED).exists():
        raise ValidationError(_("They have arrived for a visit that is not over."))
    ahead = visits.filter(state__in=Appointment.AHEAD).order_by("pk")
    for pk in ahead.values_list("pk", flat=True):
        cancel_appointment(appointment_id=pk, by=by, tell=False)


def _unseen(cutoff: datetime) -> QuerySet[Patient]:
    """Return patients with no visit, note or text of theirs since a moment.

    A child's time begins at eighteen. Without a birth date somebody may have been one
    when they came.
    """
    day = cutoff.date()
    born = date(day.year - OF_AGE, day.month, min(day.day, 28))
    long_ago = cutoff - timedelta(days=OF_AGE * 366)
    this = OuterRef("pk")
    since = (
        Appointment.objects.filter(patient=this, starts_at__gte=cutoff),
        Note.objects.filter(patient=this, signed_at__gte=cutoff),
        Message.objects.filter(
            patient=this, at__gte=cutoff, direction=Message.Direction.IN
        ),
    )
    return Patient.objects.filter(
        Q(birth_date__lte=born) | Q(birth_date=None, created_at__lt=long_ago),
        *(~Exists(rows) for rows in since),
        created_at__lt=cutoff,
        merged_into=None,
        erased_at=None,
    )


def _erase(ids: list[int]) -> int:
    """Erase these, but for those where a person has to end something first."""
    count = 0
    for pk in ids:
        try:
            with transaction.atomic():
                erase_patient(patient_id=pk, reason=UNSEEN, by=None)
        except ValidationError:
            continue
        count += 1
    return count


def register_retention() -> None:
    """Name how long a record may be kept of somebody who does not come any more."""
    retention.add(
        "patients_unseen",
        Retention(
            title=gettext_lazy("Patients not seen any more"),
            goes=gettext_lazy(
                "The whole record is erased. Visits stay, without a name."
            ),
            due=_unseen,
            apply=_erase,
            patient="",
            days=3653,
            least=3653,
            source=gettext_lazy(
                "Ten years, as 42 CFR 422.504(d) asks of those paid by Medicare "
                "Advantage; a child's begin at eighteen. Ask what your state demands."
            ),
            # Each is a transaction of many statements.
            batch=5,
        ),
    )


def register() -> None:
    """Name what our tables keep."""
    personal.add(
        "appointment",
        Personal(
            title=gettext_lazy("Visits"),
            model=Appointment,
            rows=lambda whose: Appointment.objects.filter(patient__in=whose.ids),
            # The other calendar's number would lead to the name there.
            blanks={"external_id": "", "last_imported": None},
            keeps=frozenset({"zone", "tzdata", "state", "source"}),
            hides=frozenset({"tzdata", "last_imported", "version_at", "patient"}),
            settle=_settle,
        ),
    )
    personal.add(
        "appointment_event",
        Personal(
            title=gettext_lazy("What happened to visits"),
            model=AppointmentEvent,
            rows=lambda whose: AppointmentEvent.objects.filter(
                appointment__patient__in=whose.ids
            ),
            keeps=frozenset({"what", "before", "after"}),
            reads={"what": lambda event: CODES.get(event.what) or told(event.what)},
        ),
    )
