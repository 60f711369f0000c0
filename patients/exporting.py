"""Everything that is kept about one person, to be handed to them.

One file for machines (``patient.json``) and pages without script for people, in the
language the patient reads. What there is each app says (``patients.personal``).
"""

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.dates import written
from core.time import to_local, zone
from patients.models import HistoryEntry, Patient
from patients.personal import Personal, Whose, personal, whose

#: What the file for machines is called, and the first of the pages.
DATA, FIRST_PAGE = "patient.json", "index.html"
#: What fields are called on the pages, where the field itself does not say it in the
#: reader's language. One without a name is machinery, and stands in the data alone.
LABELS = {
    "site": gettext_lazy("site"),
    "clinician": gettext_lazy("clinician"),
    "visit_type": gettext_lazy("kind of visit"),
    "local_date": gettext_lazy("day"),
    "local_time": gettext_lazy("time"),
    "state": gettext_lazy("state"),
    "what": gettext_lazy("what was done"),
    "by": gettext_lazy("by"),
    "at": gettext_lazy("when"),
    "purpose": gettext_lazy("purpose"),
    "user": gettext_lazy("staff"),
    "address": gettext_lazy("number or address"),
    "why": gettext_lazy("because"),
    "reached_at": gettext_lazy("reached"),
    "created_at": gettext_lazy("since"),
    "answer": gettext_lazy("answer"),
    "direction": gettext_lazy("direction"),
    "channel": gettext_lazy("channel"),
    "sender": gettext_lazy("from"),
    "subject": gettext_lazy("subject"),
    "body": gettext_lazy("text"),
    "note": gettext_lazy("note"),
    "cause": gettext_lazy("because"),
    "kind": gettext_lazy("kind"),
    "reason": gettext_lazy("reason"),
    "outcome": gettext_lazy("outcome"),
    "opened_at": gettext_lazy("opened"),
    "expires_at": gettext_lazy("until"),
    "closed_at": gettext_lazy("closed"),
    "closed_by": gettext_lazy("closed by"),
    "due_at": gettext_lazy("due"),
    "owner": gettext_lazy("taken on by"),
    "usual_clinician": gettext_lazy("usual clinician"),
    "system": gettext_lazy("given by"),
    "value": gettext_lazy("number"),
    "author": gettext_lazy("written by"),
    "ended_at": gettext_lazy("ended"),
    "ended_by": gettext_lazy("ended by"),
    "made_by": gettext_lazy("made by"),
    "made_at": gettext_lazy("made"),
    "contact_person": gettext_lazy("person"),
    "usable": gettext_lazy("works"),
    "why_not": gettext_lazy("why not"),
    "safe_to_text": gettext_lazy("may be texted"),
    "given": gettext_lazy("agreed"),
    "method": gettext_lazy("how"),
    "evidence": gettext_lazy("proof"),
    "recorded_by": gettext_lazy("recorded by"),
    "recorded_at": gettext_lazy("recorded"),
    "code_system": gettext_lazy("list of codes"),
    "code": gettext_lazy("code"),
    "status": gettext_lazy("state"),
    "verification": gettext_lazy("how sure"),
    "happened_on": gettext_lazy("day"),
    "told_on": gettext_lazy("told on"),
    "told_by": gettext_lazy("told by"),
    "details": gettext_lazy("details"),
    "verified_by": gettext_lazy("verified by"),
    "verified_at": gettext_lazy("verified"),
    "reviewed_by": gettext_lazy("reviewed by"),
    "reviewed_at": gettext_lazy("reviewed"),
    "source": gettext_lazy("known from"),
    "answers": gettext_lazy("answers"),
    "signed_at": gettext_lazy("signed"),
    "revoked_at": gettext_lazy("closed"),
    "undone_at": gettext_lazy("undone"),
    "external_id": gettext_lazy("number in the other calendar"),
    "confidential": gettext_lazy("confidential"),
}
#: The shape of the file for machines; rises when something in it changes its meaning.
FORMAT = 1


@transaction.atomic
def export_patient(*, patient_id: int, by: User | None) -> dict[str, str]:
    """Return everything about somebody as {file name: text}, and write that it left.

    Under the name of a member of staff it leaves out what they may not read, and says
    so; without one, as from the command line, it holds everything. Records merged into
    this one are part of it. Two queries a table and one for each kind of row they point
    at.
    """
    patient = Patient.objects.get(pk=patient_id)
    somebody = whose(patient)
    with override(patient.language):
        parts = [
            _part(key, kept, somebody, by) for key, kept in personal if kept.exports
        ]
        about = {
            "patient": patient.pk,
            "name": patient.full_name,
            "made_at": timezone.now(),
            "untold": untold(patient),
        }
        # Who they are comes first.
        parts.sort(key=lambda part: part["key"] != "patient")
        shown = [part for part in parts if part["rows"] or part["withheld"]]
        files = _pages(patient, about, shown)
    files["style.css"] = Path(finders.find("css/export.css") or "").read_text()
    files[DATA] = json.dumps(
        {"format": FORMAT, **about, "parts": [_for_machines(part) for part in parts]},
        cls=DjangoJSONEncoder,
        ensure_ascii=False,
        indent=1,
    )
    record(
        AuditEvent.Verb.EXPORT,
        patient_ids=somebody.ids,
        opened=[patient.pk],
        subject=f"patient:{patient.pk}",
        by=by,
    )
    return files


