from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorklistConfig(AppConfig):
    """What needs a person, by when, and how it ended."""

    name = "worklist"
    verbose_name = _("Worklist")

    def ready(self) -> None:
        """Keep what was done about an item as it was written; know our own kinds."""
        import worklist.banner
        import worklist.before_visit
        import worklist.kept
        import worklist.merging
        import worklist.paperwork
        import worklist.people
        import worklist.timeline
        import worklist.untold
        import worklist.work
        from accounts.figures import figures
        from accounts.leaving import leaving
        from accounts.ticks import ticks
        from core.triggers import keep
        from worklist.figures import tell_worklist
        from worklist.models import WorkEvent
        from worklist.work import give_back

        figures.add("worklist", tell_worklist)
        keep(WorkEvent, erasable=["note"])
        worklist.kept.register()
        worklist.kept.register_retention()
        leaving.add("worklist", give_back)
        ticks.add("worklist.note_drafts", worklist.paperwork.remind_of_drafts)
        ticks.add("worklist.contact_persons", worklist.people.look_again)
        ticks.add("worklist.untold", worklist.untold.sweep_untold)
