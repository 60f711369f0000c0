"""Counting what happens too often to be kept one by one."""

from django.db.models import F
from django.utils import timezone

from messaging.models import Tally

#: A webhook without Twilio's signature: a stranger, or PUBLIC_BASE_URL is wrong.
UNSIGNED = "webhook_unsigned"
#: A text, and a status report, that only the provider's list told of.
MISSED_TEXT, MISSED_STATUS = "webhook_missed", "status_missed"
#: Nobody needs to know more exactly; the column ends at twice that.
_MOST = 1_000_000_000


def tally(key: str) -> None:
    """Count one of these for today (UTC).

    One UPDATE; one INSERT a key and day, so that a stranger who does it a million times
    leaves one row.
    """
    today = timezone.now().date()
    counted = Tally.objects.filter(key=key, day=today, count__lt=_MOST)
    if counted.update(count=F("count") + 1):
        return
    Tally.objects.bulk_create(
        [Tally(key=key, day=today, count=0)], ignore_conflicts=True
    )
    counted.update(count=F("count") + 1)
