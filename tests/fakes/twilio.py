"""A scriptable fake of Twilio's Messages API, over real HTTP on loopback."""

import base64
import hmac
import json
import os
import queue
import re
import socket
import socketserver
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from email.message import Message
from email.utils import format_datetime
from enum import Enum
from functools import cache
from http.client import HTTPConnection, HTTPException, responses
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self, cast
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

# Spelled in two halves so that secret scanners do not take it for a real account.
DEFAULT_ACCOUNT_SID = "AC" + "0" * 32
DEFAULT_AUTH_TOKEN = "fake-auth-token"
DEFAULT_FROM_NUMBER = "+16175550100"
API_VERSION = "2010-04-01"
API_HOST = "https://api.twilio.com"
FORM_TYPE = "application/x-www-form-urlencoded"
MAX_BODY = 1600
MAX_VALIDITY = 36000

REPOSITORY = Path(__file__).resolve().parents[2]
SPEC_PATH = REPOSITORY.parent / "shared" / "data" / "twilio_messages_openapi.json"

# A status never moves a message back down; equal ranks are rival endings.
STATUS_RANK = {
    "accepted": 0,
    "scheduled": 0,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "undelivered": 4,
    "failed": 4,
    "canceled": 4,
    "partially_delivered": 4,
    "delivered": 5,
    "read": 6,
}

ERROR_MESSAGES = {
    20001: "Invalid parameter",
    20003: "Authenticate",
    20004: "Method not allowed",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21408: "Permission to send an SMS has not been enabled for the region",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21609: "The 'StatusCallback' URL is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    30003: "Unreachable destination handset",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    90007: "Invalid validity period value",
}

Callback = str | tuple[str, int]
"""A status to report, or a status with its error code."""

DEFAULT_CALLBACKS: tuple[Callback, ...] = ("sent", "delivered")
NO_CALLBACKS: tuple[Callback, ...] = ()
DOUBLED_CALLBACKS: tuple[Callback, ...] = ("sent", "sent", "delivered", "delivered")
REVERSED_CALLBACKS: tuple[Callback, ...] = ("delivered", "sent")

_LONGEST_LINE = 65536
_ADDRESS = re.compile(r"([a-z]+:)?\+[1-9]\d{6,14}")
_SENDER = re.compile(r"([a-z]+:)?\+[1-9]\d{6,14}|\d{3,8}|[A-Za-z0-9 ]{1,11}")
_LIST_PATH = re.compile(rf"/{API_VERSION}/Accounts/([^/]+)/Messages\.json")
_ITEM_PATH = re.compile(rf"/{API_VERSION}/Accounts/([^/]+)/Messages/([^/]+)\.json")


class NotLoopbackError(ValueError):
    """A webhook address that is not on this machine: a test must not reach out."""


class Signature(Enum):
    """How a webhook is signed."""

    VALID = "valid"
    BROKEN = "broken"  # signed with another token
    MISSING = "missing"  # no header at all


class Answer(Enum):
    """What the caller of create sees."""

    CREATED = "created"
    ERROR = "error"
    UNPARSABLE = "unparsable"  # 201, but the body is an HTML page
    CUT = "cut"  # the connection closes without a byte
    HANG = "hang"  # nothing until released


@dataclass(frozen=True)
class Behaviour:
    """What one create does: whether it sends, and, separately, what it answers."""

    accepts: bool
    answer: Answer
    status: int = 201
    code: int | None = None
    seconds: float | None = None
    retry_after: str | None = None
    callbacks: tuple[Callback, ...] | None = None
    early: bool | None = None

    OK: ClassVar["Behaviour"]
    SERVER_ERROR_BEFORE: ClassVar["Behaviour"]
    SERVER_ERROR_AFTER: ClassVar["Behaviour"]
    UNPARSABLE_AFTER: ClassVar["Behaviour"]
    CUT_BEFORE: ClassVar["Behaviour"]
    CUT_AFTER: ClassVar["Behaviour"]
    HANG_BEFORE: ClassVar["Behaviour"]
    HANG_AFTER: ClassVar["Behaviour"]

    @classmethod
    def error(
        cls, status: int, code: int | None = None, *, retry_after: str | None = None
    ) -> Self:
        """Refuse with this HTTP status and Twilio code; nothing is sent.

        ``retry_after`` is that header's value: seconds, or a date.
        """
        return cls(False, Answer.ERROR, status, code, retry_after=retry_after)

    @classmethod
    def hang_after(cls, seconds: float | None = None) -> Self:
        """Accept, then answer only after ``seconds`` or on ``FakeTwilio.release``."""
        return cls(True, Answer.HANG, seconds=seconds)

    def calling_back(self, *callbacks: Callback, early: bool = False) -> Self:
        """Return this behaviour with its own status callbacks.

        Without arguments there are none. ``early`` posts them before the reply to
        create, when the caller cannot know the SID yet.
        """
        return replace(self, callbacks=callbacks, early=early)


