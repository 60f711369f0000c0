"""What carries a promise, what comes back, and what it is taken for."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.audit.trail import AboutPatient
from messaging.models.notice import Notice
from messaging.quoting import words_of
from patients.models import Channel, Patient


class Conversation(AboutPatient):
    """All messages with a patient, or with an address nobody is known by."""

    class State(models.TextChoices):
        QUIET = "quiet", _("Nothing waiting")
        WAITING = "waiting", _("Waiting for us")
        DONE = "done", _("Done")

    patient = models.OneToOneField(
        Patient,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="conversation",
    )
    address = models.CharField(max_length=254, null=True, blank=True, unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    state = models.CharField(max_length=8, choices=State, default=State.QUIET)
    waiting_since = models.DateTimeField(null=True, blank=True)
    snooze_until = models.DateTimeField(null=True, blank=True)
    last_message_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(patient=None) ^ models.Q(address=None),
                name="conversation_with_exactly_one",
            )
        ]
        indexes = [
            # "Waiting for us", oldest first, and its count.
            models.Index(
                fields=["waiting_since"],
                condition=models.Q(state="waiting"),
                name="conversation_waiting",
            ),
            # The inbox, latest first.
            models.Index(fields=["-last_message_at"], name="conversation_latest"),
        ]

    def __str__(self) -> str:
        return str(self.patient or self.address)


class Message(AboutPatient):
    """One attempt on one channel to one address, or one reply.

    ``queued ─► claimed ─► submitting ─► accepted ─► sent ─► delivered ─► read``, ended
    early by ``withdrawn`` (the gate said no), ``failed``, ``undelivered`` or
    ``unknown`` (it may have been sent; never sent again blindly). Replies are
    ``received``.
    """

    class Direction(models.TextChoices):
        OUT = "out", _("To the patient")
        IN = "in", _("From the patient")

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting to go")
        CLAIMED = "claimed", _("Going")
        SUBMITTING = "submitting", _("Being handed over")
        ACCEPTED = "accepted", _("Handed over")
        SENT = "sent", _("Sent")
        DELIVERED = "delivered", _("Delivered")
        READ = "read", _("Read")
        UNDELIVERED = "undelivered", _("Not delivered")
        FAILED = "failed", _("Failed")
        UNKNOWN = "unknown", _("Not known whether it went")
        WITHDRAWN = "withdrawn", _("Not sent")
        RECEIVED = "received", _("Received")

    class Encoding(models.TextChoices):
        GSM7 = "GSM-7", "GSM-7"
        UCS2 = "UCS-2", "UCS-2"
        UTF8 = "UTF-8", "UTF-8"

    ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    direction = models.CharField(max_length=3, choices=Direction)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.PROTECT, null=True, related_name="messages"
    )
    patient = models.ForeignKey(
        Patient,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="messages",
    )
    notices = models.ManyToManyField(
        Notice, through="NoticeMessage", related_name="messages"
    )
    channel = models.CharField(max_length=8, choices=Channel)
    address = models.CharField(max_length=254, help_text=_("The patient's end."))
    sender = models.CharField(max_length=254, blank=True, help_text=_("Our end."))
    subject = models.CharField(max_length=200, blank=True)
    body = models.TextField()
    neutral = models.BooleanField(
        default=False, help_text=_("Says nothing of a clinic: a safe contact plan.")
    )
    encoding = models.CharField(max_length=6, choices=Encoding)
    segments = models.PositiveSmallIntegerField(default=1)
    media_count = models.PositiveSmallIntegerField(default=0)
    media = models.JSONField(
        _("pictures"),
        default=list,
        blank=True,
        help_text=_("Where its pictures lie, and of what kind; nothing fetches them."),
    )
    state = models.CharField(max_length=12, choices=State)
    why = models.CharField(max_length=120, blank=True)
    error_code = models.CharField(max_length=20, blank=True)
    rank = models.SmallIntegerField(default=0, help_text=_("Never goes back."))
    attempts = models.PositiveSmallIntegerField(default=0)
    urgency = models.PositiveSmallIntegerField(
        default=2, help_text=_("Lower goes first; its purpose says it.")
    )
    looks = models.PositiveSmallIntegerField(
        default=0, help_text=_("How often the provider was asked about an unknown one.")
    )
    resend_of = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="resent_as",
    )
    not_before = models.DateTimeField()
    deadline = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    submitting_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    handled_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When a reply was acted on and routed.")
    )
    note = models.CharField(
        max_length=120, blank=True, help_text=_("What a reply was taken for.")
    )
    provider = models.CharField(max_length=20, blank=True)
    provider_id = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField(help_text=_("When it was written or received."))

    class Meta:
        permissions = [("play_patient", "Can play the patient on the simulated phone")]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_id"],
                condition=~models.Q(provider_id=""),
                name="message_once_a_provider_id",
            )
        ]
        indexes = [
            # What may be claimed, in its order.
            models.Index(
                fields=["urgency", "not_before", "id"],
                condition=models.Q(state="queued"),
                name="message_queued",
            ),
            # Leases that ran out.
            models.Index(
                fields=["lease_until"],
                condition=models.Q(state__in=["claimed", "submitting"]),
                name="message_leased",
            ),
            # What nobody knows yet.
            models.Index(
                fields=["submitting_at"],
                condition=models.Q(state="unknown"),
                name="message_unknown",
            ),
            # Replies still to be acted on.
            models.Index(
                fields=["id"],
                condition=models.Q(direction="in", handled_at=None),
                name="message_to_handle",
            ),
            # The thread, the timeline, the simulated phone.
            models.Index(fields=["conversation", "-at"], name="message_thread"),
            # The operations page: what went wrong lately, and when we last heard.
            models.Index(
                fields=["at"],
                condition=models.Q(state__in=["failed", "undelivered", "withdrawn"]),
                name="message_ended_badly",
            ),
            models.Index(
                fields=["at"],
                condition=models.Q(direction="in"),
                name="message_received",
            ),
            # The same page: what the texts of a month cost.
            models.Index(
                fields=["accepted_at"],
                condition=models.Q(channel="sms", accepted_at__isnull=False),
                name="message_text_sent",
            ),
            models.Index(fields=["patient", "-at"], name="message_of_patient"),
            models.Index(fields=["address", "-at"], name="message_of_address"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.channel} {self.ref}"

    @property
    def words(self) -> str:
        """The sender's own words, without what a mail quotes."""
        return words_of(self)


