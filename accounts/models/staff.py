"""Who works here, and whom patients are booked with."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.places import Language, Site


class User(AbstractUser):
    """A member of staff. What they may do comes from their roles (groups)."""

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    name = models.CharField(
        _("name"),
        max_length=120,
        blank=True,
        help_text=_("As colleagues know them; the login when empty."),
    )
    sites = models.ManyToManyField(
        Site,
        blank=True,
        related_name="staff",
        help_text=_("Whose patients this person may see."),
    )
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=Language,
        blank=True,
        help_text=_("The language of their pages; the browser's when empty."),
    )
    phone = models.CharField(
        _("mobile"),
        max_length=20,
        blank=True,
        help_text=_("Where a text finds them on duty, such as +1 617 555 0100."),
    )

    sessions_ended = models.PositiveIntegerField(
        _("sessions ended"),
        default=0,
        editable=False,
        help_text=_("How often all of them were; one opened before that is over."),
    )

    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("member of staff")
        verbose_name_plural = _("staff")

    def __str__(self) -> str:
        return self.name or self.username

    def get_full_name(self) -> str:
        """Return the name colleagues see."""
        return str(self)

    def get_short_name(self) -> str:
        """Return the first word of the name colleagues see."""
        return str(self).split(" ", 1)[0]


class Clinician(models.Model):
    """Someone patients are booked with; may or may not sign in here."""

    name = models.CharField(
        _("name"),
        max_length=80,
        unique=True,
        help_text=_("As patients know them, such as Dr Rao."),
    )
    user = models.OneToOneField(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="clinician",
        verbose_name=_("login"),
        help_text=_("Their own, where they sign in here."),
    )
    sites = models.ManyToManyField(
        Site,
        related_name="clinicians",
        help_text=_("Where they can be booked."),
    )
    takes_overflow = models.BooleanField(
        _("takes overflow"),
        default=False,
        help_text=_("Sees a colleague's patients when that colleague is away."),
    )
    overflow_max = models.PositiveSmallIntegerField(
        _("overflow a day"), default=0, help_text=_("Visits a day, at most.")
    )
    active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Can be booked; leave out for somebody who has left."),
    )

    class Meta:
        verbose_name = _("clinician")
        verbose_name_plural = _("clinicians")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
