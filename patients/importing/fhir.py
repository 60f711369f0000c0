"""FHIR R4: NDJSON (one resource a line) or a bundle, read without trusting its shape.

Rows are made by plain functions over plain JSON: exports bend the standard in more ways
than a strict model would let through, and a bad element must cost only its own row.
"""

import re
from datetime import date
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import Site
from patients.codes import risk_class_of
from patients.importing import values
from patients.importing.resources import (
    Json,
    Resource,
    code_of,
    day_of,
    dict_of,
    dicts_of,
    label_of,
    list_of,
    raw_of,
    text_of,
)
from patients.importing.rows import HistoryRow, PatientRow
from patients.models import Channel, HistoryEntry, Identifier

_MEDICAL_RECORD = "MR"
# Never stored: nothing here needs them, and a number that opens bank accounts or
# borders is worth stealing. Codes of HL7 table 0203: social security, driver's licence,
# passport, tax and national numbers.
_NOT_OURS = frozenset({"SS", "SB", "SSN", "DL", "PPN", "TAX", "NI", "NIIP", "CZ"})
_NOT_OURS_SYSTEMS = re.compile(
    r"us-ssn|2\.16\.840\.1\.113883\.4\.(1$|3\.|330)|passport", re.IGNORECASE
)

#: What SNOMED CT puts behind a name for machines: "Asthma (disorder)".
_SEMANTIC_TAG = re.compile(
    r" \((disorder|finding|procedure|situation|event|substance|product|"
    r"regime/therapy|clinical drug|morphologic abnormality)\)$"
)
#: SNOMED CT, as US Core tells whether somebody needs an interpreter.
_YES_OR_NO = {"373066001": True, "373067005": False}


def read_patient(
    resource: Resource, *, source: str, site: Site, today: date
) -> PatientRow:
    """Return a Patient as a row, with what is wrong about it."""
    body = resource.body
    row = PatientRow(
        source=source, number=resource.number, raw=partial(raw_of, resource)
    )
    if resource.broken:
        row.reject("line", resource.broken)
        return row
    links = dicts_of(body.get("link"))
    if any(link.get("type") == "replaced-by" for link in links):
        row.reject("link", _("was merged into another record at the source"))
    _read_identifiers(row, resource)
    _read_names(row, dicts_of(body.get("name")))
    values.take_birth_date(row, text_of(body.get("birthDate")), site, today)
    values.take_sex(row, text_of(body.get("gender")))
    _read_language(row, dicts_of(body.get("communication")))
    _read_interpreter(row, dicts_of(body.get("extension")))
    _read_telecoms(row, dicts_of(body.get("telecom")), site)
    _read_address(row, dicts_of(body.get("address")))
    _read_death(row, body)
    return row


def _read_identifiers(row: PatientRow, resource: Resource) -> None:
    found = []
    for identifier in dicts_of(resource.body.get("identifier")):
        kind = code_of(identifier.get("type"))
        system, value = (
            text_of(identifier.get("system")),
            text_of(identifier.get("value")),
        )
        if (
            not value
            or kind in _NOT_OURS
            or _NOT_OURS_SYSTEMS.search(system)
            or identifier.get("use") == "old"
        ):
            continue
        found.append((kind != _MEDICAL_RECORD, (system or f"fhir/{kind}", value)))
    found.sort(key=lambda item: item[0])
    keys = [key for _rank, key in found]
    number = text_of(resource.body.get("id"))
    if number:
        keys.append((Identifier.FHIR_RECORD, number))
        row.references = (f"Patient/{number}",)
    if resource.full_url:
        row.references = (*row.references, resource.full_url)
    row.identifiers = list(dict.fromkeys(keys))
    if not keys:
        row.reject("identifier", _("is missing"))
    for system, value in keys:
        if _too_long(Identifier, "system", system) or _too_long(
            Identifier, "value", value
        ):
            row.reject("identifier", _("%(text)s… is too long") % {"text": value[:40]})


def _read_names(row: PatientRow, names: list[Json]) -> None:
    names = [name for name in names if not dict_of(name.get("period")).get("end")]
    by_use = {text_of(name.get("use")): name for name in reversed(names)}
    plain = next((n for n in names if n.get("use") in (None, "")), {})
    name = by_use.get("official") or plain or by_use.get("usual") or {}
    given = " ".join(filter(None, map(text_of, list_of(name.get("given")))))
    family = text_of(name.get("family"))
    if not given and not family:
        given, _space, family = text_of(name.get("text")).rpartition(" ")
        given, family = given or family, family if given else ""
    if not given:
        row.reject("given_name", _("is missing"))
    values.take_text(row, "given_name", given)
    values.take_text(row, "family_name", family)
    called = by_use.get("nickname") or by_use.get("usual") or {}
    preferred = " ".join(filter(None, map(text_of, list_of(called.get("given")))))
    if preferred != given:
        values.take_text(row, "preferred_name", preferred)


