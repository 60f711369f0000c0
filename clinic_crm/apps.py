from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class ClinicCrmConfig(AppConfig):
    """The house: knows everyone, owns Today."""

    name = "clinic_crm"

    def ready(self) -> None:
        """Load the checks of the settings; tell Sentry of errors where it is wanted."""
        import clinic_crm.checks  # noqa: F401 - registers itself
        from clinic_crm import sentry

        if settings.SENTRY_DSN and sentry.is_installed():
            sentry.start(settings.SENTRY_DSN)


class HouseAdminConfig(AdminConfig):
    """Django admin with our site in place of its own."""

    default_site = "accounts.admin_site.HouseAdminSite"
