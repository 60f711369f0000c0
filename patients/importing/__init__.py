"""Bringing in patient lists: CSV, FHIR NDJSON, or a FHIR bundle.

Reading is apart from writing. A reader (``patient_list``, ``fhir``) turns a file into
rows and knows no database; the writer compares rows with what is stored and writes the
difference. The same file twice changes nothing.
"""

from patients.importing.rows import (
    HistoryCounts,
    ImportResult,
    Problem,
    UnreadableFile,
)
from patients.importing.run import import_files

__all__ = [
    "HistoryCounts",
    "ImportResult",
    "Problem",
    "UnreadableFile",
    "import_files",
]
