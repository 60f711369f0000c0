"""Ways in beside the ordinary one: emergency access for staff, links for patients."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from patients.models.people import Patient
from patients.models.reach import ContactPerson


class AccessGrantQuerySet(models.QuerySet["AccessGrant"]):
    """Named filters."""

    def open(self) -> "AccessGrantQuerySet":
        """Return the grants that let somebody in right now."""
        return self.filter(ended_at=None, expires_at__gt=timezone.now())


class AccessGrant(AboutPatient):
    """Emergency access: one member of staff, one patient, one hour, a reason.

    ``open ──► ended (by hand, or its hour is over) ──► reviewed`` by a manager.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants"
    )
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="grants"
    )
    reason = models.CharField(_("reason"), max_length=300)
    at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    finding = models.CharField(
        _("finding"), max_length=300, blank=True, help_text=_("What the review found.")
    )

    objects = AccessGrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("emergency access")
        verbose_name_plural = _("emergency accesses")
        permissions = [
            ("break_glass", "Can open a patient of another site in an emergency"),
            ("review_accessgrant", "Can review emergency access"),
        ]
        indexes = [
            # Asked with every page: whom may this user see right now.
            models.Index(fields=["user", "expires_at"], name="access_grant_open")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.patient_id}"

    @property
    def is_open(self) -> bool:
        """Whether it lets somebody in right now."""
        return self.ended_at is None and self.expires_at > timezone.now()

    @property
    def over_at(self) -> datetime:
        """When it ended, or when its hour will be over."""
        return self.ended_at or self.expires_at

    @property
    def minutes_used(self) -> int:
        """For how long it has let somebody in, in minutes begun."""
        used = min(timezone.now(), self.over_at) - self.at
        return -(-int(used.total_seconds()) // 60)


class LinkQuerySet(models.QuerySet["Link"]):
    """Named filters."""

    def live(self) -> "LinkQuerySet":
        """Return the links that open something right now: not revoked, not expired,
        and of a patient who lives and was not merged into another.
        """
        return self.filter(
            revoked_at=None,
            expires_at__gt=timezone.now(),
            patient__deceased_on=None,
            patient__merged_into=None,
        )


class Link(AboutPatient):
    """A way in for a patient, for one purpose; only the hash of its token is kept.

    Made by ``patients.links``, opened under ``/p/``.
    """

    token_hash = models.CharField(max_length=64, unique=True)
    purpose = models.CharField(max_length=40, help_text=_("A key of links."))
    subject_id = models.BigIntegerField(
        null=True, blank=True, help_text=_("What it opens, as the purpose has it.")
    )
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="links")
    contact_person = models.ForeignKey(
        ContactPerson,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Who got it, when it was not the patient."),
    )
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(
        default=0, help_text=_("Wrong birth dates since the last right one.")
    )
    opened_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the birth date was first right.")
    )

    objects = LinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("patient link")
        verbose_name_plural = _("patient links")
        indexes = [
            # Revoking what a changed visit had handed out.
            models.Index(fields=["purpose", "subject_id"], name="link_by_subject")
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"
