from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AppointmentsConfig(AppConfig):
    """Bookable hours, visits, reminders."""

    name = "appointments"
    verbose_name = _("Visits")

    def ready(self) -> None:
        """Fill the registries of the apps below."""
        import appointments.deaths
        import appointments.kept
        import appointments.links
        import appointments.merging
        import appointments.replies
        import appointments.timeline
        import appointments.work
        from accounts.ticks import ticks
        from appointments.models import AppointmentEvent
        from appointments.notices import VisitCause
        from appointments.planner import plan_reminders
        from appointments.queries import has_visit_in_sight
        from core.triggers import keep
        from messaging.registry import causes
        from patients.registry import in_sight

        causes.add("appointment", VisitCause())
        ticks.add("appointments.plan_reminders", plan_reminders)
        in_sight.add("appointments", has_visit_in_sight)
        keep(AppointmentEvent)
        appointments.kept.register()
        appointments.kept.register_retention()
