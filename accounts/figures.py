"""The figures a monitor reads: asked of the database when it looks, kept nowhere.

Each app registers what it can tell. A figure counts, and names nobody: the values of
its labels are words of the code.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.audit.chain import VERIFIED
from accounts.audit.proofs import PROVED
from accounts.models import AuditEvent, Heartbeat, Job
from core.registry import Registry

logger = logging.getLogger(__name__)

#: What can be told, by the app that tells it; a fixed number of queries each.
figures: Registry[Callable[[], Iterable[Metric]]] = Registry("figures")


class Figures(Collector):
    """Asks every app; one that breaks is named, and keeps no other from telling."""

    def collect(self) -> Iterator[Metric]:
        """Yield every figure as it is now."""
        failed = GaugeMetricFamily(
            "clinic_figures_failed",
            "Whether the figures of an app could not be read.",
            labels=["app"],
        )
        for app, tell in figures:
            try:
                yield from list(tell())
            except Exception:
                logger.exception("figures failed", extra={"what": app})
                failed.add_metric([app], 1)
            else:
                failed.add_metric([app], 0)
        yield failed


def gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    """Return a figure of one number."""
    return GaugeMetricFamily(name, about, value=value)


def gauges(
    name: str, about: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    """Return a figure with a number for each value of a label."""
    figure = GaugeMetricFamily(name, about, labels=[label])
    for key, value in values:
        figure.add_metric([key], value)
    return figure


def tell_machinery() -> Iterator[Metric]:
    """Tell of heartbeats, jobs and the audit trail; three queries."""
    now = timezone.now()
    beats = list(Heartbeat.objects.values_list("key", "at", "value"))
    yield gauges(
        "clinic_heartbeat_age_seconds",
        "How long ago a part of the machinery proved that it lives.",
        "part",
        [(key, (now - at).total_seconds()) for key, at, _found in beats],
    )
    yield gauge(
        "clinic_audit_broken",
        "1 when the last walk along the audit trail found it changed.",
        max((found or 0 for key, _at, found in beats if key == VERIFIED), default=0),
    )
    yield gauges(
        "clinic_rows_altered",
        "Rows that never may change and did, as the last daily look found them.",
        "what",
        [
            (key.removeprefix(PROVED), found or 0)
            for key, _at, found in beats
            if key.startswith(PROVED)
        ],
    )
    counted = dict(Job.objects.values_list("state").annotate(n=Count("pk")).order_by())
    yield gauges(
        "clinic_jobs",
        "Long work of the last 30 days.",
        "state",
        [(state, counted.get(state, 0)) for state in Job.State.values],
    )
    yield gauge(
        "clinic_audit_unsealed",
        "Rows of the audit trail that no seal holds yet.",
        AuditEvent.objects.filter(seal_id=None).count(),
    )


registry = CollectorRegistry()
registry.register(Figures())
