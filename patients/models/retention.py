"""How long what is kept of patients stays."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RetentionRule(models.Model):
    """After how many days a kind of record goes; off until a manager says so."""

    kind = models.CharField(
        _("kind"), max_length=40, unique=True, help_text=_("A key of retention.")
    )
    days = models.PositiveIntegerField(
        _("days"), help_text=_("Kept for so long after it last mattered.")
    )
    is_on = models.BooleanField(
        _("in force"),
        default=False,
        help_text=_("Off: nothing of this kind is deleted by itself."),
    )

    class Meta:
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention rules")
        ordering = ["kind"]

    def __str__(self) -> str:
        return self.kind
