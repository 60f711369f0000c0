"""The promise."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from patients.models import ContactPerson, Patient


class Notice(models.Model):
    """The promise: this recipient must learn this by then.

    ``planned ──► open ──► reached``, or ``superseded`` (its cause changed), or
    ``expired`` (too late to help, and it does not matter), or
    ``with_staff ──► settled`` (a named person recorded the outcome).
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("Planned")
        OPEN = "open", _("Under way")
        REACHED = "reached", _("Reached")
        SUPERSEDED = "superseded", _("No longer true")
        EXPIRED = "expired", _("Too late")
        WITH_STAFF = "with_staff", _("With staff")
        SETTLED = "settled", _("Settled by staff")

    purpose = models.CharField(max_length=40, help_text=_("A key of purposes.py."))
    template_key = models.CharField(max_length=60, help_text=_("The text it says."))
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="notices"
    )
    contact_person = models.ForeignKey(
        ContactPerson,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="notices",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="notices",
    )
    address = models.CharField(
        max_length=254,
        blank=True,
        help_text=_("When only the sender's address is known."),
    )
    about_patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    cause_kind = models.CharField(max_length=40, help_text=_("A key of causes."))
    cause_id = models.BigIntegerField()
    cause_version = models.PositiveIntegerField(default=1)
    dedupe_key = models.CharField(max_length=160, unique=True)
    together = models.CharField(
        max_length=120,
        blank=True,
        help_text=_("Due notices of one recipient with the same value make one text."),
    )
    zone = models.CharField(max_length=50, help_text=_("Whose hours must be decent."))
    not_before = models.DateTimeField()
    deadline = models.DateTimeField()
    matters = models.BooleanField(help_text=_("Unreached, a person must take over."))
    confidential = models.BooleanField(
        default=False, help_text=_("Only the patient may learn it.")
    )
    rung = models.PositiveSmallIntegerField(default=0)
    rung_until = models.DateTimeField(
        null=True, blank=True, help_text=_("Silent past this, the next rung starts.")
    )
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    why = models.CharField(max_length=120, blank=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="notice_has_exactly_one_recipient",
                condition=(
                    models.Q(patient__isnull=False)
                    & models.Q(contact_person=None, user=None, address="")
                )
                | (
                    models.Q(contact_person__isnull=False)
                    & models.Q(patient=None, user=None, address="")
                )
                | (
                    models.Q(user__isnull=False)
                    & models.Q(patient=None, contact_person=None, address="")
                )
                | (
                    models.Q(patient=None, contact_person=None, user=None)
                    & ~models.Q(address="")
                ),
            )
        ]
        indexes = [
            # What is due to be opened.
            models.Index(
                fields=["not_before"],
                condition=models.Q(state="planned"),
                name="notice_planned",
            ),
            # What is silent, or past its deadline.
            models.Index(
                fields=["deadline"],
                condition=models.Q(state="open"),
                name="notice_open",
            ),
            # Superseding when a cause changes; the notices of a visit.
            models.Index(
                fields=["cause_kind", "cause_id", "cause_version"],
                name="notice_by_cause",
            ),
            # Several due together become one text.
            models.Index(
                fields=["together"],
                condition=models.Q(state="planned") & ~models.Q(together=""),
                name="notice_together",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.dedupe_key}"
