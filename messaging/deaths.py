"""What becomes of promises when their patient has died."""

from django.utils.translation import gettext_noop

from messaging import questions
from messaging.models import Message, Notice
from messaging.services import withdraw_queued
from patients.models import Patient
from patients.registry import died
from worklist.services import close_by_rule

#: The same words as at the gate, which stops what is on its way this second.
THEY_DIED = gettext_noop("the patient has died")


@died.register("messaging")
def take_everything_back(patient: Patient) -> None:
    """Take back all that was promised about a patient, to whomever, and what waits.

    Runs in the transaction that notes the death. Locks the notices by id; messages that
    a worker holds are left to the gate. An answer to somebody who wrote from an address
    stays: it is owed to whoever wrote.
    """
    promised = Notice.objects.filter(
        about_patient=patient,
        address="",
        state__in=[Notice.State.PLANNED, Notice.State.OPEN, Notice.State.WITH_STAFF],
    )
    notices = list(promised.select_for_update().order_by("id"))
    for notice in notices:
        close_by_rule(
            subject_kind="notice",
            subject_id=notice.pk,
            rule=THEY_DIED,
            unclaimed=False,
        )
    ids = [notice.pk for notice in notices]
    Notice.objects.filter(pk__in=ids).update(
        state=Notice.State.SUPERSEDED, why=THEY_DIED
    )
    waiting = Message.objects.filter(notices__in=ids)
    withdraw_queued(
        # One text may tell of several patients: the others' part still goes.
        waiting.exclude(notices__state=Notice.State.OPEN),
        why=THEY_DIED,
    )
    for kind, cause in sorted({(n.cause_kind, n.cause_id) for n in notices}):
        questions.close_about(cause_kind=kind, cause_id=cause)
