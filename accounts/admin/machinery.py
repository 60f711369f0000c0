"""What runs by itself and what was done, in Django admin: to look at."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_site import ReadOnlyAdmin
from accounts.models import AuditSeal, Heartbeat, Job, Throttle


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    """Whether each part of the machinery is alive."""

    list_display = ("key", "at", "value")
    search_fields = ("key",)
    list_filter = ("at",)
    ordering = ("key",)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Long work: who started it and how far it is; not what is in it."""

    list_display = ("kind", "user", "state", "done", "total", "created_at", "ended_at")
    list_filter = ("state", "kind")
    list_select_related = ("user",)
    search_fields = ("kind", "user__username", "user__name")
    ordering = ("-created_at",)
    fields = (
        "kind",
        "user",
        "state",
        "done",
        "total",
        "tries",
        "created_at",
        "started_at",
        "ended_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Return jobs without what is in them, which may be a whole patient list."""
        jobs: QuerySet[Job] = super().get_queryset(request)
        return jobs.defer("work", "result")


@admin.register(Throttle)
class ThrottleAdmin(ReadOnlyAdmin):
    """How many tries are counted just now; who made them is not kept."""

    list_display = ("key", "taken", "at")
    search_fields = ("key",)
    list_filter = ("at",)
    ordering = ("-at",)


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    """The chain that shows whether the trail was touched."""

    list_display = ("at", "first", "last", "count", "hash")
    list_filter = ("at",)
    search_fields = ("hash",)
    ordering = ("-pk",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What was changed in these pages, and by whom."""

    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag")
    list_filter = ("action_flag", "content_type", "action_time")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__username", "user__name")
    fields = (
        "action_time",
        "user",
        "content_type",
        "object_repr",
        "action_flag",
        "get_change_message",
    )
    ordering = ("-action_time", "-pk")
