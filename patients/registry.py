"""What patients asks of the apps above, and tells them; each fills in its own."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise

from accounts.models import Site, User
from core.registry import Registry
from patients.models import AccessGrant, ContactPerson, Intake, Link, Patient

T = TypeVar("T")


@dataclass(frozen=True)
class Panel:
    """A card on the patient page: its template gets what ``context`` returns."""

    title: str | Promise
    template: str
    context: Callable[[Patient], dict[str, Any]]
    permission: str
    side: str = "left"


@dataclass(frozen=True)
class Event:
    """One thing on the timeline: when, and the template that shows ``subject``.

    ``source`` and ``pk`` name its row; they order events of one instant.
    """

    at: datetime
    template: str
    subject: Any
    source: str = ""
    pk: int = 0


@dataclass(frozen=True)
class TimelineSource:
    """Where events come from: rows of one table, each of them one event.

    ``rows(patient, user)`` are all of the patient's that this source shows to this
    user, unordered; ``at`` is the name of the field (or annotation) that says when.
    ``template`` gets a row as ``subject``: a dictionary of ``facts`` (name to field
    path or expression) and ``pk``, which costs no query, or what ``build`` makes of it;
    or what ``load(ids, user)`` returns for the few that are shown, one query, in any
    order. Among the facts a moment arrives as text, to be shown with ``|instant``.
    ``group`` is the filter it answers to, a key of ``patients.timeline.GROUPS``.
    ``upcoming``: its rows are still to come, otherwise they were.
    """

    rows: Callable[[Patient, User | AnonymousUser], QuerySet[Any]]
    at: str
    template: str
    permission: str
    group: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[[dict[str, Any]], Any] | None = None
    load: Callable[[Collection[int], User | AnonymousUser], Iterable[Any]] | None = None
    upcoming: bool = False


@dataclass(frozen=True)
class VisitAhead:
    """A visit somebody prepares for, as the sections before it need it.

    ``since``: when the patient was last seen, or None for never; ``starts_at``: when
    they come; both are instants. ``once(key, read)`` returns what ``read()`` returned
    the first time, so that sections of one app share a query.
    """

    patient: Patient
    user: User | AnonymousUser
    starts_at: datetime
    since: datetime | None = None
    _read: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: str, read: Callable[[], T]) -> T:
        """Return what ``read`` returned when first asked for ``key``."""
        if key not in self._read:
            self._read[key] = read()
        return self._read[key]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Line:
    """One line before a visit: a sentence in the reader's language.

    ``quote`` are the patient's own words; ``page`` is where it is dealt with; ``warn``
    says that somebody has to do something about it.
    """

    says: str
    at: datetime | None = None
    quote: str = ""
    page: str = ""
    warn: bool = False


@dataclass(frozen=True)
class BeforeVisit:
    """What an app has to say before a visit, under one of four questions.

    ``question``: changed, worries, misunderstood or owed. ``lines(about)`` costs a
    fixed number of queries. Without ``permission`` the lines are not asked for.
    """

    question: str
    lines: Callable[[VisitAhead], list[Line]]
    permission: str


@dataclass(frozen=True)
class Banner:
    """What stands over a patient's page, before all else, while it holds.

    ``lines(patient, user)`` costs a fixed number of queries; the template gets each as
    ``line``. Without ``permission`` they are not asked for.
    """

    template: str
    lines: Callable[[Patient, User | AnonymousUser], Sequence[Any]]
    permission: str


@dataclass(frozen=True)
class Bar:
    """Why nothing may go to an address now.

    ``fact`` is an expression over a contact point, empty where nothing stands in the
    way; ``says(fact)`` tells it in words.
    """

    fact: Subquery
    says: Callable[[Any], str]


@dataclass(frozen=True)
class LinkPurpose:
    """What a patient link opens, behind the birth date.

    ``alive(link)``: is what it opens still there; one query at most. ``show(request,
    link)`` answers GET and POST in the patient's language; a POST that did something
    ends with ``SeeOther(request.path)``. It shows the least that the purpose needs: a
    birth date keeps a misdirected link shut, and proves nobody's identity.
    """

    title: str | Promise
    alive: Callable[[Link], bool]
    show: Callable[[HttpRequest, Link], HttpResponse]


@dataclass(frozen=True)
class Topic:
    """Something patients are written to about, and the right to know it falls under.

    Whoever may be told of the ``scope`` is told, unless this topic is barred to them.
    """

    title: str | Promise
    scope: ContactPerson.Scope


banners: Registry[Banner] = Registry("banners")
barred: Registry[Bar] = Registry("barred")
#: What is said before a visit, by question.
before_visit: Registry[BeforeVisit] = Registry("before_visit")
#: Told of emergency access in its transaction: when it is taken, when it was reviewed.
granted: Registry[Callable[[AccessGrant], None]] = Registry("granted")
reviewed: Registry[Callable[[AccessGrant], None]] = Registry("reviewed")
#: Told, in the same transaction, of a link that too many wrong birth dates closed.
link_closed: Registry[Callable[[Link], None]] = Registry("link_closed")
#: Told, in the same transaction, which patients (ids) of other sites a list that this
#: user brought in for this site had numbers of; nothing of theirs was taken.
import_refused: Registry[Callable[[Sequence[int], Site, User], None]] = Registry(
    "import_refused"
)
#: Told, in the same transaction and with the patient's row locked, that a patient has
#: died: nothing may go out any more, and what stands must be undone by somebody.
died: Registry[Callable[[Patient], None]] = Registry("died")
#: Told likewise that it was a mistake.
death_corrected: Registry[Callable[[Patient], None]] = Registry("death_corrected")
#: Asked before a patient stops being one of a site; refuses by ``ValidationError``.
site_left: Registry[Callable[[Patient, Site], None]] = Registry("site_left")
#: Told of an intake in its transaction: when it came, when somebody went through it.
intake_taken: Registry[Callable[[Intake], None]] = Registry("intake_taken")
intake_reviewed: Registry[Callable[[Intake], None]] = Registry("intake_reviewed")
#: Whether somebody's own words may speak of a danger.
alarms: Registry[Callable[[str], bool]] = Registry("alarms")
#: Told, in the same transaction: which patients (ids) were told of conditions; and that
#: this user put telling a patient off, and why.
told: Registry[Callable[[Collection[int]], object]] = Registry("told")
put_off: Registry[Callable[[Patient, User, str], None]] = Registry("put_off")
#: Whom the clinic deals with at an instant: conditions over a row's ``patient``.
in_sight: Registry[Callable[[datetime], Exists]] = Registry("in_sight")
links: Registry[LinkPurpose] = Registry("links")
panels: Registry[Panel] = Registry("panels")
timeline: Registry[TimelineSource] = Registry("timeline")
#: Why patients are written to; ``patients.recipients`` asks who may know of it.
topics: Registry[Topic] = Registry("topics")
