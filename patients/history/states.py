"""How a patient's history stands, kind by kind: what is there, or that nobody asked."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Prefetch, prefetch_related_objects
from django.utils.translation import gettext as _

from patients.codes import NO_ALLERGY_CODES, NO_KNOWN_ALLERGY
from patients.history.kinds import KINDS, HistoryKind
from patients.models import HistoryEntry, HistoryReview, Patient

Kind = HistoryEntry.Kind


class State(StrEnum):
    """What an empty or filled kind means; absence of rows is never "none"."""

    ENTRIES = "entries"
    NONE_KNOWN = "none_known"
    DECLINED = "declined"
    ASK_AGAIN = "ask_again"
    NEVER_ASKED = "never_asked"


@dataclass(frozen=True)
class KindState:
    """How one kind stands: what is so now, what is over, and when it was asked last.

    ``asked_at`` is when somebody asked or looked through, None when nobody did;
    ``asked_by`` who did.
    """

    kind: HistoryKind
    state: State
    live: list[HistoryEntry]
    past: list[HistoryEntry]
    review: HistoryReview | None
    asked_at: datetime | None

    @property
    def says(self) -> str:
        """Return what stands where no entry does; blank where there are some."""
        if self.state == State.NONE_KNOWN:
            return str(self.kind.none)
        if self.state == State.DECLINED:
            return _("Prefers not to say")
        if self.state == State.ASK_AGAIN:
            return _("Ask again")
        return _("Not asked yet") if self.state == State.NEVER_ASKED else ""

    @property
    def is_known(self) -> bool:
        """Whether somebody knows the answer: entries, or that there are none."""
        return self.state in (State.ENTRIES, State.NONE_KNOWN, State.DECLINED)


def load_history(patients: Collection[Patient]) -> None:
    """Fetch entries and reviews of these patients with who wrote them; two queries."""
    people = ("recorded_by", "verified_by", "told_by")
    prefetch_related_objects(
        list(patients),
        Prefetch("history", HistoryEntry.objects.select_related(*people)),
        Prefetch("history_reviews", HistoryReview.objects.select_related("by")),
    )


def states_of(patient: Patient) -> dict[str, KindState]:
    """Return {kind: how it stands} in the order of the table.

    No query after ``load_history``, two without. An entry that is an error or ruled out
    counts for nothing.
    """
    entries = list(patient.history.all())
    reviews = list(patient.history_reviews.all())
    return {key: _state_among(key, entries, reviews) for key in KINDS}


def allergies_among(
    entries: Collection[HistoryEntry], reviews: Collection[HistoryReview]
) -> KindState:
    """Return how the allergies of one patient stand; pure."""
    return _state_among(Kind.ALLERGY, entries, reviews)


def risky_medicines(entries: Collection[HistoryEntry]) -> list[HistoryEntry]:
    """Return the medicines one patient takes that change what is dangerous; pure."""
    medicines = _state_among(Kind.MEDICINE, entries, [])
    return [one for one in medicines.live if one.risk_class]


def _state_among(
    key: str, entries: Collection[HistoryEntry], reviews: Collection[HistoryReview]
) -> KindState:
    return _state(
        KINDS[key],
        [one for one in entries if one.kind == key and not one.is_taken_back],
        [one for one in reviews if one.kind == key],
    )


def _state(
    kind: HistoryKind, entries: list[HistoryEntry], reviews: list[HistoryReview]
) -> KindState:
    review = max(reviews, key=lambda one: (one.at, one.pk), default=None)
    none_by_code = [one for one in entries if _says_none(one)]
    real = sorted((e for e in entries if not _says_none(e)), key=_latest_first)
    live = [one for one in real if not kind.is_past(one)]
    past = [one for one in real if kind.is_past(one)]
    asked = [review.at] if review else []
    asked += [one.recorded_at for one in none_by_code]
    asked_at = max(asked, default=None)
    if any(_is_answer(one) for one in live):
        state = State.ENTRIES
    elif asked_at is None:
        state = State.NEVER_ASKED
    elif any(one.recorded_at > asked_at for one in real):
        # What was said is overruled by what came later, even when that is over now.
        state = State.ASK_AGAIN
    elif review is None or review.at < asked_at:
        state = State.NONE_KNOWN
    else:
        state = {
            HistoryReview.Outcome.NONE_KNOWN: State.NONE_KNOWN,
            HistoryReview.Outcome.DECLINED: State.DECLINED,
        }.get(HistoryReview.Outcome(review.outcome), State.ASK_AGAIN)
    return KindState(kind, state, live, past, review, asked_at)


def _says_none(entry: HistoryEntry) -> bool:
    """Whether a row, as FHIR has it, says that there is no allergy at all."""
    return entry.kind == Kind.ALLERGY and entry.code == NO_KNOWN_ALLERGY


def _is_answer(entry: HistoryEntry) -> bool:
    """Whether a row answers its kind; "no allergy to medicines" leaves food open."""
    return entry.kind != Kind.ALLERGY or entry.code not in NO_ALLERGY_CODES


def _latest_first(entry: HistoryEntry) -> tuple[bool, int, str]:
    day = entry.happened_on.toordinal() if entry.happened_on else 0
    return (not _is_answer(entry), -day, entry.label)
