"""The link of an urgent text: who holds it takes note, and sees nothing of a patient.

The token is the capability: 128 bits, of which only a hash is kept (OWASP ASVS 5.0,
11.5.1). It is made from the alert and the secret key, so that the same link can be
written again when the text goes on by email.
"""

import hashlib
from base64 import urlsafe_b64encode
from datetime import UTC, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from messaging.models import DutyAlert

#: 16 bytes are 128 bits, and 22 characters in an address.
TOKEN_BYTES = 16
#: A link works for so long; whoever comes later finds the work on the worklist.
LINK_LASTS = timedelta(hours=2)


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_of(alert: DutyAlert, secret: str | None = None) -> str:
    """Return an alert's token: the same whenever it is asked, another for every alert.

    ``secret`` is the key it is made with, the present one when None.
    """
    at = alert.at.astimezone(UTC).isoformat(timespec="microseconds")
    told = f"{alert.user_id}:{alert.site_id}:{alert.step}:{at}:{alert.items}"
    digest = salted_hmac(
        "messaging.duty", told, secret=secret, algorithm="sha256"
    ).digest()
    return urlsafe_b64encode(digest[:TOKEN_BYTES]).decode().rstrip("=")


def address_of(alert: DutyAlert) -> str:
    """Return the whole address of an alert's link, one made with an older key too."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = token_of(alert, secret)
        if hash_of(token) == alert.token_hash:
            path = reverse("messaging:duty_alert", args=[token])
            return f"{settings.PUBLIC_BASE_URL}{path}"
    raise ValueError(f"duty alert {alert.pk}: its key is gone")


def find_alert(token: str) -> DutyAlert | None:
    """Return the alert of a link that works still; changes nothing, one query.

    Found by the hash, so that how long it takes tells nothing of another one. A login
    that was switched off takes its links with it.
    """
    return (
        DutyAlert.objects.filter(
            token_hash=hash_of(token),
            at__gt=timezone.now() - LINK_LASTS,
            user__is_active=True,
        )
        .select_related("user", "site")
        .first()
    )
