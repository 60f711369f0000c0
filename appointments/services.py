"""Every write to visits: book, move, confirm, cancel, and what each must tell."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Clinician, Site, User
from appointments.events import note_event, record_change, snapshot
from appointments.models import LINK_PURPOSE, Appointment, VisitType
from appointments.planner import LAST_CALL, plan_reminders
from core.dates import written
from core.time import to_local, to_utc, tzdata_version, zone
from messaging.models import Notice
from messaging.services import promise, supersede
from patients.links.services import expire_links_at
from patients.models import Patient
from patients.services import add_to_site
from worklist.services import close_by_rule

State = Appointment.State


@transaction.atomic
def book_appointment(
    *,
    patient: Patient,
    clinician: Clinician,
    site: Site,
    visit_type: VisitType,
    local_start: datetime,
    by: User | None,
    tell: bool,
    minutes: int | None = None,
    overbooked: bool = False,
    confidential: bool = False,
    plan: bool = True,
    **imported: Any,
) -> Appointment:
    """Book a visit; ``local_start`` is naive wall time at the site.

    Whose visit is at a site is a patient of it: its staff must see who comes. Of a
    ``confidential`` one nobody is told but the patient.

    ``tell`` sends the patient a text of it; without it they are taken to know, unless
    the visit is ``imported`` (source, external_id, last_imported). Without ``plan`` the
    caller plans the reminders of many visits at once, in the same transaction. Raises
    ``ValidationError`` when the clinician or the patient is busy, the time does not
    exist, or is past.
    """
    appointment = Appointment(
        patient=patient,
        clinician=clinician,
        visit_type=visit_type,
        overbooked=overbooked,
        confidential=confidential,
        version_at=timezone.now(),
        **imported,
    )
    _set_time(appointment, site, local_start, minutes or visit_type.minutes)
    if not imported:
        _refuse_past(appointment)
        if not tell:
            appointment.note_told()
    _save_if_free(appointment)
    note_event(appointment, "booked", by=by)
    add_to_site(patient=patient, site=site)
    if tell:
        _tell(appointment, "visit_booked", "visit_booked")
    if plan:
        plan_reminders([appointment.pk])
    return appointment


@transaction.atomic
def move_appointment(
    *,
    appointment_id: int,
    by: User | None,
    local_start: datetime | None = None,
    clinician: Clinician | None = None,
    site: Site | None = None,
    minutes: int | None = None,
    plan: bool = True,
    **imported: Any,
) -> Appointment:
    """Move a visit to another start, clinician or site; locks it, raises its version.

    What was promised for the old version is taken back, and a patient who was told of
    it is told of the change. Moving to where it already is changes nothing. ``plan`` is
    as in ``book_appointment``.
    """
    appointment = _lock(appointment_id)
    before, type_before = snapshot(appointment), appointment.visit_type_id
    for name, value in imported.items():
        setattr(appointment, name, value)
    appointment.clinician = clinician or appointment.clinician
    _set_time(
        appointment,
        site or appointment.site,
        local_start or appointment.local_start,
        minutes or _minutes(appointment),
    )
    if snapshot(appointment) == before:
        appointment.save()
        if appointment.visit_type_id != type_before:
            record_change(appointment, "changed", ["visit_type"], by=by)
        return appointment
    if not appointment.is_ahead:
        raise ValidationError(_("This visit can no longer be moved."))
    if not imported:
        _refuse_past(appointment)
    appointment.version += 1
    appointment.version_at = timezone.now()
    appointment.state = State.BOOKED
    _save_if_free(appointment)
    note_event(appointment, "moved", by=by, before=before)
    add_to_site(patient=appointment.patient, site=appointment.site)
    expire_links_at(
        purpose=LINK_PURPOSE,
        subject_id=appointment.pk,
        expires_at=appointment.link_until,
    )
    heard = _has_heard(appointment)
    untold = _take_back(appointment, gettext_noop("the visit was moved"))
    if untold or (heard and not appointment.is_as_told):
        text = "visit_changed" if heard else "visit_booked"
        _tell(appointment, text, text)
    if plan:
        plan_reminders([appointment.pk])
    return appointment


@transaction.atomic
def fit_in_appointment(*, appointment_id: int) -> bool:
    """Take an overbooked visit as a plain one if there is room by now; return whether.

    A calendar moved as a whole is double booked only until its last visit has moved.
    """
    appointment = _lock(appointment_id)
    appointment.overbooked = False
    try:
        _save_if_free(appointment)
    except ValidationError:
        return False
    record_change(appointment, "changed", ["overbooked"])
    return True


@transaction.atomic
def cancel_appointment(
    *,
    appointment_id: int,
    by: User | None,
    by_patient: bool = False,
    tell: bool = True,
    **imported: Any,
) -> Appointment:
    """Cancel a visit; a patient who was told of it and did not ask for it is told."""
    appointment = _lock(appointment_id)
    for name, value in imported.items():
        setattr(appointment, name, value)
    if appointment.state == State.CANCELLED:
        appointment.save()
        return appointment
    if not appointment.is_ahead:
        raise ValidationError(_("This visit can no longer be cancelled."))
    before = snapshot(appointment)
    heard = _has_heard(appointment)
    appointment.state = State.CANCELLED
    appointment.version += 1
    appointment.version_at = timezone.now()
    appointment.save()
    note_event(appointment, "cancelled", by=by, before=before, by_patient=by_patient)
    _take_back(appointment, gettext_noop("the visit was cancelled"))
    if tell and heard and not by_patient and appointment.starts_at > timezone.now():
        _tell(appointment, "visit_changed", "visit_cancelled")
    return appointment


@transaction.atomic
def confirm_appointment(
    *, appointment_id: int, by: User | None = None, by_patient: bool = False
) -> bool:
    """Confirm a visit that is ahead; return whether that changed anything."""
    appointment = _lock(appointment_id)
    if appointment.state != State.BOOKED or appointment.starts_at <= timezone.now():
        return False
    appointment.state = State.CONFIRMED
    appointment.save(update_fields=["state"])
    note_event(appointment, "confirmed", by=by, by_patient=by_patient)
    _settle_work(appointment, gettext_noop("the visit was confirmed"))
    return True


#: What the desk may say a visit has become, and from which states.
_DESK_STEPS = {
    State.ARRIVED: (State.BOOKED, State.CONFIRMED),
    State.DONE: (State.BOOKED, State.CONFIRMED, State.ARRIVED),
    State.NOSHOW: (State.BOOKED, State.CONFIRMED),
}
#: What then settles the work about the visit.
_SETTLED_BY = {
    State.ARRIVED: gettext_noop("the patient has arrived"),
    State.DONE: gettext_noop("the visit took place"),
    State.NOSHOW: gettext_noop("the patient did not come"),
}


@transaction.atomic
def mark_appointment(
    *, appointment_id: int, state: Appointment.State, by: User | None, **imported: Any
) -> Appointment:
    """Note that the patient arrived, was seen, or did not come."""
    appointment = _lock(appointment_id)
    for name, value in imported.items():
        setattr(appointment, name, value)
    if appointment.state != state:
        if appointment.state not in _DESK_STEPS[state]:
            raise ValidationError(
                _("A visit that is %(state)s cannot become that.")
                % {"state": appointment.get_state_display().lower()}
            )
        before = snapshot(appointment)
        appointment.state = state
        note_event(appointment, state.value, by=by, before=before)
        _settle_work(appointment, _SETTLED_BY[state])
    appointment.save()
    return appointment


def _set_time(
    appointment: Appointment, site: Site, local_start: datetime, minutes: int
) -> None:
    where = zone(site.zone)
    starts_at = to_utc(local_start, where)
    shown = to_local(starts_at, where).replace(tzinfo=None)
    if shown != local_start:
        missing = _("The clocks change that night: %(time)s does not exist.")
        raise ValidationError(
            {"local_start": missing % {"time": written(local_start.time(), "clock")}}
        )
    appointment.site, appointment.zone = site, site.zone
    appointment.local_date, appointment.local_time = shown.date(), shown.time()
    appointment.tzdata = tzdata_version()
    appointment.starts_at = starts_at
    appointment.ends_at = starts_at + timedelta(minutes=minutes)


def _minutes(appointment: Appointment) -> int:
    return int((appointment.ends_at - appointment.starts_at).total_seconds() // 60)


def _refuse_past(appointment: Appointment) -> None:
    if appointment.starts_at <= timezone.now():
        raise ValidationError({"local_start": _("This time is past.")})


def _save_if_free(appointment: Appointment) -> None:
    """Save unless somebody is busy then.

    On SQLite the transaction holds the only write lock, so looking is enough. On
    PostgreSQL the clinician's and the patient's rows are locked, in this order, until
    the transaction ends: two that insert at once would each wait for the other's entry
    in the exclusion constraint. That constraint has the last word.
    """
    for person in (appointment.clinician, appointment.patient):
        rows = type(person)._default_manager.select_for_update(no_key=True)
        rows.get(pk=person.pk)
    busy = ValidationError(
        {
            "local_start": _("%(clinician)s is not free then.")
            % {"clinician": appointment.clinician}
        }
    )
    if appointment.state in Appointment.LIVE and not appointment.overbooked:
        then = (
            Appointment.objects.live()
            .filter(
                overbooked=False,
                starts_at__lt=appointment.ends_at,
                ends_at__gt=appointment.starts_at,
            )
            .exclude(pk=appointment.pk)
        )
        if then.filter(clinician=appointment.clinician).exists():
            raise busy
        if then.filter(patient=appointment.patient).exists():
            raise ValidationError(
                {"local_start": _("The patient has another visit then.")}
            )
    try:
        with transaction.atomic():
            appointment.save()
    except IntegrityError as error:
        if "appointment_no_" not in str(error):
            raise
        raise busy from error


def _lock(appointment_id: int) -> Appointment:
    """Lock a visit, then read it with its people.

    Not in one query: PostgreSQL joins what it saw before it waited, and finds no row
    when the clinician has changed meanwhile.
    """
    Appointment.objects.select_for_update().get(pk=appointment_id)
    return Appointment.objects.select_related(
        "patient", "clinician", "site", "visit_type"
    ).get(pk=appointment_id)


def _has_heard(appointment: Appointment) -> bool:
    """Whether the patient was, or may have been, told anything of this visit."""
    return appointment.told_start is not None


def _take_back(appointment: Appointment, why: str) -> bool:
    """Take back what was promised of older versions; return whether that leaves the
    patient without word.

    What was on its way, or with staff because it did not arrive, proves nothing: they
    count as not having heard. What was only planned is missed by nobody who had.
    """
    taken_back = supersede(
        cause_kind="appointment",
        cause_id=appointment.pk,
        below_version=appointment.version,
        why=why,
    )
    _settle_work(appointment, why)
    heard = _has_heard(appointment)
    news = [n for n in taken_back if n.purpose in ("visit_booked", "visit_changed")]
    unproven = any(n.state == Notice.State.WITH_STAFF for n in taken_back) or any(
        n.state == Notice.State.OPEN for n in news
    )
    if unproven:
        appointment.told_start = appointment.told_site = None
        appointment.told_clinician = None
        appointment.save()
    return unproven or (bool(news) and not heard)


def _settle_work(appointment: Appointment, rule: str) -> None:
    close_by_rule(
        subject_kind="appointment",
        subject_id=appointment.pk,
        rule=rule,
        unclaimed=True,
    )


def _tell(appointment: Appointment, purpose: str, template_key: str) -> Notice:
    """Promise the patient a word about this version, useful until they set out."""
    now = timezone.now()
    return promise(
        purpose=purpose,
        template_key=template_key,
        cause_kind="appointment",
        cause_id=appointment.pk,
        cause_version=appointment.version,
        dedupe_key=f"visit:{appointment.pk}:v{appointment.version}:{template_key}",
        # A visit within the hour: still worth a text, and then a call at once.
        deadline=max(
            min(appointment.starts_at - LAST_CALL, now + timedelta(hours=24)),
            now + timedelta(minutes=10),
        ),
        zone=appointment.patient.zone or appointment.zone,
        patient=appointment.patient,
        confidential=appointment.confidential,
    )
