"""People the clinic looks after, and what matters to each."""

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from accounts.models import Clinician, Language, Site, User, validate_zone


class PatientQuerySet(models.QuerySet["Patient"]):
    """Named filters; views start from ``visible_to`` or ``at_sites_of`` only.

    Both ask about each patient (EXISTS), and never make a list of all there are: a page
    of 25 costs the same in a clinic of 100,000.
    """

    def visible_to(self, user: User | AnonymousUser) -> "PatientQuerySet":
        """Return the patients of the user's sites, and those under their emergency
        access, who were not merged into another.

        Emergency access ends with the role that allows it.
        """
        if not user.has_perm("patients.break_glass"):
            return self.at_sites_of(user)
        grants = Patient.grants.rel.related_model.objects  # type: ignore[attr-defined]
        granted = grants.open().filter(user=user.pk or 0, patient=OuterRef("pk"))
        return self.filter(_at_sites_of(user) | Exists(granted), merged_into=None)

    def at_sites_of(self, user: User | AnonymousUser) -> "PatientQuerySet":
        """Return the patients of the user's sites; emergency access adds nobody."""
        return self.filter(_at_sites_of(user), merged_into=None)


def _at_sites_of(user: User | AnonymousUser) -> Exists:
    at = Patient.sites.through.objects.filter(
        patient=OuterRef("pk"), site__staff=user.pk or 0
    )
    return Exists(at)


class Patient(AboutPatient):
    """A person. An address is never an identity: phones are shared."""

    about = "id"

    class Sex(models.TextChoices):
        FEMALE = "female", _("Female")
        MALE = "male", _("Male")
        OTHER = "other", _("Other")
        UNKNOWN = "unknown", _("Not known")

    class ReadingHelp(models.TextChoices):
        """How often somebody helps them to read health papers.

        The Single Item Literacy Screener (Morris et al. 2006,
        doi:10.1186/1471-2296-7-21); from SOMETIMES on somebody should read along.
        """

        UNASKED = "", _("Not asked yet")
        NEVER = "never", _("Never")
        RARELY = "rarely", _("Rarely")
        SOMETIMES = "sometimes", _("Sometimes")
        OFTEN = "often", _("Often")
        ALWAYS = "always", _("Always")

    class WantsToKnow(models.TextChoices):
        UNASKED = "", _("Not asked yet")
        ALL = "all", _("Everything")
        MAIN = "main", _("The main points")
        LITTLE = "little", _("As little as possible")

    class Way(models.TextChoices):
        """How somebody likes best to hear from the clinic."""

        SMS = "sms", _("Text")
        EMAIL = "email", _("Email")
        CALL = "call", _("Phone call")
        LETTER = "letter", _("Letter")

    class Need(models.TextChoices):
        """What helps them take in what the clinic says."""

        LARGE_PRINT = "large_print", _("Large print")
        AUDIO = "audio", _("Audio")
        SCREEN_READER = "screen_reader", _("Screen reader")
        RELAY = "relay", _("Relay calls")
        SIGN = "sign", _("Sign language")
        TEXT_ONLY = "text_only", _("Deaf: text only")

    sites = models.ManyToManyField(Site, related_name="patients")
    given_name = models.CharField(_("given name"), max_length=80)
    family_name = models.CharField(_("family name"), max_length=80, blank=True)
    preferred_name = models.CharField(
        _("preferred name"),
        max_length=80,
        blank=True,
        help_text=_("What texts call them."),
    )
    birth_date = models.DateField(_("birth date"), null=True, blank=True)
    sex = models.CharField(_("sex"), max_length=8, choices=Sex, default=Sex.UNKNOWN)
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=Language,
        default=Language.ENGLISH,
        help_text=_("The language they read."),
    )
    pronouns = models.CharField(_("pronouns"), max_length=40, blank=True)
    spoken_language = models.CharField(
        _("language spoken"),
        max_length=12,
        blank=True,
        help_text=_("When it is not the one they read."),
    )
    needs_interpreter = models.BooleanField(
        _("needs an interpreter"), null=True, blank=True
    )
    reading_help = models.CharField(
        _("help with reading"),
        max_length=10,
        choices=ReadingHelp,
        blank=True,
        help_text=_("How often somebody helps them to read health papers."),
    )
    needs = models.JSONField(
        _("communication needs"),
        default=list,
        blank=True,
        help_text=_("What helps them take in what the clinic says."),
    )
    preferred_way = models.CharField(
        _("best way to reach them"), max_length=8, choices=Way, blank=True
    )
    best_from = models.TimeField(_("best from"), null=True, blank=True)
    best_until = models.TimeField(_("best until"), null=True, blank=True)
    what_matters = models.TextField(
        _("what matters to them"),
        max_length=600,
        blank=True,
        help_text=_("In their own words."),
    )
    top_worry = models.CharField(_("top worry"), max_length=300, blank=True)
    wants_to_know = models.CharField(
        _("how much they want to know"), max_length=8, choices=WantsToKnow, blank=True
    )
    zone = models.CharField(
        _("time zone"),
        max_length=50,
        blank=True,
        validators=[validate_zone],
        help_text=_("Only when it is not the clinic's."),
    )
    usual_clinician = models.ForeignKey(
        Clinician, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    address_line = models.CharField(_("address"), max_length=160, blank=True)
    city = models.CharField(_("city"), max_length=80, blank=True)
    state = models.CharField(_("state"), max_length=40, blank=True)
    postal_code = models.CharField(_("postal code"), max_length=20, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    deceased_on = models.DateField(
        _("deceased on"),
        null=True,
        blank=True,
        help_text=_("Stops everything outgoing at once."),
    )
    death_told_by = models.CharField(
        _("who told us"), max_length=120, blank=True, help_text=_("Of the death.")
    )
    death_corrected_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "When somebody here took back a death; a list cannot note it anew."
        ),
    )
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)
    merged_into = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    legal_hold = models.CharField(
        _("legal hold"),
        max_length=300,
        blank=True,
        help_text=_("Why nothing of theirs may be erased now; empty: it may."),
    )
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Since when only the number is left.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    version = models.PositiveIntegerField(
        default=1, help_text=_("Rises with every edit of the profile.")
    )

    objects = PatientQuerySet.as_manager()

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        permissions = [
            ("import_patient", "Can import patients"),
            ("merge_patient", "Can merge two records of one patient"),
            ("export_patient", "Can export and erase what is kept of a patient"),
        ]
        indexes = [
            # The patient list, page by page.
            models.Index(
                fields=["family_name", "given_name", "id"], name="patient_by_name"
            ),
            # Search by date of birth.
            models.Index(fields=["birth_date"], name="patient_by_birth_date"),
        ]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        """The name on the list and at the door."""
        return f"{self.given_name} {self.family_name}".strip()

    @property
    def first_name(self) -> str:
        """What a text calls them."""
        return self.preferred_name or self.given_name

    @property
    def needs_help_reading(self) -> bool:
        """Whether somebody should read along, as ``ReadingHelp`` tells."""
        help_ = self.ReadingHelp
        return self.reading_help in (help_.SOMETIMES, help_.OFTEN, help_.ALWAYS)

    @property
    def initials(self) -> str:
        """Two letters for the round badge."""
        return (self.given_name[:1] + self.family_name[:1]).upper()


