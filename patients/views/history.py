"""A patient's history on its page, edited in place, and who was told of what."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from core.versions import StaleError
from patients.access import at_own_sites, get_patient, not_there
from patients.chips import load_chips
from patients.codes import Code, code_at, search_codes
from patients.forms.history import (
    SOURCES,
    HistoryForm,
    ReviewForm,
    ToldForm,
    form_of,
    picked,
)
from patients.history.kinds import KINDS
from patients.history.queries import after, untold_of, untold_of_patient
from patients.history.services import (
    add_entry,
    change_entry,
    end_entry,
    review_kind,
    take_back_entry,
    verify_entry,
)
from patients.history.states import states_of
from patients.history.telling import note_told, put_off_telling
from patients.models import HistoryEntry, Patient

#: Conditions on a page of those to tell.
PAGE = 25
CHANGE = "patients.change_historyentry"
TELL = "patients.tell_historyentry"


@policy(requires("patients.view_historyentry"), "GET")
def history_list(request: StaffRequest, pk: int) -> HttpResponse:
    """Show all that is known of a patient's health; htmx gets the part that changes."""
    return _page(request, get_patient(request.user, pk))


@policy(requires(CHANGE), "GET", "POST")
@once
def history_add(request: StaffRequest, patient_pk: int, kind: str) -> HttpResponse:
    """Write down one thing of a kind, on the history's own page."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    if kind not in KINDS:
        raise Http404
    form = _form(request, patient, kind)
    if request.method == "POST" and form.is_bound and form.is_valid():
        try:
            add_entry(patient=patient, kind=kind, facts=form.facts(), by=request.user)
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Written down"))
            return redirect("patients:history_list", pk=patient.pk)
    return _page(request, patient, form=form, adding=kind)


@policy(requires(CHANGE), "GET", "POST")
@once
def history_edit(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Change an entry in its place; who comes second sees both and loses nothing."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    entry = _entry(patient, pk)
    form = _form(request, patient, entry.kind, entry)
    theirs = None
    if request.method == "POST" and form.is_bound and form.is_valid():
        try:
            change_entry(
                entry_id=entry.pk,
                version=form.cleaned_data["version"] or 0,
                facts=form.facts(),
                by=request.user,
            )
        except StaleError as error:
            theirs = error.now
            form = _form(request, patient, entry.kind, theirs, version=theirs.version)
            form.refuse(error)
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Saved"))
            return redirect("patients:history_list", pk=patient.pk)
    return _page(request, patient, form=form, editing=entry.pk, theirs=theirs)


@policy(requires("patients.verify_historyentry"), "POST")
@once
def history_verify(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Stand for what an entry says."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    return _do(request, patient, pk, verify_entry, _("Verified"))


@policy(requires(CHANGE), "POST")
@once
def history_end(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Note that it is over, or stopped, since today."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    return _do(request, patient, pk, end_entry, _("Noted as over"))


@policy(requires(CHANGE), "POST")
@once
def history_error(request: StaffRequest, patient_pk: int, pk: int) -> HttpResponse:
    """Mark an entry as an error; nothing is deleted."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    why = request.POST.get("why", "").strip()
    entry = _entry(patient, pk)
    take_back_entry(entry_id=entry.pk, by=request.user, why=why)
    messages.success(request, _("Marked as an error"))
    return redirect("patients:history_list", pk=patient.pk)


@policy(requires(CHANGE), "POST")
@once
def history_review(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """Note that a kind was asked about: none known, looked through, or no answer."""
    patient = get_patient(request.user, patient_pk, at_own_site=True)
    form = ReviewForm(request.POST)
    try:
        if not form.is_valid():
            raise ValidationError(_("Choose one of these."))
        review_kind(patient=patient, by=request.user, **form.cleaned_data)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, _("Noted"))
    return redirect("patients:history_list", pk=patient.pk)


@policy(requires(CHANGE), "POST")
def history_codes(request: StaffRequest) -> HttpResponse:
    """Find names with codes in the shipped list while somebody types."""
    kind = request.POST.get("kind", "")
    found = search_codes(request.POST.get("label", ""), kind)
    return render(request, "patients/history_codes.html", {"found": found})


@policy(requires(TELL), "GET", "POST")
@once
def history_untold(request: StaffRequest) -> HttpResponse:
    """List what patients wait to be told of, and note for several that they were."""
    mine = request.GET.get("folder") == "mine"
    rows = untold_of(request.user, mine=mine)
    last = _row_at(request, request.GET.get("after", ""))
    return _save_told(request, after(rows, last), mine=mine)


