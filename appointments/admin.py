"""Visit types, reminders and bookable hours in Django admin."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_site import PLACES, VISITS, HouseAdmin
from appointments.models import BookableHours, CadenceStep, VisitType


class CadenceStepInline(admin.TabularInline):
    """When patients are reminded, on their visit type's page."""

    model = CadenceStep
    extra = 0


@admin.register(VisitType)
class VisitTypeAdmin(HouseAdmin):
    """Kinds of visits: how long, with whom, and the reminders they bring."""

    shelf = VISITS
    list_display = ("name", "discreet_name", "minutes", "reminded", "active")
    # Nothing reads it yet; what is shown here must have an effect.
    exclude = ("buffer",)
    list_filter = ("active", "clinicians")
    search_fields = ("name", "discreet_name")
    inlines: ClassVar = [CadenceStepInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[VisitType]:
        """Return visit types with their reminders; two queries for a whole list."""
        types: QuerySet[VisitType] = super().get_queryset(request)
        return types.prefetch_related("cadence")

    @admin.display(description=_("reminded, days before"))
    def reminded(self, visit_type: VisitType) -> str:
        """Return how many days before a visit its patient is reminded."""
        return ", ".join(str(step.days_before) for step in visit_type.cadence.all())


@admin.register(BookableHours)
class BookableHoursAdmin(HouseAdmin):
    """When clinicians may be booked, and where."""

    shelf = PLACES
    deletable = True
    list_display = ("clinician", "site", "weekday", "opens", "closes")
    list_filter = ("clinician", "site", "weekday")
    list_select_related = ("clinician", "site")
    search_fields = ("clinician__name", "site__name")
