from dataclasses import replace

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Sites, staff, roles and who may open what."""

    name = "accounts"
    verbose_name = _("Staff and sites")

    def ready(self) -> None:
        """Load the checks, declare policies for allauth, keep roles in step."""
        import accounts.checks
        import accounts.door.receivers  # noqa: F401 - both register themselves
        from accounts.audit.chain import seal
        from accounts.door.services import sweep_sessions
        from accounts.drafts import sweep_drafts
        from accounts.figures import figures, tell_machinery
        from accounts.jobs import sweep_jobs
        from accounts.leaving import leaving
        from accounts.models import AuditedPatient, AuditEvent, AuditSeal
        from accounts.once import sweep_submissions
        from accounts.policies import SIGNED_IN, Policy, policies, public
        from accounts.roles import sync_roles
        from accounts.roster import left_on_roster
        from accounts.throttling import sweep_throttles
        from accounts.ticks import ticks
        from core.triggers import keep

        policies.add("account_login", public("the login itself"))
        policies.add("account_inactive", public("says that a login is switched off"))
        policies.add("mfa_login_webauthn", public("the login with a passkey"))
        policies.add(
            "mfa_authenticate", public("shows nothing before a right password")
        )
        for name in (
            "account_reauthenticate",
            "account_change_password",
            "mfa_reauthenticate",
            "mfa_reauthenticate_webauthn",
            "mfa_list_webauthn",
        ):
            policies.add(name, SIGNED_IN)
        for name in (
            "mfa_activate_totp",
            "mfa_deactivate_totp",
            "mfa_view_recovery_codes",
            "mfa_generate_recovery_codes",
            "mfa_download_recovery_codes",
            "mfa_add_webauthn",
            "mfa_edit_webauthn",
        ):
            policies.add(name, replace(SIGNED_IN, fresh=True))
        policies.add("admin:", Policy("Django admin", staff_only=True))
        post_migrate.connect(sync_roles, dispatch_uid="accounts.sync_roles")
        ticks.add("accounts.sweep_throttles", sweep_throttles)
        ticks.add("accounts.sweep_sessions", sweep_sessions)
        ticks.add("accounts.sweep_submissions", sweep_submissions)
        ticks.add("accounts.sweep_drafts", sweep_drafts)
        ticks.add("accounts.sweep_jobs", sweep_jobs)
        figures.add("accounts", tell_machinery)
        leaving.add("accounts.duty", left_on_roster)
        # After all that a pass writes.
        ticks.add("accounts.seal", seal)
        keep(AuditEvent, once=["seal_id"])
        keep(AuditedPatient)
        keep(AuditSeal)