Behaviour.OK = Behaviour(True, Answer.CREATED)
Behaviour.SERVER_ERROR_BEFORE = Behaviour(False, Answer.ERROR, 500, 20500)
Behaviour.SERVER_ERROR_AFTER = Behaviour(True, Answer.ERROR, 500, 20500)
Behaviour.UNPARSABLE_AFTER = Behaviour(True, Answer.UNPARSABLE)
Behaviour.CUT_BEFORE = Behaviour(False, Answer.CUT)
Behaviour.CUT_AFTER = Behaviour(True, Answer.CUT)
Behaviour.HANG_BEFORE = Behaviour(False, Answer.HANG)
Behaviour.HANG_AFTER = Behaviour(True, Answer.HANG)


@dataclass(frozen=True)
class Accepted:
    """One message taken for delivery, as it was asked for."""

    sid: str
    to: str
    sender: str | None
    messaging_service_sid: str | None
    body: str
    status_callback: str | None
    validity_period: int | None
    at: datetime


class WebhookResponse(NamedTuple):
    """What the product answered to a webhook."""

    status: int
    headers: Message
    text: str


@dataclass(frozen=True)
class CallbackPost:
    """One automatic status callback and its fate; ``answered`` is an HTTP status."""

    sid: str
    status: str
    error_code: int | None
    url: str
    answered: int | None = None
    fault: Exception | None = None


@dataclass
class _Resource:
    """A message as the API shows it, which moves on while the ledger stands still."""

    sid: str
    to: str
    sender: str | None
    service: str | None
    body: str
    status: str
    direction: str
    created: datetime | None
    num_media: int = 0
    callback_url: str | None = None
    updated: datetime | None = None
    sent: datetime | None = None
    error_code: int | None = None


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: str
    #: Their names in small letters.
    headers: Mapping[str, str]
    body: bytes

    @property
    def arguments(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)


