"""The clients of the ways out, made once a process from the settings."""

import os
from functools import lru_cache

from django.conf import settings

from messaging.channels import ChannelClient
from messaging.channels.simulated import SimulatedChannel
from messaging.channels.smtp import SmtpChannel
from messaging.channels.twilio import TwilioChannel

#: Messages handed over at once, by a thread each; also how many a killed worker can
#: leave unknown. With answers after 50 ms, 500 a second need so many (decision 11).
THREADS = 64
#: Fewer where each thread keeps a connection, and a server takes but some of a host.
MOST_AT_ONCE = {"smtp": 8}


@lru_cache(maxsize=4)
def client_of(gateway: str) -> ChannelClient:
    """Return the client of a gateway; it keeps its connections."""
    if gateway == "twilio":
        return TwilioChannel(
            account_sid=settings.TWILIO_ACCOUNT_SID,
            auth_tokens=settings.TWILIO_AUTH_TOKENS,
            base_url=settings.TWILIO_API_BASE_URL,
            messaging_service_sid=settings.TWILIO_MESSAGING_SERVICE_SID,
            from_number=settings.TWILIO_FROM_NUMBER,
            connections=THREADS,
        )
    if gateway == "smtp":
        return SmtpChannel()
    return SimulatedChannel()


def forget_clients() -> None:
    """Make the clients anew from the settings; for tests that change them."""
    client_of.cache_clear()


# Two processes on one connection would read each other's answers.
os.register_at_fork(after_in_child=forget_clients)
