"""One screen before a visit: what changed, what worries them, what is owed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from appointments.models import Appointment
from core.dates import written_from_today
from patients.registry import BeforeVisit, Line, VisitAhead, before_visit

#: The questions in their order: {key: (title, what an empty one says)}.
QUESTIONS: dict[str, tuple[Promise, Promise]] = {
    "changed": (
        gettext_lazy("What changed"),
        gettext_lazy("Nothing we know of since the last visit."),
    ),
    "worries": (
        gettext_lazy("What worries them"),
        gettext_lazy("They have told us of no worry, and no text waits."),
    ),
    "misunderstood": (
        gettext_lazy("What was misunderstood"),
        gettext_lazy("Nothing is noted. Nobody has checked what they understood."),
    ),
    "owed": (gettext_lazy("What is owed"), gettext_lazy("Nothing is owed.")),
}
#: Who is shown what was misunderstood while nothing fills it: it is clinical.
_UNFILLED = "patients.view_note"
#: How far back the visits before this one are looked through.
EARLIER = 20


@dataclass(frozen=True)
class Section:
    """One question with its lines; ``empty`` says so plainly when there are none."""

    key: str
    title: Promise
    empty: Promise
    lines: Sequence[Line]


@dataclass(frozen=True)
class Sheet:
    """The screen: when the patient was last seen, and the questions this user may see.

    ``last`` is None for somebody who was never seen here.
    """

    last: Appointment | None
    sections: Sequence[Section]


def sheet_for(visit: Appointment, user: User | AnonymousUser) -> Sheet:
    """Return what to know before a visit, as far as this user may.

    One query, and those of the sections, whatever there is to say.
    """
    earlier = list(
        Appointment.objects.filter(
            patient=visit.patient_id, starts_at__lt=visit.starts_at
        )
        .select_related("clinician", "visit_type")
        .order_by("-starts_at", "-pk")[:EARLIER]
    )
    seen = Appointment.State.DONE, Appointment.State.ARRIVED
    last = next((one for one in earlier if one.state in seen), None)
    about = VisitAhead(
        patient=visit.patient,
        user=user,
        starts_at=visit.starts_at,
        since=last.starts_at if last else None,
    )
    allowed = [entry for _key, entry in before_visit if user.has_perm(entry.permission)]
    own = {
        "changed": _missed(earlier, about.since),
        "owed": _not_told(visit),
    }
    return Sheet(
        last=last,
        sections=[
            Section(key, title, empty, _lines(key, allowed, about, own.get(key, [])))
            for key, (title, empty) in QUESTIONS.items()
            if _may_see(key, allowed, user)
        ],
    )


def _may_see(
    question: str, allowed: Sequence[BeforeVisit], user: User | AnonymousUser
) -> bool:
    filled = any(entry.question == question for entry in allowed)
    return filled or (question == "misunderstood" and user.has_perm(_UNFILLED))


def _lines(
    question: str,
    allowed: Sequence[BeforeVisit],
    about: VisitAhead,
    own: Sequence[Line],
) -> list[Line]:
    """Return the lines of a question, what somebody has to do first."""
    lines = [*own]
    for entry in allowed:
        if entry.question == question:
            lines += entry.lines(about)
    return sorted(lines, key=lambda line: not line.warn)


def _missed(earlier: Sequence[Appointment], since: datetime | None) -> list[Line]:
    """Return the visits since the last one that did not take place."""
    says = {
        Appointment.State.NOSHOW: _("Did not come on %(day)s"),
        Appointment.State.CANCELLED: _("Visit on %(day)s cancelled"),
    }
    return [
        Line(says[state] % {"day": written_from_today(one.local_date, one.local_date)})
        for one in earlier
        if (state := Appointment.State(one.state)) in says
        and (since is None or one.starts_at > since)
    ]


def _not_told(visit: Appointment) -> list[Line]:
    """Return that the patient has not heard of the visit as it now stands."""
    if not visit.is_ahead or visit.is_as_told:
        return []
    says = (
        _("They know of an earlier time, place or clinician only")
        if visit.told_start
        else _("They have not been told of this visit yet")
    )
    return [Line(says, warn=True)]
