"""How an entry of the history stands on a page: ``{% load history %}``."""

from django import template
from django.utils.translation import gettext as _

from patients.history.kinds import DECLINED, KINDS
from patients.models import HistoryEntry

register = template.Library()


@register.filter
def history_name(entry: HistoryEntry) -> str:
    """Return what an entry is called; what was not answered in the reader's words."""
    return _(DECLINED) if entry.label == DECLINED else entry.label


@register.filter
def history_facts(entry: HistoryEntry) -> list[tuple[str, str]]:
    """Return [(what, in words)] of what an entry says beyond its name and its days."""
    return KINDS[entry.kind].facts(entry)
