"""Tables in text files: which delimiter, which column is which, and broken lines.

Knows nothing of patients; the calendar import reads with it too.
"""

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from django.utils.translation import gettext as _

from core.sheets import rearm
from core.text import clean, fold
from patients.importing.rows import UnreadableFile

_DELIMITERS = ",;\t|"
#: How the rejects file calls its last column; sent back to us, it is no news.
REASON = "reason"
_BLOCK = 1024 * 1024
#: Somebody has to look through them, and each is compared with every name we know.
MOST_COLUMNS = 500
#: So many lines are looked at for so many examples of what stands in a column.
_LOOKED_AT, _SAMPLES, _LONGEST_SAMPLE = 20, 3, 40


def open_text(path: Path) -> TextIO:
    """Open a text file as whichever program saved it: UTF-8, UTF-16 or Windows.

    Raises ``UnreadableFile`` for a file that is missing or holds no text.
    """
    try:
        with path.open("rb") as file:
            encoding = _encoding(file, path.name)
        # newline="" leaves line ends inside quotes to the csv module.
        return path.open(encoding=encoding, newline="")
    except OSError as error:
        raise UnreadableFile(
            _("%(name)s cannot be opened: %(why)s.")
            % {"name": path.name, "why": (error.strerror or "").lower()}
        ) from error


def decode(raw: bytes, name: str) -> str:
    """Return the text of a file as whichever program saved it, without NUL.

    Raises ``UnreadableFile`` for one that holds no text.
    """
    try:
        return raw.decode(_encoding(io.BytesIO(raw), name)).replace("\0", "")
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            _("%(name)s is not a text file.") % {"name": name}
        ) from error


def _encoding(file: BinaryIO, name: str) -> str:
    start = file.read(4)
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")):
        raise UnreadableFile(
            _(
                "%(name)s is a workbook or a document. Save it as CSV first: in Excel "
                "“Save as… CSV UTF-8”, in LibreOffice “Save as… Text CSV”, in Numbers "
                "“Export to… CSV”."
            )
            % {"name": name}
        )
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8-sig", "cp1252"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise UnreadableFile(_("%(name)s is not a text file.") % {"name": name})


def squash(name: str) -> str:
    """Return a column's name for comparison: "Birth-date (Y-M-D)" is "birthdate"."""
    # No ".*?": of a cell full of "(" it would read all the rest for each of them.
    return re.sub(r"[^a-z0-9]", "", fold(re.sub(r"\([^()]*\)", "", name)))


class MissingColumns(UnreadableFile):
    """A table without a column we cannot do without; ``names`` says which."""

    def __init__(self, names: Sequence[str], header: Sequence[str]) -> None:
        super().__init__(
            _("There is no column %(missing)s. The first line reads: %(header)s")
            % {"missing": ", ".join(names), "header": ", ".join(header)[:200]}
        )
        self.names = list(names)


@dataclass(frozen=True)
class Column:
    """A column of a file: how it is called, what it is taken for, what stands in it.

    ``name`` is empty for one that is left out.
    """

    header: str
    name: str
    samples: list[str]


class Line:
    """A line of a table, by the names of its columns."""

    __slots__ = ("_table", "broken", "cells", "number")

    def __init__(
        self, table: "Table", number: int, cells: list[str], broken: str = ""
    ) -> None:
        self._table = table
        self.number = number
        self.cells = cells
        self.broken = broken

    def all(self, name: str) -> list[str]:
        """Return what stands in the columns of this name, without blanks."""
        found = []
        for place in self._table.places.get(name, ()):
            if place < len(self.cells):
                cell = " ".join(clean(rearm(self.cells[place])).split())
                if cell:
                    found.append(cell)
        return found

    def get(self, name: str) -> str:
        """Return what stands in the column of this name, or a blank."""
        return next(iter(self.all(name)), "")

    def raw(self) -> dict[str, str]:
        """Return the line as it came, under the file's own names.

        Of a broken line the first column holds all.
        """
        header = self._table.header
        cells = [clean(rearm(cell)) for cell in self.cells]
        more = [f"column {n}" for n in range(len(header) + 1, len(cells) + 1)]
        found: dict[str, str] = {}
        for place, (name, cell) in enumerate(
            zip([*header, *more], cells, strict=False), start=1
        ):
            # A second column of a name is another column.
            found[name if name and name not in found else f"{name} {place}"] = cell
        return found


