"""What readers hand to the writer, and what the writer hands back."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Problems a result lists one by one; past that it only counts, so that a hundred
#: thousand bad phone numbers do not fill the memory. ``on_row`` hears of every one.
LISTED = 1000

#: Under this system stand the identifiers of a CSV list: the clinic's own numbers.
MRN = "mrn"


class UnreadableFile(Exception):  # noqa: N818 - it says what the file is
    """A file that cannot be read at all, in words for the person who chose it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a row: it was left out, or taken with a warning."""

    row: int
    field: str
    reason: str
    is_rejection: bool
    source: str = ""
    #: The row as it came, when it was left out: for the rejects file.
    raw: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        where = f"{self.source} row {self.row}" if self.source else f"row {self.row}"
        return f"{where}: {self.field}: {self.reason}"


@dataclass(slots=True)
class Row:
    """A line of a file; ``number`` counts as a spreadsheet does, the header is 1."""

    source: str
    number: int
    #: Returns the line as it came; asked only when the row is rejected.
    raw: Callable[[], Mapping[str, str]]
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_rejected(self) -> bool:
        """Whether nothing of the row is taken."""
        return any(problem.is_rejection for problem in self.problems)

    def warn(self, name: str, reason: str) -> None:
        """Note something that was left out of the row."""
        self.problems.append(Problem(self.number, name, reason, False, self.source))

    def reject(self, name: str, reason: str) -> None:
        """Note why the row cannot be taken."""
        self.problems.append(
            Problem(self.number, name, reason, True, self.source, self.raw())
        )


@dataclass(frozen=True, slots=True)
class Point:
    """An address as the file has it."""

    channel: str
    address: str
    why_not: str = ""


@dataclass(slots=True)
class PatientRow(Row):
    """A person: only what the file says is in ``fields``, a blank cell is not."""

    #: (system, value); the first one says who it is.
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    #: {channel: given}
    consents: dict[str, bool] = field(default_factory=dict)
    #: How other rows of the source refer to this one.
    references: tuple[str, ...] = ()
    #: The source says that they died, but not when.
    has_died: bool = False


@dataclass(slots=True)
class HistoryRow(Row):
    """One thing of a patient's medical history."""

    #: How the row names its patient, as in ``PatientRow.references``.
    subjects: tuple[str, ...] = ()
    #: (system, value) by which that patient may be stored, if not of the same run.
    identifiers: tuple[tuple[str, str], ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    external_system: str = ""
    external_id: str = ""


@dataclass(slots=True)
class HistoryCounts:
    """What became of the history rows."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0


#: Hears of each row that had a problem, with all its problems.
OnRow = Callable[[Sequence[Problem]], None]


@dataclass(slots=True)
class ImportResult:
    """What an import did, or on a dry run would do."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    warnings: int = 0
    history: HistoryCounts = field(default_factory=HistoryCounts)
    #: The first ``LISTED`` problems.
    problems: list[Problem] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    #: {kind of FHIR resource: how many} that we have no use for.
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """The patients taken, whether or not that changed anything."""
        return self.created + self.updated + self.unchanged

    @property
    def has_news(self) -> bool:
        """Whether there is anything to take: a file may be of history alone."""
        return bool(self.accepted or self.history.created or self.history.updated)

    @property
    def unlisted(self) -> int:
        """How many problems are counted but not listed."""
        rejected = self.rejected + self.history.rejected
        listed = sum(problem.is_rejection for problem in self.problems)
        warned = len(self.problems) - listed
        return max(0, rejected - listed) + max(0, self.warnings - warned)

    def note(self, row: Row, on_row: OnRow | None) -> None:
        """Take up a row's problems."""
        if not row.problems:
            return
        self.warnings += sum(not problem.is_rejection for problem in row.problems)
        self.problems += row.problems[: max(0, LISTED - len(self.problems))]
        if on_row:
            on_row(row.problems)


def joint_reasons(problems: Sequence[Problem]) -> str:
    """Return why a row was left out, all reasons in one line."""
    return "; ".join(
        f"{problem.field}: {problem.reason}"
        for problem in problems
        if problem.is_rejection
    )
