"""Addresses of messages: the inbox, the simulated phone, Twilio's webhooks."""

from django.urls import path

from messaging import leave, views, webhooks
from messaging import operations_views as operations
from messaging.duty import views as duty

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
    path("duty/", duty.duty_list, name="duty_list"),
    path("duty/add/", duty.duty_add, name="duty_add"),
    path("duty/<int:pk>/", duty.duty_edit, name="duty_edit"),
    path("duty/told/<int:pk>/", duty.duty_take, name="duty_take"),
    # Short, for it stands in texts.
    path("d/<str:token>/", duty.duty_alert, name="duty_alert"),
    path("operations/", operations.operations, name="operations"),
    path("operations/now/", operations.operations_now, name="operations_now"),
    path("operations/lately/", operations.operations_lately, name="operations_lately"),
    path(
        "operations/promises/",
        operations.operations_promises,
        name="operations_promises",
    ),
    path("operations/test/", operations.operations_test, name="operations_test"),
    path(
        "operations/test/state/",
        operations.operations_test_state,
        name="operations_test_state",
    ),
    path(
        "operations/gateways/<slug:gateway>/",
        operations.gateway_switch,
        name="gateway_switch",
    ),
    path(
        "operations/unknown/<int:pk>/",
        operations.unknown_message,
        name="unknown_message",
    ),
    path("phone/", views.phone, name="phone"),
    path("phone/messages/", views.phone_messages, name="phone_messages"),
    path("leave/<str:token>/", leave.leave, name="leave"),
    path("webhooks/twilio/inbound/", webhooks.twilio_inbound, name="twilio_inbound"),
    path("webhooks/twilio/status/", webhooks.twilio_status, name="twilio_status"),
    # Typed without the slash at Twilio: a redirect would lose what was posted.
    path(
        "webhooks/twilio/inbound", webhooks.twilio_inbound, name="twilio_inbound_bare"
    ),
    path("webhooks/twilio/status", webhooks.twilio_status, name="twilio_status_bare"),
]
