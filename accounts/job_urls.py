"""Addresses of long work."""

from django.urls import path

from accounts.views import jobs

urlpatterns = [
    path("", jobs.job_list, name="job_list"),
    path("<int:pk>/", jobs.job_detail, name="job_detail"),
    path("<int:pk>/progress/", jobs.job_progress, name="job_progress"),
    path("<int:pk>/cancel/", jobs.job_cancel, name="job_cancel"),
]