class _Lines:
    """The lines of a text, which can be put back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._text)
        self.taken.append(line)
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        self._waiting.extendleft(reversed(lines))


class Table:
    """A CSV file; iterate over its lines once.

    ``names`` holds for each column we know its squashed spellings. Columns in
    ``several`` may occur more than once; their cells come in the order of spellings.
    ``chosen``, {place: name}, says what the columns are instead of how they are called.
    Raises ``UnreadableFile`` when there is no header, and ``MissingColumns``.
    """

    def __init__(
        self,
        text: TextIO,
        *,
        names: Mapping[str, Sequence[str]],
        required: Sequence[str],
        several: Sequence[str] = (),
        chosen: Mapping[int, str] | None = None,
    ) -> None:
        self._lines = _Lines(text)
        self._number = 0
        self.header = self._read_header(names)
        self.places = _guess(self.header, names, several)
        if chosen is not None:
            self.places = _as_chosen(chosen, len(self.header))
        self.unknown = self._left_out()
        missing = [name for name in required if name not in self.places]
        if missing:
            raise MissingColumns(missing, self.header)

    def _left_out(self) -> list[str]:
        """Return the columns that mean nothing to us."""
        taken = {place for found in self.places.values() for place in found}
        return [
            cell
            for place, cell in enumerate(self.header)
            if place not in taken and cell and squash(cell) != REASON
        ]

    def columns(self) -> list["Column"]:
        """Return the columns, with what stands in the first lines; reads those."""
        samples: list[list[str]] = [[] for _cell in self.header]
        for line in islice(self, _LOOKED_AT):
            for seen, cell in zip(samples, line.cells, strict=False):
                shown = " ".join(clean(rearm(cell)).split())[:_LONGEST_SAMPLE]
                if shown and shown not in seen and len(seen) < _SAMPLES:
                    seen.append(shown)
        name_of = {
            place: name for name, found in self.places.items() for place in found
        }
        return [
            Column(header, name_of.get(place, ""), seen)
            for place, (header, seen) in enumerate(
                zip(self.header, samples, strict=True)
            )
        ]

    def _read_header(self, names: Mapping[str, Sequence[str]]) -> list[str]:
        known = {spelling for spellings in names.values() for spelling in spellings}
        for line in self._lines:
            self._number += 1
            bare = clean(line).strip()
            # Excel's own note about the delimiter.
            if bare.strip(_DELIMITERS) and not re.fullmatch(r"(?i)sep=.", bare):
                readings = [
                    (delimiter, _cells(bare, delimiter)) for delimiter in _DELIMITERS
                ]
                self._delimiter, header = max(
                    readings,
                    key=lambda reading: (
                        len({squash(cell) for cell in reading[1]} & known),
                        len(reading[1]),
                    ),
                )
                return [cell.strip() for cell in header]
        raise UnreadableFile(_("The file is empty."))

    def _reader(self) -> Iterator[list[str]]:
        # strict, so that a quotation mark nobody closed is an error, not a row that
        # silently holds the rest of the file.
        return csv.reader(self._lines, delimiter=self._delimiter, strict=True)

    def __iter__(self) -> Iterator[Line]:
        """Read on; a broken line is one ``broken`` line, and takes no other along."""
        reader = self._reader()
        width = len(self.header)
        while True:
            self._lines.taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = []
                torn = True
            else:
                torn = len(self._lines.taken) > 1 and len(cells) != width
            self._number += 1
            if torn:
                first, *rest = self._lines.taken
                self._lines.put_back(rest)
                reader = self._reader()
                why = _("a quotation mark is not closed, or stands in the wrong place")
                yield Line(self, self._number, [first.rstrip("\r\n")], why)
            elif any(cell.strip() for cell in cells[width:]):
                why = _("has %(cells)d cells under %(width)d columns") % {
                    "cells": len(cells),
                    "width": width,
                }
                yield Line(self, self._number, cells, why)
            elif any(cell.strip() for cell in cells):
                yield Line(self, self._number, cells)


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of a first line; refuses what is none."""
    if line.count(delimiter) >= MOST_COLUMNS:
        raise UnreadableFile(
            _("The first line has more than %(most)d columns: this is no list.")
            % {"most": MOST_COLUMNS}
        )
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise UnreadableFile(_("The first line cannot be read.")) from error


def _guess(
    header: Sequence[str], names: Mapping[str, Sequence[str]], several: Sequence[str]
) -> dict[str, list[int]]:
    """Return {name: places} by how the columns are called."""
    squashed = [squash(cell) for cell in header]
    places: dict[str, list[int]] = {}
    for name, spellings in names.items():
        found = [
            place
            for spelling in spellings
            for place, cell in enumerate(squashed)
            if cell == spelling
        ]
        if found:
            places[name] = found if name in several else found[:1]
    return places


def _as_chosen(chosen: Mapping[int, str], width: int) -> dict[str, list[int]]:
    """Return {name: places} as somebody said, in the order of the columns."""
    places: dict[str, list[int]] = {}
    for place, name in sorted(chosen.items()):
        if name and place < width:
            places.setdefault(name, []).append(place)
    return places


def as_text(source: str | TextIO) -> TextIO:
    """Return a source as a stream from its beginning that can be read again."""
    if isinstance(source, str):
        return io.StringIO(source, newline="")
    if source.seekable():
        source.seek(0)
        return source
    return io.StringIO(source.read(), newline="")
