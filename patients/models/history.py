"""What is known of a patient's health, and from where."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from patients.models.people import Patient


class HistoryEntryQuerySet(models.QuerySet["HistoryEntry"]):
    """Named filters."""

    def standing(self) -> "HistoryEntryQuerySet":
        """Return what nobody has taken back: neither an error nor ruled out."""
        gone = HistoryEntry.TAKEN_BACK
        return self.exclude(status__in=gone).exclude(verification__in=gone)

    def untold(self) -> "HistoryEntryQuerySet":
        """Return the conditions, active or over, that the patient was not told of."""
        return self.standing().filter(kind=HistoryEntry.Kind.CONDITION, told_on=None)

    def active(self) -> "HistoryEntryQuerySet":
        """Return what the patient has now, as FHIR's clinicalStatus says it."""
        return self.filter(status__in=HistoryEntry.ACTIVE)


class HistoryEntry(AboutPatient):
    """One thing of a patient's medical history, and where it is known from."""

    class Kind(models.TextChoices):
        CONDITION = "condition", _("Condition")
        ALLERGY = "allergy", _("Allergy")
        MEDICINE = "medicine", _("Medicine")
        PROCEDURE = "procedure", _("Procedure")
        FAMILY = "family", _("Family history")
        SOCIAL = "social", _("Social history")

    class Source(models.TextChoices):
        PATIENT = "patient", _("Patient told us")
        PROXY = "proxy", _("A relative told us")
        STAFF = "staff", _("Staff")
        IMPORTED = "imported", _("Imported")

    class Verification(models.TextChoices):
        UNCONFIRMED = "unconfirmed", _("Not confirmed")
        PROVISIONAL = "provisional", _("Provisional")
        DIFFERENTIAL = "differential", _("One of several possible")
        CONFIRMED = "confirmed", _("Confirmed")
        REFUTED = "refuted", _("Ruled out")
        ERROR = "entered-in-error", _("Entered in error")

    class RiskClass(models.TextChoices):
        """Medicines that change which signs are dangerous."""

        BLOOD_THINNER = "blood_thinner", _("Blood thinner")
        LOW_SUGAR = "low_sugar", _("Insulin or sulfonylurea")
        OPIOID = "opioid", _("Opioid")
        ANTIDEPRESSANT = "antidepressant", _("Antidepressant")
        IMMUNE = "immune", _("Weakens the immune system")

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="history"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    label = models.CharField(
        _("what it is"), max_length=240, help_text=_("As the patient would say it.")
    )
    clinical_name = models.CharField(_("clinical name"), max_length=240, blank=True)
    code_system = models.CharField(max_length=120, blank=True)
    code = models.CharField(max_length=40, blank=True)
    status = models.CharField(
        max_length=24, help_text=_("As FHIR names it: active, resolved, completed…")
    )
    verification = models.CharField(
        max_length=20,
        choices=Verification,
        default=Verification.UNCONFIRMED,
        help_text=_("FHIR verificationStatus: how sure the clinic is of it."),
    )
    happened_on = models.DateField(
        null=True, blank=True, help_text=_("Onset, start or day of the procedure.")
    )
    happened_about = models.CharField(
        _("when, in words"),
        max_length=60,
        blank=True,
        help_text=_("When no day is known, such as about 2019."),
    )
    ended_on = models.DateField(_("until"), null=True, blank=True)
    risk_class = models.CharField(
        _("high-risk class"),
        max_length=16,
        choices=RiskClass,
        blank=True,
        help_text=_("A medicine that changes what is dangerous."),
    )
    told_on = models.DateField(
        null=True,
        blank=True,
        help_text=_("When the patient was told; nothing names it to them before."),
    )
    told_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    details = models.JSONField(default=dict, blank=True)
    source = models.CharField(max_length=10, choices=Source)
    external_system = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(max_length=120, blank=True)
    last_imported = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("What the source said last; only what it changes is taken."),
    )
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    recorded_at = models.DateTimeField()
    verified_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    verified_at = models.DateTimeField(null=True, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(
        default=1, help_text=_("Rises with every edit.")
    )

    objects = HistoryEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history entries")
        permissions = [
            ("verify_historyentry", "Can verify medical history"),
            ("tell_historyentry", "Can note that a patient was told of a condition"),
        ]
        indexes = [
            # Conditions the patient has not been told of yet.
            models.Index(
                fields=["recorded_at"],
                condition=models.Q(kind="condition", told_on=None),
                name="history_untold",
            ),
            # The history panel of a patient's page.
            models.Index(
                fields=["patient", "kind", "-happened_on"], name="history_of_patient"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["external_system", "external_id"],
                condition=~models.Q(external_id=""),
                name="history_entry_imported_once",
            )
        ]

    def __str__(self) -> str:
        return self.label

    #: Statuses by which the source says that it was never so.
    TAKEN_BACK = frozenset({"entered-in-error", "refuted"})
    #: Statuses of a condition that somebody has now.
    ACTIVE = frozenset({"active", "recurrence", "relapse"})

    @property
    def is_taken_back(self) -> bool:
        """Whether it was an error, or ruled out: it stays, and tells nothing."""
        return not self.TAKEN_BACK.isdisjoint((self.status, self.verification))

    @property
    def is_live_allergy(self) -> bool:
        """Whether staff must see it on every page of the patient."""
        return (
            self.kind == self.Kind.ALLERGY
            and not self.is_taken_back
            and self.status != "resolved"
        )


class HistoryReview(AboutPatient):
    """Somebody asked about a kind of history; append-only, the latest row wins.

    Without one it was never asked, which is not the same as "none known". Entries that
    came later overrule "none known".
    """

    class Outcome(models.TextChoices):
        NONE_KNOWN = "none_known", _("None known")
        REVIEWED = "reviewed", _("Looked through")
        DECLINED = "declined", _("Prefers not to say")

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="history_reviews"
    )
    kind = models.CharField(max_length=12, choices=HistoryEntry.Kind)
    outcome = models.CharField(max_length=12, choices=Outcome)
    source = models.CharField(max_length=10, choices=HistoryEntry.Source)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("history review")
        verbose_name_plural = _("history reviews")
        indexes = [
            # "The latest row" of each kind.
            models.Index(
                fields=["patient", "kind", "-at", "-id"], name="history_review_latest"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome}"


class Intake(AboutPatient):
    """What a patient told of themselves in one go, by link, by phone or on paper.

    Append-only. It stands as "patient told us" until a member of staff went through it.
    """

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="intakes"
    )
    answers = models.JSONField(help_text=_("As given, by question."))
    source = models.CharField(max_length=10, choices=HistoryEntry.Source)
    method = models.CharField(
        max_length=10,
        choices={
            "link": _("Link"),
            "phone": _("Phone"),
            "paper": _("Paper"),
            "desk": _("At the desk"),
        },
    )
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    at = models.DateTimeField()
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("intake")
        verbose_name_plural = _("intakes")
        indexes = [
            # The timeline, and the latest one.
            models.Index(fields=["patient", "-at"], name="intake_of_patient")
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.at:%Y-%m-%d}"
