from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    """No models: time, text, registries, triggers, template tags."""

    name = "core"

    def ready(self) -> None:
        """Put up the triggers after each migration, and look whether they stand."""
        from core.triggers import check_triggers, install

        checks.register(check_triggers, checks.Tags.database)
        post_migrate.connect(install, dispatch_uid="core.triggers.install")
