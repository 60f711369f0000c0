"""The panels patients fills itself: who they are, and their history."""

from typing import Any

from django.urls import reverse
from django.utils.translation import get_language_bidi, gettext
from django.utils.translation import gettext_lazy as _

from core.text import isolated
from patients.forms.profile import SECTIONS
from patients.history.states import states_of
from patients.languages import language_name
from patients.models import Patient
from patients.queries import why_barred
from patients.registry import Panel, links, panels
from patients.services import NO_CONSENT_YET

#: History of a kind that the panel shows before "and n more".
SHOWN = 6


def _matters(patient: Patient) -> dict[str, Any]:
    name = isolated(patient.first_name, right_to_left=get_language_bidi())
    return {
        "title": gettext("What matters to %(name)s") % {"name": name},
        "edit": _edit(patient, "matters"),
    }


def _edit(patient: Patient, section: str) -> str:
    return reverse("patients:patient_edit", args=[patient.pk, section])


def _contact(patient: Any) -> dict[str, Any]:
    # They come with the chips, with consent and what stands in the way.
    return {
        "no_consent_yet": NO_CONSENT_YET,
        "points": [
            (point, point.agreed, why_barred(point)) for point in patient.points_now
        ],
    }


def _people(patient: Any) -> dict[str, Any]:
    # Those in force come with the chips.
    return {
        "persons": patient.persons_now,
        "page": reverse("patients:people_around", args=[patient.pk]),
    }


def _profile(patient: Any) -> dict[str, Any]:
    needs = dict(Patient.Need.choices)
    return {
        "sections": {key: _edit(patient, key) for key in SECTIONS},
        "spoken": language_name(patient.spoken_language or patient.language),
        "needs": [needs.get(need, need) for need in patient.needs],
        # One number may have come from several systems.
        "identifiers": {
            identifier.value: identifier for identifier in patient.identifiers_now
        }.values(),
    }


def _history(patient: Patient) -> dict[str, Any]:
    return {
        "page": reverse("patients:history_list", args=[patient.pk]),
        "kinds": [
            (now, now.live[:SHOWN], len(now.live) - SHOWN, len(now.past))
            for now in states_of(patient).values()
        ],
    }


def _links(patient: Patient) -> dict[str, Any]:
    live = patient.links.live().select_related("made_by", "contact_person")
    return {
        "links": [
            (link, purpose.title)
            for link in live.order_by("-created_at", "-pk")
            if (purpose := links.get(link.purpose))
        ]
    }


panels.add(
    "matters",
    Panel(
        title=_("What matters"),
        template="patients/panel_matters.html",
        context=_matters,
        # In their own words, and most often of their health.
        permission="patients.view_historyentry",
    ),
)
panels.add(
    "contact",
    Panel(
        title=_("How to reach them"),
        template="patients/panel_contact.html",
        context=_contact,
        permission="patients.view_patient",
        side="right",
    ),
)
panels.add(
    "people",
    Panel(
        title=_("People around them"),
        template="patients/panel_people.html",
        context=_people,
        permission="patients.view_patient",
        side="right",
    ),
)
panels.add(
    "history",
    Panel(
        title=_("Medical history"),
        template="patients/panel_history.html",
        context=_history,
        permission="patients.view_historyentry",
    ),
)
panels.add(
    "profile",
    Panel(
        title=_("About them"),
        template="patients/panel_profile.html",
        context=_profile,
        permission="patients.view_patient",
    ),
)
panels.add(
    "links",
    Panel(
        title=_("Links they can open"),
        template="patients/panel_links.html",
        context=_links,
        permission="patients.view_patient",
        side="right",
    ),
)
