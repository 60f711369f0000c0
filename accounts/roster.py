"""The duty roster: who answers for a site's urgent work, until when, and the gaps.

A duty counts only while whoever has it works here and at that site: a leaver's hours
are nobody's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.audit.record import record
from accounts.models import AuditEvent, Duty, Site, StaffedHours, User
from accounts.roles import Role, roles_with
from core.dates import written, written_from_today
from core.time import to_local, to_utc, zone

#: How far ahead the page looks for hours that nobody covers.
AHEAD = timedelta(days=14)
#: One span is no longer than this; a longer one is more likely a slip of the year.
LONGEST = timedelta(days=31)


@dataclass(frozen=True)
class Span:
    """A stretch of time at a site, with who is on duty then; a gap has no duty."""

    site: Site
    starts_at: datetime
    ends_at: datetime
    duty: Duty | None = None

    def __str__(self) -> str:
        where = zone(self.site.zone)
        start, end = to_local(self.starts_at, where), to_local(self.ends_at, where)
        today = to_local(timezone.now(), where).date()
        words = {
            "day": written_from_today(start.date(), today),
            "from": written(start, "clock"),
            "until": written(end, "clock"),
            "last": written_from_today(end.date(), today),
        }
        if start.date() == end.date():
            return _("%(day)s, %(from)s–%(until)s") % words
        return _("%(day)s, %(from)s – %(last)s, %(until)s") % words

    @property
    def is_now(self) -> bool:
        """Whether it has begun and is not over."""
        return self.starts_at <= timezone.now() < self.ends_at

    @property
    def warnings(self) -> list[str]:
        """What stands in the way of telling whoever is on duty, and the backup."""
        if self.duty is None:
            return []
        people = (self.duty.user, self.duty.backup)
        return [words for one in people if one and (words := unreachable_words(one))]


def in_force() -> QuerySet[Duty]:
    """Return the duties of those who work at their site still."""
    return Duty.objects.filter(user__is_active=True, user__sites=F("site"))


def on_duty(at: datetime, *, sites: Iterable[int] | None = None) -> QuerySet[Duty]:
    """Return the duties that hold at an instant, begun and not over, with their people.

    ``sites`` are the numbers of the sites asked about; None is every one.
    """
    now = in_force().filter(starts_at__lte=at, ends_at__gt=at)
    if sites is not None:
        now = now.filter(site__in=sites)
    return now.select_related("user", "backup", "site")


def managers_of(site_id: int | None) -> QuerySet[User]:
    """Return who manages a site; without one of its own, and for None, every manager.

    Two queries at most.
    """
    every = User.objects.filter(is_active=True, groups__name=Role.MANAGER.value)
    if site_id is not None:
        own = every.filter(sites=site_id)
        if own.exists():
            return own.order_by("pk")
    return every.order_by("pk")


def may_be_on_duty(sites: Iterable[Site]) -> QuerySet[User]:
    """Return those who work at one of these sites and may take on its work."""
    return (
        User.objects.filter(
            is_active=True,
            sites__in=sites,
            groups__name__in=[
                role.value for role in roles_with("worklist.change_workitem")
            ],
        )
        .distinct()
        .order_by("name", "pk")
    )


def unreachable_words(user: User) -> str:
    """Return what keeps a text from somebody on duty, blank for nothing."""
    if not user.is_active:
        return _("%(name)s no longer works here.") % {"name": user}
    if user.phone:
        return ""
    if user.email:
        return _("%(name)s has no mobile on file and is told by email.") % {
            "name": user
        }
    return _("%(name)s has no mobile and no email on file and cannot be told.") % {
        "name": user
    }


def roster(sites: Sequence[Site], now: datetime) -> dict[int, list[Span]]:
    """Return for each site who is on duty from now on, and the staffed hours that
    nobody covers, in order of time; for ``AHEAD``. Three queries.
    """
    until = now + AHEAD
    coming = Duty.objects.filter(site__in=sites, ends_at__gt=now, starts_at__lt=until)
    duties = list(coming.select_related("user", "backup"))
    ids = [duty.pk for duty in duties]
    counting = set(in_force().filter(pk__in=ids).values_list("pk", flat=True))
    hours = list(StaffedHours.objects.filter(site__in=sites))
    found = {}
    for site in sites:
        own = [duty for duty in duties if duty.site_id == site.pk]
        covered = [(d.starts_at, d.ends_at) for d in own if d.pk in counting]
        staffed = [one for one in hours if one.site_id == site.pk]
        spans = [Span(site, one.starts_at, one.ends_at, one) for one in own]
        spans += [Span(site, *gap) for gap in gaps(site, staffed, covered, now, until)]
        found[site.pk] = sorted(spans, key=lambda span: (span.starts_at, span.ends_at))
    return found


def gaps(
    site: Site,
    staffed: Iterable[StaffedHours],
    covered: Iterable[tuple[datetime, datetime]],
    since: datetime,
    until: datetime,
) -> list[tuple[datetime, datetime]]:
    """Return the stretches of staffed hours between two instants that nobody covers.

    Staffed hours are wall time of the site: on a day that clocks change they are as
    long as the clocks make them. No queries.
    """
    where = zone(site.zone)
    day = to_local(since, where).date()
    last = to_local(until, where).date()
    taken = sorted(covered)
    found: list[tuple[datetime, datetime]] = []
    while day <= last:
        for hours in staffed:
            if hours.weekday != day.weekday():
                continue
            start = max(since, to_utc(datetime.combine(day, hours.opens), where))
            end = min(until, to_utc(datetime.combine(day, hours.closes), where))
            for begins, ends in taken:
                if begins >= end or ends <= start:
                    continue
                if begins > start:
                    found.append((start, begins))
                start = max(start, ends)
            if start < end:
                found.append((start, end))
        day += timedelta(days=1)
    return sorted(found)


def refuse_wrong(duty: Duty) -> None:
    """Raise ``ValidationError`` for a duty that cannot be; four queries at most."""
    if duty.ends_at <= duty.starts_at:
        raise ValidationError({"ends_at": _("It ends before it starts.")})
    if duty.ends_at - duty.starts_at > LONGEST:
        raise ValidationError({"ends_at": _("This is longer than a month.")})
    fit = may_be_on_duty([duty.site])
    if not fit.filter(pk=duty.user_id).exists():
        raise ValidationError({"user": _not_here(duty.user, duty.site)})
    if duty.backup is not None:
        if duty.backup_id == duty.user_id:
            raise ValidationError(
                {"backup": _("The backup must be somebody else than who is on duty.")}
            )
        if not fit.filter(pk=duty.backup.pk).exists():
            raise ValidationError({"backup": _not_here(duty.backup, duty.site)})
    again = Duty.objects.filter(
        site=duty.site,
        user=duty.user_id,
        starts_at__lt=duty.ends_at,
        ends_at__gt=duty.starts_at,
    ).exclude(pk=duty.pk)
    if again.exists():
        raise ValidationError(
            {"user": _("%(name)s is on duty then already.") % {"name": duty.user}}
        )


def _not_here(user: User, site: Site) -> str:
    return _("%(name)s does not take on work at %(site)s.") % {
        "name": user,
        "site": site,
    }


@transaction.atomic
def put_on_duty(
    *,
    site: Site,
    user: User,
    starts_at: datetime,
    ends_at: datetime,
    by: User,
    backup: User | None = None,
) -> Duty:
    """Let somebody answer for a site's urgent work from one instant to another.

    Both instants are aware. Raises ``ValidationError`` by field.
    """
    if ends_at <= timezone.now():
        raise ValidationError({"ends_at": _("This is over already.")})
    duty = Duty(
        site=site, user=user, backup=backup, starts_at=starts_at, ends_at=ends_at
    )
    refuse_wrong(duty)
    duty.save()
    record(AuditEvent.Verb.CREATE, subject=f"duty:{duty.pk}", by=by)
    return duty


@transaction.atomic
def hand_over(
    *, duty_id: int, by: User, to: User | None = None, backup: User | None = None
) -> Duty | None:
    """End a duty now, and let ``to`` have what is left of it; locks it.

    One that has not begun passes whole, or is taken off. Handed to whoever has it, it
    is the backup that changes. Returns the duty there is now, None for none; one that
    is over stays as it was. Raises ``ValidationError`` by field.
    """
    now = timezone.now()
    duty = Duty.objects.select_for_update(of=("self",)).get(pk=duty_id)
    if duty.ends_at <= now:
        raise ValidationError(_("This duty is over already."))
    if to is not None and to.pk == duty.user_id:
        duty.backup = backup
        refuse_wrong(duty)
        duty.save(update_fields=["backup"])
        _note(AuditEvent.Verb.CHANGE, duty, by, "backup")
        return duty
    starts_at, ends_at = max(now, duty.starts_at), duty.ends_at
    if duty.starts_at < now:
        duty.ends_at = now
        duty.save(update_fields=["ends_at"])
        _note(AuditEvent.Verb.CHANGE, duty, by, "until")
    else:
        record(AuditEvent.Verb.DELETE, subject=f"duty:{duty.pk}", by=by)
        duty.delete()
    if to is None:
        return None
    return put_on_duty(
        site=duty.site,
        user=to,
        backup=backup,
        starts_at=starts_at,
        ends_at=ends_at,
        by=by,
    )


def _note(verb: AuditEvent.Verb, duty: Duty, by: User, changed: str) -> None:
    record(verb, subject=f"duty:{duty.pk}", details={"changed": [changed]}, by=by)


def left_on_roster(leaver: User, by: User) -> str:
    """Say how many duties of somebody who left are nobody's now; one query.

    They stay on the roster, for a manager to hand them over.
    """
    theirs = Q(user=leaver) | Q(backup=leaver)
    count = Duty.objects.filter(theirs, ends_at__gt=timezone.now()).count()
    if not count:
        return ""
    told = ngettext(
        "%(name)s is on the duty roster %(n)d more time; give it to somebody else.",
        "%(name)s is on the duty roster %(n)d more times; give them to somebody else.",
        count,
    )
    return told % {"n": count, "name": leaver}
