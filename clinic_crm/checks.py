"""What a clinic server must have before it starts; the embedded run has it all."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

from clinic_crm.sentry import is_installed
from messaging.lately import segment_price
from messaging.mail_tokens import LONGEST_LOCAL_PART


@checks.register(checks.Tags.security)
def check_clinic_server(**_: Any) -> list[checks.CheckMessage]:
    """Refuse a clinic server without its own secret, hosts, or named gateways."""
    problems: list[checks.CheckMessage] = []

    def missing(number: int, what: str, hint: str) -> None:
        problems.append(checks.Error(what, hint=hint, id=f"clinic_crm.E{number:03d}"))

    if settings.SMS_GATEWAY not in ("", "simulated", "twilio"):
        missing(1, "SMS_GATEWAY is unknown.", "Set it to simulated or twilio.")
    if settings.EMAIL_GATEWAY not in ("", "simulated", "smtp"):
        missing(2, "EMAIL_GATEWAY is unknown.", "Set it to simulated or smtp.")
    if settings.SMS_GATEWAY == "twilio":
        if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
            missing(
                3,
                "Twilio is named without its account.",
                "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
            )
        if not (settings.TWILIO_MESSAGING_SERVICE_SID or settings.TWILIO_FROM_NUMBER):
            missing(
                4,
                "Twilio is named without a sender.",
                "Set TWILIO_MESSAGING_SERVICE_SID or TWILIO_FROM_NUMBER.",
            )
    if settings.SMS_SEGMENT_PRICE and segment_price()[0] is None:
        missing(
            11,
            "SMS_SEGMENT_PRICE is no price.",
            "Write it as 0.0083 USD, or leave it out.",
        )
    mail_in = urlsplit(settings.MAIL_IN_URL)
    if settings.MAIL_IN_URL and mail_in.scheme not in ("imaps", "imap+tls", "imap"):
        missing(
            12,
            "MAIL_IN_URL is no mailbox.",
            "Set it to imaps://user:password@host/INBOX, or unset it.",
        )
    local, _at, domain = settings.MAIL_IN_ADDRESS.rpartition("@")
    fits = local and domain and len(local) <= LONGEST_LOCAL_PART and "+" not in local
    if settings.MAIL_IN_ADDRESS and not (fits and settings.MAIL_IN_URL):
        missing(
            13,
            "MAIL_IN_ADDRESS cannot take answers and bounces.",
            "Set it to the plain address of the mailbox in MAIL_IN_URL, with at most "
            f"{LONGEST_LOCAL_PART} letters before the @, or unset it.",
        )
    if settings.SENTRY_DSN and not is_installed():
        missing(
            10,
            "SENTRY_DSN is set and sentry-sdk is not installed.",
            "Install it beside the clinic (pip install sentry-sdk), or unset it.",
        )
    if settings.EMBEDDED:
        return problems
    if len(settings.SECRET_KEY) < 50:
        missing(
            5,
            "SECRET_KEY is missing or too short for a clinic server.",
            "Set it to at least 50 random characters, and keep them.",
        )
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        missing(
            6,
            "ALLOWED_HOSTS names no host, or every host.",
            "Set it to the names the clinic's browsers use.",
        )
    if not settings.PUBLIC_BASE_URL.startswith("https://"):
        missing(
            7,
            "PUBLIC_BASE_URL is not an https address.",
            "Set it to the address patients and Twilio reach, https://…",
        )
    if mail_in.scheme == "imap":
        missing(
            14,
            "MAIL_IN_URL reads mail in the clear.",
            "Set it to imaps://, or to imap+tls:// for STARTTLS.",
        )
    for number, name, value in (
        (8, "SMS_GATEWAY", settings.SMS_GATEWAY),
        (9, "EMAIL_GATEWAY", settings.EMAIL_GATEWAY),
    ):
        if not value:
            missing(
                number,
                f"{name} is not named: with DEBUG=0 nothing is simulated unasked.",
                f"Set {name}, for example to simulated for a rehearsal.",
            )
    return problems
