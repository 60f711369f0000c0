"""Visits: what is booked with whom, when, and how it has changed."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from accounts.models import Clinician, Site, User, Weekday, validate_zone
from core.dates import written
from patients.models import Patient

#: What a patient's link to a visit is for.
LINK_PURPOSE = "visit"


class VisitType(models.Model):
    """A kind of visit: how long it takes and what reminders it brings."""

    name = models.CharField(
        _("name"),
        max_length=80,
        unique=True,
        help_text=_("What it is really for, as clinical staff know it."),
    )
    discreet_name = models.CharField(
        _("discreet name"),
        max_length=40,
        default="visit",
        blank=True,
        help_text=_(
            "What the front desk, print and texts call it. "
            "Leave empty only where the name itself tells nothing of anybody's health. "
            "Two types of one length need two, or the desk cannot tell them apart."
        ),
    )
    minutes = models.PositiveSmallIntegerField(
        _("minutes"), default=20, help_text=_("How long it takes.")
    )
    buffer = models.PositiveSmallIntegerField(
        _("minutes kept free after it"), default=0
    )
    clinicians = models.ManyToManyField(
        Clinician,
        blank=True,
        related_name="visit_types",
        help_text=_("Who offers it; empty means everybody."),
    )
    active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Can be booked; what is booked already stays."),
    )

    class Meta:
        verbose_name = _("visit type")
        verbose_name_plural = _("visit types")
        ordering = ["name"]
        permissions = [("view_visit_name", "Can see what a visit is really for")]

    def __str__(self) -> str:
        return self.discreet

    @property
    def discreet(self) -> str:
        """What everybody may read: the front desk, a sheet of paper, a text."""
        return self.discreet_name or self.name

    def name_for(self, user: User | AnonymousUser) -> str:
        """Return the name this user may see; templates say ``|name_for:user``."""
        if user.has_perm("appointments.view_visit_name"):
            return self.name
        return self.discreet


class CadenceStep(models.Model):
    """When a patient is reminded: so many days before, at the same wall time."""

    visit_type = models.ForeignKey(
        VisitType, on_delete=models.CASCADE, related_name="cadence"
    )
    days_before = models.PositiveSmallIntegerField(
        _("days before"),
        help_text=_("At the visit's own time of day, so many days before it."),
    )

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        ordering = ["visit_type", "-days_before"]
        constraints = [
            models.UniqueConstraint(
                fields=["visit_type", "days_before"], name="cadence_step_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(days_before__gte=1),
                name="cadence_step_at_least_a_day_before",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.days_before} d"


class BookableHours(models.Model):
    """When a clinician may be booked at a site; wall time of the site."""

    clinician = models.ForeignKey(
        Clinician,
        on_delete=models.CASCADE,
        related_name="bookable_hours",
        verbose_name=_("clinician"),
        help_text=_("Whose hours these are."),
    )
    site = models.ForeignKey(
        Site,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("site"),
        help_text=_("Where they are then."),
    )
    weekday = models.PositiveSmallIntegerField(
        _("weekday"), choices=Weekday, help_text=_("Every week.")
    )
    opens = models.TimeField(_("from"), help_text=_("The clock of the site."))
    closes = models.TimeField(
        _("to"), help_text=_("A visit outside is booked with a warning.")
    )

    class Meta:
        verbose_name = _("bookable hours")
        verbose_name_plural = _("bookable hours")
        ordering = ["clinician", "weekday", "opens"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(closes__gt=models.F("opens")),
                name="bookable_hours_close_after_they_open",
            )
        ]

    def __str__(self) -> str:
        span = f"{written(self.opens, 'clock')}–{written(self.closes, 'clock')}"
        return f"{self.get_weekday_display()} {span}"


class AppointmentQuerySet(models.QuerySet["Appointment"]):
    """Named filters."""

    def live(self) -> "AppointmentQuerySet":
        """Return visits that are going to take place, or are taking place."""
        return self.filter(state__in=Appointment.LIVE)


class Appointment(AboutPatient):
    """A visit. ``version`` rises when its start, site or clinician changes.

    ``booked ──► confirmed ──► arrived ──► done``, or ``cancelled``, or ``noshow``.
    The local start and its zone are the truth; the UTC instants follow from them and
    ``tzdata`` says by which rules.
    """

    class State(models.TextChoices):
        BOOKED = "booked", _("Booked")
        CONFIRMED = "confirmed", _("Confirmed")
        ARRIVED = "arrived", _("Arrived")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", _("Cancelled")
        NOSHOW = "noshow", _("Did not come")

    LIVE = (State.BOOKED, State.CONFIRMED, State.ARRIVED)
    #: May still be moved, cancelled, confirmed or reminded of.
    AHEAD = (State.BOOKED, State.CONFIRMED)

    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="appointments"
    )
    clinician = models.ForeignKey(
        Clinician, on_delete=models.PROTECT, related_name="appointments"
    )
    site = models.ForeignKey(
        Site, on_delete=models.PROTECT, related_name="appointments"
    )
    visit_type = models.ForeignKey(
        VisitType, on_delete=models.PROTECT, related_name="appointments"
    )
    local_date = models.DateField()
    local_time = models.TimeField()
    zone = models.CharField(max_length=50, validators=[validate_zone])
    tzdata = models.CharField(max_length=12)
    starts_at = models.DateTimeField(help_text=_("UTC, first occurrence."))
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.BOOKED)
    version = models.PositiveIntegerField(default=1)
    version_at = models.DateTimeField(
        help_text=_("When this version came to be; reminders before it are past.")
    )
    told_start = models.DateTimeField(
        null=True, blank=True, help_text=_("The start the patient was last told.")
    )
    told_site = models.ForeignKey(
        Site, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    told_clinician = models.ForeignKey(
        Clinician, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    overbooked = models.BooleanField(default=False)
    confidential = models.BooleanField(
        _("confidential"),
        default=False,
        help_text=_("Nobody but the patient is told of it, not even a parent."),
    )
    source = models.CharField(max_length=40, blank=True)
    external_id = models.CharField(max_length=120, blank=True)
    last_imported = models.JSONField(
        null=True, blank=True, help_text=_("The last row of the other calendar.")
    )

    objects = AppointmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="appointment_ends_after_it_starts",
            ),
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~models.Q(external_id=""),
                name="appointment_imported_once",
            ),
        ]
        indexes = [
            # The day view, and whether a clinician is free.
            models.Index(fields=["clinician", "starts_at"], name="visit_of_clinician"),
            models.Index(fields=["site", "local_date"], name="visit_of_day"),
            # The patient's page, and whether the patient is free.
            models.Index(fields=["patient", "starts_at"], name="visit_of_patient"),
            # The planner.
            models.Index(
                fields=["starts_at"],
                condition=models.Q(state__in=["booked", "confirmed"]),
                name="visit_ahead",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.patient} {self.local_date} {self.local_time:%H:%M}"

    def note_told(self) -> None:
        """Note, unsaved, that the patient has heard of the visit as it now stands."""
        self.told_start = self.starts_at
        self.told_site, self.told_clinician = self.site, self.clinician

    @property
    def is_as_told(self) -> bool:
        """Whether the patient last heard of it just as it now stands."""
        return (self.told_start, self.told_site_id, self.told_clinician_id) == (
            self.starts_at,
            self.site_id,
            self.clinician_id,
        )

    @property
    def local_start(self) -> datetime:
        """The start as clocks at the site show it, naive."""
        return datetime.combine(self.local_date, self.local_time)

    @property
    def link_until(self) -> datetime:
        """Until when a patient's link to it works: a day longer than the visit."""
        return self.ends_at + timedelta(days=1)

    @property
    def is_ahead(self) -> bool:
        """Whether it may still be moved, cancelled or confirmed."""
        return self.state in self.AHEAD


class AppointmentEvent(models.Model):
    """What happened to a visit, append-only."""

    appointment = models.ForeignKey(
        Appointment, on_delete=models.CASCADE, related_name="events"
    )
    version = models.PositiveIntegerField()
    what = models.CharField(max_length=12, help_text=_("booked, moved, confirmed…"))
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    by_patient = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.what} v{self.version}"
