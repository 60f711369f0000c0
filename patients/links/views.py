"""What a patient meets under ``/p/``: a question, what the link opens, and the way out.

No login, no script, nothing of a patient before the birth date, and nothing in the
address after it.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.addresses import client_ip, network_of_request
from accounts.audit.trail import View, current_view
from accounts.language import browser_language
from accounts.models import Site
from accounts.policies import policy, public
from accounts.throttling import put_back, take
from core.http import SeeOther
from patients.links import session
from patients.links.forms import BirthDateForm
from patients.links.services import (
    ACTOR,
    Answer,
    answer_link,
    find_link,
    get_open_link,
    record_shown,
)
from patients.models import Link
from patients.queries import speaking_site
from patients.registry import links

#: Remembers a language somebody chose on these pages, and nothing else.
LANGUAGE_COOKIE = "patient_language"
#: Wrong birth dates in ``WINDOW``: on one link, and from one household or server.
PER_LINK = 5
PER_NETWORK = 30
WINDOW = timedelta(minutes=15)

PageT = Callable[..., HttpResponse]


def _patient_page(view: PageT) -> PageT:
    """Return the view as a page for patients.

    It speaks the language chosen here or the browser's, tells nobody where it was
    called from, and leaves the login of a member of staff out of it: what it shows is
    shown to whoever holds the link.
    """

    @wraps(view)
    def shown(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        seen = View(actor=ACTOR, ip=client_ip(request))
        if request.resolver_match:
            seen.address = request.resolver_match.view_name
        outer = current_view.set(seen)
        try:
            with translation.override(_chosen(request) or browser_language(request)):
                response = _switched(request) or view(request, *args, **kwargs)
                response.headers.setdefault(
                    "Content-Language", translation.get_language()
                )
        finally:
            current_view.reset(outer)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return shown


@policy(
    public("asks for a birth date and shows nothing of a patient; 128-bit token"),
    "GET",
    "POST",
)
@_patient_page
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """Ask for the birth date; the right one leads to an address without the token.

    GET changes nothing and looks the same for every purpose and patient: scanners and
    previews fetch links, and some press their buttons. A form without a date changes
    nothing either.
    """
    link = find_link(token)
    if link is None:
        return _gone(request)
    site = speaking_site(link.patient)
    if link.patient.birth_date is None:
        return _page(request, "patients/link_call.html", site)
    said = request.POST if request.method == "POST" else None
    form = BirthDateForm(said, region=site.region)
    status = 200
    if form.is_valid() and not _may_try(request, link):
        form.add_error(None, _("Too many tries. Wait a few minutes, or call us."))
        status = 429
    elif form.is_valid():
        answer = answer_link(link_id=link.pk, born=form.cleaned_data["born"])
        if answer is Answer.RIGHT:
            return _let_in(request, link)
        if answer is Answer.CLOSED:
            return _gone(request)
        form.add_error(None, _("This is not the date we have. Check it, or call us."))
    return _page(request, "patients/link_enter.html", site, status=status, form=form)


@policy(
    public("only for a browser in which the link was opened with the birth date"),
    "GET",
    "POST",
)
@_patient_page
def open_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a link opens, in the patient's language, for half an hour."""
    link = get_open_link(pk) if session.open_in(request, pk) else None
    if link is None:
        return _gone(request, closed=True)
    with translation.override(_chosen(request) or link.patient.language):
        response = links[link.purpose].show(request, link)
        response["Content-Language"] = translation.get_language()
    if not isinstance(response, SeeOther):
        record_shown(link)
    return response


@policy(public("closes the links open in this browser"), "POST")
@_patient_page
def leave(request: HttpRequest) -> HttpResponse:
    """Close every link in this browser and what it kept of them, at one press.

    Not ``"cookies"``: that would sign out of everything else of the clinic's, too.
    """
    response = SeeOther(reverse("links:bye"))
    session.leave(request, response)
    response.delete_cookie(LANGUAGE_COOKIE, path="/p/", samesite="Lax")
    response["Clear-Site-Data"] = '"cache", "storage"'
    return response


@policy(public("says goodbye"), "GET", "POST")
@_patient_page
def bye(request: HttpRequest) -> HttpResponse:
    """Stand where somebody lands who left in a hurry; says nothing of why."""
    return render(request, "patients/link_bye.html")


def _chosen(request: HttpRequest) -> str:
    """Return the language somebody chose on these pages, blank for none."""
    language = request.COOKIES.get(LANGUAGE_COOKIE, "")
    return language if language in dict(settings.LANGUAGES) else ""


def _switched(request: HttpRequest) -> HttpResponse | None:
    """Return the same page anew when its language was switched."""
    language = request.POST.get("page_language", "")
    if language not in dict(settings.LANGUAGES):
        return None
    response = SeeOther(request.path)
    response.set_cookie(
        LANGUAGE_COOKIE,
        language,
        path="/p/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _may_try(request: HttpRequest, link: Link) -> bool:
    """Count one try from where it comes and at the link; return whether it may be."""
    return take(
        "link from", network_of_request(request), limit=PER_NETWORK, per=WINDOW
    ) and take("link", str(link.pk), limit=PER_LINK, per=WINDOW)


def _let_in(request: HttpRequest, link: Link) -> HttpResponse:
    put_back("link from", network_of_request(request), limit=PER_NETWORK, per=WINDOW)
    put_back("link", str(link.pk), limit=PER_LINK, per=WINDOW)
    response = SeeOther(reverse("links:open", args=[link.pk]))
    session.let_in(request, response, link)
    return response


def _gone(request: HttpRequest, *, closed: bool = False) -> HttpResponse:
    """Say that there is nothing (any more), the same for whatever reason."""
    sites = Site.objects.order_by("id")
    return _page(
        request,
        "patients/link_gone.html",
        None,
        status=404,
        sites=sites,
        closed=closed,
    )


def _page(
    request: HttpRequest,
    template: str,
    site: Site | None,
    *,
    status: int = 200,
    **context: object,
) -> HttpResponse:
    return render(request, template, {"site": site, **context}, status=status)
