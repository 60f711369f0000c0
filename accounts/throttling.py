"""How often something may be tried: buckets that fill with tries and leak with time.

Nobody is locked out for ever: somebody who waits can try again. A bucket is known by a
keyed hash, so that the table names no login and no address.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import ngettext

from accounts.models import Throttle
from core.sql import delete_found

#: A bucket nobody used for so long is empty, whatever its kind.
LONGEST = timedelta(days=1)


def take(kind: str, value: str, *, limit: int, per: timedelta) -> bool:
    """Return whether there was room for one more try, and count it when there was.

    At most ``limit`` tries at once, and ``limit`` in each ``per`` after that (a day at
    most). ``kind`` says what is tried ("login"), ``value`` by whom or at what. Locks
    the one bucket; two queries and a savepoint. To be called outside the transaction of
    the work, which may be rolled back and would forgive the try.
    """
    if per > LONGEST:
        raise ValueError(f"{kind}: {per} is longer than {LONGEST}")
    now = timezone.now()
    with transaction.atomic():
        bucket, _new = Throttle.objects.select_for_update().get_or_create(
            key=_key(kind, value), defaults={"at": now}
        )
        taken = _left(bucket, limit, per)
        if taken + 1 > limit:
            return False
        bucket.taken, bucket.at = taken + 1, now
        bucket.save(update_fields=["taken", "at"])
    return True


def put_back(kind: str, value: str, *, limit: int, per: timedelta) -> None:
    """Forgive the last try, because it was right; two queries."""
    with transaction.atomic():
        bucket = (
            Throttle.objects.select_for_update().filter(key=_key(kind, value)).first()
        )
        if bucket is not None:
            bucket.taken = max(0.0, _left(bucket, limit, per) - 1)
            bucket.at = timezone.now()
            bucket.save(update_fields=["taken", "at"])


def wait(kind: str, value: str, *, limit: int, per: timedelta) -> timedelta:
    """Return how long until there is room for one more try; one query."""
    bucket = Throttle.objects.filter(key=_key(kind, value)).first()
    if bucket is None:
        return timedelta(0)
    too_many = _left(bucket, limit, per) + 1 - limit
    return max(timedelta(0), per * (too_many / limit))


@dataclass(frozen=True)
class Tries:
    """How often one kind of thing may be tried at the door."""

    kind: str
    limit: int
    per: timedelta

    def insist(self, value: str) -> None:
        """Count one try, or raise ``ValidationError`` saying when there is room again.

        It says the same whether or not ``value`` is known here.
        """
        if take(self.kind, value, limit=self.limit, per=self.per):
            return
        left = wait(self.kind, value, limit=self.limit, per=self.per)
        minutes = max(1, ceil(left.total_seconds() / 60))
        raise ValidationError(
            ngettext(
                "Too many tries. Try again in %(minutes)d minute.",
                "Too many tries. Try again in %(minutes)d minutes.",
                minutes,
            )
            % {"minutes": minutes},
            code="too_many_tries",
        )

    def forgive(self, value: str) -> None:
        """Forgive the last try, because it was right."""
        put_back(self.kind, value, limit=self.limit, per=self.per)


def sweep_throttles() -> int:
    """Delete the buckets that have run empty; return how many."""
    return delete_found(Throttle.objects.filter(at__lt=timezone.now() - LONGEST))


def _key(kind: str, value: str) -> str:
    return salted_hmac(
        "accounts.throttling", f"{kind}:{value}", algorithm="sha256"
    ).hexdigest()


def _left(bucket: Throttle, limit: int, per: timedelta) -> float:
    """Return how many tries are not forgiven by now."""
    since = max(timedelta(0), timezone.now() - bucket.at)
    return max(0.0, bucket.taken - limit * (since / per))
