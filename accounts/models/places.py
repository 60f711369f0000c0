"""Where patients are seen, in which languages, and when somebody answers."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.dates import written
from core.time import is_zone


def validate_zone(name: str) -> None:
    """Refuse a name that is no IANA time zone."""
    if not is_zone(name):
        raise ValidationError(
            _("%(name)s is not a time zone, such as America/New_York."),
            params={"name": name},
        )


class Language(models.TextChoices):
    """What patients are written to in, and what pages speak (``LANGUAGES``)."""

    ENGLISH = "en", _("English")
    SPANISH = "es", _("Spanish")


class Site(models.Model):
    """A place where patients are seen; it has the phone number they know."""

    name = models.CharField(
        _("name"),
        max_length=80,
        unique=True,
        help_text=_("As staff and patients know it, such as Harbour Clinic."),
    )
    place = models.CharField(
        _("place in texts"),
        max_length=30,
        help_text=_("How a text names where to come, such as Pier St."),
    )
    neutral_name = models.CharField(
        _("neutral name"),
        max_length=40,
        blank=True,
        help_text=_(
            "Who writes to patients whose safe contact plan keeps the clinic's name "
            "out of sight, such as Pier St office. Empty: the place."
        ),
    )
    zone = models.CharField(
        _("time zone"),
        max_length=50,
        validators=[validate_zone],
        help_text=_("IANA name, such as America/New_York."),
    )
    region = models.CharField(
        _("phone region"),
        max_length=2,
        default="US",
        help_text=_("Numbers written without a country code are read as of here."),
    )
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=Language,
        default=Language.ENGLISH,
        help_text=_("Of new patients here, until they say another one."),
    )
    phone = models.CharField(
        _("phone"),
        max_length=24,
        help_text=_("As patients should read it, such as 617 555 0100."),
    )
    emergency_number = models.CharField(
        _("emergency number"),
        max_length=12,
        default="911",
        help_text=_("What a text tells somebody to ring who may be in danger."),
    )
    crisis_number = models.CharField(
        _("crisis number"),
        max_length=12,
        default="988",
        help_text=_("What a text names to somebody who may hurt themselves."),
    )
    after_hours_plan = models.TextField(
        _("after-hours plan"),
        blank=True,
        help_text=_("Who answers for the clinic while it is closed, and how."),
    )

    class Meta:
        verbose_name = _("site")
        verbose_name_plural = _("sites")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def discreet(self) -> str:
        """Who writes to somebody whom a text from a clinic would put at risk."""
        return self.neutral_name or self.place


class Weekday(models.IntegerChoices):
    """Days as ``date.weekday`` counts them."""

    MONDAY = 0, _("Monday")
    TUESDAY = 1, _("Tuesday")
    WEDNESDAY = 2, _("Wednesday")
    THURSDAY = 3, _("Thursday")
    FRIDAY = 4, _("Friday")
    SATURDAY = 5, _("Saturday")
    SUNDAY = 6, _("Sunday")


class StaffedHours(models.Model):
    """Hours in which somebody at a site reads and answers; wall time of the site."""

    site = models.ForeignKey(
        Site, on_delete=models.CASCADE, related_name="staffed_hours"
    )
    weekday = models.PositiveSmallIntegerField(
        _("weekday"),
        choices=Weekday,
        help_text=_("A day with a break has two rows."),
    )
    opens = models.TimeField(
        _("opens"), help_text=_("From when somebody reads and answers.")
    )
    closes = models.TimeField(_("closes"), help_text=_("Until when."))

    class Meta:
        verbose_name = _("staffed hours")
        verbose_name_plural = _("staffed hours")
        ordering = ["site", "weekday", "opens"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(closes__gt=models.F("opens")),
                name="staffed_hours_close_after_they_open",
            ),
            models.UniqueConstraint(
                fields=["site", "weekday", "opens"], name="staffed_hours_unique"
            ),
        ]

    def __str__(self) -> str:
        span = f"{written(self.opens, 'clock')}–{written(self.closes, 'clock')}"
        return f"{self.get_weekday_display()} {span}"
