"""What the machinery writes down for staff, told to each in their own language.

Stored are the English text, marked with ``gettext_noop`` where it is written, and
beside it what its places hold, as JSON. Nothing is translated before somebody reads it.
"""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext, override

from core.dates import written, written_from_today

#: What the places of a text hold: words and numbers as they are, and what ``say``,
#: ``wall`` or a list of these makes.
Places = dict[str, Any]


def say(text: str, **places: Any) -> dict[str, Any]:
    """Return a text of its own as it stands in a place of another."""
    return {"text": text, "places": places}


def say_label(label: Any) -> dict[str, Any]:
    """Return the label of a choice as it stands in a place."""
    with override("en"):
        return say(str(label))


def wall(local: datetime) -> dict[str, str]:
    """Return a day and clock as they stand in a place; naive wall time."""
    return {"wall": local.isoformat(timespec="minutes")}


def told(text: str, places: Places | None = None) -> str:
    """Return a stored text in the language of whoever reads it now.

    A text without places may end in a code in brackets, as a provider gave it: that
    stays as it is. Raises ``KeyError`` when a place is not filled.
    """
    if places:
        return gettext(text) % {name: _shown(place) for name, place in places.items()}
    if not text:
        return ""
    words, bracket, code = text.partition(" (")
    return gettext(words) + bracket + code


def in_english(places: list[Any]) -> str:
    """Return what stands in a place in English, for what no page shows."""
    with override("en"):
        return str(_shown(places))


def _shown(place: Any) -> Any:
    if isinstance(place, list):
        return "; ".join(str(_shown(one)) for one in place)
    if not isinstance(place, dict):
        return place
    if "wall" in place:
        local = datetime.fromisoformat(place["wall"])
        day = written_from_today(local.date(), timezone.localdate())
        return f"{day}, {written(local, 'clock')}"
    return told(place["text"], place["places"])
