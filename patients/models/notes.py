"""Notes: signed text, never changed; what came later is a note of its own."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from patients.models.people import Patient


class Note(AboutPatient):
    """Something a member of staff wrote down about a patient and signed.

    A row is made by signing: what is not signed yet is a draft of its author alone
    (``accounts.drafts``). Triggers of the database keep it as it was signed; that it
    was wrong, or of somebody else, is a signed row of its own.
    """

    class Type(models.TextChoices):
        VISIT = "visit", _("Visit summary")
        CALL = "call", _("Phone call")
        MESSAGE = "message", _("Message summary")
        CHECK_IN = "check_in", _("Check-in review")
        EDUCATION = "education", _("Education or teach-back")
        SAFETY = "safety", _("Safety contact")
        COORDINATION = "coordination", _("Care coordination")
        NO_CONTACT = "no_contact", _("Could not be reached")
        ADMIN = "admin", _("Administrative")

    class Sensitive(models.TextChoices):
        """What only few may read, and no contact person."""

        MENTAL_HEALTH = "mental_health", _("Mental health")
        REPRODUCTIVE = "reproductive", _("Reproductive health")
        VIOLENCE = "violence", _("Violence")
        SUBSTANCE = "substance", _("Substance use")

    class Relation(models.TextChoices):
        """What a note is to the one it relates to, or to its time."""

        ADDENDUM = "addendum", _("Addendum")
        CORRECTION = "correction", _("Correction")
        ERROR = "error", _("Entered in error")
        LATE_ENTRY = "late_entry", _("Late entry")

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="notes")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notes"
    )
    type = models.CharField(_("type"), max_length=16, choices=Type)
    sensitive = models.CharField(
        _("sensitive"), max_length=16, choices=Sensitive, blank=True
    )
    body = models.TextField(_("note"))
    relates_to = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="followed_by",
    )
    relation = models.CharField(max_length=12, choices=Relation, blank=True)
    reason = models.CharField(
        _("reason"), max_length=300, blank=True, help_text=_("Why it is written now.")
    )
    happened_at = models.DateTimeField(
        _("when it happened"), help_text=_("Before it was signed, for a late entry.")
    )
    signed_at = models.DateTimeField()
    hash = models.CharField(
        max_length=64, help_text=_("SHA-256 of what was signed, by whom and when.")
    )

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        permissions = [("view_sensitive_note", "Can read sensitive notes of others")]
        constraints = [
            models.CheckConstraint(
                name="note_relates_with_a_relation",
                condition=models.Q(relates_to=None)
                | models.Q(relation__in=["addendum", "correction", "error"]),
            )
        ]
        indexes = [
            # The timeline.
            models.Index(fields=["patient", "-happened_at"], name="note_of_patient")
        ]

    #: Why a reader may not see the text, and whether they may see any; set by
    #: ``patients.notes.read_by``.
    hidden: str = ""
    reads_all: bool = False

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
