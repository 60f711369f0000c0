"""Addresses of the auditor."""

from django.urls import path

from accounts.audit import views

app_name = "audit"
urlpatterns = [
    path("", views.event_list, name="event_list"),
    path("export/", views.event_export, name="event_export"),
    path("patients/<int:patient_pk>/", views.patient_trail, name="patient_trail"),
]
