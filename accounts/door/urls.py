"""Addresses about signing in. Only what a clinic uses of allauth."""

from allauth.account import views as account_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as recovery_views
from allauth.mfa.totp import views as totp_views
from allauth.mfa.webauthn import views as webauthn_views
from django.urls import path

from accounts.door import views
from accounts.views.drafts import draft_save
from accounts.views.language import language

urlpatterns = [
    path("login/", account_views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", account_views.account_inactive, name="account_inactive"),
    path(
        "reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"
    ),
    path("kept/", views.kept, name="account_kept"),
    path("language/", language, name="account_language"),
    path("password/", account_views.password_change, name="account_change_password"),
    path("session/", views.session, name="account_session"),
    path("active/", views.active, name="account_active"),
    path("lock/", views.lock, name="account_lock"),
    path("unlock/", views.unlock, name="account_unlock"),
    path("sessions/", views.sessions, name="account_sessions"),
    path("security/", views.security, name="mfa_index"),
    path("code/", mfa_views.authenticate, name="mfa_authenticate"),
    path("code/again/", mfa_views.reauthenticate, name="mfa_reauthenticate"),
    path("app/add/", totp_views.activate_totp, name="mfa_activate_totp"),
    path("app/remove/", totp_views.deactivate_totp, name="mfa_deactivate_totp"),
    path(
        "recovery-codes/",
        recovery_views.view_recovery_codes,
        name="mfa_view_recovery_codes",
    ),
    path(
        "recovery-codes/make/",
        recovery_views.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "recovery-codes/download/",
        recovery_views.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
    path("passkeys/", webauthn_views.list_webauthn, name="mfa_list_webauthn"),
    path("passkeys/add/", webauthn_views.add_webauthn, name="mfa_add_webauthn"),
    path("passkeys/login/", webauthn_views.login_webauthn, name="mfa_login_webauthn"),
    path(
        "passkeys/again/",
        webauthn_views.reauthenticate_webauthn,
        name="mfa_reauthenticate_webauthn",
    ),
    path(
        "passkeys/<int:pk>/edit/",
        webauthn_views.edit_webauthn,
        name="mfa_edit_webauthn",
    ),
    path(
        "passkeys/<int:pk>/remove/", views.remove_webauthn, name="mfa_remove_webauthn"
    ),
    path("drafts/", draft_save, name="draft_save"),
]
