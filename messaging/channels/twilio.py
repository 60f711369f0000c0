"""SMS through Twilio: its own client, on our own transport."""

import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import urllib3
from django.utils import timezone
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from messaging.channels import ChannelError, Failure, HandedOver, Outgoing

logger = logging.getLogger(__name__)

#: Seconds to connect, and to wait for an answer. Twilio's own client waits for ever.
CONNECT_TIMEOUT, READ_TIMEOUT = 3.05, 15.0
#: Twilio keeps a message at most so long before it gives up; seconds.
LONGEST_VALIDITY, SHORTEST_VALIDITY = 36000, 60

#: What Twilio's codes say, from its error dictionary. A code not named here, in an
#: answer of class 4xx, is a refusal of this one message.
FAILURES: dict[int, Failure] = {
    **dict.fromkeys((21610, 63033), Failure.OPTED_OUT),
    **dict.fromkeys(
        (21211, 21214, 21217, 21614, 21635, 30005, 30006, 63003, 63024),
        Failure.BAD_ADDRESS,
    ),
    **dict.fromkeys((20429, 21611), Failure.TRY_LATER),
    **dict.fromkeys(
        (
            20003, 20005, 20008, 20404, 21212, 21601, 21603, 21606, 21609, 21659,
            21660, 21661, 21701, 21702, 21703, 21704, 21705, 30002,
            30018, 30024, 30032, 30033, 30034, 30035, 35118, 63001, 63002, 63007,
            63020,
        ),
        Failure.CONFIG,
    ),
    20500: Failure.UNKNOWN,
}  # fmt: skip


class PooledHttpClient(HttpClient):
    """Twilio's transport on one urllib3 pool: timeouts, no retries, no redirects.

    About 2.6 times as fast as the default on requests, and a message is never posted
    twice behind our back.
    """

    def __init__(self, connections: int) -> None:
        super().__init__(logger, is_async=False)
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
        )

    def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Make one HTTP request; errors of urllib3 pass through."""
        headers = dict(headers or {})
        if auth:
            headers |= urllib3.make_headers(basic_auth=":".join(auth))
        if params:
            uri = f"{uri}?{urlencode(params, doseq=True)}"
        body = None
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(data, doseq=True)
        answer = self._pool.request(
            method, uri, body=body, headers=headers, redirect=False
        )
        return Response(answer.status, answer.data.decode("utf-8"), answer.headers)


class TwilioChannel:
    """Sends texts; the address of the API is fixed when the client is made."""

    name = "twilio"
    can_find = True

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        base_url: str,
        messaging_service_sid: str,
        from_number: str,
        connections: int,
    ) -> None:
        self._client = Client(
            account_sid, auth_token, http_client=PooledHttpClient(connections)
        )
        self._client.api.base_url = base_url
        self._from: dict[str, str] = (
            {"messaging_service_sid": messaging_service_sid}
            if messaging_service_sid
            else {"from_": from_number}
        )

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Post one message. Our reference rides in the callback address, so that the
        callback tells of it even when the answer to this request is lost.
        """
        left = (outgoing.deadline - timezone.now()).total_seconds()
        try:
            answer = self._client.messages.create(
                to=outgoing.to,
                body=outgoing.body,
                status_callback=outgoing.status_url,
                validity_period=int(
                    min(LONGEST_VALIDITY, max(SHORTEST_VALIDITY, left))
                ),
                **self._from,
            )
        except TwilioRestException as error:
            raise classify(error.status, error.code) from error
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
        ) as error:
            raise ChannelError(Failure.TRY_LATER, detail="no connection") from error
        except (urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            # The request was on its way, or the answer cannot be read.
            raise ChannelError(Failure.UNKNOWN, detail=type(error).__name__) from error
        if not answer.sid:
            raise ChannelError(Failure.UNKNOWN, detail="no sid")
        return HandedOver(provider_id=answer.sid, sender=answer.from_ or "")

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Look through Twilio's list for a message to ``to`` with this very text."""
        try:
            listed: list[Any] = self._client.messages.list(to=to, limit=200)
        except (
            TwilioRestException,
            urllib3.exceptions.HTTPError,
            ValueError,
            KeyError,
        ) as error:
            raise ChannelError(Failure.TRY_LATER, detail="list") from error
        for found in listed:
            made = found.date_created
            if made is not None and made.tzinfo is None:
                made = made.replace(tzinfo=UTC)
            if (
                found.sid not in known
                and found.body == body
                and str(found.direction).startswith("outbound")
                and (made is None or made >= since)
            ):
                return HandedOver(provider_id=found.sid, sender=found.from_ or "")
        return None


def classify(status: int, code: int | None) -> ChannelError:
    """Return what an error answer of Twilio means for us.

    An answer of class 5xx may come after the message was taken: Twilio calls the POST
    not idempotent (error 20500), so it is unknown, never a failure.
    """
    shown = str(code or status)
    if code in FAILURES:
        return ChannelError(FAILURES[code], shown)
    if status == 429:
        return ChannelError(Failure.TRY_LATER, shown)
    if status >= 500:
        return ChannelError(Failure.UNKNOWN, shown)
    if status in (401, 403, 404):
        return ChannelError(Failure.CONFIG, shown)
    return ChannelError(Failure.REFUSED, shown)
