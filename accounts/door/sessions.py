"""Sessions in the database, in which a lock outlives what a late request saves."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction

#: When somebody locked the session, and last opened it; instants in seconds since 1970.
LOCKED = "locked_at"
OPENED = "opened_at"


class SessionStore(DatabaseStore):
    """A session is saved whole: the last request to end would undo another's lock."""

    def save(self, must_create: bool = False) -> None:
        """Save; a lock set since this request read its session stays.

        Locks the row; one query more than Django's.
        """
        with transaction.atomic():
            stored = (
                self.model.objects.select_for_update()
                .filter(session_key=self.session_key)
                .first()
            )
            locked = self.decode(stored.session_data).get(LOCKED, 0) if stored else 0
            if locked > self.get(OPENED, 0):
                self[LOCKED] = locked
            super().save(must_create)