@dataclass
class _Reply:
    """An answer on its way; ``status`` 0 closes the connection instead."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    hang: threading.Event | None = None
    seconds: float | None = None
    retry_after: str | None = None
    callbacks: list[tuple[str, Callback]] = field(default_factory=list)


class FakeTwilio:
    """Twilio's Messages API for one account, on a loopback port.

    Use as a context manager, or with ``start`` and ``stop``. A stopped fake keeps
    its port and its messages, so stopping and starting plays an outage.

    A create takes its behaviour from ``for_number``, else from the ``script`` queue,
    else from ``always``; one that Twilio would refuse for its own faults leaves the
    queue alone. Scheduling is refused and media are ignored. ``violations`` collects
    whatever breaks Twilio's OpenAPI description, in requests or in our own replies;
    where the description is not at hand ``checked_against_spec`` is False.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        account_sid: str = DEFAULT_ACCOUNT_SID,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        from_number: str = DEFAULT_FROM_NUMBER,
        ledger_path: Path | None = None,
        on_accepted: Callable[[Accepted], None] | None = None,
        connect_to: str | None = None,
        webhook_timeout: float = 10,
        spec_path: Path = SPEC_PATH,
    ) -> None:
        """Prepare the fake; it listens only once started.

        ``from_number`` is the sender a Messaging Service picks. ``connect_to`` plays
        the proxy in front of the product: webhooks are signed for the public URL they
        name, but posted to this loopback address.
        """
        self.port = port
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.from_number = from_number
        self.ledger_path = ledger_path
        self.on_accepted = on_accepted
        self.connect_to = connect_to
        self.webhook_timeout = webhook_timeout
        self.callbacks: Sequence[Callback] = DEFAULT_CALLBACKS
        self.callbacks_early = False
        self.violations: list[str] = []
        self.attempts: list[dict[str, str]] = []
        self.callback_posts: list[CallbackPost] = []
        self.errors: list[BaseException] = []
        self._spec = _load_spec(spec_path) if spec_path.exists() else None
        self._changed = threading.Condition(threading.RLock())
        self._ledger: list[Accepted] = []
        self._resources: dict[str, _Resource] = {}
        self._default = Behaviour.OK
        self._script: deque[Behaviour] = deque()
        self._by_number: dict[str, Behaviour] = {}
        self._hanging: list[threading.Event] = []
        self._pending = 0
        self._stopping = False
        self._refused: list[NotLoopbackError] = []
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []
        self._jobs: queue.SimpleQueue[tuple[str, Callback] | None] = queue.SimpleQueue()

    # Running

    @property
    def url(self) -> str:
        """The base URL to give the client in place of https://api.twilio.com."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def checked_against_spec(self) -> bool:
        """Whether requests are checked against Twilio's OpenAPI description."""
        return self._spec is not None

    def start(self) -> Self:
        """Listen, from now on, on a port that stays the same."""
        if self._server is not None:
            raise RuntimeError("FakeTwilio is already running")
        self._server = _Server(self, self.port)
        self.port = self._server.server_address[1]
        self._stopping = False
        self._jobs = queue.SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._server.serve_forever,
                # shutdown() takes one poll: at the default it would cost 0.5 s.
                kwargs={"poll_interval": 0.02},
                name="fake-twilio",
                daemon=True,
            ),
            threading.Thread(
                target=self._send_callbacks, name="fake-twilio-callbacks", daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, cut open connections and forget callbacks not yet posted."""
        if self._server is None:
            return
        self._server.shutdown()
        with self._changed:
            self._stopping = True
        self.release()
        self._server.close_everything()
        self._server = None
        with self._changed:
            while not self._jobs.empty():
                self._jobs.get()
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(self.webhook_timeout)
        with self._changed:
            self._pending = 0
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and raise a fault of the fake itself unless a test failed already."""
        self.stop()
        if error is None and self.errors:
            raise self.errors[0]

    # Scripting

    def script(self, *behaviours: Behaviour) -> None:
        """Queue behaviours for the next creates."""
        with self._changed:
            self._script.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """Do this whenever nothing else is scripted."""
        self._default = behaviour

    def for_number(self, number: str, behaviour: Behaviour | None) -> None:
        """Do this for every message to ``number``; None forgets it again."""
        with self._changed:
            if behaviour is None:
                self._by_number.pop(number, None)
            else:
                self._by_number[number] = behaviour

    def release(self) -> None:
        """Let every answer that hangs now go out; later ones hang again."""
        with self._changed:
            hanging, self._hanging = self._hanging, []
        for event in hanging:
            event.set()

    # Looking

    @property
    def ledger(self) -> list[Accepted]:
        """Every message accepted so far, oldest first (a copy)."""
        with self._changed:
            return list(self._ledger)

    def accepted_to(self, number: str) -> list[Accepted]:
        """Return the accepted messages to one number, oldest first."""
        return [accepted for accepted in self.ledger if accepted.to == number]

    def status_of(self, sid: str) -> str:
        """Return the status the API shows for one message."""
        with self._changed:
            return self._resources[sid].status

    def wait_until_accepted(self, count: int = 1, timeout: float = 10) -> None:
        """Block until the ledger holds ``count`` messages."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._ledger) >= count, timeout):
                raise TimeoutError(f"{len(self._ledger)} of {count} messages accepted")

    def drain_callbacks(self, timeout: float = 10) -> list[CallbackPost]:
        """Block until all automatic callbacks are posted, and return them all.

        What the product answered, or that nobody listened, is in the result; an
        address that is not loopback raises.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._pending == 0, timeout):
                raise TimeoutError(f"{self._pending} callbacks still to be posted")
            if self._refused:
                raise self._refused.pop(0)
            return list(self.callback_posts)

    # Webhooks

    def set_status(
        self, sid: str, status: str, *, error_code: int | None = None
    ) -> None:
        """Move a message on without telling anybody, as when a callback is lost."""
        if status not in STATUS_RANK:
            raise ValueError(f"Twilio has no status {status!r} for outbound messages")
        with self._changed:
            resource = self._resources[sid]
            if STATUS_RANK[status] < STATUS_RANK[resource.status]:
                return
            now = datetime.now(UTC)
            resource.status = status
            resource.updated = now
            if status in {"sent", "delivered"} and resource.sent is None:
                resource.sent = now
            if resource.service and resource.sender is None:
                resource.sender = self.from_number
            if error_code is not None:
                resource.error_code = error_code

    def forget_date(self, sid: str) -> None:
        """Show a message without saying when it was made."""
        with self._changed:
            self._resources[sid].created = None

    def call_back(
        self,
        sid: str,
        status: str,
        error_code: int | None = None,
        *,
        url: str | None = None,
        signature: Signature = Signature.VALID,
        extra: Mapping[str, str] | None = None,
    ) -> WebhookResponse:
        """Post one status callback now and return what the product answered.

        The resource follows too, unless the status would take it backwards. ``extra``
        adds parameters or replaces them, and is signed with the rest.
        """
        self.set_status(sid, status, error_code=error_code)
        with self._changed:
            resource = replace(self._resources[sid])
        target = url or resource.callback_url
        if target is None:
            raise ValueError(f"{sid} was sent without a StatusCallback")
        params = {
            "ApiVersion": API_VERSION,
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "To": resource.to,
            "From": resource.sender or self.from_number,
            "AccountSid": self.account_sid,
        }
        if resource.service:
            params["MessagingServiceSid"] = resource.service
        if error_code is not None:
            params["ErrorCode"] = str(error_code)
        if status in {"delivered", "undelivered"}:
            params["RawDlrDoneDate"] = f"{datetime.now(UTC):%y%m%d%H%M}"
        return self._post(target, params | dict(extra or {}), signature)

    def reply(
        self,
        url: str,
        from_: str,
        to: str,
        body: str,
        sid: str | None = None,
        num_media: int = 0,
        extra: Mapping[str, str] | None = None,
        *,
        signature: Signature = Signature.VALID,
    ) -> WebhookResponse:
        """Post an inbound message and return what the product answered.

        A properly signed one also appears in the Messages list. Giving ``sid`` again
        replays the webhook of the same message.
        """
        sid = sid or _new_sid("MM" if num_media else "SM")
        if signature is Signature.VALID:
            self.receive(from_, to, body, sid=sid, num_media=num_media)
        params = {
            "ApiVersion": API_VERSION,
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsMessageSid": sid,
            "AccountSid": self.account_sid,
            "From": from_,
            "To": to,
            "Body": body,
            "NumMedia": str(num_media),
            "NumSegments": "1",
            "SmsStatus": "received",
        }
        for end in ("From", "To"):
            # Blank but present: dropping them would break the signature.
            params |= {f"{end}City": "", f"{end}State": "", f"{end}Zip": ""}
            params[f"{end}Country"] = "US"
        for number in range(num_media):
            path = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{sid}/Media/ME"
            params[f"MediaUrl{number}"] = f"{self.url}{path}{number:032x}"
            params[f"MediaContentType{number}"] = "image/jpeg"
        return self._post(url, params | dict(extra or {}), signature)

    def receive(
        self,
        from_: str,
        to: str,
        body: str,
        *,
        sid: str | None = None,
        num_media: int = 0,
    ) -> str:
        """Take in a message whose webhook never comes, and return its SID.

        Only a look at the Messages list finds it.
        """
        sid = sid or _new_sid("MM" if num_media else "SM")
        now = datetime.now(UTC)
        with self._changed:
            self._resources.setdefault(
                sid,
                _Resource(
                    sid=sid,
                    to=to,
                    sender=from_,
                    service=None,
                    body=body,
                    status="received",
                    direction="inbound",
                    created=now,
                    num_media=num_media,
                    sent=now,
                ),
            )
        return sid

    def _post(
        self, url: str, params: Mapping[str, str], signature: Signature
    ) -> WebhookResponse:
        public = urlsplit(url)
        # The fragment carries Twilio's connection settings and is never signed.
        public = public._replace(path=public.path or "/", fragment="")
        signed_url = urlunsplit(public)
        target = urlsplit(self.connect_to) if self.connect_to else public
        _require_loopback(target)
        event = signed_url + params["MessageSid"] + params.get("MessageStatus", "")
        headers = {
            "Host": public.netloc,
            "Content-Type": f"{FORM_TYPE}; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": str(uuid.uuid5(uuid.NAMESPACE_URL, event)),
            "X-Forwarded-Proto": public.scheme,
        }
        if signature is not Signature.MISSING:
            token = self.auth_token
            if signature is Signature.BROKEN:
                token += "-of-somebody-else"
            headers["X-Twilio-Signature"] = sign(token, signed_url, params.items())
        connection = HTTPConnection(
            target.hostname or "", target.port, timeout=self.webhook_timeout
        )
        try:
            path = urlunsplit(("", "", public.path, public.query, ""))
            connection.request("POST", path, urlencode(params), headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return WebhookResponse(response.status, response.headers, text)
        finally:
            connection.close()

    def _send_callbacks(self) -> None:
        """Post queued callbacks one after the other, so that their order holds."""
        jobs = self._jobs
        while (job := jobs.get()) is not None:
            self._send_callback(*job)

    def _send_callback(self, sid: str, callback: Callback) -> None:
        status, code = (callback, None) if isinstance(callback, str) else callback
        url = self._resources[sid].callback_url
        post: CallbackPost | None = None
        try:
            if url is None:
                self.set_status(sid, status, error_code=code)
            else:
                post = CallbackPost(sid, status, code, url)
                answer = self.call_back(sid, status, code)
                post = replace(post, answered=answer.status)
        except (NotLoopbackError, OSError, HTTPException) as fault:
            if isinstance(fault, NotLoopbackError):
                self._refused.append(fault)
            if post is not None:
                post = replace(post, fault=fault)
        except Exception as fault:  # the thread must live on, and say so at the end
            self.errors.append(fault)
        finally:
            with self._changed:
                if post is not None:
                    self.callback_posts.append(post)
                self._pending -= 1
                self._changed.notify_all()

    # Answering

    def _handle(self, request: _Request) -> _Reply:
        reply = self._route(request)
        if self._spec is not None:
            self.violations.extend(self._spec.complaints(request, reply))
        return reply

    def _route(self, request: _Request) -> _Reply:
        listing = _LIST_PATH.fullmatch(request.path)
        item = _ITEM_PATH.fullmatch(request.path)
        if listing and request.method == "POST":
            with self._changed:
                self.attempts.append(dict(request.form))
        if not self._authentic(request.headers.get("authorization", "")):
            return _error(401, 20003)
        found = listing or item
        if found is None or found[1] != self.account_sid:
            return _error(404, 20404)
        if request.method not in {"GET", "POST"}:
            return _error(405, 20004)
        if listing:
            if request.method == "GET":
                return self._list(request)
            return self._create(dict(request.form))
        return self._item(found[2], request)

    def _authentic(self, header: str) -> bool:
        pair = f"{self.account_sid}:{self.auth_token}".encode()
        return header == "Basic " + base64.b64encode(pair).decode()

    def _create(self, form: Mapping[str, str]) -> _Reply:
        code = _fault_of(form)
        if code is not None:
            return _error(400, code)
        with self._changed:
            behaviour = self._by_number.get(form["To"])
            if behaviour is None and self._script:
                behaviour = self._script.popleft()
            behaviour = behaviour or self._default
            reply = self._reply_for(behaviour)
            # Registered before anyone can see the message accepted, so that a test
            # which waits for that and then releases cannot come too soon.
            if reply.hang is not None:
                self._hanging.append(reply.hang)
                if self._stopping:
                    reply.hang.set()
            if not behaviour.accepts:
                return reply
            accepted = self._accept(form)
            if behaviour.answer in {Answer.CREATED, Answer.HANG}:
                reply.status = 201
                reply.body = _json(self._shown(self._resources[accepted.sid]))
            plan = behaviour.callbacks
            reply.callbacks = [
                (accepted.sid, callback)
                for callback in (self.callbacks if plan is None else plan)
            ]
            # Counted before the caller has its answer: whoever drains next waits.
            self._pending += len(reply.callbacks)
            self._changed.notify_all()
        if self.on_accepted is not None:
            self.on_accepted(accepted)
        early = self.callbacks_early if behaviour.early is None else behaviour.early
        if early:
            jobs, reply.callbacks = reply.callbacks, []
            for job in jobs:
                self._send_callback(*job)
        return reply

    def _reply_for(self, behaviour: Behaviour) -> _Reply:
        """Return the answer to a create that leaves nothing behind."""
        match behaviour.answer:
            case Answer.CUT:
                return _Reply(0)
            case Answer.UNPARSABLE:
                page = b"<html><body>Bad gateway</body></html>"
                return _Reply(201, page, "text/html")
            case Answer.HANG:
                reply = _error(500, 20500)
                reply.hang, reply.seconds = threading.Event(), behaviour.seconds
                return reply
        reply = _error(behaviour.status, behaviour.code)
        reply.retry_after = behaviour.retry_after
        return reply

    def _accept(self, form: Mapping[str, str]) -> Accepted:
        validity = form.get("ValidityPeriod")
        accepted = Accepted(
            sid=_new_sid("SM"),
            to=form["To"],
            sender=form.get("From"),
            messaging_service_sid=form.get("MessagingServiceSid"),
            body=form.get("Body", ""),
            status_callback=form.get("StatusCallback"),
            validity_period=int(validity) if validity else None,
            at=datetime.now(UTC),
        )
        self._resources[accepted.sid] = _Resource(
            sid=accepted.sid,
            to=accepted.to,
            sender=accepted.sender,
            service=accepted.messaging_service_sid,
            body=accepted.body,
            status="accepted" if accepted.messaging_service_sid else "queued",
            direction="outbound-api",
            created=accepted.at,
            callback_url=accepted.status_callback,
        )
        self._ledger.append(accepted)
        if self.ledger_path is not None:
            append_line(
                self.ledger_path, asdict(accepted) | {"at": accepted.at.isoformat()}
            )
        return accepted

    def _after(self, reply: _Reply) -> None:
        """Set the callbacks of an answered create going."""
        with self._changed:
            for job in reply.callbacks:
                self._jobs.put(job)
            reply.callbacks = []

    def _item(self, sid: str, request: _Request) -> _Reply:
        with self._changed:
            resource = self._resources.get(sid)
            if resource is None:
                return _error(404, 20404)
            if request.method == "POST":
                if dict(request.form) != {"Body": ""}:
                    return _error(400, 20001)
                resource.body = ""
                resource.updated = datetime.now(UTC)
            return _Reply(200, _json(self._shown(resource)))

    def _list(self, request: _Request) -> _Reply:
        """Return one page, newest message first.

        The page token names the last message shown, so messages that arrive between
        two pages neither repeat nor hide any.
        """
        wanted = dict(request.arguments)
        with self._changed:
            newest_first = list(reversed(self._resources.values()))
        try:
            size = int(wanted.get("PageSize", "50"))
            page = int(wanted.get("Page", "0"))
            rows = [row for row in newest_first if _matches(row, wanted)]
        except ValueError:
            return _error(400, 20001)
        if not 1 <= size <= 1000 or page < 0:
            return _error(400, 20001)
        start = page * size
        if token := wanted.get("PageToken"):
            places = [at for at, row in enumerate(rows) if "PA" + row.sid == token]
            start = places[0] + 1 if places else len(rows)
        shown = rows[start : start + size]
        filters = {
            name: value
            for name, value in wanted.items()
            if name not in {"PageSize", "Page", "PageToken"}
        }

        def uri(number: int, last: _Resource | None = None) -> str:
            query = filters | {"PageSize": str(size), "Page": str(number)}
            if last is not None:
                query["PageToken"] = "PA" + last.sid
            return f"{request.path}?{urlencode(query)}"

        more = start + size < len(rows)
        before = rows[start - size - 1] if start > size else None
        payload = {
            "end": max(start + len(shown) - 1, 0),
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1, shown[-1]) if more else None,
            "page": page,
            "page_size": size,
            "previous_page_uri": uri(page - 1, before) if page else None,
            "start": start,
            "uri": f"{request.path}?{request.query}" if request.query else request.path,
            "messages": [self._shown(row) for row in shown],
        }
        return _Reply(200, _json(payload))

    def _shown(self, resource: _Resource) -> dict[str, Any]:
        path = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{resource.sid}"
        code = resource.error_code
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": resource.body,
            "date_created": _written(resource.created),
            "date_sent": _written(resource.sent),
            "date_updated": _written(resource.updated or resource.created),
            "direction": resource.direction,
            "error_code": code,
            "error_message": ERROR_MESSAGES.get(code) if code else None,
            "from": resource.sender,
            "messaging_service_sid": resource.service,
            "num_media": str(resource.num_media),
            # A service counts segments only once it has chosen a sender.
            "num_segments": "1" if resource.sender else "0",
            "price": None,
            "price_unit": "USD",
            "sid": resource.sid,
            "status": resource.status,
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": resource.to,
            "uri": f"{path}.json",
        }


