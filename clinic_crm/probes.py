"""What machines ask: does it live, is it ready, how is it doing."""

import ipaddress
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from accounts.figures import registry
from accounts.models import Heartbeat
from accounts.policies import policy, public
from messaging.queries import oldest_sendable

#: A part that has not shown itself for so long does not work.
ALIVE_WITHIN = timedelta(minutes=2)
#: A message that could go waits no longer, even after 10,000 fell due at once.
SENT_WITHIN = timedelta(minutes=10)
#: Seconds after which whoever asked may ask again.
ASK_AGAIN = 10


@policy(public("says only that the process answers"), "GET")
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer: this process serves requests. No query.

    What takes a web server out of service asks here: pages work while nothing is sent.
    """
    return HttpResponse("ok", content_type="text/plain")


@policy(public("says only whether each part is ready, and nothing of a patient"), "GET")
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the clinic as a whole works, else 503; three queries.

    ``messages``: nothing that could have been sent waits. A gateway that refuses, or
    that somebody switched off, is not asked about: people are told of it otherwise.
    """
    parts = dict.fromkeys(("database", "migrations", "tick", "beat", "messages"), False)
    try:
        parts["migrations"] = _is_migrated()
        parts["database"] = True
        now = timezone.now()
        parts |= _alive(now)
        oldest = oldest_sendable(now)
        parts["messages"] = oldest is None or now - oldest < SENT_WITHIN
    except Error:
        # Whatever has not been found out by now is not ready.
        pass
    answer = JsonResponse(parts, status=200 if all(parts.values()) else 503)
    if answer.status_code == 503:
        answer["Retry-After"] = str(ASK_AGAIN)
    return answer


def _alive(now: datetime) -> dict[str, bool]:
    """Return whether passes are run and, where Celery runs them, beat lives; one query.

    Where a worker shows itself Celery is in use; with cron there is no beat to miss.
    """
    seen = dict(Heartbeat.objects.values_list("key", "at"))
    alive = {key for key, at in seen.items() if now - at < ALIVE_WITHIN}
    return {"tick": "tick" in alive, "beat": "beat" in alive or "worker" not in alive}


@lru_cache(maxsize=1)
def _migrated_once() -> None:
    """Raise unless every migration is applied; true once, it stays so for a process."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise LookupError


def _is_migrated() -> bool:
    try:
        _migrated_once()
    except LookupError:
        return False
    return True


@policy(public("asks for METRICS_TOKEN, or answers this machine alone"), "GET")
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures for Prometheus; 404 to whoever may not read them.

    OWASP ASVS 5.0, 13.4.5: monitoring endpoints are not exposed.
    """
    if not _may_watch(request):
        raise Http404
    return HttpResponse(
        generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4
    )


def _may_watch(request: HttpRequest) -> bool:
    """Return whether the caller has the token or, without one, is on this machine.

    A proxy on this machine speaks for others, and says so in a header.
    """
    token: str = settings.METRICS_TOKEN
    if token:
        said = request.headers.get("Authorization", "")
        return constant_time_compare(said, f"Bearer {token}")
    forwarded = {"X-Forwarded-For", "Forwarded"} & request.headers.keys()
    return not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
