"""What the machinery remembers: heartbeats, long work, forms sent and drafts kept."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Heartbeat(models.Model):
    """When a part of the machinery last proved that it is alive."""

    key = models.CharField(_("part"), max_length=40, unique=True)
    at = models.DateTimeField(_("last alive"))
    value = models.IntegerField(
        _("found"),
        null=True,
        blank=True,
        help_text=_("What it found, when it looks for some."),
    )

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return f"{self.key} {self.at:%Y-%m-%d %H:%M:%S}Z"


class Throttle(models.Model):
    """A bucket of tries that fills again with time.

    Kept in the database, so that neither a restart nor a lost broker forgives.
    """

    key = models.CharField(
        _("key"),
        max_length=64,
        unique=True,
        help_text=_("What is counted, as a keyed hash."),
    )
    taken = models.FloatField(
        _("tries"), default=0, help_text=_("Tries not yet forgiven.")
    )
    at = models.DateTimeField(_("at"), help_text=_("When that was so."))

    class Meta:
        verbose_name = _("throttle")
        verbose_name_plural = _("throttles")
        indexes = [
            # The sweep of buckets that are full again.
            models.Index(fields=["at"], name="throttle_by_age")
        ]

    def __str__(self) -> str:
        return self.key


class Submission(models.Model):
    """A form that was sent: a second press or a retry leads to the first one's end."""

    key = models.UUIDField(
        unique=True, help_text=_("Who sent what to which address, as a keyed hash.")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    location = models.CharField(
        max_length=300, help_text=_("Where the first one ended.")
    )
    at = models.DateTimeField()

    class Meta:
        indexes = [
            # The sweep of those nobody can still repeat.
            models.Index(fields=["at"], name="submission_by_age")
        ]

    def __str__(self) -> str:
        return str(self.key)


class Draft(models.Model):
    """Long text somebody is typing and has not sent; only they see it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts"
    )
    key = models.CharField(
        max_length=120, help_text=_("Which form, and about what, such as close:17.")
    )
    text = models.JSONField(help_text=_("What stands in each field."))
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="draft_one_a_form")
        ]
        indexes = [
            # The sweep of those nobody came back for.
            models.Index(fields=["at"], name="draft_by_age")
        ]

    def __str__(self) -> str:
        return self.key


class Job(models.Model):
    """Long work that runs in the worker while its progress page is watched or left.

    ``queued ──► running ──► done | failed | cancelled``. A worker that dies leaves a
    lease that runs out; another one takes the work up again, at most three times.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Under way")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})

    kind = models.CharField(max_length=40, help_text=_("A key of job_kinds."))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="jobs"
    )
    client_key = models.UUIDField(unique=True, default=uuid.uuid4)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("How much there is; unknown while empty.")
    )
    work = models.JSONField(
        default=dict, help_text=_("What to do; emptied when it has ended.")
    )
    result = models.JSONField(default=dict, help_text=_("What came of it."))
    language = models.CharField(
        max_length=10, help_text=_("In which it is told; that of the page it was from.")
    )
    cancel_wanted = models.BooleanField(default=False)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [
            # What a worker takes next, and whose lease ran out.
            models.Index(
                fields=["created_at"],
                name="job_to_do",
                condition=models.Q(state__in=["queued", "running"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in self.ENDED
