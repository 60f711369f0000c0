"""What every template of the house may use."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.apps import apps
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language_bidi
from django.utils.translation import gettext as _

from core import dates, sayings
from core.dates import age, written_from_today
from core.forms import key_field
from core.phones import readable
from core.text import isolated
from core.time import to_local, zone

register = template.Library()


@register.simple_tag
def client_key() -> SafeString:
    """Return a hidden field by which a form that is sent twice is done once."""
    return key_field()


@register.simple_tag
def event(entry: Any, **extra: Any) -> SafeString:
    """Render a timeline event with its own template."""
    return render_to_string(
        entry.template, {"event": entry, "subject": entry.subject, **extra}
    )


@register.simple_tag(takes_context=True)
def panel(context: template.Context, shown: Any, values: dict[str, Any]) -> SafeString:
    """Render a panel of the patient page with its own template and values."""
    return render_to_string(
        shown.template,
        {**values, "patient": context["patient"], "perms": context["perms"]},
        request=context["request"],
    )


@register.filter
def name_for(named: Any, user: Any) -> str:
    """Show the name this user may see of something that also has a discreet one."""
    return str(named.name_for(user))


@register.filter
def phone(number: str) -> str:
    """Show a phone number as people read it; anything else as it is."""
    return apart(readable(number) if number.startswith("+") else number)


@register.filter
def apart(text: Any) -> str:
    """Show a name or a number among words that may run the other way.

    In a sentence only; what stands in an element of its own is put into ``<bdi>``.
    """
    return isolated(str(text), right_to_left=get_language_bidi())


@register.filter(expects_localtime=True)
def written(value: Any, form: str) -> str:
    """Show a day or a clock in one of the ``FORMS`` of core.dates."""
    return dates.written(value or None, form)


@register.simple_tag
def clock_now() -> str:
    """Return what the clock shows now."""
    return dates.written(timezone.localtime(), "clock")


@register.filter
def number(count: int | None) -> str:
    """Show a number with its thousands apart: 12,400."""
    return "" if count is None else number_format(count, force_grouping=True)


@register.filter
def told(text: str) -> str:
    """Show what the machinery wrote down, in the reader's language."""
    return sayings.told(text)


@register.filter
def moment(instant: datetime | None) -> str:
    """Show an instant in few words: 09:52, Mon 09:00, 17 Nov, 17 Nov 2025."""
    if instant is None:
        return ""
    here = timezone.localtime(instant)
    today = timezone.localdate()
    clock = dates.written(here, "clock")
    if here.date() == today:
        return clock
    if abs(here.date() - today) < timedelta(days=7):
        return f"{dates.written(here, 'weekday')} {clock}"
    return dates.written(here, "day" if here.year == today.year else "date")


@register.filter
def age_of(since: datetime | None) -> str:
    """Show how long ago or how far off an instant is: 4 min, 1 h 50, 3 d 2 h."""
    if since is None:
        return ""
    minutes = int(abs((timezone.now() - since).total_seconds()) // 60)
    if minutes < 60:
        return _("%d min") % minutes
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return _("%(h)d h %(m)02d") % {"h": hours, "m": rest}
    days, hours = divmod(hours, 24)
    return _("%(d)d d %(h)d h") % {"d": days, "h": hours} if hours else _("%d d") % days


@register.filter
def years(born: Any) -> str:
    """Show an age in years."""
    return "" if born is None else str(age(born, timezone.localdate()))


@register.filter
def initials(name: Any) -> str:
    """Return two letters for a round badge: of the first and the last word."""
    words = str(name).split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


@register.filter
def instant(text: str | None) -> datetime | None:
    """Read an instant as a JSON field keeps it, or a database brings it in one."""
    found = parse_datetime(text) if text else None
    # SQLite writes it without its zone, which is UTC.
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None


@register.filter
def at_site(moment_: datetime | None, where: str) -> str:
    """Show day and clock of an instant as of a site's zone: Tue 24 Nov, 10:00."""
    if moment_ is None:
        return ""
    here = to_local(moment_, zone(where))
    day = written_from_today(here.date(), timezone.localdate())
    return f"{day}, {dates.written(here, 'clock')}"


@register.filter
def clock_at(moment_: datetime | None, where: str) -> str:
    """Show the clock of an instant as of a site's zone: 10:20."""
    return dates.written(to_local(moment_, zone(where)), "clock") if moment_ else ""


@register.filter
def choice_of(value: str, field: str) -> str:
    """Show a stored choice as its field calls it; ``field`` is app.Model.field."""
    model, _dot, name = field.rpartition(".")
    choices = dict(apps.get_model(model)._meta.get_field(name).flatchoices)
    return str(choices.get(value, value))


@register.filter
def in_words(name: str) -> str:
    """Show the name of a field as people read it: given name."""
    return _(name.replace("_", " "))
