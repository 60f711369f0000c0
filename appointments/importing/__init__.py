"""Bringing in the calendar of another system.

That calendar and ours are both moved in. So a row is compared with the *last imported*
row, never with our state: a row that stayed the same says nothing, though the visit was
moved here since; a row that changed is a move, a cancel or another state over there,
with all that follows here. Where both changed, a person decides.
"""

from appointments.importing.run import MOST_TOLD, CalendarResult, import_calendar

__all__ = ["MOST_TOLD", "CalendarResult", "import_calendar"]
