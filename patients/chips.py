"""What must be seen wherever a patient is named: in few words, in the same queries."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import (
    F,
    Model,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    prefetch_related_objects,
)
from django.db.models.functions import JSONObject
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts.models import User
from core.dates import written
from core.phones import readable
from core.sql import JsonList
from core.text import isolated
from patients.codes import NO_ALLERGY_CODES
from patients.flags import flags_for, live_flags
from patients.history.states import (
    State,
    allergies_among,
    load_history,
    risky_medicines,
)
from patients.languages import language_name
from patients.models import (
    Channel,
    ContactPerson,
    Flag,
    HistoryEntry,
    HistoryReview,
    Identifier,
    Patient,
    SafeContactPlan,
)
from patients.queries import points_with_facts, why_barred
from patients.recipients import persons_in_force


@dataclass(frozen=True)
class Chip:
    """A few words on a patient; ``kind`` is how they look: red, amber, green, plain."""

    text: str
    kind: str = "plain"


#: What the page shows of an alert, and of a plan.
_FLAG = ("id", "category", "text", "reason", "expires_on")
_PLAN = (
    "id",
    "channel",
    "address",
    "safe_from",
    "safe_until",
    "code_word",
    "neutral_sender",
    "hidden",
)
#: Of history, what says whether something is dangerous to somebody.
_ENTRY = (
    "id",
    "kind",
    "label",
    "code",
    "status",
    "verification",
    "risk_class",
    "happened_on",
    "recorded_at",
)
_REVIEW = ("id", "kind", "outcome", "at")
_NOTABLE = (HistoryEntry.Kind.ALLERGY, HistoryEntry.Kind.MEDICINE)


def load_chips(
    user: User | AnonymousUser, patients: Collection[Patient], *, whole: bool = False
) -> None:
    """Give each patient ``chips``, and what stands behind them.

    That is ``flags_now``, ``plan_now``, ``points_now`` (as ``points_with_facts``),
    ``persons_now`` with their ``points``, and for the page ``identifiers_now``,
    ``site_names`` and ``clinician_name``. Three queries, two more for whoever may see
    history, however many patients there are. ``whole``: all of their history stays
    loaded for the rest of the page; otherwise only what stands on chips.
    """
    clinical = user.has_perm("patients.view_historyentry")
    known: dict[int, Any] = {patient.pk: patient for patient in patients}
    _load_facts(user, known)
    _load_reach(known)
    if clinical and whole:
        load_history(patients)
    elif clinical:
        prefetch_related_objects(
            list(patients),
            Prefetch("history", HistoryEntry.objects.filter(kind__in=_NOTABLE)),
            Prefetch(
                "history_reviews", HistoryReview.objects.filter(kind__in=_NOTABLE)
            ),
        )
    for patient in known.values():
        patient.chips = list(_chips(patient, clinical=clinical))


def load_warnings(
    user: User | AnonymousUser, patients: Collection[Patient | None]
) -> None:
    """Give each patient ``warnings``: alerts of safety, allergies, dangerous medicines.

    For rows and for pages about something of theirs; ``plan_now`` comes along. What is
    clinical only to whoever may see history. One query, however many patients there
    are.
    """
    clinical = user.has_perm("patients.view_historyentry")
    known: dict[int, list[Any]] = {}
    for patient in filter(None, patients):
        known.setdefault(patient.pk, []).append(patient)
    flags = Flag.objects.filter(
        live_flags(), flags_for(user), category=Flag.Category.SAFETY
    )
    plans = SafeContactPlan.objects.in_force()
    columns = [_rows_of(flags, _FLAG), _rows_of(plans, _PLAN)]
    if clinical:
        entries = HistoryEntry.objects.filter(kind__in=_NOTABLE)
        reviews = HistoryReview.objects.filter(kind__in=_NOTABLE)
        columns += [_rows_of(entries, _ENTRY), _rows_of(reviews, _REVIEW)]
    rows = Patient.objects.filter(pk__in=known).values_list("pk", *columns)
    for pk, flag_rows, plan_rows, *health in rows if known else ():
        warnings = [_flag_chip(flag) for flag in _made(Flag, flag_rows)]
        plan = next(iter(_made(SafeContactPlan, plan_rows)), None)
        if clinical:
            made = zip((HistoryEntry, HistoryReview), health, strict=True)
            warnings += _health(*(_made(model, found) for model, found in made))
        for patient in known[pk]:
            patient.warnings, patient.plan_now = warnings, plan


def _load_facts(user: User | AnonymousUser, known: dict[int, Any]) -> None:
    """Load the small tables of a patient's page in one query."""
    flags = Flag.objects.filter(live_flags(), flags_for(user))
    plans = SafeContactPlan.objects.in_force()
    numbers = Identifier.objects.exclude(system=Identifier.FHIR_RECORD)
    at = Patient.sites.through.objects.all()
    rows = Patient.objects.filter(pk__in=known).values_list(
        "pk",
        _rows_of(flags, _FLAG),
        _rows_of(plans, _PLAN),
        _rows_of(numbers, ("id", "system", "value")),
        _rows_of(at, ("site__name",)),
        "usual_clinician__name",
    )
    for pk, flag_rows, plan_rows, number_rows, site_rows, clinician in rows:
        patient = known[pk]
        patient.flags_now = _made(Flag, flag_rows)
        patient.plan_now = next(iter(_made(SafeContactPlan, plan_rows)), None)
        patient.identifiers_now = _made(Identifier, number_rows)
        patient.site_names = sorted(row["site__name"] for row in site_rows or [])
        patient.clinician_name = clinician or ""


