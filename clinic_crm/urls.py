"""Every address of the product. What each one lets in stands at its view."""

from django.contrib import admin
from django.urls import include, path

from clinic_crm import probes, views

urlpatterns = [
    path("", views.today, name="today"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("accounts/", include("accounts.door.urls")),
    path("audit/", include("accounts.audit.urls")),
    path("jobs/", include("accounts.job_urls")),
    path("patients/", include("patients.urls")),
    path("p/", include("patients.links.urls")),
    path("", include("appointments.urls")),
    path("", include("messaging.urls")),
    path("worklist/", include("worklist.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "clinic_crm.views.bad_request"
handler403 = "clinic_crm.views.forbidden"
handler404 = "clinic_crm.views.not_found"
handler500 = "clinic_crm.views.server_error"
