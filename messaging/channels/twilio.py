"""SMS through Twilio: its own client, on our own transport."""

import json
import logging
import ssl
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from django.utils import timezone
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from messaging.channels import ChannelError, Failure, HandedOver, Listed, Outgoing
from messaging.codes import TWILIO, Meaning

logger = logging.getLogger(__name__)

#: Seconds to connect, and to wait for an answer. Twilio's own client waits for ever.
CONNECT_TIMEOUT, READ_TIMEOUT = 3.05, 15.0
#: Twilio keeps a message at most so long before it gives up; seconds.
LONGEST_VALIDITY, SHORTEST_VALIDITY = 36000, 60
#: How long after its submission Twilio may have made a message: the longest call, and
#: two clocks that disagree.
MADE_WITHIN = timedelta(minutes=10)
#: How many pages of one number's messages are looked through for one, and of
#: everybody's for what the webhooks missed; how many messages a page has (1,000 is
#: Twilio's most).
FIND_PAGES, RECENT_PAGES = 4, 20
FIND_PAGE_SIZE, RECENT_PAGE_SIZE = 100, 1000
#: No provider is obeyed longer than this; seconds.
LONGEST_RETRY_AFTER = 3600.0
#: Not at Twilio's door at all: a redirect, a proxy, another product's address.
_WRONG_DOOR = frozenset({401, 403, 404, 405, 407})


