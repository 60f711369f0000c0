from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PatientsConfig(AppConfig):
    """People: profile, history, consent, timeline."""

    name = "patients"
    verbose_name = _("Patients")

    def ready(self) -> None:
        """Fill our own registries, and those of the apps below."""
        import patients.before_visit
        import patients.importing.jobs
        import patients.kept
        import patients.links.intake
        import patients.merging.rules
        import patients.notes
        import patients.panels
        import patients.record_jobs
        import patients.timeline_sources
        from accounts.audit.names import names
        from accounts.audit.proofs import proofs
        from accounts.ticks import ticks
        from core.triggers import keep
        from patients.grants import end_expired
        from patients.merging.services import follow_merges
        from patients.models import Consent, HistoryReview, Intake, Note
        from patients.notes import altered_notes
        from patients.queries import names_of
        from patients.retention import apply_due

        names.add("patient", names_of)
        proofs.add("notes", altered_notes)
        # Whose it is may change, when two patients turn out to be one.
        keep(Consent, free=["patient"], erasable=["evidence"])
        keep(HistoryReview, free=["patient"])
        keep(
            Intake,
            free=["patient"],
            once=["reviewed_by", "reviewed_at"],
            erasable=["answers"],
        )
        keep(Note, free=["patient"], erasable=["body", "reason"])
        ticks.add("patients.end_expired", end_expired)
        ticks.add("patients.follow_merges", follow_merges)
        ticks.add("patients.retention", apply_due)
        patients.kept.register()
        patients.kept.register_retention()
