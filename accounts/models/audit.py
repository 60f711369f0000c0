"""Who saw or changed whom: written with it, sealed by the tick, never changed.

No foreign keys: what happened stays true when a patient or a login is gone.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """One page shown, one change made, or one thing done at the door."""

    class Verb(models.TextChoices):
        READ = "read", _("Opened")
        LIST = "list", _("Saw in a list")
        CREATE = "create", _("Added")
        CHANGE = "change", _("Changed")
        DELETE = "delete", _("Removed")
        EXPORT = "export", _("Took out")
        SIGN_IN = "sign_in", _("Signed in")
        SIGN_OUT = "sign_out", _("Signed out")
        REFUSED = "refused", _("Was refused")
        GRANT = "grant", _("Took emergency access")
        GRANT_END = "grant_end", _("Ended emergency access")
        SECURITY = "security", _("Changed a login")

    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    actor = models.CharField(
        max_length=150, help_text=_("The login, or the part of the system.")
    )
    verb = models.CharField(max_length=12, choices=Verb)
    subject = models.CharField(
        max_length=80, blank=True, help_text=_("What, such as appointment:5.")
    )
    patient_ids = models.JSONField(
        default=list, help_text=_("Whom it showed or changed.")
    )
    address = models.CharField(
        max_length=80, blank=True, help_text=_("The name of the page.")
    )
    reason = models.CharField(max_length=300, blank=True)
    details = models.JSONField(
        default=dict, blank=True, help_text=_("Names of fields and ids, no content.")
    )
    ip = models.GenericIPAddressField(null=True, blank=True)
    view_id = models.UUIDField(
        null=True, blank=True, help_text=_("What a page and its later parts share.")
    )
    mac = models.CharField(max_length=64)
    seal_id = models.BigIntegerField(
        null=True, blank=True, help_text=_("Set once, by the tick that sealed it.")
    )

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        permissions = [("read_trail", "Can read who did what")]
        indexes = [
            # The auditor's page, whole and for one member of staff.
            models.Index(fields=["-at", "-id"], name="audit_by_time"),
            models.Index(fields=["actor_id", "-at"], name="audit_by_actor"),
            # What one page has written already.
            models.Index(fields=["view_id"], name="audit_by_view"),
            # What the next seal takes, and what one seal holds.
            models.Index(fields=["seal_id", "id"], name="audit_by_seal"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.subject}".strip()


class AuditedPatient(models.Model):
    """The index of ``AuditEvent.patient_ids``: who looked at this patient."""

    pk = models.CompositePrimaryKey("patient_id", "event_id")
    patient_id = models.BigIntegerField()
    event_id = models.BigIntegerField()
    opened = models.BooleanField(
        default=False, help_text=_("Their own page, and not a row of a list.")
    )

    class Meta:
        indexes = [
            # The check of an event against its index.
            models.Index(fields=["event_id"], name="audited_patient_by_event")
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.patient_id}"


class AuditSeal(models.Model):
    """One link of the chain: what it holds, and the hash of the link before.

    Its id counts from 1 without a gap. ``prev`` is unique, so that the chain has one
    end, whoever seals at the same time.
    """

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    first = models.BigIntegerField(help_text=_("The lowest id of its events."))
    last = models.BigIntegerField(help_text=_("The highest id of its events."))
    count = models.PositiveIntegerField()
    prev = models.CharField(max_length=64, blank=True, unique=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        verbose_name = _("audit seal")
        verbose_name_plural = _("audit seals")

    def __str__(self) -> str:
        return f"{self.first}–{self.last}"
