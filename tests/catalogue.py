"""Reads a catalogue of translations without gettext's own tools."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

_START = re.compile(r'(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d)\])? (".*")$')
LOCALE = Path(__file__).resolve().parents[1] / "locale"


@dataclass
class Entry:
    """One text of a catalogue and what it becomes."""

    context: str | None = None
    text: str = ""
    plural: str = ""
    becomes: dict[int, str] = field(default_factory=dict)
    fuzzy: bool = False

    @property
    def key(self) -> tuple[str | None, str]:
        return (self.context, self.text)


def read_catalogue(path: Path) -> dict[tuple[str | None, str], Entry]:
    """Return the entries of a .po file by (context, text); the header is ("", None)."""
    entries = {}
    for block in re.split(r"\n\s*\n", path.read_text()):
        entry = _entry(block)
        if entry is not None:
            assert entry.key not in entries, entry.key
            entries[entry.key] = entry
    return entries


def _entry(block: str) -> Entry | None:
    entry = Entry()
    word, place = "", 0
    for line in block.splitlines():
        if line.startswith("#,"):
            entry.fuzzy = "fuzzy" in line
        if line.startswith("#") or not line.strip():
            continue
        if match := _START.match(line):
            word, place = match[1], int(match[2] or 0)
        text = ast.literal_eval(match[3] if match else line.strip())
        if word == "msgctxt":
            entry.context = (entry.context or "") + text
        elif word == "msgid":
            entry.text += text
        elif word == "msgid_plural":
            entry.plural += text
        else:
            entry.becomes[place] = entry.becomes.get(place, "") + text
    return entry if word else None