def untold(patient: Patient) -> int:
    """Return how many conditions nobody has told the patient of yet; one query.

    Whoever hands the record over has to know: a page must not be how somebody learns
    of an illness.
    """
    return HistoryEntry.objects.filter(patient=patient).untold().count()


def write_to(folder: Path, files: dict[str, str]) -> None:
    """Write the files, readable for nobody but whoever runs this.

    Raises ``FileExistsError`` for a folder with something in it: nobody's record shall
    be mixed with another's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(folder)
    for name, text in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(
            os.open(folder / name, flags, 0o600), "w", encoding="utf-8"
        ) as f:
            f.write(text)


def as_zip(files: dict[str, str]) -> bytes:
    """Return the files as one archive."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return into.getvalue()


def _part(key: str, kept: Personal, somebody: Whose, by: User | None) -> dict[str, Any]:
    """Return one table's rows, and how many of them ``by`` may not read."""
    rows = kept.rows(somebody)
    hidden = kept.withheld(by, rows) if by and kept.withheld else rows.none()
    fields = [
        field
        for field in kept.model._meta.concrete_fields
        if field.name not in kept.hides
    ]
    points_at = [field.name for field in fields if isinstance(field, models.ForeignKey)]
    shown = rows.exclude(pk__in=hidden.values("pk")).order_by("pk").distinct()
    return {
        "key": key,
        "title": str(kept.title),
        "fields": fields,
        "reads": kept.reads,
        "rows": list(shown.select_related(*points_at) if points_at else shown),
        "withheld": hidden.count() if by and kept.withheld else 0,
    }


def _for_machines(part: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {field.name: _raw(field, row) for field in part["fields"]}
        for row in part["rows"]
    ]
    return {"key": part["key"], "withheld": part["withheld"], "rows": rows}


def _raw(field: Any, row: models.Model) -> Any:
    """Return a value as JSON; of what it points at, the number and the name."""
    value = getattr(row, field.attname)
    if value is None or not isinstance(field, models.ForeignKey):
        return value
    return {"id": value, "name": str(getattr(row, field.name))}


def _pages(
    patient: Patient, about: dict[str, Any], parts: list[dict[str, Any]]
) -> dict[str, str]:
    """Return the pages: one with all that there is, one for each table."""
    names = {
        part["key"]: f"{n:02}-{part['key']}.html" for n, part in enumerate(parts, 1)
    }
    contents = [
        (names[part["key"]], part["title"], len(part["rows"])) for part in parts
    ]
    shared = {"patient": patient, "about": about, "contents": contents}
    files: dict[str, str] = {
        FIRST_PAGE: render_to_string("patients/export_index.html", shared)
    }
    for part in parts:
        rows = [
            [
                (label, text)
                for label, text in _readable(part["fields"], part["reads"], row)
                if text
            ]
            for row in part["rows"]
        ]
        files[names[part["key"]]] = render_to_string(
            "patients/export_part.html", shared | {"part": part, "rows": rows}
        )
    return files


def _readable(
    fields: list[Any], reads: Mapping[str, Callable[[Any], Any]], row: Any
) -> list[tuple[str, str]]:
    """Return [(label, what a person reads)] of one row; whose it is they know."""
    told = []
    for field in fields:
        label = label_of(field)
        if label is None or field.related_model is Patient:
            continue
        if field.name in reads:
            value: Any = reads[field.name](row)
        elif field.choices and not isinstance(field, models.ForeignKey):
            value = getattr(row, f"get_{field.name}_display")()
        else:
            value = getattr(row, field.name)
        told.append((capfirst(label), in_words(value)))
    return told


def label_of(field: Any) -> str | None:
    """Return what a field is called on the pages, None for machinery."""
    if field.name in LABELS:
        return str(LABELS[field.name])
    named = isinstance(field.verbose_name, Promise) and not field.primary_key
    return str(field.verbose_name) if named else None


def in_words(value: Any) -> str:
    """Return a value as people read it, in the language that is on; "" for nothing.

    Moments are on the clinic's clock.
    """
    if value is None or value == "" or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        local = to_local(value, zone(timezone.get_current_timezone_name()))
        return f"{written(local.date(), 'date')}, {written(local, 'clock')}"
    if isinstance(value, date):
        return str(written(value, "date"))
    if isinstance(value, time):
        return str(written(value, "clock"))
    if isinstance(value, dict):
        pairs = ((name, in_words(one)) for name, one in value.items())
        return "; ".join(f"{name}: {text}" for name, text in pairs if text)
    if isinstance(value, list | tuple):
        return ", ".join(text for one in value if (text := in_words(one)))
    return str(value)
