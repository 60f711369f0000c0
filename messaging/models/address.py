"""Facts about addresses and gateways, and the texts themselves."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Language
from messaging.models.message import Message
from patients.models import Channel


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


class Breaker(models.Model):
    """Whether a gateway may be used with an account.

    ``closed`` (messages pass, as with the electrical kind) ``──► open`` (it refuses
    everything; tried again after ``until``) ``──► closed``; or ``off``, by hand.
    """

    class State(models.TextChoices):
        CLOSED = "closed", _("In use")
        OPEN = "open", _("Refuses; tried again soon")
        OFF = "off", _("Switched off")

    provider = models.CharField(_("provider"), max_length=20)
    credential = models.CharField(_("account"), max_length=120, blank=True)
    state = models.CharField(
        _("state"),
        max_length=8,
        choices=State,
        default=State.CLOSED,
        help_text=_("Switched off, nothing leaves through it until it is in use."),
    )
    until = models.DateTimeField(_("until"), null=True, blank=True)
    why = models.CharField(_("why"), max_length=120, blank=True)

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "credential"], name="breaker_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.get_state_display()}"


class Template(models.Model):
    """A text with fixed fields; changed by adding a version, never in place."""

    key = models.CharField(_("key"), max_length=60)
    language = models.CharField(_("language"), max_length=8, choices=Language)
    version = models.PositiveIntegerField(_("version"), default=1)
    subject = models.CharField(
        _("subject"), max_length=120, blank=True, help_text=_("For email.")
    )
    body = models.TextField(_("text"))
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
