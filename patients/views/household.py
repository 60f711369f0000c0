"""The people around a patient: contact persons, and who shares a number with them."""

from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from core.versions import StaleError
from patients.access import get_patient, not_there
from patients.forms.household import ContactPersonForm
from patients.household import (
    add_contact_person,
    change_contact_person,
    end_contact_person,
    household,
)
from patients.models import ContactPerson, Patient
from patients.queries import speaking_site
from patients.recipients import in_force
from patients.registry import topics

#: The page says so many days ahead that a right runs out.
SOON = timedelta(days=30)


@policy(requires("patients.view_patient"), "GET")
def people_around(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Show who may be told of a patient, who could once, and who lives with them."""
    patient = get_patient(request.user, patient_pk)
    today = timezone.localdate()
    persons = list(
        patient.contact_persons.select_related("ended_by")
        .prefetch_related("contact_points")
        .order_by("-is_responsible", "pk")
    )
    titles = {key: topic.title for key, topic in topics}
    for person in persons:
        told: dict[str, object] = {
            "now": in_force(person, today),
            "barred": [titles.get(key, key) for key in person.barred_topics],
            "told_of": [
                label
                for scope, label in ContactPerson.Scope.choices
                if scope in person.scopes
            ],
            "soon": person.until is not None and person.until <= today + SOON,
        }
        person.told = told  # type: ignore[attr-defined]
    return render(
        request,
        "patients/people_around.html",
        {
            "patient": patient,
            "persons": [p for p in persons if p.ended_at is None],
            "ended": [p for p in persons if p.ended_at is not None],
            "household": household(request.user, patient),
            "may_change": request.user.has_perm("patients.change_patient")
            and patient.at_own_site,  # type: ignore[attr-defined]
        },
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def contact_person_add(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Note a contact person of a patient."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    form = ContactPersonForm(
        request.POST or None, patient=patient, records=_records(request, patient)
    )
    if request.method == "POST" and form.is_valid():
        try:
            add_contact_person(
                patient_id=patient.pk,
                region=speaking_site(patient).region,
                by=request.user,
                **form.said(),
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Added"))
            return redirect("patients:people_around", patient_pk=patient.pk)
    return render(
        request, "patients/contact_person_edit.html", {"patient": patient, "form": form}
    )


@policy(requires("patients.change_patient"), "GET", "POST")
@once
def contact_person_edit(
    request: StaffRequest, patient_pk: int, pk: int
) -> HttpResponse:
    """Change what a contact person may know, and how they are reached."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    person = _get_person(patient, pk)
    form = ContactPersonForm(
        request.POST or None,
        patient=patient,
        person=person,
        records=_records(request, patient),
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_contact_person(
                contact_person_id=person.pk,
                version=form.cleaned_data["version"] or 0,
                region=speaking_site(patient).region,
                by=request.user,
                **form.said(),
            )
        except StaleError as error:
            form.refuse(error)
            form.show_clash(error.now)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved"))
            return redirect("patients:people_around", patient_pk=patient.pk)
    return render(
        request,
        "patients/contact_person_edit.html",
        {"patient": patient, "form": form, "person": person},
    )


@policy(requires("patients.change_patient"), "POST")
@once
def contact_person_end(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """End at once what a contact person may know."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    person = end_contact_person(
        contact_person_id=_get_person(patient, pk).pk, by=request.user
    )
    messages.success(
        request, _("%(name)s is told nothing any more.") % {"name": person.name}
    )
    return redirect("patients:people_around", patient_pk=patient.pk)


def _get_person(patient: Patient, pk: int) -> ContactPerson:
    person = patient.contact_persons.filter(pk=pk).first()
    if person is None:
        raise not_there("contact_person", ContactPerson.objects.filter(pk=pk))
    return person


def _records(request: StaffRequest, patient: Patient) -> list[Patient]:
    """Return whose record a contact person's own may be."""
    return [mate.patient for mate in household(request.user, patient)]
