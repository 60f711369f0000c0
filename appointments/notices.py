"""What messaging needs to know of a visit: whether a notice is true, and its words."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import translation
from django.utils.formats import date_format, time_format
from django.utils.translation import gettext_noop

from accounts.models import Site
from appointments.models import Appointment
from appointments.planner import missing_reminders
from core.sayings import say, wall
from core.text import fold
from messaging.models import Notice
from messaging.registry import Ask, Cause, Draft
from messaging.texts import render
from patients.models import Channel, ContactPerson, Patient

#: Texts speak the patient's language, whatever the interface is translated to.
_AND = {"en": " and ", "es": " y "}
_FOR = {"en": " for ", "es": " para "}
#: Instead of a clinician, to somebody who must not be seen to hear from one.
_US = {"en": "us", "es": "nosotros"}
#: Notices with these texts ask for an answer, taken by this handler and so meant.
_VISIT = ("visit", ("come", "move", "cannot"), "come")
_ASKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "visit_booked": _VISIT,
    "visit_reminder": _VISIT,
    "reply_cancel_ask": ("visit_cancel", ("cancel", "keep"), ""),
}


class VisitCause(Cause):
    """The cause "appointment": a visit, at the version that was promised."""

    def lock(self, ids: Collection[int]) -> None:
        """Lock the visits, lowest id first."""
        visits = Appointment.objects.select_for_update().filter(pk__in=ids)
        list(visits.order_by("pk").values_list("pk"))

    def untrue(self, notices: Sequence[Notice]) -> dict[int, str]:
        """Return those whose visit moved on, was cancelled, or has begun; one query."""
        visits = {
            pk: (state, version)
            for pk, state, version in Appointment.objects.filter(
                pk__in={notice.cause_id for notice in notices}
            ).values_list("pk", "state", "version")
        }
        why = {}
        for notice in notices:
            state, version = visits[notice.cause_id]
            if notice.template_key in ("visit_cancelled", "reply_cancelled"):
                if state != Appointment.State.CANCELLED:
                    why[notice.pk] = gettext_noop("the visit is on again")
            elif notice.cause_version != version or state not in Appointment.AHEAD:
                why[notice.pk] = gettext_noop("the visit has changed")
        return why

    def compose(
        self,
        notices: Sequence[Notice],
        *,
        channel: Channel,
        digits_from: int | None,
        neutral: bool,
    ) -> Draft:
        """Return the text; several visits of one day are named in one sentence.

        So are those of several children of whoever reads it.
        """
        by_id = _visits(notices)
        visits = sorted(
            {by_id[n.cause_id] for n in notices}, key=lambda visit: visit.starts_at
        )
        first = visits[0]
        key = notices[0].template_key
        ask = self._ask(key, visits)
        language = first.patient.language
        with_whom = ", ".join(dict.fromkeys(v.clinician.name for v in visits))
        fields = {
            "clinic": first.site.discreet if neutral else first.site.name,
            "first": first.patient.first_name,
            "when": when(visits, language),
            "clinician": _US.get(language, _US["en"]) if neutral else with_whom,
            "place": first.site.place,
            "phone": first.site.phone,
        }
        if reader := _reader(notices[0], first.patient):
            fields["first"] = reader.name.split(" ", 1)[0]
            whose = dict.fromkeys(visit.patient.first_name for visit in visits)
            names = _AND.get(language, _AND["en"]).join(whose)
            fields["when"] += _FOR.get(language, _FOR["en"]) + names
        if ask is not None and digits_from is None:
            key, ask = f"{key}_no_digits", None
        if ask is not None and digits_from is not None:
            for place in range(len(ask.meanings)):
                fields[f"d{place + 1}"] = str(digits_from + place)
        subject, body = render(key, language, short=channel == Channel.SMS, **fields)
        return Draft(body=body, subject=subject, ask=ask, language=language)

    def _ask(self, key: str, visits: Sequence[Appointment]) -> Ask | None:
        if key not in _ASKS:
            return None
        handler, meanings, yes_means = _ASKS[key]
        return Ask(
            handler=handler,
            meanings=meanings,
            expires_at=visits[0].starts_at,
            yes_means=yes_means,
        )

    def telling(self, notices: Sequence[Notice]) -> None:
        """Note what the patient is about to hear of the visits."""
        # Locked by the gate; one statement, however many.
        Appointment.objects.filter(pk__in={n.cause_id for n in notices}).update(
            told_start=F("starts_at"),
            told_site=F("site_id"),
            told_clinician=F("clinician_id"),
        )

    def sentence(self, notice: Notice) -> dict[str, Any]:
        """Return which visit it was about."""
        visit = _visits([notice])[notice.cause_id]
        return say(
            gettext_noop("Not told of the visit %(when)s with %(clinician)s"),
            when=wall(visit.local_start),
            clinician=visit.clinician.name,
        )

    def site(self, notice: Notice) -> Site:
        """Return where the visit is."""
        return _visits([notice])[notice.cause_id].site

    def useful_until(self, notice: Notice) -> datetime:
        """Return when the visit begins; one query."""
        return _visits([notice])[notice.cause_id].starts_at

    def missing(self, now: datetime) -> list[str]:
        """Return reminders the cadence owes and nobody promised."""
        return missing_reminders(now)


def _reader(notice: Notice, patient: Patient) -> ContactPerson | None:
    """Return who reads a text in the patient's stead, if anybody does."""
    if notice.address:
        return patient.contact_persons.filter(
            contact_points__address=notice.address,
            is_responsible=True,
            ended_at=None,
        ).first()
    return notice.contact_person


def _visits(notices: Sequence[Notice]) -> dict[int, Appointment]:
    return Appointment.objects.select_related("patient", "clinician", "site").in_bulk(
        {notice.cause_id for notice in notices}
    )


def when(visits: Sequence[Appointment], language: str) -> str:
    """Return the time of visits on one day as a patient reads it: Tue 24 Nov 3:20pm."""
    with translation.override(language):
        day = visits[0].local_date
        if language == "es":
            # "sáb" alone would turn the whole text into UCS-2, at twice the segments.
            shown = fold(date_format(day, "D j M").replace(".", ""))
            times = [time_format(v.local_time, "H:i") for v in visits]
        else:
            shown = date_format(day, "D j M").replace(".", "")
            times = [_clock(v) for v in visits]
    return f"{shown} {_AND.get(language, _AND['en']).join(times)}"


def _clock(visit: Appointment) -> str:
    hour = visit.local_time.hour % 12 or 12
    half = "am" if visit.local_time.hour < 12 else "pm"
    return f"{hour}:{visit.local_time:%M}{half}"
