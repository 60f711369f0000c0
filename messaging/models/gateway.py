"""What the ways out and in remember."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Breaker(models.Model):
    """Whether a gateway may be used with an account.

    ``closed`` (messages pass, as with the electrical kind) ``──► open`` (it refuses
    everything; one probe goes after ``until``) ``──► closed``; or ``off``, by hand.
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
    since = models.DateTimeField(
        _("since"), null=True, blank=True, help_text=_("Since when it stands so.")
    )
    until = models.DateTimeField(_("until"), null=True, blank=True)
    why = models.CharField(_("why"), max_length=120, blank=True)
    trouble = models.PositiveSmallIntegerField(
        _("troubles"),
        default=0,
        editable=False,
        help_text=_("Timeouts and server errors since the last message that passed."),
    )
    trouble_since = models.DateTimeField(null=True, blank=True, editable=False)

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


class Bucket(models.Model):
    """How many segments a sender may hand over now, across all workers.

    Fills with time; one UPDATE takes from it.
    """

    sender = models.CharField(max_length=254, unique=True)
    level = models.FloatField(help_text=_("Segments it may send at ``at``."))
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.sender}: {self.level:.1f}"


class Mailbox(models.Model):
    """How far a mailbox was read; IMAP numbers hold as long as ``uid_validity``."""

    name = models.CharField(max_length=254, unique=True)
    uid_validity = models.BigIntegerField(default=0)
    last_uid = models.BigIntegerField(default=0)
    at = models.DateTimeField(help_text=_("When it was last read."))

    def __str__(self) -> str:
        return self.name


class Tally(models.Model):
    """How often something happened on a day, such as a webhook nobody had signed."""

    key = models.CharField(max_length=40)
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "day"], name="tally_unique")
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.day}: {self.count}"
