"""Telling whoever is on duty that something cannot wait."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Site
from messaging.models.notice import Notice


class DutyAlert(models.Model):
    """One person was told that urgent work waits, and may take note with a tap.

    The text names nobody: "1 red waiting" and a link. Nobody taking note in time, the
    next one is told: on duty, backup, managers.
    """

    class Step(models.TextChoices):
        DUTY = "duty", _("On duty")
        BACKUP = "backup", _("Backup")
        MANAGER = "manager", _("Manager")

    site = models.ForeignKey(
        Site, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="duty_alerts"
    )
    step = models.CharField(max_length=8, choices=Step)
    #: Work items by number: what was waiting when they were told.
    items = models.JSONField(default=list)
    notice = models.OneToOneField(
        Notice, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    token_hash = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField()
    until = models.DateTimeField(help_text=_("Unanswered then, the next one is told."))
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    passed_on_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the next one was told instead.")
    )

    class Meta:
        indexes = [
            # Alerts nobody has answered yet.
            models.Index(
                fields=["until"],
                condition=models.Q(acknowledged_at=None, passed_on_at=None),
                name="duty_alert_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.step} {self.user_id} {self.at:%Y-%m-%d %H:%M}Z"
