"""Notices, the messages that carry them, and what patients answer."""

from messaging.models.address import (
    Breaker,
    CurrentSuppression,
    Suppression,
    Template,
)
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
    "Conversation",
    "CurrentSuppression",
    "Message",
    "Notice",
    "NoticeMessage",
    "Question",
    "StatusEvent",
    "Suppression",
    "Template",
]
