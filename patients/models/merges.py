"""Two records of one person made one, so that it can be undone."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from patients.models.people import Patient


class PatientMerge(AboutPatient):
    """What was done to make two records one; enough to restore both."""

    about = "kept_id"

    kept = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="merges")
    lost = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+")
    snapshot = models.JSONField(help_text=_("Both profiles as they were."))
    moved = models.JSONField(help_text=_("{table: ids of the rows that moved}"))
    dropped = models.JSONField(
        default=dict, help_text=_("{table: rows that the kept record had already}")
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField()
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("merge")
        verbose_name_plural = _("merges")

    def __str__(self) -> str:
        return f"{self.lost_id} into {self.kept_id}"


class NotTheSame(AboutPatient):
    """Two records that look alike and that somebody found to be two people."""

    about = "patient_id"

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="+")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("two people")
        verbose_name_plural = _("two people")
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "other"], name="not_the_same_once"
            ),
            models.CheckConstraint(
                condition=models.Q(patient__lt=models.F("other")),
                name="not_the_same_lower_first",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.other_id}"
