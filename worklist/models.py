"""What needs a person, by when, and how it ended."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from accounts.models import Site
from core.sayings import told
from patients.models import Patient
from worklist.registry import work_kinds


class WorkItemQuerySet(models.QuerySet["WorkItem"]):
    """Named filters."""

    def open(self) -> "WorkItemQuerySet":
        """Return the items nobody has ended yet."""
        return self.filter(closed_at=None)

    def in_order(self) -> "WorkItemQuerySet":
        """Return what is past its time first, then red, then by the clock."""
        late = models.Case(models.When(due_at__lte=timezone.now(), then=0), default=1)
        return self.order_by(late, "severity", "due_at", "id")


class WorkItem(AboutPatient):
    """One thing that needs a person.

    ``open ──claim──► owned ──close(outcome)──► closed``. A rule may close an item that
    settled itself, never a red one: a person closes those.
    """

    class Severity(models.IntegerChoices):
        RED = 1, _("Red")
        AMBER = 2, _("Amber")
        REVIEW = 3, _("Review")

    kind = models.CharField(max_length=40, help_text=_("A key of work_kinds."))
    severity = models.PositiveSmallIntegerField(choices=Severity)
    reason = models.CharField(
        max_length=300, help_text=_("Why, in one sentence a colleague understands.")
    )
    reason_places = models.JSONField(
        default=dict, blank=True, help_text=_("What the places of the reason hold.")
    )
    patient = models.ForeignKey(
        Patient,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="work_items",
    )
    subject_kind = models.CharField(max_length=40)
    subject_id = models.BigIntegerField()
    dedupe_key = models.CharField(max_length=120, unique=True)
    site = models.ForeignKey(
        Site, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    call_back_at = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="work_items",
    )
    outcome = models.CharField(max_length=40, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    closed_by_rule = models.CharField(max_length=60, blank=True)

    objects = WorkItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("work item")
        verbose_name_plural = _("work items")
        indexes = [
            # The worklist and its count.
            models.Index(
                fields=["severity", "due_at", "id"],
                condition=models.Q(closed_at=None),
                name="work_item_open",
            ),
            # Closing what settled itself.
            models.Index(
                fields=["subject_kind", "subject_id"], name="work_item_by_subject"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(closed_at=None)
                | (
                    ~models.Q(outcome="")
                    & (
                        models.Q(closed_by__isnull=False)
                        | (~models.Q(closed_by_rule="") & ~models.Q(severity=1))
                    )
                ),
                name="work_item_closed_by_somebody_with_an_outcome",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.sentence}"

    @property
    def title(self) -> str:
        """What kind of work this is, in words."""
        return str(work_kinds[self.kind].title)

    @property
    def sentence(self) -> str:
        """Why somebody is needed, in the reader's language."""
        return told(self.reason, self.reason_places)

    @property
    def ending(self) -> str:
        """How it ended, in words; blank while it is open."""
        label = work_kinds[self.kind].outcomes.get(self.outcome)
        return str(label) if label else told(self.outcome)

    @property
    def is_late(self) -> bool:
        """Whether its time is past."""
        return self.closed_at is None and self.due_at <= timezone.now()


class WorkEvent(models.Model):
    """What was done about an item, append-only: opened, claimed, called, closed."""

    item = models.ForeignKey(WorkItem, on_delete=models.CASCADE, related_name="events")
    what = models.CharField(max_length=40)
    note = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return self.what