class Identifier(AboutPatient):
    """A number somebody gave the patient, and who gave it."""

    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="identifiers"
    )
    system = models.CharField(
        max_length=200, help_text=_("Who gives it out, such as mrn or a URL.")
    )
    value = models.CharField(max_length=120)

    #: The id of a FHIR server's record: it ties later files to the patient, and means
    #: nothing to anybody at a desk.
    FHIR_RECORD = "fhir/Patient"

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["system", "value"], name="identifier_unique"
            )
        ]

    def __str__(self) -> str:
        return self.value


class Flag(AboutPatient):
    """A pinned alert: what everybody who opens this patient must see first.

    At most five are live at a time. The patient may read it: it says what helps, and
    judges nobody.
    """

    class Category(models.TextChoices):
        SAFETY = "safety", _("Safety")
        COMMUNICATION = "communication", _("Communication")
        SUPPORT = "support", _("Support")
        CLINICAL = "clinical", _("Clinical")
        ADMINISTRATIVE = "administrative", _("Administrative")

    #: Live alerts a patient may have.
    MOST = 5

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="flags")
    category = models.CharField(_("kind"), max_length=16, choices=Category)
    text = models.CharField(_("alert"), max_length=80)
    reason = models.CharField(_("reason"), max_length=300)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    expires_on = models.DateField(
        _("until"), help_text=_("Gone after this day, unless somebody pins it anew.")
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = _("pinned alert")
        verbose_name_plural = _("pinned alerts")
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return self.text