def _rows_of(rows: QuerySet[Any], names: Collection[str]) -> Subquery:
    """Return these columns of a patient's rows as a list, as an expression."""
    columns = JSONObject(**{name: F(name) for name in names})
    own = rows.filter(patient=OuterRef("pk")).order_by().values("patient")
    return Subquery(own.annotate(rows=JsonList(columns)).values("rows"))


def _made(model: type[Model], rows: list[dict[str, Any]] | None) -> list[Any]:
    """Return the rows as they would be loaded, oldest first."""
    fields = model._meta
    made = [
        model(**{key: fields.get_field(key).to_python(v) for key, v in row.items()})  # type: ignore[union-attr]
        for row in rows or []
    ]
    return sorted(made, key=lambda one: one.pk)


def _load_reach(known: dict[int, Any]) -> None:
    """Load contact persons in force, and everybody's addresses; two queries."""
    persons: dict[int, Any] = {}
    for patient in known.values():
        patient.points_now, patient.persons_now = [], []
    persons_now = persons_in_force(timezone.localdate()).filter(patient__in=known)
    for person in persons_now.order_by("-is_responsible", "pk"):
        persons[person.pk] = person
        persons[person.pk].points = []
        known[person.patient_id].persons_now.append(person)
    for point in points_with_facts().filter(
        Q(patient__in=known) | Q(contact_person__in=persons)
    ):
        if point.patient_id:
            known[point.patient_id].points_now.append(point)
        else:
            persons[point.contact_person_id or 0].points.append(point)


def _chips(patient: Any, *, clinical: bool) -> Iterable[Chip]:
    if patient.deceased_on:
        day = written(patient.deceased_on, "date")
        yield Chip(_("Died %(day)s") % {"day": day}, "dark plain")
    if patient.plan_now:
        yield Chip(_("Safe contact plan"), "red")
    yield from map(_flag_chip, patient.flags_now)
    if clinical:
        yield from _health(patient.history.all(), patient.history_reviews.all())
    yield from _talking(patient)
    if patient.deceased_on:
        return
    # Under a plan it is the plan that says how, and nothing beside it.
    if not patient.plan_now:
        yield from _reaching(patient)
    if not (patient.plan_now and patient.plan_now.hidden):
        yield from _persons(patient)


def _flag_chip(flag: Flag) -> Chip:
    safety = flag.category == Flag.Category.SAFETY
    return Chip(flag.text, "red" if safety else "amber")


def _health(
    entries: Collection[HistoryEntry], reviews: Collection[HistoryReview]
) -> Iterable[Chip]:
    allergies = allergies_among(entries, reviews)
    for entry in allergies.live:
        if entry.code in NO_ALLERGY_CODES:
            yield Chip(entry.label)
        else:
            yield Chip(_("Allergy: %(what)s") % {"what": entry.label}, "red")
    if allergies.state == State.NONE_KNOWN:
        yield Chip(allergies.says, "green plain")
    elif allergies.state == State.NEVER_ASKED:
        # No rows are no answer: it must never look like "none". Nor like an alarm: it
        # stands on many a row.
        yield Chip(_("Allergies: not asked"))
    elif allergies.state == State.ASK_AGAIN:
        yield Chip(_("Allergies: ask again"), "amber")
    elif allergies.state == State.DECLINED:
        yield Chip(_("Allergies: prefers not to say"), "amber")
    for entry in risky_medicines(entries):
        yield Chip(
            _("%(class)s: %(what)s")
            % {"class": entry.get_risk_class_display(), "what": entry.label},
            "amber",
        )


def _talking(patient: Any) -> Iterable[Chip]:
    reads = str(patient.get_language_display())
    spoken = patient.spoken_language
    words = reads
    if spoken and language_name(spoken) != reads:
        words = _("Reads %(read)s, speaks %(spoken)s") % {
            "read": reads,
            "spoken": language_name(spoken),
        }
    if patient.needs_interpreter:
        yield Chip(_("%(language)s, interpreter") % {"language": words})
    else:
        yield Chip(words)
    labels = dict(Patient.Need.choices)
    for need in patient.needs:
        yield Chip(str(labels.get(need, need)))
    if patient.needs_help_reading:
        yield Chip(_("Read along with them"), "amber")


def _reaching(patient: Any) -> Iterable[Chip]:
    for channel, ok, off in (
        (Channel.SMS, _("SMS ok"), _("SMS off")),
        (Channel.EMAIL, _("Email ok"), _("Email off")),
    ):
        points = [point for point in patient.points_now if point.channel == channel]
        if any(_may_be_used(point) for point in points):
            yield Chip(ok, "green plain")
        elif points or channel == Channel.SMS:
            yield Chip(off)


def _may_be_used(point: Any) -> bool:
    usable = point.usable and point.safe_to_text and point.agreed
    return bool(usable) and not why_barred(point)


def _persons(patient: Any) -> Iterable[Chip]:
    # Only those who may be told of something; the panel names the others.
    for person in patient.persons_now:
        if not person.scopes:
            continue
        told = _scope_in_words(person)
        parts = {
            "who": capfirst(person.relation),
            "name": isolated(person.name, right_to_left=False),
            "what": told,
        }
        words = _("%(who)s %(name)s may be told of %(what)s") % parts
        if person.until:
            words = _("%(words)s, until %(day)s") % {
                "words": words,
                "day": written(person.until, "month"),
            }
        phone = next(
            (
                readable(point.address)
                for point in person.points
                if point.channel == Channel.SMS and point.usable
            ),
            "",
        )
        yield Chip(" · ".join(filter(None, [words, phone])))


def _scope_in_words(person: ContactPerson) -> str:
    labels = {key: str(label).lower() for key, label in ContactPerson.Scope.choices}
    if set(labels) <= set(person.scopes) and not person.barred_topics:
        return _("everything")
    return ", ".join(labels[key] for key in labels if key in person.scopes)