def _read_language(row: PatientRow, spoken: list[Json]) -> None:
    spoken = sorted(spoken, key=lambda one: one.get("preferred") is not True)
    if spoken:
        language = spoken[0].get("language")
        words = code_of(language) or label_of(language)
        values.take_language(row, words)
        if "language" not in row.fields:
            # Written to in another one, they still speak this.
            values.take_spoken_language(row, words)


def _read_interpreter(row: PatientRow, extensions: list[Json]) -> None:
    for extension in extensions:
        url = text_of(extension.get("url")).rpartition("/")[2]
        if url == "patient-interpreterRequired":
            needed = extension.get("valueBoolean")
        elif url == "us-core-interpreter-needed":
            code = text_of(dict_of(extension.get("valueCoding")).get("code"))
            needed = _YES_OR_NO.get(code)
        else:
            continue
        if isinstance(needed, bool):
            row.fields["needs_interpreter"] = needed


def _read_telecoms(row: PatientRow, telecoms: list[Json], site: Site) -> None:
    current = [
        telecom
        for telecom in telecoms
        if telecom.get("use") != "old" and not dict_of(telecom.get("period")).get("end")
    ]

    def worth(telecom: Json) -> tuple[bool, int]:
        rank = telecom.get("rank")
        # A text reaches a mobile; a work phone is answered by somebody else.
        uses = {"mobile": 0, "home": 1, "work": 3}
        return (
            not isinstance(rank, int),
            rank if isinstance(rank, int) else uses.get(text_of(telecom.get("use")), 2),
        )

    for telecom in sorted(current, key=worth):
        value = text_of(telecom.get("value"))
        if telecom.get("system") in ("phone", "sms"):
            values.take_phone(row, value.removeprefix("tel:"), site)
        elif telecom.get("system") == Channel.EMAIL:
            values.take_email(row, value)


def _read_address(row: PatientRow, addresses: list[Json]) -> None:
    current = [
        address
        for address in addresses
        if address.get("use") not in ("old", "temp", "billing", "work")
        and not dict_of(address.get("period")).get("end")
    ]
    if not current:
        return
    address = current[0]
    country = text_of(address.get("country"))
    parts = {
        "address_line": ", ".join(
            filter(None, map(text_of, list_of(address.get("line"))))
        ),
        "city": text_of(address.get("city")),
        "state": text_of(address.get("state")),
        "postal_code": text_of(address.get("postalCode")),
    }
    for name, text in parts.items():
        values.take_text(row, name, text)
    # FHIR asks for a code and gets names as well; a letter needs neither at home.
    if re.fullmatch(r"[A-Za-z]{2}", country):
        row.fields["country"] = country.upper()


def _read_death(row: PatientRow, body: Json) -> None:
    moment = body.get("deceasedDateTime")
    day = day_of(moment)
    if day:
        row.fields["deceased_on"] = day
    elif moment or body.get("deceasedBoolean") is True:
        row.has_died = True


def _too_long(model: Any, name: str, text: str) -> bool:
    return len(text) > int(model._meta.get_field(name).max_length)


