"""Work about a patient whose record was merged into another."""

from django.utils.translation import gettext_lazy as _

from patients.merging.ledger import Ledger
from patients.merging.registry import Answers, Belongs, MergeRule, belong, merge_rules
from worklist.models import WorkItem

belong(Belongs(WorkItem, title=_("Work"), permission="worklist.view_workitem"))


def _rename_subject(ledger: Ledger, answers: Answers) -> None:
    """Make work whose subject is the lost record itself that of the kept one."""
    kept_id, lost_id = ledger.pair.ids
    for item in WorkItem.objects.filter(subject_kind="patient", subject_id=lost_id):
        ledger.change(item, subject_id=kept_id)


merge_rules.add("worklist", MergeRule(before=_rename_subject))
