"""The duty roster, and the page that an urgent text leads to."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.addresses import client_ip, network_of_request
from accounts.audit.trail import View, current_view
from accounts.http import StaffRequest
from accounts.models import Duty, Site
from accounts.once import once
from accounts.policies import policy, public, requires
from accounts.roster import hand_over, on_duty, put_on_duty, roster
from accounts.throttling import take
from core.http import SeeOther
from messaging.duty.alerts import take_note, waiting
from messaging.duty.forms import DutyForm, HandOverForm, next_hour
from messaging.duty.links import find_alert
from messaging.models import DutyAlert
from patients.queries import speaking_site

#: Links that open nothing, from one household or server in ``WINDOW``.
PER_NETWORK = 30
WINDOW = timedelta(minutes=15)
#: Who acts, as the audit names them.
ACTOR = "duty link"
#: What the page of the roster shows of who was told.
TOLD_SHOWN = 10


@policy(requires("accounts.view_duty"), "GET")
def duty_list(request: StaffRequest) -> HttpResponse:
    """Show who is on duty at one's sites, what comes, and the hours nobody covers."""
    now = timezone.now()
    sites = list(request.user.sites.all())
    spans = roster(sites, now)
    held = set(
        on_duty(now, sites=[site.pk for site in sites]).values_list("pk", flat=True)
    )
    told = (
        DutyAlert.objects.filter(Q(site__in=sites) | Q(site=None))
        .filter(at__gt=now - timedelta(days=1))
        .select_related("user", "site")
        .order_by("-at", "-id")[:TOLD_SHOWN]
    )
    rosters = [
        {
            "site": site,
            "now": [span for span in spans[site.pk] if span.is_now],
            "coming": [span for span in spans[site.pk] if not span.is_now],
            "covered": any(
                span.duty and span.duty.pk in held for span in spans[site.pk]
            ),
        }
        for site in sites
    ]
    return render(
        request,
        "messaging/duty_list.html",
        {"rosters": rosters, "told": [(one, _zone_of(one, sites)) for one in told]},
    )


def _zone_of(alert: DutyAlert, sites: Sequence[Site]) -> str:
    """Return whose clocks an alert is read by: of no site, those of the reader's."""
    site = alert.site or next(iter(sites), None)
    return site.zone if site else settings.TIME_ZONE


@policy(requires("accounts.add_duty"), "GET", "POST")
@once
def duty_add(request: StaffRequest) -> HttpResponse:
    """Put somebody on duty."""
    form = DutyForm(
        request.POST or None,
        user=request.user,
        initial=next_hour(request.user.sites.first()),
    )
    if request.method == "POST" and form.is_valid():
        try:
            put_on_duty(by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("On the roster."))
            return redirect("messaging:duty_list")
    return render(request, "messaging/duty_add.html", {"form": form})


@policy(requires("accounts.change_duty"), "GET", "POST")
@once
def duty_edit(request: StaffRequest, pk: int) -> HttpResponse:
    """Hand a duty over from now on, or end it; of one's own sites."""
    duty = get_object_or_404(
        Duty.objects.select_related("site", "user"),
        pk=pk,
        site__in=request.user.sites.all(),
        ends_at__gt=timezone.now(),
    )
    form = HandOverForm(request.POST or None, duty=duty)
    if request.method == "POST" and form.is_valid():
        try:
            hand_over(duty_id=duty.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The roster was changed."))
            return redirect("messaging:duty_list")
    return render(request, "messaging/duty_edit.html", {"form": form, "duty": duty})


@policy(requires("worklist.view_workitem"), "POST")
@once
def duty_take(request: StaffRequest, pk: int) -> HttpResponse:
    """Take note of urgent work one was told of, from a page one is signed in to."""
    alert = DutyAlert.objects.filter(pk=pk, user=request.user).first()
    if alert is None:
        raise Http404
    take_note(alert_id=alert.pk)
    messages.success(request, _("Noted: you know of it. Take it on from the worklist."))
    return redirect("worklist:item_list")


@policy(
    public("says how much urgent work waits, nothing of a patient; 128-bit token"),
    "GET",
    "POST",
)
def duty_alert(request: HttpRequest, token: str) -> HttpResponse:
    """Show how much waits; a press of the button takes note.

    GET changes nothing: scanners and previews fetch links. A link that works always
    does; only whoever tries one that does not is counted.
    """
    outer = current_view.set(
        View(actor=ACTOR, ip=client_ip(request), address="messaging:duty_alert")
    )
    try:
        response = _answer(request, token)
    finally:
        current_view.reset(outer)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    alert = find_alert(token)
    if alert is None:
        fine = take(
            "duty link from", network_of_request(request), limit=PER_NETWORK, per=WINDOW
        )
        return render(request, "messaging/duty_alert.html", status=404 if fine else 429)
    if request.method == "POST":
        seen = request.POST.get("seen", "")
        known = seen.isdecimal() and len(seen) < 19
        take_note(alert_id=alert.pk, seen=int(seen) if known else 0)
        return SeeOther(request.path)
    with translation.override(alert.user.language or translation.get_language()):
        response = render(request, "messaging/duty_alert.html", _shown(alert))
        response["Content-Language"] = translation.get_language()
    return response


def _shown(alert: DutyAlert) -> dict[str, Any]:
    """Return what the page says: how much waits, since when, and who knows of it."""
    theirs = DutyAlert.objects.filter(user=alert.user, site=alert.site)
    latest = theirs.order_by("-pk").first() or alert
    items = {*alert.items, *latest.items}
    opened = list(waiting().filter(pk__in=items).values_list("opened_at", flat=True))
    others = (
        DutyAlert.objects.filter(site=alert.site, acknowledged_at__isnull=False)
        .exclude(user=alert.user)
        .filter(at__gte=alert.at - timedelta(hours=2))
        .select_related("user")
        .order_by("acknowledged_at")
    )
    return {
        "alert": alert,
        "site": alert.site,
        "where": (alert.site or speaking_site(None)).zone,
        "count": len(opened),
        "since": min(opened, default=None),
        "seen": latest.pk,
        "others": [one for one in others if items & set(one.items)],
    }
