"""Visits of a patient whose record was merged into another."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from appointments.models import LINK_PURPOSE, Appointment
from core.dates import written
from messaging.models import Message, Notice
from patients.merging.ledger import Ledger
from patients.merging.registry import (
    KEPT,
    LOST,
    Answers,
    Belongs,
    MergeRule,
    Option,
    Pair,
    Question,
    belong,
    merge_rules,
)
from patients.models import Link
from worklist.models import WorkItem

belong(
    Belongs(
        Appointment,
        lock=2,
        title=_("Visits"),
        permission="appointments.view_appointment",
    )
)


def _overlaps(pair: Pair) -> list[tuple[Appointment, Appointment]]:
    """Return live visits of both at one time, the kept record's first; one query.

    As the database has it on PostgreSQL: one that ends when the other begins is not at
    one time, and an overbooked one is in nobody's way.
    """
    visits = list(
        Appointment.objects.live()
        .filter(patient__in=pair.ids, overbooked=False)
        .select_related("clinician", "site")
        .order_by("starts_at", "pk")
    )
    ours, theirs = ([v for v in visits if v.patient_id == pk] for pk in pair.ids)
    return [
        (mine, other)
        for mine in ours
        for other in theirs
        if mine.starts_at < other.ends_at and other.starts_at < mine.ends_at
    ]


def _ask_which(pair: Pair) -> list[Question]:
    return [
        Question(
            key=f"visit_{ours.pk}_{theirs.pk}",
            title=gettext("Two visits at one time. Which one is the true one?"),
            options=[Option(KEPT, _in_words(ours)), Option(LOST, _in_words(theirs))],
            help=gettext(
                "The other one stays, marked as overbooked: cancel it from its page if "
                "it is one too many."
            ),
        )
        for ours, theirs in _overlaps(pair)
    ]


def _in_words(visit: Appointment) -> str:
    return gettext("%(day)s, %(clock)s, %(clinician)s, %(site)s") % {
        "day": written(visit.local_date, "date"),
        "clock": written(visit.local_time, "clock"),
        "clinician": visit.clinician,
        "site": visit.site,
    }


def _settle_visits(ledger: Ledger, answers: Answers) -> None:
    """Mark the less true of two visits, and let reminders of one day go as one text."""
    for ours, theirs in _overlaps(ledger.pair):
        truth = answers.get(f"visit_{ours.pk}_{theirs.pk}", KEPT)
        ledger.change(theirs if truth == KEPT else ours, overbooked=True)
    kept_id, lost_id = ledger.pair.ids
    start = f"visit_reminder:{lost_id}:"
    planned = Notice.objects.filter(
        state=Notice.State.PLANNED, together__startswith=start
    )
    for notice in planned.select_for_update().order_by("pk"):
        rest = notice.together.removeprefix(start)
        ledger.change(notice, together=f"visit_reminder:{kept_id}:{rest}")


def _follow_back(pair: Pair) -> None:
    """What was promised, sent and raised about a visit since goes back with it."""
    visits = Appointment.objects.filter(patient=pair.lost).values("pk")
    about = Notice.objects.filter(cause_kind="appointment", cause_id__in=visits)
    ids = list(about.values_list("pk", flat=True))
    for field in ("patient", "about_patient"):
        Notice.objects.filter(pk__in=ids, **{field: pair.kept}).update(
            **{field: pair.lost}
        )
    start = f"visit_reminder:{pair.kept.pk}:"
    for notice in Notice.objects.filter(
        pk__in=ids, state=Notice.State.PLANNED, together__startswith=start
    ):
        rest = notice.together.removeprefix(start)
        notice.together = f"visit_reminder:{pair.lost.pk}:{rest}"
        notice.save(update_fields=["together"])
    Message.objects.filter(
        pk__in=Message.objects.filter(notices__in=ids, patient=pair.kept).values("pk")
    ).update(patient=pair.lost)
    Link.objects.filter(
        patient=pair.kept, purpose=LINK_PURPOSE, subject_id__in=visits
    ).update(patient=pair.lost)
    WorkItem.objects.filter(
        patient=pair.kept, subject_kind="appointment", subject_id__in=visits
    ).update(patient=pair.lost)


merge_rules.add(
    "appointments",
    MergeRule(
        asks=_ask_which,
        before=_settle_visits,
        undone=_follow_back,
        follow=lambda ledger: _settle_visits(ledger, {}),
    ),
)
