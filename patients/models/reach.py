"""How a patient may be reached, by whom else, and what they agreed to."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from accounts.models import User
from patients.models.people import Patient


class Channel(models.TextChoices):
    """A way to reach somebody."""

    SMS = "sms", _("Text")
    EMAIL = "email", _("Email")


class ContactPerson(AboutPatient):
    """A relative or carer: who they are to the patient and what they may be told.

    In force from ``since`` to ``until``, both days included, unless ended by hand.
    """

    class Scope(models.TextChoices):
        """What somebody may be told of."""

        SCHEDULE = "schedule", _("Visits")
        MESSAGES = "messages", _("Messages")
        CLINICAL = "clinical", _("Health")
        BILLING = "billing", _("Bills")

    class Basis(models.TextChoices):
        """By what right."""

        AGREED = "agreed", _("The patient agreed")
        PARENT = "parent", _("Parent of a child")
        GUARDIAN = "guardian", _("Guardian by law")
        POWER = "power", _("Power of attorney")

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="contact_persons"
    )
    person = models.ForeignKey(
        Patient,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("When they are a patient here themselves."),
    )
    name = models.CharField(_("name"), max_length=120)
    relation = models.CharField(_("relation"), max_length=40)
    scopes = models.JSONField(
        _("may be told of"), default=list, help_text=_("What they may be told.")
    )
    barred_topics = models.JSONField(_("but not of"), default=list, blank=True)
    basis = models.CharField(
        _("by what right"), max_length=10, choices=Basis, blank=True
    )
    since = models.DateField(_("from"), null=True, blank=True)
    until = models.DateField(_("until"), null=True, blank=True)
    review_on = models.DateField(
        _("look at it again on"),
        null=True,
        blank=True,
        help_text=_("Such as a child's birthday at which they decide themselves."),
    )
    is_responsible = models.BooleanField(
        _("answers for the patient"),
        default=False,
        help_text=_("Messages about the patient go to them instead."),
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    version = models.PositiveIntegerField(
        default=1, help_text=_("Rises with every edit.")
    )

    class Meta:
        verbose_name = _("contact person")
        verbose_name_plural = _("contact persons")
        indexes = [
            # Whose rights somebody should look at again.
            models.Index(
                fields=["review_on"],
                condition=models.Q(review_on__isnull=False, ended_at=None),
                name="contact_person_to_review",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.relation})"


class ContactPoint(AboutPatient):
    """An address of one person; the same one may be many people's."""

    patient = models.ForeignKey(
        Patient,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="contact_points",
    )
    contact_person = models.ForeignKey(
        ContactPerson,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="contact_points",
    )
    channel = models.CharField(max_length=8, choices=Channel)
    address = models.CharField(
        max_length=254, help_text=_("A phone number as E.164, or an email address.")
    )
    usable = models.BooleanField(default=True)
    why_not = models.CharField(max_length=120, blank=True)
    safe_to_text = models.BooleanField(default=True)
    voicemail = models.BooleanField(_("voicemail may be left"), default=False)
    rank = models.PositiveSmallIntegerField(default=0, help_text=_("Lowest first."))

    class Meta:
        ordering = ["rank", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(patient=None) ^ models.Q(contact_person=None),
                name="contact_point_of_exactly_one",
            ),
            models.UniqueConstraint(
                fields=["patient", "channel", "address"],
                name="contact_point_once_a_patient",
            ),
        ]
        indexes = [
            # Who may an inbound message be from. Never unique: phones are shared.
            models.Index(fields=["address"], name="contact_point_by_address")
        ]

    def __str__(self) -> str:
        return self.address


class SafeContactPlanQuerySet(models.QuerySet["SafeContactPlan"]):
    """Named filters."""

    def in_force(self) -> "SafeContactPlanQuerySet":
        """Return the plans that hold now; one a patient."""
        return self.filter(ended_at=None)

    def hiding(self) -> "SafeContactPlanQuerySet":
        """Return those of them that hide the patient from those around them."""
        return self.in_force().filter(hidden=True)


class SafeContactPlan(AboutPatient):
    """How to reach somebody without putting them at risk, while it is in force.

    Nothing goes anywhere else, or at another hour, or to anybody else, whatever the
    rest of the record says. One in force a patient; ended ones stay as they were.
    """

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="safe_contact_plans"
    )
    channel = models.CharField(
        _("safe channel"),
        max_length=8,
        choices=Channel,
        blank=True,
        help_text=_("None: nothing is sent, a person calls."),
    )
    address = models.CharField(
        _("safe number or address"),
        max_length=254,
        blank=True,
        help_text=_("Empty: any of theirs on this channel."),
    )
    safe_from = models.TimeField(_("safe from"), null=True, blank=True)
    safe_until = models.TimeField(_("safe until"), null=True, blank=True)
    code_word = models.CharField(
        _("code word"),
        max_length=40,
        blank=True,
        help_text=_("Whoever calls asks for it before saying who is calling."),
    )
    neutral_sender = models.BooleanField(
        _("texts do not name the clinic"), default=True
    )
    hidden = models.BooleanField(
        _("hidden from household and contact persons"), default=True
    )
    reason = models.CharField(_("reason"), max_length=300)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    ended_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SafeContactPlanQuerySet.as_manager()

    class Meta:
        verbose_name = _("safe contact plan")
        verbose_name_plural = _("safe contact plans")
        constraints = [
            models.UniqueConstraint(
                fields=["patient"],
                condition=models.Q(ended_at=None),
                name="safe_contact_plan_one_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"{self.patient_id}"


class Consent(AboutPatient):
    """A fact about a person and a purpose, append-only; the latest row wins.

    Whether an *address* may be used says a suppression. Only the gate reads both.
    """

    class Purpose(models.TextChoices):
        CARE = "care", _("Visits and answers")
        FOLLOW_UP = "follow_up", _("Check-ins")
        EDUCATION = "education", _("Pages to read")

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="consents"
    )
    channel = models.CharField(max_length=8, choices=Channel)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.CARE)
    given = models.BooleanField()
    wording_version = models.CharField(max_length=40, blank=True)
    method = models.CharField(
        max_length=20, help_text=_("How: spoken, paper, import, text.")
    )
    evidence = models.CharField(max_length=200, blank=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        indexes = [
            # "The latest row" for one patient, channel and purpose.
            models.Index(
                fields=["patient", "channel", "purpose", "-at", "-id"],
                name="consent_latest",
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.purpose} {'yes' if self.given else 'no'}"
