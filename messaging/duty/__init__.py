"""Telling colleagues on duty that urgent work waits, and hearing that they know."""

from messaging.duty.alerts import alert_now, watch_red

__all__ = ["alert_now", "watch_red"]
