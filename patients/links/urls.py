"""Addresses of what patients open; short, for they stand in texts."""

from django.urls import path

from patients.links import views

app_name = "links"
urlpatterns = [
    path("open/<int:pk>/", views.open_page, name="open"),
    path("leave/", views.leave, name="leave"),
    path("bye/", views.bye, name="bye"),
    path("<str:token>/", views.enter, name="enter"),
]
