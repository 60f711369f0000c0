"""Notices, the messages that carry them, and what patients answer."""

from messaging.models.address import (
    CurrentSuppression,
    Hold,
    Suppression,
    Template,
)
from messaging.models.duty import DutyAlert
from messaging.models.gateway import Breaker, Bucket, Mailbox, Tally
from messaging.models.message import (
    Conversation,
    Message,
    NoticeMessage,
    Question,
    StatusEvent,
)
from messaging.models.notice import Notice

__all__ = [
    "Breaker",
    "Bucket",
    "Conversation",
    "CurrentSuppression",
    "DutyAlert",
    "Hold",
    "Mailbox",
    "Message",
    "Notice",
    "NoticeMessage",
    "Question",
    "StatusEvent",
    "Suppression",
    "Tally",
    "Template",
]