_Kind = HistoryEntry.Kind
#: {resource: (kind, where the concept stands, where the patient, where the day)}
_HISTORY: dict[str, tuple[_Kind, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "Condition": (
        _Kind.CONDITION,
        ("code",),
        ("subject",),
        ("onsetDateTime", "onsetPeriod", "onsetString", "recordedDate"),
    ),
    "AllergyIntolerance": (
        _Kind.ALLERGY,
        ("code",),
        ("patient", "subject"),
        ("onsetDateTime", "onsetPeriod", "onsetString", "recordedDate"),
    ),
    "MedicationRequest": (
        _Kind.MEDICINE,
        ("medicationCodeableConcept", "medicationReference"),
        ("subject",),
        ("authoredOn",),
    ),
    "MedicationStatement": (
        _Kind.MEDICINE,
        ("medicationCodeableConcept", "medicationReference"),
        ("subject",),
        ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    ),
    "Procedure": (
        _Kind.PROCEDURE,
        ("code",),
        ("subject",),
        ("performedDateTime", "performedPeriod", "performedString"),
    ),
}


def is_history(resource: Resource) -> bool:
    """Tell whether a resource is of a kind the history holds."""
    return resource.body.get("resourceType") in _HISTORY


def read_history(resource: Resource, *, source: str) -> HistoryRow:
    """Return a clinical resource as a row of its patient's history."""
    row = HistoryRow(
        source=source, number=resource.number, raw=partial(raw_of, resource)
    )
    body = resource.body
    type_ = text_of(body.get("resourceType"))
    kind, concepts, subjects, days = _HISTORY[type_]
    row.external_system, row.external_id = f"fhir/{type_}", text_of(body.get("id"))
    if not row.external_id:
        row.reject("id", _("is missing"))
    elif _too_long(HistoryEntry, "external_id", row.external_id):
        row.reject("id", _("is too long"))
    _read_subject(row, next(filter(None, (dict_of(body.get(s)) for s in subjects)), {}))

    concept = next(filter(None, (dict_of(body.get(c)) for c in concepts)), {})
    label = label_of(concept) or text_of(concept.get("display"))
    coding = next(
        (c for c in dicts_of(concept.get("coding")) if text_of(c.get("code"))), {}
    )
    label = _SEMANTIC_TAG.sub("", label) or text_of(coding.get("code"))
    if not label:
        row.reject("code", _("is missing"))
    happened = next(filter(None, (body.get(name) for name in days)), None)
    if isinstance(happened, dict):
        happened = happened.get("start")
    row.fields = {
        "kind": kind.value,
        "label": label,
        "code_system": text_of(coding.get("system")),
        "code": text_of(coding.get("code")),
        "status": _status(body),
        "happened_on": day_of(happened),
        "ended_on": day_of(body.get("abatementDateTime")),
        # "About 2019" and "2019-05" are worth keeping, but are no day.
        "happened_about": "" if day_of(happened) else text_of(happened)[:60],
        "details": _details(body),
    } | _first_told(body, kind, label, text_of(coding.get("code")))
    clinical = text_of(coding.get("display"))
    row.fields["clinical_name"] = "" if clinical == label else clinical[:240]
    for name, value in row.fields.items():
        if isinstance(value, str) and _too_long(HistoryEntry, name, value):
            row.reject(name, _("is too long"))
    return row


def _read_subject(row: HistoryRow, subject: Json) -> None:
    reference = text_of(subject.get("reference"))
    keys: list[tuple[str, str]] = []
    if match := re.search(r"(?:^|/)(Patient/[^/?]+)(?:/_history/.*)?$", reference):
        # A full address is known by its end, too.
        row.subjects = tuple(dict.fromkeys((reference, match[1])))
        keys.append((Identifier.FHIR_RECORD, match[1].partition("/")[2]))
    elif match := re.fullmatch(r"Patient\?identifier=([^|]*)\|(.+)", reference):
        keys.append((match[1], match[2]))
    elif reference:
        row.subjects = (reference,)
    identifier = dict_of(subject.get("identifier"))
    if identifier.get("value"):
        keys.append(
            (text_of(identifier.get("system")), text_of(identifier.get("value")))
        )
    row.identifiers = tuple(keys)
    if not row.subjects and not keys:
        row.reject("subject", _("is missing"))


def _status(body: Json) -> str:
    verification = code_of(body.get("verificationStatus"))
    status = text_of(body.get("status"))
    if verification in HistoryEntry.TAKEN_BACK:
        return verification
    return code_of(body.get("clinicalStatus")) or status or verification or "unknown"


def _first_told(body: Json, kind: _Kind, label: str, code: str) -> Json:
    """Return what counts when the entry is new; later it is for people to say."""
    sure = code_of(body.get("verificationStatus"))
    known = sure in HistoryEntry.Verification.values
    is_medicine = kind == _Kind.MEDICINE
    return {
        "verification": sure if known else HistoryEntry.Verification.UNCONFIRMED.value,
        "risk_class": risk_class_of(label, code) if is_medicine else "",
    }


def _details(body: Json) -> Json:
    """Return what else staff want to see of it, a few words each."""
    reactions = [
        label_of(manifestation)
        for reaction in dicts_of(body.get("reaction"))
        for manifestation in dicts_of(reaction.get("manifestation"))
    ]
    dosages = [text_of(d.get("text")) for d in dicts_of(body.get("dosageInstruction"))]
    abated = body.get("abatementDateTime") or body.get("abatementString")
    found = {
        "criticality": text_of(body.get("criticality")),
        "reactions": ", ".join(filter(None, reactions))[:240],
        "dosage": "; ".join(filter(None, dosages))[:240],
        "until": "" if day_of(abated) else text_of(abated)[:40],
    }
    return {name: text for name, text in found.items() if text}
