"""What a line of a calendar says, read as other systems write it. Pure: no database."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, TextIO

from django.utils.translation import gettext as _

from appointments.models import Appointment
from core.dates import parse_date
from patients.importing import UnreadableFile
from patients.importing.rows import Row
from patients.importing.tables import Line, Table, squash

State = Appointment.State

#: What each column may be called, squashed: no case, accents, spaces or signs.
NAMES = {
    name: spellings.split()
    for name, spellings in {
        "external_id": (
            "externalid appointmentid apptid appointmentnumber visitid bookingid "
            "eventid id uid idcita numerodecita"
        ),
        "patient_identifier": (
            "patientidentifier patientid mrn patientmrn medicalrecordnumber "
            "patientnumber patientno chartnumber chart identifier patient "
            "idpaciente nhc historiaclinica expediente paciente"
        ),
        "clinician": (
            "clinician provider doctor physician practitioner resource staff with "
            "clinico medico medica doctora profesional"
        ),
        "visit_type": (
            "visittype appointmenttype appttype type service reason "
            "tipo tipodecita tipodevisita servicio motivo"
        ),
        "start": (
            "start starts startsat starttime startdatetime startdate datetime "
            "appointmenttime appointmentdatetime appointmentstart when "
            "inicio fechahora fechayhora"
        ),
        "day": "date day appointmentdate visitdate fecha dia",
        "time": "time hour hora",
        "minutes": "minutes duration durationminutes length mins min duracion minutos",
        "status": "status state appointmentstatus apptstatus estado",
        "site": "site location clinic office branch sede centro lugar",
    }.items()
}

_STATES = {
    word: state
    for state, spellings in {
        State.BOOKED: (
            "booked scheduled pending planned new open reserved proposed "
            "reservada reservado programada agendada pendiente"
        ),
        State.CONFIRMED: "confirmed accepted confirmada confirmado",
        State.ARRIVED: (
            "arrived checkedin checkin here waiting inroom roomed inprogress "
            "llegada llegado llego presente ensala"
        ),
        State.DONE: (
            "done completed complete fulfilled seen finished attended checkedout "
            "closed realizada atendida atendido completada finalizada hecha"
        ),
        State.CANCELLED: (
            "cancelled canceled cancel deleted removed void enteredinerror "
            "cancelada cancelado anulada anulado eliminada"
        ),
        State.NOSHOW: (
            "noshow noshowed dna didnotattend didnotcome missed failedtoattend fta "
            "noasistio nosepresento inasistencia ausente falto"
        ),
    }.items()
    for word in spellings.split()
}

_CLOCK = re.compile(
    r"(?P<day>.+?)[T ,]\s*(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})(?::\d{2})?"
    r"\s*(?P<half>[ap]\.?\s?m\.?)?",
    re.IGNORECASE,
)
_LONGEST_ID = Appointment._meta.get_field("external_id").max_length or 120
_LONGEST_VISIT = 24 * 60


@dataclass(slots=True)
class VisitRow(Row):
    """A line of the calendar; names are not looked up yet."""

    external_id: str = ""
    patient: str = ""
    clinician: str = ""
    visit_type: str = ""
    site: str = ""
    start: str = ""
    minutes: int | None = None
    state: str = State.BOOKED.value


def open_calendar(text: TextIO) -> Table:
    """Return the file as a table of ours; see ``Table`` for what it refuses."""
    table = Table(
        text,
        names=NAMES,
        required=("external_id", "patient_identifier", "clinician", "visit_type"),
    )
    if "start" not in table.places and not {"day", "time"} <= table.places.keys():
        raise UnreadableFile(
            _("There is no column start. The first line reads: %(header)s")
            % {"header": ", ".join(table.header)[:200]}
        )
    return table


def read_calendar(table: Table, *, source: str) -> Iterator[VisitRow]:
    """Yield one row a line, with what is wrong about it."""
    for line in table:
        yield _read(line, source)


def _read(line: Line, source: str) -> VisitRow:
    row = VisitRow(source=source, number=line.number, raw=line.raw)
    if line.broken:
        row.reject("line", line.broken)
        return row
    row.external_id = line.get("external_id")
    row.patient = line.get("patient_identifier")
    row.clinician = line.get("clinician")
    row.visit_type = line.get("visit_type")
    row.site = line.get("site")
    row.start = line.get("start") or f"{line.get('day')} {line.get('time')}".strip()
    for name, text in {
        "external_id": row.external_id,
        "patient_identifier": row.patient,
        "clinician": row.clinician,
        "visit_type": row.visit_type,
        "start": row.start,
    }.items():
        if not text:
            row.reject(name, _("is missing"))
    if len(row.external_id) > _LONGEST_ID:
        row.reject(
            "external_id",
            _("is longer than %(most)d characters") % {"most": _LONGEST_ID},
        )
    _read_minutes(row, line.get("minutes"))
    _read_status(row, line.get("status"))
    return row


def _read_minutes(row: VisitRow, text: str) -> None:
    match = re.fullmatch(
        r"(\d{1,4})(?:\.0+)?\s*(?:m|min|mins|minutes|minutos)?\.?", text
    )
    if match and 0 < int(match[1]) <= _LONGEST_VISIT:
        row.minutes = int(match[1])
    elif text:
        row.reject(
            "minutes", _("%(text)s is no number of minutes") % {"text": text[:40]}
        )


def _read_status(row: VisitRow, text: str) -> None:
    state = _STATES.get(squash(text))
    if state:
        row.state = state.value
    elif text:
        row.reject("status", _("%(text)s is not known here") % {"text": text[:40]})


def read_start(text: str, *, month_first: bool) -> datetime | None:
    """Return the day and time that a text writes, aware if it carries an offset.

    ISO 8601, or a date in any usual form with 15:20 or 3:20 pm after it.
    """
    if re.search(r"\d[T ]\d{2}:?\d{2}", text):
        try:
            return datetime.fromisoformat(text).replace(second=0, microsecond=0)
        except ValueError:
            pass
    match = _CLOCK.fullmatch(text)
    day = parse_date(match["day"].strip(), month_first=month_first) if match else None
    if match is None or day is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    try:
        return datetime.combine(day, time(hour, int(match["minute"])))
    except ValueError:
        return None


def as_json(
    row: VisitRow, *, clinician: int, visit_type: int, site: int, local: datetime
) -> dict[str, Any]:
    """Return what the row says in the one form that later rows are compared with.

    Ids instead of names: a clinician renamed in both calendars is no news.
    """
    return {
        "patient_identifier": row.patient,
        "clinician": clinician,
        "visit_type": visit_type,
        "site": site,
        "start": local.isoformat(timespec="minutes"),
        "minutes": row.minutes,
        "status": row.state,
    }
