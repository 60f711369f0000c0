"""The file of rejected rows: to be put right and brought back."""

import csv
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

from core.sheets import defuse
from patients.importing.rows import Problem, joint_reasons
from patients.importing.tables import REASON


class Rejects:
    """Keeps rejected rows with their own columns and a reason, to be written as CSV.

    They wait in a temporary file, because rows of several files differ in their columns
    and a hundred thousand of them do not belong into memory. Use it in a ``with``.
    """

    def __init__(self, *, names_files: bool = False) -> None:
        """``names_files``: each row says of which file and row it is."""
        self._names_files = names_files
        self._kept = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed on the way out
        self._columns: dict[str, None] = {}
        #: The file the first of them came from; empty while there is none.
        self.first = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._kept.close()

    def take(self, problems: Sequence[Problem]) -> None:
        """Keep a row that was rejected; pass over one that was only warned of."""
        rejection = next((p for p in problems if p.is_rejection), None)
        if rejection is None:
            return
        row = dict(rejection.raw)
        if self._names_files:
            row = {"file": rejection.source, "row": str(rejection.row)} | row
        self._columns |= dict.fromkeys(row)
        self.first = self.first or rejection.source
        row[REASON] = joint_reasons(problems)
        self._kept.write(json.dumps(row) + "\n")

    def write(self, file: TextIO) -> None:
        """Write them as a table whose cells no spreadsheet runs."""
        self._kept.seek(0)
        columns = [*(c for c in self._columns if c != REASON), REASON]
        writer = csv.DictWriter(file, columns, restval="")
        writer.writerow({column: defuse(column) for column in columns})
        for line in self._kept:
            row: dict[str, str] = json.loads(line)
            writer.writerow({name: defuse(cell) for name, cell in row.items()})


class RejectsFile(Rejects):
    """Rejected rows that end in a file beside the list they came from."""

    def __init__(self, sources: Mapping[str, Path]) -> None:
        """Take {name of a source: its path}."""
        super().__init__(names_files=len(sources) > 1)
        self._sources = sources

    def save(self) -> Path | None:
        """Write the file and return where it lies, or None when nothing was rejected.

        Beside the list it came from, where it is found and stays as private as that
        is; in the current folder where that one cannot be written to.
        """
        with self:
            if not self.first:
                return None
            beside = self._sources[self.first]
            name = f"{beside.stem}.rejects.csv"
            try:
                return self._save_as(beside.with_name(name))
            except OSError:
                return self._save_as(Path.cwd() / name)

    def _save_as(self, path: Path) -> Path:
        # Names and numbers of patients: for the one who ran the import only.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # With the mark by which spreadsheets know UTF-8.
        with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
            self.write(file)
        return path
