"""Addresses of visits."""

from django.urls import path

from appointments import views

app_name = "appointments"
urlpatterns = [
    path("schedule/", views.schedule, name="schedule"),
    path(
        "patients/<int:patient_pk>/book/",
        views.appointment_book,
        name="appointment_book",
    ),
    path("schedule/<int:pk>/", views.appointment_detail, name="appointment_detail"),
    path("schedule/consent/", views.consent_list, name="consent_list"),
    path("schedule/<int:pk>/before/", views.before_visit, name="before_visit"),
    path("schedule/<int:pk>/move/", views.appointment_move, name="appointment_move"),
    path(
        "schedule/<int:pk>/cancel/", views.appointment_cancel, name="appointment_cancel"
    ),
    path("schedule/<int:pk>/link/", views.appointment_link, name="appointment_link"),
    path("schedule/<int:pk>/mark/", views.appointment_mark, name="appointment_mark"),
]
