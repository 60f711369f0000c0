"""Emergency access: taking it, ending it, looking into it."""

from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.audit.vocabulary import page_title
from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from accounts.throttling import take
from patients.access import not_there
from patients.forms.emergency import EmergencyForm, ReviewForm
from patients.grants import end_access, record_refusal, review_access, try_access
from patients.models import AccessGrant
from patients.queries import deeds_under, grants_to_review
from patients.search import PAGE

#: So many patients may be asked for in an emergency, and as many again in so long.
TRIES, TRIES_PER = 10, timedelta(hours=1)


@policy(requires("patients.break_glass"), "GET", "POST", fresh=True)
def emergency_access(request: StaffRequest) -> HttpResponse:
    """Open one patient of any site for an hour, to somebody who says why.

    One sentence answers whatever finds no single patient, so that nobody learns who is
    a patient here; tries are counted, and each is in the audit trail.
    """
    form = EmergencyForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _emergency_page(request, form)
    user = request.user
    # Before the transaction of the work, whose end must not forgive the try.
    if take("emergency", str(user.pk), limit=TRIES, per=TRIES_PER):
        return _open_in_emergency(request, form)
    record_refusal(user=user, reason=form.cleaned_data["reason"], why="too many tries")
    form.add_error(None, _("Too many tries. Wait a while, or ring the site."))
    return _emergency_page(request, form, status=429)


@once
def _open_in_emergency(request: StaffRequest, form: EmergencyForm) -> HttpResponse:
    asked = form.cleaned_data
    patient = try_access(
        user=request.user,
        identifier=asked["identifier"],
        name=asked["name"],
        born=asked["birth_date"],
        reason=asked["reason"],
    )
    if patient is not None:
        return redirect("patients:patient_detail", pk=patient.pk)
    form.add_error(None, _("This finds no single patient. Check it, or ring the site."))
    return _emergency_page(request, form)


def _emergency_page(
    request: StaffRequest, form: EmergencyForm, *, status: int = 200
) -> HttpResponse:
    return render(
        request, "patients/emergency_access.html", {"form": form}, status=status
    )


@policy(requires("patients.break_glass"), "POST")
@once
def access_end(request: StaffRequest, pk: int) -> HttpResponse:
    """End one's own emergency access before its hour is over."""
    grant = AccessGrant.objects.filter(pk=pk, user=request.user).first()
    if grant is None:
        raise not_there("grant", AccessGrant.objects.filter(pk=pk))
    end_access(grant_id=grant.pk)
    messages.success(request, _("Emergency access ended"))
    return redirect("patients:patient_list")


@policy(requires("patients.review_accessgrant"), "GET")
def access_review_list(request: StaffRequest) -> HttpResponse:
    """List emergency access: what waits for review, then page by page what was."""
    grants = grants_to_review(request.user)
    history = Paginator(grants.exclude(reviewed_at=None), PAGE)
    return render(
        request,
        "patients/access_review_list.html",
        {
            "waiting": grants.filter(reviewed_at=None),
            "history": history.get_page(request.GET.get("page")),
        },
    )


@policy(requires("patients.review_accessgrant"), "GET", "POST")
@once
def access_review(request: StaffRequest, pk: int) -> HttpResponse:
    """Show one emergency access and all that was done under it; note the finding."""
    grant = grants_to_review(request.user).filter(pk=pk).first()
    if grant is None:
        raise not_there("grant", AccessGrant.objects.filter(pk=pk))
    form = ReviewForm(request.POST or None, grant=grant, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            review_access(grant_id=grant.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            drop_draft(user=request.user, key=form.draft_key)
            messages.success(request, _("Reviewed"))
            return redirect("patients:access_review_list")
    return render(
        request,
        "patients/access_review.html",
        {
            "grant": grant,
            "form": form,
            "deeds": [(deed, page_title(deed.address)) for deed in deeds_under(grant)],
        },
    )
