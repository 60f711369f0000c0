"""The auditor's pages: who saw or changed whom. Reading them is written down too."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts.audit.forms import LARGEST_ID, TrailForm
from accounts.audit.names import names_of_patients
from accounts.audit.queries import chain_state, older_than, staff_names, trail
from accounts.audit.record import record
from accounts.audit.sentences import actor_name, details_in_words, sentence
from accounts.audit.vocabulary import page_title
from accounts.http import StaffRequest
from accounts.models import AuditEvent
from accounts.policies import policy, requires
from core.sheets import defuse

#: Rows of a page, and patients a row shows before "and n more".
PAGE, SHOWN = 25, 6


@dataclass(frozen=True)
class Row:
    """One event as the page shows it; ``name`` is empty where it may not be known."""

    event: AuditEvent
    sentence: str
    #: On which page, from where, and what else is known of it.
    facts: list[str]
    people: list[tuple[int, str]]
    more: int


@policy(requires("accounts.read_trail"), "GET")
def event_list(request: StaffRequest) -> HttpResponse:
    """List what was done, newest first; pages follow the last row shown."""
    staff = staff_names()
    form = TrailForm(request.GET, staff=staff)
    if not form.is_valid():
        return _page(request, staff, AuditEvent.objects.none(), form=form)
    patient = form.cleaned_data["patient"]
    record(
        AuditEvent.Verb.READ,
        patient_ids=[patient] if patient else [],
        subject="audit",
        details=form.told(),
    )
    return _page(request, staff, trail(**form.cleaned_data), form=form)


@policy(requires("accounts.read_trail"), "GET")
def patient_trail(request: StaffRequest, patient_pk: int) -> HttpResponse:
    """List who saw or changed one patient, by number; whether there is one or not."""
    if patient_pk > LARGEST_ID:
        raise Http404
    record(AuditEvent.Verb.READ, patient_ids=[patient_pk], subject="audit")
    return _page(
        request, staff_names(), trail(patient=patient_pk), patient_pk=patient_pk
    )


def _page(
    request: StaffRequest,
    staff: dict[int, str],
    events: QuerySet[AuditEvent],
    *,
    form: TrailForm | None = None,
    patient_pk: int | None = None,
) -> HttpResponse:
    found = list(older_than(events, request.GET.get("before", ""))[: PAGE + 1])
    shown = found[:PAGE]
    ids = {pk for event in shown for pk in event.patient_ids[:SHOWN]}
    if patient_pk:
        ids.add(patient_pk)
    names = names_of_patients(request.user, ids)
    chosen = request.GET.copy()
    chosen.pop("before", None)
    return render(
        request,
        "accounts/audit_list.html",
        {
            "rows": [_row(event, staff, names, patient_pk) for event in shown],
            "before": shown[-1].pk if len(found) > PAGE else None,
            "query": chosen.urlencode(),
            "form": form,
            "chain": chain_state(),
            "patient_pk": patient_pk,
            "patient_name": names.get(patient_pk or 0, ""),
        },
    )


def _row(
    event: AuditEvent, staff: dict[int, str], names: dict[int, str], known: int | None
) -> Row:
    """Return one row; ``known`` is the patient the whole page is about."""
    ids = [pk for pk in event.patient_ids if pk != known]
    facts = (
        page_title(event.address),
        event.ip or "",
        details_in_words(event.details),
    )
    return Row(
        event=event,
        sentence=sentence(event, actor_name(event, staff)),
        facts=[fact for fact in facts if fact],
        people=[(pk, names.get(pk, "")) for pk in ids[:SHOWN]],
        more=max(0, len(ids) - SHOWN),
    )


@policy(requires("accounts.read_trail"), "GET", fresh=True)
def event_export(
    request: StaffRequest,
) -> StreamingHttpResponse | HttpResponseRedirect:
    """Give the filtered trail as CSV, patients as numbers; itself written down."""
    staff = staff_names()
    form = TrailForm(request.GET, staff=staff)
    if not form.is_valid():
        return redirect("audit:event_list")
    patient = form.cleaned_data["patient"]
    record(
        AuditEvent.Verb.EXPORT,
        patient_ids=[patient] if patient else [],
        subject="audit",
        details=form.told(),
    )
    response = StreamingHttpResponse(
        _lines(trail(**form.cleaned_data), staff), content_type="text/csv"
    )
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_COLUMNS = (
    "number",
    "at",
    "who",
    "verb",
    "subject",
    "patients",
    "opened",
    "address",
    "reason",
    "details",
    "ip",
)


def _lines(events: QuerySet[AuditEvent], staff: dict[int, str]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(_COLUMNS)
    for event in events.iterator(2000):
        cells = (
            event.pk,
            timezone.localtime(event.at).isoformat(timespec="seconds"),
            actor_name(event, staff),
            event.verb,
            event.subject,
            " ".join(map(str, event.patient_ids)),
            " ".join(map(str, event.details.get("opened", []))),
            event.address,
            event.reason,
            details_in_words(event.details),
            event.ip or "",
        )
        yield writer.writerow([defuse(str(cell)) for cell in cells])
