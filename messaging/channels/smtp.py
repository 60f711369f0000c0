"""Email through an SMTP server: one recipient a mail, classed by reply code."""

import re
import smtplib
import socket
from datetime import datetime
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from messaging.channels import ChannelError, Failure, HandedOver, Outgoing


class SmtpChannel:
    """Sends mails with Django's backend and a Message-ID of our own."""

    name = "smtp"
    can_find = False

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Hand one mail over.

        The Message-ID comes from the reference of the first try: whoever gets a mail
        twice can tell.
        """
        sender = settings.DEFAULT_FROM_EMAIL
        if outgoing.neutral:
            # The address alone; the name beside it is the clinic's.
            sender = parseaddr(sender)[1]
        domain = parseaddr(sender)[1].rpartition("@")[2]
        message_id = f"<{outgoing.first_ref}@{domain}>"
        mail = EmailMultiAlternatives(
            subject=outgoing.subject,
            body=outgoing.body,
            from_email=sender,
            to=[outgoing.to],
            headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
        )
        mail.attach_alternative(
            render_to_string("messaging/email.html", {"body": outgoing.body}),
            "text/html",
        )
        connection = get_connection("django.core.mail.backends.smtp.EmailBackend")
        try:
            connection.open()
        except (OSError, smtplib.SMTPException) as error:
            raise _not_connected(error) from error
        try:
            sent = connection.send_messages([mail])
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise classify(code, text) from error
        except smtplib.SMTPSenderRefused as error:
            permanent = error.smtp_code >= 500
            raise ChannelError(
                Failure.CONFIG if permanent else Failure.TRY_LATER,
                str(error.smtp_code),
            ) from error
        except smtplib.SMTPDataError as error:
            raise classify(
                error.smtp_code, error.smtp_error, about_address=False
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            # After the final dot nobody can tell whether the server took it.
            raise ChannelError(Failure.UNKNOWN, detail=type(error).__name__) from error
        finally:
            connection.close()
        if sent != 1:
            raise ChannelError(Failure.REFUSED, detail="nothing was sent")
        return HandedOver(provider_id=f"<{outgoing.ref}@{domain}>", sender=sender)

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Return None: an SMTP server cannot be asked."""
        return None


def classify(
    code: int, text: bytes | str, *, about_address: bool = True
) -> ChannelError:
    """Return what an SMTP reply code means: 4xx is later, 5xx is never (RFC 5321).

    Only 5.1.x says that there is no such mailbox (RFC 3463); a full one, a policy, or a
    relay that does not know us says nothing about the address.
    """
    detail = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    if code < 500:
        return ChannelError(Failure.TRY_LATER, str(code))
    enhanced = re.match(r"\s*(\d\.\d{1,3}\.\d{1,3})", detail)
    unknown_mailbox = (
        enhanced[1].startswith("5.1.")
        if enhanced
        else code in (550, 551, 553) and "relay" not in detail.lower()
    )
    if about_address and unknown_mailbox:
        return ChannelError(Failure.BAD_ADDRESS, str(code))
    return ChannelError(Failure.REFUSED, str(code))


def _not_connected(error: Exception) -> ChannelError:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return ChannelError(Failure.CONFIG, str(error.smtp_code))
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500:
        return ChannelError(Failure.CONFIG, str(error.smtp_code))
    if isinstance(error, (socket.gaierror, ConnectionError, TimeoutError)):
        return ChannelError(Failure.TRY_LATER, detail="no connection")
    return ChannelError(Failure.TRY_LATER, detail=type(error).__name__)
