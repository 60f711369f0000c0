"""Run the fake Twilio and the mailbox by hand.

Type ``+16175550143 C`` to text the clinic from that number.
"""

import argparse
import sys
import threading
from collections.abc import Iterable
from http.client import HTTPException

from tests.fakes.mailbox import Mailbox, ReceivedMail
from tests.fakes.twilio import (
    DEFAULT_ACCOUNT_SID,
    DEFAULT_AUTH_TOKEN,
    DEFAULT_FROM_NUMBER,
    Accepted,
    FakeTwilio,
)

INBOUND_PATH = "/webhooks/twilio/inbound/"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--twilio-port", type=int, default=4010)
    parser.add_argument("--smtp-port", type=int, default=4025)
    parser.add_argument("--webhook", default="http://127.0.0.1:8000")
    parser.add_argument("--account-sid", default=DEFAULT_ACCOUNT_SID)
    parser.add_argument("--token", default=DEFAULT_AUTH_TOKEN)
    return parser.parse_args(arguments)


def settings_for(twilio: FakeTwilio, mailbox: Mailbox, webhook: str) -> str:
    """Return the environment that points the product at the fakes."""
    settings = {
        "SMS_GATEWAY": "twilio",
        "TWILIO_API_BASE_URL": twilio.url,
        "TWILIO_ACCOUNT_SID": twilio.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
        "TWILIO_FROM_NUMBER": twilio.from_number,
        "EMAIL_GATEWAY": "smtp",
        "EMAIL_URL": mailbox.url,
        "PUBLIC_BASE_URL": webhook,
    }
    return "\n".join(f"{name}={value}" for name, value in settings.items())


def say(text: str) -> None:
    """Print a line at once, even into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell_text(accepted: Accepted) -> None:
    """Print an accepted text message."""
    say(f"sms   {accepted.sid} to {accepted.to}: {accepted.body!r}")


def tell_mail(mail: ReceivedMail) -> None:
    """Print a received email."""
    say(f"email to {', '.join(mail.rcpt_tos)}: {mail['Subject']}")


def answer_lines(twilio: FakeTwilio, webhook: str, lines: Iterable[str]) -> None:
    """Send each line, a number and a text, to the product as a signed reply."""
    url = webhook.rstrip("/") + INBOUND_PATH
    for line in lines:
        number, _, body = line.strip().partition(" ")
        if not number:
            continue
        try:
            response = twilio.reply(url, number, twilio.from_number, body.strip())
        except (OSError, HTTPException, ValueError) as error:
            say(f"reply not delivered: {error}")
        else:
            say(f"reply answered {response.status}: {response.text.strip()[:200]}")


def main(arguments: list[str]) -> None:
    """Run both fakes until interrupted, whether or not anyone types."""
    options = parse_arguments(arguments)
    twilio = FakeTwilio(
        port=options.twilio_port,
        account_sid=options.account_sid,
        auth_token=options.token,
        from_number=DEFAULT_FROM_NUMBER,
        on_accepted=tell_text,
    )
    mailbox = Mailbox(port=options.smtp_port, on_received=tell_mail)
    with twilio, mailbox:
        say(settings_for(twilio, mailbox, options.webhook))
        say("\nType a number and a text to reply, e.g. +16175550143 1; Ctrl-C ends.")
        try:
            answer_lines(twilio, options.webhook, sys.stdin)
            threading.Event().wait()
        except KeyboardInterrupt:
            say("")


if __name__ == "__main__":
    main(sys.argv[1:])
