"""What the worklist tells a monitor."""

from collections.abc import Iterator

from django.db.models import Count, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from accounts.figures import gauges
from worklist.models import WorkItem


def tell_worklist() -> Iterator[Metric]:
    """Tell how many items are open, and how many of them past their time; one query."""
    late = Q(due_at__lte=timezone.now())
    counted = {
        severity: (every, overdue)
        for severity, every, overdue in WorkItem.objects.open()
        .values_list("severity")
        .annotate(every=Count("pk"), overdue=Count("pk", filter=late))
        .order_by()
    }

    def figure(name: str, about: str, which: int) -> GaugeMetricFamily:
        return gauges(
            name,
            about,
            "severity",
            [
                (severity.name.lower(), counted.get(severity, (0, 0))[which])
                for severity in WorkItem.Severity
            ],
        )

    yield figure("clinic_work_items_open", "What needs a person.", 0)
    yield figure("clinic_work_items_overdue", "What a person is late with.", 1)
