"""A phone and a mailbox in the browser, in place of Twilio and SMTP."""

from collections.abc import Iterable
from datetime import datetime

from messaging.channels import HandedOver, Listed, Outgoing
from messaging.models import Message


class SimulatedChannel:
    """Delivers at once to the page ``/phone/``."""

    name = "simulated"
    can_find = False

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Accept everything; the message row itself is what the phone shows."""
        return HandedOver(
            provider_id=f"SIM{outgoing.ref}",
            sender="",
            state=Message.State.DELIVERED,
        )

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Return None: nothing is ever lost on the way to this page."""
        return None

    def recent(self, since: datetime) -> Iterable[Listed]:
        """Return nothing: the page keeps no list of its own."""
        return ()
