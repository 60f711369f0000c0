"""Notes: writing and signing them, what comes after one, and one's unsigned ones."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.models import AuditEvent, Draft
from accounts.once import once
from accounts.policies import policy, requires
from patients.access import get_patient, not_there
from patients.forms.notes import ErrorForm, FollowForm, NoteForm
from patients.models import Note, Patient
from patients.notes import (
    DRAFT_OF,
    draft_key,
    follow_note,
    is_note_draft,
    note_drafts,
    page_of_notes,
    read_by,
    shown_notes,
    sign_note,
)

#: More digits than this are no note's number; databases refuse them.
_LONGEST_ID = 19


@policy(requires("patients.view_note"), "GET")
def note_list(request: StaffRequest, pk: int) -> HttpResponse:
    """List a patient's notes, latest first, page by page (``before`` a note)."""
    patient = get_patient(request.user, pk)
    before = request.GET.get("before", "")
    is_number = before.isdecimal() and len(before) < _LONGEST_ID
    last = patient.notes.filter(pk=before).first() if is_number else None
    notes, more = page_of_notes(patient, request.user, before=last)
    return render(
        request,
        "patients/note_list.html",
        {
            "patient": patient,
            "notes": notes,
            "before": notes[-1].pk if more else None,
        },
    )


@policy(requires("patients.add_note"), "GET", "POST")
@once
def note_add(request: StaffRequest, pk: int) -> HttpResponse:
    """Write a note and sign it; what is typed is a draft until then.

    Under emergency access too: whoever acts in an emergency writes down what they did.
    """
    patient = get_patient(request.user, pk)
    form = NoteForm(request.POST or None, patient=patient, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            sign_note(patient=patient, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Signed"))
            return redirect("patients:patient_detail", pk=patient.pk)
    return render(request, "patients/note_add.html", {"patient": patient, "form": form})


@policy(requires("patients.view_note"), "GET")
def note_detail(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Show one note with what followed it.

    Here alone those who may read all read what was entered in error; that they did is
    an event of its own.
    """
    patient = get_patient(request.user, patient_pk)
    note = _note(request, patient, pk)
    reveals = note.hidden == "error" and note.reads_all
    if reveals:
        record(
            AuditEvent.Verb.READ,
            patient_ids=[patient.pk],
            opened=[patient.pk],
            subject=f"note:{note.pk}",
            details={"state": "entered in error"},
        )
    followers = shown_notes(patient).filter(relates_to=note).order_by("signed_at", "pk")
    return render(
        request,
        "patients/note_detail.html",
        {
            "patient": patient,
            "note": note,
            "reveals": reveals,
            "followers": read_by(request.user, followers),
        },
    )


@policy(requires("patients.add_note"), "GET", "POST")
@once
def note_addend(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Add to a note what is new."""
    return _follow(request, patient_pk, pk, Note.Relation.ADDENDUM)


@policy(requires("patients.add_note"), "GET", "POST")
@once
def note_correct(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Put right one's own note."""
    return _follow(request, patient_pk, pk, Note.Relation.CORRECTION)


@policy(requires("patients.add_note"), "GET", "POST")
@once
def note_take_back(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Mark one's own note as entered in error."""
    return _follow(request, patient_pk, pk, Note.Relation.ERROR)


def _follow(
    request: StaffRequest, patient_pk: int, pk: int, relation: Note.Relation
) -> HttpResponse:
    patient = get_patient(request.user, patient_pk)
    note = _note(request, patient, pk)
    form = _form(request, note, relation)
    if note.hidden:
        return redirect("patients:note_detail", patient_pk=patient.pk, pk=note.pk)
    if request.method == "POST" and form.is_valid():
        try:
            done = follow_note(
                note=note, by=request.user, relation=relation, **form.cleaned_data
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            if relation != Note.Relation.ERROR:
                drop_draft(user=request.user, key=draft_key(note, relation))
            messages.success(request, _("Signed"))
            shown = note if relation == Note.Relation.ERROR else done
            return redirect("patients:note_detail", patient_pk=patient.pk, pk=shown.pk)
    return render(
        request,
        "patients/note_follow.html",
        {"patient": patient, "note": note, "form": form, "relation": relation},
    )


def _form(
    request: StaffRequest, note: Note, relation: Note.Relation
) -> FollowForm | ErrorForm:
    sent = request.POST or None
    if relation == Note.Relation.ERROR:
        return ErrorForm(sent, note=note)
    return FollowForm(sent, note=note, relation=relation, user=request.user)


def _note(request: StaffRequest, patient: Patient, pk: int) -> Note:
    """Return one of the patient's notes; 404 for another's."""
    found = read_by(request.user, shown_notes(patient).filter(pk=pk))
    if not found:
        raise not_there("note", Note.objects.filter(pk=pk))
    return found[0]


@policy(requires("patients.add_note"), "GET")
def note_draft_list(request: StaffRequest) -> HttpResponse:
    """List one's own unsigned notes, the oldest first."""
    return render(
        request,
        "patients/note_draft_list.html",
        {
            "drafts": [
                (draft, patient, patient and _address(draft, patient))
                for draft, patient in note_drafts(request.user)
            ]
        },
    )


def _address(draft: Draft, patient: Patient) -> str:
    """Return where somebody goes on writing a draft."""
    word, _colon, number = draft.key.partition(":")
    if word == DRAFT_OF[Note.Relation.ADDENDUM]:
        return reverse("patients:note_addend", args=[patient.pk, number])
    if word == DRAFT_OF[Note.Relation.CORRECTION]:
        return reverse("patients:note_correct", args=[patient.pk, number])
    return reverse("patients:note_add", args=[patient.pk])


@policy(requires("patients.add_note"), "POST")
@once
def note_draft_drop(request: StaffRequest, pk: int) -> HttpResponse:
    """Drop an unsigned note of one's own; nothing is left of it."""
    draft = Draft.objects.filter(is_note_draft(), user=request.user, pk=pk).first()
    if draft is not None:
        drop_draft(user=request.user, key=draft.key)
        messages.success(request, _("Dropped"))
    return redirect("patients:note_draft_list")
