"""Addresses of the worklist."""

from django.urls import path

from worklist import views

app_name = "worklist"
urlpatterns = [
    path("", views.item_list, name="item_list"),
    path("<int:pk>/claim/", views.item_claim, name="item_claim"),
    path("<int:pk>/close/", views.item_close, name="item_close"),
]