class _Server(ThreadingHTTPServer):
    """An HTTP server that can end with no thread and no socket left behind."""

    request_queue_size = 128
    server_address: tuple[str, int]

    def __init__(self, fake: FakeTwilio, port: int) -> None:
        self.fake = fake
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's full name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="fake-twilio-connection",
            daemon=True,
        )
        with self._lock:
            self._open[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client which timed out and went away is what many tests are about.
        if error is not None and not isinstance(error, ConnectionError):
            self.fake.errors.append(error)

    def close_everything(self) -> None:
        """Close the listening socket and end every connection; wait for both."""
        self.server_close()
        with self._lock:
            still_open = dict(self._open)
        for thread, connection in still_open.items():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(self.fake.webhook_timeout)


class _Handler(socketserver.StreamRequestHandler):
    """HTTP/1.1 as far as clients of an API speak it, at thousands of requests a second.

    ``http.server`` reads headers as it would a mail's, and that takes longer than all
    else here together.
    """

    # A reply leaves in one write; Nagle would hold back the next one's.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def handle(self) -> None:
        """Answer one request after the other until either side ends it."""
        while (request := self._read()) is not None:
            reply = self.server.fake._handle(request)
            try:
                if reply.hang is not None:
                    # The message goes its way while its sender waits in vain.
                    self.server.fake._after(reply)
                    reply.hang.wait(reply.seconds)
                if not reply.status:
                    with suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._write(reply)
            finally:
                self.server.fake._after(reply)
            if request.headers.get("connection", "").lower() == "close":
                return

    def _read(self) -> _Request | None:
        line = self.rfile.readline(_LONGEST_LINE)
        if not line.strip():
            return None
        method, target, _version = line.decode("latin-1").split()
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(_LONGEST_LINE)).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length") or 0))
        path, _, query = target.partition("?")
        return _Request(method, path, query, headers, body)

    def _write(self, reply: _Reply) -> None:
        lines = [
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
        ]
        if reply.status == 401:
            lines.append('WWW-Authenticate: Basic realm="Twilio API"')
        if reply.retry_after is not None:
            lines.append(f"Retry-After: {reply.retry_after}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        self.wfile.write(head.encode("latin-1") + reply.body)
        self.wfile.flush()


class _Spec:
    """Twilio's OpenAPI description, asked about requests and replies."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._openapi = OpenAPI.from_dict(document)
        self._paths = document["paths"]
        self._lock = threading.Lock()

    def complaints(self, request: _Request, reply: _Reply) -> list[str]:
        """Return what breaks the description, in the request or in our reply."""
        where = f"{request.method} {request.path}"
        form_type = request.headers.get("content-type", "").lower()
        asked = MockRequest(
            API_HOST,
            request.method,
            request.path,
            # Pairs rather than a dict: werkzeug keeps the repeats.
            args=cast(dict[str, Any], request.arguments),
            headers=dict(request.headers.items()),
            data=request.body,
            content_type=form_type,
        )
        with self._lock:
            found = [
                f"{where}: {text}"
                for error in self._openapi.iter_request_errors(asked)
                for text in _told(error)
            ]
            found += [f"{where}: {text}" for text in self._unknown(request)]
            # The description knows only successes, and a broken one is our script's.
            if 200 <= reply.status < 300 and reply.content_type == "application/json":
                answered = MockResponse(reply.body, reply.status)
                found += [
                    f"reply to {where}: {text}"
                    for error in self._openapi.iter_response_errors(asked, answered)
                    for text in _told(error)
                ]
        return found

    def _unknown(self, request: _Request) -> Iterator[str]:
        """Name parameters the description does not have: it would let them pass."""
        item = _ITEM_PATH.fullmatch(request.path) is not None
        path = f"/{API_VERSION}/Accounts/{{AccountSid}}/Messages"
        operations = self._paths[path + ("/{Sid}.json" if item else ".json")]
        operation = operations.get(request.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        fields = content.get(FORM_TYPE, {}).get("schema", {}).get("properties", {})
        queries = {
            parameter["name"]
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
        for name in sorted({name for name, _ in request.form} - set(fields)):
            yield f"unknown form parameter {name!r}"
        for name in sorted({name for name, _ in request.arguments} - queries):
            yield f"unknown query parameter {name!r}"


@cache
def _load_spec(path: Path) -> _Spec:
    return _Spec(json.loads(path.read_text()))


def _told(error: Exception) -> Iterator[str]:
    """Tell an openapi-core error with the cause it hides."""
    yield f"{type(error).__name__}: {error}"
    cause = error.__cause__
    if cause is not None:
        details = getattr(cause, "schema_errors", None) or [cause]
        yield from (str(getattr(one, "message", one)) for one in details)


def sign(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Return the X-Twilio-Signature of a form POST.

    Written from Twilio's description, not with its library, so that the product's
    use of that library meets an independent opinion.
    """
    text = url + "".join(name + value for name, value in sorted(set(params)))
    digest = hmac.new(token.encode(), text.encode(), "sha1").digest()
    return base64.b64encode(digest).decode()


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line that survives a kill of this process."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _require_loopback(target: SplitResult) -> None:
    host = target.hostname or ""
    with suppress(ValueError):
        if ip_address(host).is_loopback and target.scheme == "http":
            return
    if host == "localhost" and target.scheme == "http":
        return
    raise NotLoopbackError(
        f"the fake posts only to plain HTTP on loopback, not to {urlunsplit(target)!r};"
        " set connect_to to reach a public URL's server on this machine"
    )


def _fault_of(form: Mapping[str, str]) -> int | None:
    """Return the code Twilio would refuse this create with, if any."""
    validity = form.get("ValidityPeriod", "1")
    sender = form.get("From")
    checks = [
        (not form.get("To"), 21604),
        (not _ADDRESS.fullmatch(form.get("To", "")), 21211),
        (not sender and not form.get("MessagingServiceSid"), 21603),
        (sender and not _SENDER.fullmatch(sender), 21212),
        (not any(form.get(key) for key in ("Body", "MediaUrl", "ContentSid")), 21602),
        (len(form.get("Body", "")) > MAX_BODY, 21617),
        (not (validity.isdecimal() and 1 <= int(validity) <= MAX_VALIDITY), 90007),
        (not _usable(form.get("StatusCallback", "http://localhost")), 21609),
        ("ScheduleType" in form or "SendAt" in form, 20001),
    ]
    return next((code for wrong, code in checks if wrong), None)


def _usable(callback: str) -> bool:
    """Say whether Twilio would take this StatusCallback."""
    try:
        split = urlsplit(callback)
    except ValueError:
        return False
    host = split.hostname or ""
    known = split.scheme in {"http", "https"}
    return known and bool(host) and "_" not in host and len(callback) <= 4000


def _matches(row: _Resource, wanted: Mapping[str, str]) -> bool:
    """Say whether a message passes the filters of a list request.

    DateSent works by whole UTC days and never matches a message not sent yet.
    """
    if wanted.get("To", row.to) != row.to:
        return False
    if wanted.get("From", row.sender) != row.sender:
        return False
    sent = row.sent.date() if row.sent else None
    for name, value in wanted.items():
        if name not in {"DateSent", "DateSent<", "DateSent>"}:
            continue
        day = date.fromisoformat(value[:10])
        if sent is None:
            return False
        if name == "DateSent" and sent != day:
            return False
        if name == "DateSent<" and sent > day:
            return False
        if name == "DateSent>" and sent < day:
            return False
    return True


def _error(status: int, code: int | None) -> _Reply:
    payload = {
        "code": code,
        "message": ERROR_MESSAGES.get(code or 0, "Error"),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return _Reply(status, _json(payload))


def _written(moment: datetime | None) -> str | None:
    return format_datetime(moment) if moment else None


def _json(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload).encode()


def _new_sid(kind: str) -> str:
    return kind + uuid.uuid4().hex
