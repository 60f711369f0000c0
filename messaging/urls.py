"""Addresses of messages: the inbox, the simulated phone, Twilio's webhooks."""

from django.urls import path

from messaging import views, webhooks

app_name = "messaging"
urlpatterns = [
    path("inbox/", views.inbox_list, name="inbox_list"),
    path("inbox/<int:pk>/", views.conversation_detail, name="conversation_detail"),
    path("inbox/<int:pk>/done/", views.conversation_done, name="conversation_done"),
    path(
        "patients/<int:patient_pk>/messages/",
        views.patient_conversation,
        name="patient_conversation",
    ),
    path("phone/", views.phone, name="phone"),
    path("phone/messages/", views.phone_messages, name="phone_messages"),
    path("webhooks/twilio/inbound/", webhooks.twilio_inbound, name="twilio_inbound"),
    path("webhooks/twilio/status/", webhooks.twilio_status, name="twilio_status"),
]