class NoticeMessage(models.Model):
    """Which notices a message carries."""

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT)
    message = models.ForeignKey(Message, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "message"], name="notice_message_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} by {self.message_id}"


class StatusEvent(models.Model):
    """What a provider said of a message, append-only; kept before it is understood."""

    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, null=True, related_name="status_events"
    )
    provider = models.CharField(max_length=20)
    provider_id = models.CharField(max_length=120)
    status = models.CharField(max_length=24)
    code = models.CharField(max_length=20, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_id", "status", "code"],
                name="status_event_once",
            )
        ]
        indexes = [
            # Orphans waiting for their message.
            models.Index(
                fields=["provider", "provider_id"],
                condition=models.Q(message=None),
                name="status_event_orphan",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider_id} {self.status}"


class Question(models.Model):
    """What an outgoing message asks, and who takes the answer.

    What it is about are the causes of the message's notices.
    """

    class Form(models.TextChoices):
        DIGITS = "digits", _("Digits")
        WORDS = "words", _("Words")
        LINK = "link", _("Link")

    message = models.OneToOneField(
        Message, on_delete=models.PROTECT, related_name="question"
    )
    handler = models.CharField(max_length=40, help_text=_("A key of replies."))
    address = models.CharField(max_length=254)
    form = models.CharField(max_length=8, choices=Form)
    options = models.JSONField(help_text=_("Digit to what it means, {'1': 'come'}."))
    yes_means = models.CharField(
        max_length=20, blank=True, help_text=_("What ok, sí or a thumb stands for.")
    )
    opened_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When its message went through the gate.")
    )
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            # A bare digit must have one meaning.
            models.UniqueConstraint(
                fields=["address"],
                condition=models.Q(
                    form="digits", opened_at__isnull=False, closed_at=None
                ),
                name="question_one_open_digits_an_address",
            )
        ]
        indexes = [
            # Which question a reply answers.
            models.Index(fields=["address", "-opened_at"], name="question_of_address")
        ]

    def __str__(self) -> str:
        return f"{self.handler} {self.options}"