class PooledHttpClient(HttpClient):
    """Twilio's transport on one urllib3 pool: timeouts, no retries, no redirects.

    About 2.6 times as fast as the default on requests, and a message is never posted
    twice behind our back. The pool belongs to one host and can reach no other; it
    reads no proxy from the environment.
    """

    def __init__(self, base_url: str, connections: int) -> None:
        super().__init__(logger, is_async=False)
        origin = urlsplit(base_url)
        self._origin = f"{origin.scheme}://{origin.netloc}"
        self._pool = urllib3.connection_from_url(
            base_url,
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
        path = uri.removeprefix(self._origin)
        if params:
            path = f"{path}?{urlencode(params, doseq=True)}"
        body = None
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(data, doseq=True)
        answer = self._pool.request(
            method, path, body=body, headers=headers, redirect=False
        )
        return Response(answer.status, answer.data.decode("utf-8"), answer.headers)


class TwilioChannel:
    """Sends texts; the address of the API is fixed when the client is made.

    While the auth token is changed at Twilio there are two, and either may be the one
    that counts: an answer of 401 says that the request was not looked at, so the same
    one is made with the next token, which is then the first to be tried.
    """

    name = "twilio"
    can_find = True

    def __init__(
        self,
        *,
        account_sid: str,
        auth_tokens: Sequence[str],
        base_url: str,
        messaging_service_sid: str,
        from_number: str,
        connections: int,
    ) -> None:
        transport = PooledHttpClient(base_url, connections)
        self._clients = [
            Client(account_sid, token, http_client=transport) for token in auth_tokens
        ]
        for client in self._clients:
            # Else the environment may name another host than the one that was given.
            client.edge = client.region = None
        self._using = 0
        self._base_url = base_url
        self._messages = f"/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._service = messaging_service_sid
        self._number = from_number
        self._from: dict[str, object] = (
            {"MessagingServiceSid": messaging_service_sid}
            if messaging_service_sid
            else {"From": from_number}
        )

    def send(self, outgoing: Outgoing) -> HandedOver:
        """Post one message. Our reference rides in the callback address, so that the
        callback tells of it even when the answer to this request is lost.
        """
        left = (outgoing.deadline - timezone.now()).total_seconds()
        validity = int(min(LONGEST_VALIDITY, max(SHORTEST_VALIDITY, left)))
        try:
            response = self._request(
                "POST",
                self._messages,
                data={
                    "To": outgoing.to,
                    "Body": outgoing.body,
                    "StatusCallback": outgoing.status_url,
                    "ValidityPeriod": validity,
                    **self._from,
                },
            )
        except urllib3.exceptions.HTTPError as error:
            raise _broken(error) from error
        except ValueError as error:
            # The answer is no text.
            raise ChannelError(Failure.UNKNOWN, detail="unreadable") from error
        answer = _as_dict(response.text)
        if not 200 <= response.status_code < 300:
            raise classify(
                response.status_code,
                answer.get("code"),
                _retry_after(response.headers),
            )
        sid = answer.get("sid")
        if not isinstance(sid, str) or not sid:
            raise ChannelError(Failure.UNKNOWN, detail="no sid")
        return HandedOver(provider_id=sid, sender=str(answer.get("from") or ""))

    def find(
        self, to: str, body: str, since: datetime, known: set[str]
    ) -> HandedOver | None:
        """Look through Twilio's list for a message to ``to`` with this very text.

        Made from ``since`` on (UTC) and no later than a submission of then can have
        been; a date that is missing excludes nothing. Of several the oldest: two of
        ours with the same words take one each. A text that was redacted at Twilio is
        taken when none has the words. Raises ``TRY_LATER`` when the list cannot be had,
        which says nothing of the message.
        """
        until = since + MADE_WITHIN
        fitting: list[tuple[bool, bool, datetime, dict[str, Any]]] = []
        pages = self._pages({"To": to, "PageSize": FIND_PAGE_SIZE}, FIND_PAGES)
        for page in pages:
            for one in page:
                made = _instant(one.get("date_created"))
                text = _comparable(one.get("body"))
                if (
                    self._is_ours(one)
                    and one["sid"] not in known
                    and text in ("", _comparable(body))
                    and (made is None or since <= made <= until)
                ):
                    fitting.append((not text, made is None, made or since, one))
            if _all_before(page, since):
                break
        if not fitting:
            return None
        found = min(fitting, key=lambda entry: entry[:3])[3]
        return HandedOver(provider_id=found["sid"], sender=str(found.get("from") or ""))

    def recent(self, since: datetime) -> Iterator[Listed]:
        """Yield the account's messages since an instant (UTC), in and out, the newest
        first, a bounded number of pages of them.

        Not filtered by Twilio: its DateSent knows whole days only, and is empty for
        what was not sent. Raises ``TRY_LATER`` when the list cannot be had.
        """
        for page in self._pages({"PageSize": RECENT_PAGE_SIZE}, RECENT_PAGES):
            for one in page:
                made = _instant(one.get("date_created"))
                if made is None or made >= since:
                    yield _listed(one)
            if _all_before(page, since):
                break

    def _is_ours(self, one: dict[str, Any]) -> bool:
        """Return whether a listed message may be one this clinic sent."""
        if not str(one.get("direction")).startswith("outbound"):
            return False
        if self._service:
            return one.get("messaging_service_sid") in (None, "", self._service)
        return one.get("from") in (None, "", self._number)

    def _pages(
        self, params: dict[str, object], most: int
    ) -> Iterator[list[dict[str, Any]]]:
        path, asked = self._messages, params or None
        for _page in range(most):
            try:
                response = self._request("GET", path, params=asked)
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                raise ChannelError(Failure.TRY_LATER, detail="list") from error
            answer = _as_dict(response.text)
            messages = answer.get("messages")
            if response.status_code != 200 or not isinstance(messages, list):
                raise ChannelError(Failure.TRY_LATER, detail="list")
            yield [one for one in messages if isinstance(one, dict) and one.get("sid")]
            path, asked = str(answer.get("next_page_uri") or ""), None
            if not path.startswith("/"):
                return

    def _request(self, method: str, path: str, **arguments: Any) -> Response:
        """Make a request with the token that counts now; see the class."""
        if not self._clients:
            raise ChannelError(Failure.CONFIG, detail="no token")
        for turn in range(len(self._clients)):
            using = (self._using + turn) % len(self._clients)
            response = self._clients[using].request(
                method, self._base_url + path, **arguments
            )
            if response.status_code != 401:
                self._using = using
                return response
        return response


def classify(
    status: int, code: object = None, retry_after: float | None = None
) -> ChannelError:
    """Return what an error answer of Twilio means for us.

    An answer of class 5xx may come after the message was taken: Twilio calls the POST
    not idempotent (error 20500), so it is unknown, never a failure, whatever its code.
    How long to wait is passed on, from the header or, without one, from the code.
    """
    shown = str(code or status)
    known = TWILIO.get(code) if isinstance(code, int) else None
    if status >= 500 or status == 408:
        meaning = Meaning(Failure.UNKNOWN)
    elif known is not None:
        meaning = known
    elif status == 429:
        meaning = Meaning(Failure.TRY_LATER)
    elif status < 400 or status in _WRONG_DOOR:
        meaning = Meaning(Failure.CONFIG)
    else:
        meaning = Meaning(Failure.REFUSED)
    if retry_after is None and meaning.wait is not None:
        retry_after = meaning.wait.total_seconds()
    return ChannelError(meaning.failure, shown, retry_after=retry_after)


def _broken(error: urllib3.exceptions.HTTPError) -> ChannelError:
    """Return what an exchange that broke means: only what broke before the request was
    on its way is provably not sent.
    """
    no_connection = isinstance(
        error,
        (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
        ),
    )
    # Whoever answers there is not Twilio, and was told nothing.
    untrusted = isinstance(error, urllib3.exceptions.SSLError) and any(
        isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args
    )
    if no_connection or untrusted:
        return ChannelError(Failure.TRY_LATER, detail="no connection")
    return ChannelError(Failure.UNKNOWN, detail=type(error).__name__)


def _as_dict(text: str) -> dict[str, Any]:
    """Return a JSON object, or an empty one for what is none."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(headers: Any) -> float | None:
    """Return how many seconds Retry-After asks for, in either of its forms (RFC 9110,
    10.2.3), within bounds.
    """
    said = str((headers or {}).get("Retry-After") or "").strip()
    if said.isascii() and said.isdecimal():
        return min(float(said[:9]), LONGEST_RETRY_AFTER)
    moment = _instant(said)
    if moment is None:
        return None
    left = (moment - timezone.now()).total_seconds()
    return min(max(left, 0.0), LONGEST_RETRY_AFTER)


def _instant(said: object) -> datetime | None:
    """Read a date as mails write it; without a zone it is UTC. None when it is none."""
    try:
        moment = parsedate_to_datetime(str(said))
    except (ValueError, TypeError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _comparable(body: object) -> str:
    """Return a text without what may differ between ours and Twilio's copy of it."""
    text = unicodedata.normalize("NFC", str(body or ""))
    return text.replace("\r\n", "\n").strip()


def _all_before(page: list[dict[str, Any]], since: datetime) -> bool:
    made = [_instant(one.get("date_created")) for one in page]
    return bool(made) and all(moment is not None and moment < since for moment in made)


def _listed(one: dict[str, Any]) -> Listed:
    media = str(one.get("num_media") or "0")
    return Listed(
        provider_id=str(one["sid"]),
        inbound=one.get("direction") == "inbound",
        status=str(one.get("status") or ""),
        code=str(one.get("error_code") or ""),
        from_address=str(one.get("from") or ""),
        to_address=str(one.get("to") or ""),
        body=str(one.get("body") or ""),
        media_count=int(media) if media.isdecimal() and len(media) < 4 else 0,
        at=_instant(one.get("date_updated")) or _instant(one.get("date_created")),
    )
