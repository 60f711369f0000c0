"""The resources of a FHIR file, and pieces of them, whatever their shape."""

import json
import re
from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any, NamedTuple, TextIO

from django.utils.translation import gettext as _

from core.text import clean
from patients.importing.rows import UnreadableFile

#: Lines in which a file with a broken first line must prove to be NDJSON.
_PEEK = 100

Json = dict[str, Any]


class Resource(NamedTuple):
    """A resource and where it stood: line of the NDJSON, place in the bundle."""

    number: int
    body: Json
    full_url: str = ""
    broken: str = ""


def is_fhir(text: TextIO) -> bool:
    """Tell whether a text is JSON at all; reads its beginning and goes back."""
    start = text.read(1024).lstrip("\ufeff \t\r\n")
    text.seek(0)
    return start[:1] in ("{", "[") and bool(start)


def read_resources(text: TextIO, only: str = "") -> Iterator[Resource]:
    """Yield the resources of a text; NDJSON line by line, a bundle at once.

    With ``only``, lines that cannot be of this type are left out unread.
    """
    first = ""
    for first in text:
        if first.strip("\ufeff \t\r\n"):
            break
    text.seek(0)
    whole = _parse(first)
    if dict_of(whole).get("resourceType", "Bundle") != "Bundle":
        yield from _read_lines(text, only)
        return
    if whole is None:
        # The first line is not JSON by itself: one document over many lines, or NDJSON
        # with a broken first line.
        whole = _parse(text.read())
        text.seek(0)
        if whole is None and any(dict_of(_parse(line)) for line in islice(text, _PEEK)):
            text.seek(0)
            yield from _read_lines(text, only)
            return
    yield from _read_document(whole)


def _read_lines(text: TextIO, only: str) -> Iterator[Resource]:
    # Cheaper than parsing, and more than half of an export is not about patients.
    hint = re.compile(rf'"resourceType"\s*:\s*"{only}"') if only else None
    for number, line in enumerate(text, start=1):
        if not line.strip("\ufeff \t\r\n") or (
            hint and not hint.search(line) and '"resourceType"' in line
        ):
            continue
        body = _parse(line)
        if isinstance(body, dict):
            yield Resource(number, body)
        else:
            yield Resource(
                number, {"line": line.strip()[:200]}, broken=_("is not JSON")
            )


def _read_document(whole: Any) -> Iterator[Resource]:
    if isinstance(whole, dict) and whole.get("resourceType") == "Bundle":
        for number, entry in enumerate(list_of(whole.get("entry")), start=1):
            body = dict_of(dict_of(entry).get("resource"))
            yield Resource(
                number, body, full_url=text_of(dict_of(entry).get("fullUrl"))
            )
    elif isinstance(whole, list):
        for number, body in enumerate(whole, start=1):
            yield Resource(number, dict_of(body))
    elif isinstance(whole, dict) and whole.get("resourceType"):
        yield Resource(1, whole)
    else:
        raise UnreadableFile(_("This is JSON, but neither FHIR NDJSON nor a bundle."))


def _parse(text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None


def dict_of(value: Any) -> Json:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def dicts_of(value: Any) -> list[Json]:
    """Return the objects in a list."""
    return [item for item in list_of(value) if isinstance(item, dict)]


def text_of(value: Any) -> str:
    """Return a text, cleaned and on one line; "" for anything else."""
    return " ".join(clean(value).split()) if isinstance(value, str) else ""


def code_of(concept: Any) -> str:
    """Return the first code of a CodeableConcept."""
    codings = dicts_of(dict_of(concept).get("coding"))
    return next((text_of(c.get("code")) for c in codings if c.get("code")), "")


def label_of(concept: Any) -> str:
    """Return how a CodeableConcept reads."""
    concept = dict_of(concept)
    codings = dicts_of(concept.get("coding"))
    displays = (text_of(c.get("display")) for c in codings)
    return text_of(concept.get("text")) or next(filter(None, displays), "")


def day_of(value: Any) -> date | None:
    """Return the day of a FHIR date or dateTime, as it was where it was written."""
    match = re.match(r"(\d{4}-\d{2}-\d{2})(?:T|$)", text_of(value))
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def raw_of(resource: Resource) -> dict[str, str]:
    """Return a resource as its row keeps it, for whoever looks why it was refused."""
    return {"resource": json.dumps(resource.body, ensure_ascii=False)}
