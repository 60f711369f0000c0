"""Who is told when something cannot wait."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.places import Site


class Duty(models.Model):
    """Somebody answers for a site's urgent work from one instant to another.

    A handover ends one row and begins the next; two may overlap, and both are told.
    """

    site = models.ForeignKey(
        Site,
        on_delete=models.CASCADE,
        related_name="duties",
        verbose_name=_("site"),
        help_text=_("Whose urgent work it is."),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="duties",
        verbose_name=_("on duty"),
        help_text=_("Who is told first."),
    )
    backup = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("backup"),
        help_text=_("Who is told when nobody has taken note in time."),
    )
    starts_at = models.DateTimeField(_("from"), help_text=_("From when."))
    ends_at = models.DateTimeField(_("until"), help_text=_("Until when."))

    class Meta:
        verbose_name = _("duty")
        verbose_name_plural = _("duty roster")
        ordering = ["starts_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="duty_ends_after_it_starts",
            )
        ]
        indexes = [
            # Who is on duty now.
            models.Index(fields=["site", "ends_at"], name="duty_of_site")
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.site})"
