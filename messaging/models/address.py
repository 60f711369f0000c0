"""Facts about addresses, and the texts themselves."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Language
from messaging.models.message import Message
from patients.models import Channel, Patient


class Suppression(models.Model):
    """A fact about an address, append-only: nothing may go there, or may again."""

    address = models.CharField(max_length=254)
    channel = models.CharField(max_length=8, choices=Channel)
    on = models.BooleanField()
    cause = models.CharField(max_length=120)
    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    at = models.DateTimeField()

    class Meta:
        indexes = [
            # The operations page: how many stopped us lately.
            models.Index(fields=["at"], name="suppression_by_time")
        ]

    def __str__(self) -> str:
        return f"{self.address} {'off' if self.on else 'on again'}"


class CurrentSuppression(models.Model):
    """The addresses nothing may go to now; what the gate reads."""

    address = models.CharField(max_length=254)
    channel = models.CharField(max_length=8, choices=Channel)
    suppression = models.ForeignKey(
        Suppression, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["address", "channel"], name="current_suppression_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.address}"


class Hold(models.Model):
    """Nothing goes to an address, or about a patient, until a person has looked.

    Somebody wrote that a number is not theirs any more, or that a patient has died.
    """

    class Kind(models.TextChoices):
        WRONG_NUMBER = "wrong_number", _("May be a wrong number")
        BEREAVEMENT = "bereavement", _("May have died")

    kind = models.CharField(max_length=16, choices=Kind)
    address = models.CharField(
        max_length=254, blank=True, help_text=_("What is held; empty: the patient.")
    )
    patient = models.ForeignKey(
        Patient,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="holds",
    )
    message = models.ForeignKey(
        Message,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("The words that did it."),
    )
    at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(patient=None) ^ models.Q(address=""),
                name="hold_of_exactly_one",
            )
        ]
        indexes = [
            # What the gate reads.
            models.Index(
                fields=["address"],
                condition=models.Q(ended_at=None),
                name="hold_of_address",
            ),
            models.Index(
                fields=["patient"],
                condition=models.Q(ended_at=None),
                name="hold_of_patient",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.address or self.patient_id}"


class Template(models.Model):
    """A text with fixed fields; changed by adding a version, never in place."""

    key = models.CharField(_("key"), max_length=60)
    language = models.CharField(_("language"), max_length=8, choices=Language)
    version = models.PositiveIntegerField(_("version"), default=1)
    subject = models.CharField(
        _("subject"), max_length=120, blank=True, help_text=_("For email.")
    )
    body = models.TextField(_("text"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("written by"),
        help_text=_("Nobody: it came with the product."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key", "language", "version"], name="template_version_unique"
            )
        ]
        verbose_name = _("text")
        verbose_name_plural = _("texts")

    def __str__(self) -> str:
        return f"{self.key} ({self.language}, {self.version})"