@policy(requires(TELL), "GET", "POST")
@once
def history_tell(request: StaffRequest, pk: int) -> HttpResponse:
    """Note what one patient was told of, or why it has to wait."""
    patient = get_patient(request.user, pk, at_own_site=True)
    return _save_told(request, untold_of_patient(patient), patient=patient)


def _save_told(
    request: StaffRequest,
    found: QuerySet[HistoryEntry],
    *,
    patient: Patient | None = None,
    mine: bool = False,
) -> HttpResponse:
    rows = list(found[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    form = ToldForm(request.POST or None, rows=rows, may_wait=patient is not None)
    if request.method == "POST" and form.is_valid():
        try:
            _note(request, form.cleaned_data, patient)
        except ValidationError as error:
            form.refuse(error)
        else:
            if patient and not found.exists():
                return redirect("patients:history_list", pk=patient.pk)
            return redirect(request.get_full_path())
    ticked = form.data.getlist("entry") if form.is_bound else []  # type: ignore[attr-defined]
    return render(
        request,
        "patients/history_untold.html",
        {
            "form": form,
            "rows": rows,
            "ticked": {int(pk) for pk in ticked if pk.isdecimal()},
            "more": rows[-1].pk if more else None,
            "patient": patient,
            "mine": mine,
            "today": timezone.localdate(),
        },
    )


def _note(request: StaffRequest, data: dict[str, Any], patient: Patient | None) -> None:
    if data["how"] == "later" and patient:
        put_off_telling(patient=patient, by=request.user, why=data["why"])
        messages.success(request, _("Noted: it waits"))
        return
    on = data["told_on"] if data["how"] == "me" else None
    count = note_told(entry_ids=data["entry"], by=request.user, on=on)
    said = ngettext("%(n)d entry noted as told", "%(n)d entries noted as told", count)
    messages.success(request, said % {"n": count})


def _row_at(request: StaffRequest, pk: str) -> HistoryEntry | None:
    """Return the row a page follows, told of by now or not, within the user's reach."""
    if not pk.isdecimal() or len(pk) > 18:
        return None
    return HistoryEntry.objects.filter(at_own_sites(request.user), pk=pk).first()


def _entry(patient: Patient, pk: int) -> HistoryEntry:
    entry = patient.history.filter(pk=pk).first()
    if entry is None:
        raise not_there("history", HistoryEntry.objects.filter(pk=pk))
    return entry


def _do(
    request: StaffRequest, patient: Patient, pk: int, service: Any, said: str
) -> HttpResponse:
    entry = _entry(patient, pk)
    try:
        service(entry_id=entry.pk, by=request.user)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, said)
    return redirect("patients:history_list", pk=patient.pk)


def _form(
    request: StaffRequest,
    patient: Patient,
    kind: str,
    entry: HistoryEntry | None = None,
    version: int | None = None,
) -> HistoryForm:
    """Return the form as it was sent; unbound while somebody still looks for a code."""
    Form = form_of(kind)  # noqa: N806 - it is a class
    about: dict[str, Any] = {"user": request.user, "patient": patient, "entry": entry}
    if request.method != "POST":
        return Form(**about)
    posted = request.POST.copy()
    if version is not None:
        posted["version"] = str(version)
    found: list[Code] | None = None
    if "look" in posted:
        found = search_codes(posted.get("label", ""), kind)
        return Form(initial=posted.dict(), found=found, **about)
    if "pick" in posted:
        code = code_at(request.POST.get("pick", ""))
        return Form(initial=picked(posted.dict(), code), **about)
    return Form(posted, **about)


def _page(request: StaffRequest, patient: Patient, **more: Any) -> HttpResponse:
    load_chips(request.user, [patient], whole=True)
    states = states_of(patient)
    part, whole = "patients/history_body.html", "patients/history_list.html"
    return render(
        request,
        part if request.htmx else whole,
        {
            "patient": patient,
            "states": states,
            "mistakes": [one for one in patient.history.all() if one.is_taken_back],
            "sources": SOURCES,
            "may_change": patient.at_own_site and request.user.has_perm(CHANGE),  # type: ignore[attr-defined]
            "may_tell": patient.at_own_site and request.user.has_perm(TELL),  # type: ignore[attr-defined]
            "drafts": True,
            **more,
        },
    )
