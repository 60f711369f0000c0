"""Sites in Django admin."""

from typing import ClassVar

from django.contrib import admin

from accounts.admin_site import PLACES, HouseAdmin
from accounts.models import Site, StaffedHours


class StaffedHoursInline(admin.TabularInline):
    """The hours in which somebody answers, on their site's page."""

    model = StaffedHours
    extra = 0


@admin.register(Site)
class SiteAdmin(HouseAdmin):
    """Places where patients are seen."""

    shelf = PLACES
    list_display = ("name", "place", "phone", "zone", "language")
    list_filter = ("language", "zone")
    search_fields = ("name", "place", "phone")
    # Nothing reads it yet; what is shown here must have an effect.
    exclude = ("after_hours_plan",)
    inlines: ClassVar = [StaffedHoursInline]
