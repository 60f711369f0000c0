from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MessagingConfig(AppConfig):
    """Notices, messages, questions, conversations, channels, the gate."""

    name = "messaging"
    verbose_name = _("Messages")

    def ready(self) -> None:
        """Fill the registries of the apps below."""
        import messaging.before_visit
        import messaging.deaths
        import messaging.kept
        import messaging.merging
        import messaging.ticks
        import messaging.timeline
        import messaging.work
        from accounts.figures import figures
        from core.triggers import keep
        from messaging.causes import MessageCause
        from messaging.duty.cause import DutyAlertCause
        from messaging.figures import tell_messaging
        from messaging.models import StatusEvent, Suppression, Template
        from messaging.registry import causes
        from messaging.texts import install_default_texts
        from messaging.tryout import TryCause

        causes.add("message", MessageCause())
        causes.add("duty_alert", DutyAlertCause())
        causes.add("test", TryCause())
        figures.add("messaging", tell_messaging)
        # A report may come before its message is known.
        keep(StatusEvent, once=["message"])
        keep(Suppression, erasable=["address"])
        keep(Template, free=["by"])
        messaging.kept.register()
        messaging.kept.register_retention()
        post_migrate.connect(
            install_default_texts,
            sender=self,
            dispatch_uid="messaging.install_default_texts",
        )
