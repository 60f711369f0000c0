"""Notes: signed once and never changed; what came later is a signed note of its own.

While somebody writes, the text is a draft of theirs alone (``accounts.drafts``). What
is told of amendments here follows clinical practice: who, when and why stand beside
each, and nothing that was signed is taken away (42 CFR 482.24(c), AHIMA).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import in_utc, record
from accounts.models import AuditEvent, Draft, User
from core.dates import written
from core.text import clean
from patients.access import at_own_sites
from patients.models import Note, Patient
from patients.registry import TimelineSource, timeline

#: Written so long after it happened, within no shift any more, a note is a late entry.
LATE_AFTER = timedelta(hours=12)
#: A draft nobody came back to for so long becomes work for its author.
FORGOTTEN_AFTER = timedelta(days=7)
#: The same text by the same hand within so long is one note, sent from two tabs.
SAME_WITHIN = timedelta(minutes=10)
LONGEST = 12_000
#: Notes a page of them shows.
PAGE = 20
#: The first word of a draft's key, by what the note will be to an earlier one.
DRAFT_OF = {
    "": "note",
    Note.Relation.ADDENDUM: "note_addendum",
    Note.Relation.CORRECTION: "note_correction",
}
_DRAFT_KEY = re.compile(r"(note|note_addendum|note_correction):([0-9]{1,18})")


def draft_key(subject: Patient | Note, relation: str = "") -> str:
    """Return the key of a draft: of a new note about a patient, or one after a note."""
    return f"{DRAFT_OF[relation]}:{subject.pk}"


@transaction.atomic
def sign_note(
    *,
    patient: Patient,
    by: User,
    type: str,
    body: str,
    sensitive: str = "",
    happened_at: datetime | None = None,
    reason: str = "",
) -> Note:
    """Sign a new note about a patient; locks the patient.

    ``happened_at`` is an instant, now when left out; more than twelve hours ago makes
    it a late entry, which says why. Raises ``ValidationError`` for a blank text, a time
    to come, a late entry without a reason, and for a text this author has just signed.
    """
    _lock(patient)
    now = timezone.now()
    happened_at = happened_at or now
    if happened_at > now:
        raise ValidationError({"happened_at": _("This is still to come.")})
    late = now - happened_at > LATE_AFTER
    if late and not reason.strip():
        raise ValidationError(
            {"reason": _("Say why it is written down only now: it is a late entry.")}
        )
    note = Note(
        patient=patient,
        author=by,
        type=type,
        sensitive=sensitive,
        body=_body(body),
        relation=Note.Relation.LATE_ENTRY if late else "",
        reason=clean(reason).strip() if late else "",
        happened_at=happened_at,
        signed_at=now,
    )
    _refuse_twice(note)
    return _sign(note)


@transaction.atomic
def follow_note(
    *, note: Note, by: User, relation: str, body: str = "", reason: str = ""
) -> Note:
    """Sign what came after a note; locks the patient.

    An addendum adds what is new, and anybody may write one. A correction stands in for
    its own author's text, which stays and is struck through. Entered in error, by its
    author too, hides the note and all that followed it: each gets a signed row that
    says so. What follows a sensitive note is as sensitive. Raises ``ValidationError``
    when that cannot be, or the text or reason is missing.
    """
    _lock(note.patient)
    earlier = with_state(Note.objects.filter(pk=note.pk)).get()
    if relation != Note.Relation.ADDENDUM and earlier.author_id != by.pk:
        raise ValidationError(
            _("Only %(name)s can do this. Write an addendum.")
            % {"name": earlier.author}
        )
    if earlier.error_at:
        raise ValidationError(_("This note was entered in error; it stays as it is."))
    if relation == Note.Relation.CORRECTION and earlier.corrected_by_note:
        raise ValidationError(_("This was corrected before. Correct the correction."))
    reason = clean(reason).strip()
    if relation != Note.Relation.ADDENDUM and not reason:
        raise ValidationError({"reason": _("Say why.")})
    if relation == Note.Relation.ERROR:
        return _sign_error(earlier, by=by, reason=reason)
    following = _after(earlier, by=by, relation=relation, reason=reason)
    following.body = _body(body)
    _refuse_twice(following)
    return _sign(following)


def _sign_error(note: Note, *, by: User, reason: str) -> Note:
    """Mark a note and all that followed it as entered in error; return the first row.

    One query a generation of followers, and the rows.
    """
    mark = _sign(
        _after(note, by=by, relation=Note.Relation.ERROR, reason=reason), of=note
    )
    generation = [note.pk]
    while generation:
        followers = list(
            with_state(Note.objects.filter(relates_to__in=generation)).exclude(
                relation=Note.Relation.ERROR
            )
        )
        for follower in followers:
            if not follower.error_at:
                _sign(
                    _after(follower, by=by, relation=Note.Relation.ERROR, reason=reason)
                )
        generation = [follower.pk for follower in followers]
    return mark


def _after(note: Note, *, by: User, relation: str, reason: str) -> Note:
    now = timezone.now()
    return Note(
        patient_id=note.patient_id,
        author=by,
        type=note.type,
        sensitive=note.sensitive,
        relates_to=note,
        relation=relation,
        reason=reason,
        happened_at=now,
        signed_at=now,
    )


def _lock(patient: Patient) -> None:
    """Lock the patient's row; refuse one that is another's by now."""
    locked = Patient.objects.select_for_update().get(pk=patient.pk)
    if locked.merged_into_id:
        raise ValidationError(_("This record was merged into another. Open that one."))


def _body(text: str) -> str:
    text = clean(text).strip()
    if not text:
        raise ValidationError({"body": _("Write something down.")})
    if len(text) > LONGEST:
        raise ValidationError({"body": _("This is too long for one note.")})
    return text


def _refuse_twice(note: Note) -> None:
    """Refuse what its author signed a moment ago, perhaps in another tab."""
    same = Note.objects.filter(
        patient=note.patient_id,
        author=note.author,
        type=note.type,
        sensitive=note.sensitive,
        body=note.body,
        relates_to=note.relates_to,
        relation=note.relation,
        signed_at__gt=note.signed_at - SAME_WITHIN,
    ).first()
    if same is not None:
        clock = written(timezone.localtime(same.signed_at), "clock")
        raise ValidationError(
            {
                "body": _("You signed this very text at %(clock)s. Is it another note?")
                % {"clock": clock}
            }
        )


def _sign(note: Note, *, of: Note | None = None) -> Note:
    note.hash = hash_of(note)
    note.save(force_insert=True)
    details = {"what": note.relation} if note.relation else {}
    record(
        AuditEvent.Verb.CREATE,
        patient_ids=[note.patient_id],
        subject=f"note:{note.pk}",
        details=details | ({"note": of.pk} if of else {}),
        by=note.author,
    )
    return note


def hash_of(note: Note) -> str:
    """Return the SHA-256 of what is signed: text, kind, author, times, what it follows.

    Not of whose it is: that may change when two patients turn out to be one. Pure.
    """
    told = [
        note.author_id,
        note.type,
        note.sensitive,
        note.body,
        note.relates_to_id,
        note.relation,
        note.reason,
        in_utc(note.happened_at),
        in_utc(note.signed_at),
    ]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def altered_notes() -> Iterable[int]:
    """Yield the numbers of notes that are not as they were signed; walks them all.

    A note of somebody who was erased on request is blank and cannot be held against its
    hash; that they were erased stands in the audit. Of anybody else a blank one was
    altered, for the triggers let a text become blank.
    """
    notes = Note.objects.annotate(erased_at=F("patient__erased_at")).order_by("pk")
    for note in notes.iterator(500):
        is_erased = note.erased_at is not None and not note.body
        if not is_erased and not hmac.compare_digest(note.hash, hash_of(note)):
            yield note.pk


def with_state(notes: QuerySet[Note]) -> QuerySet[Any]:
    """Return notes with what became of them, in the query they are.

    ``error_at``, ``error_reason`` and ``error_by_id`` tell that one was entered in
    error, ``corrected_by_note`` is the number of its correction.
    """
    later = Note.objects.filter(relates_to=OuterRef("pk")).order_by("pk")
    error = later.filter(relation=Note.Relation.ERROR)
    corrections = later.filter(relation=Note.Relation.CORRECTION)
    # One that was entered in error itself corrects nothing.
    void = Note.objects.filter(relates_to=OuterRef("pk"), relation=Note.Relation.ERROR)
    return notes.annotate(
        error_at=Subquery(error.values("signed_at")[:1]),
        error_reason=Subquery(error.values("reason")[:1]),
        error_by_name=Subquery(error.values("author__name")[:1]),
        error_by_login=Subquery(error.values("author__username")[:1]),
        corrected_by_note=Subquery(corrections.filter(~Exists(void)).values("pk")[:1]),
    ).select_related("author", "relates_to__author")


def read_by(user: User | AnonymousUser, notes: QuerySet[Note]) -> list[Note]:
    """Return notes as this user may read them; one query.

    Each says in ``hidden`` why its text is not for them: "sensitive" or "error", or
    "". A sensitive one is its author's, and of those who may read all, at their own
    sites only: emergency access is no way to it. The text of one entered in error is
    shown on its own page alone, to the same few.
    """
    ours = at_own_sites(user)
    found: list[Any] = list(with_state(notes).annotate(at_own_site=ours))
    reads_all = user.has_perm("patients.view_sensitive_note")
    for note in found:
        note.hidden = _why_hidden(note, user, reads_all and note.at_own_site)
        note.reads_all = reads_all and note.at_own_site
    return found


def _why_hidden(note: Any, user: User | AnonymousUser, reads_all: bool) -> str:
    if note.sensitive and not reads_all and note.author_id != user.pk:
        return "sensitive"
    return "error" if note.error_at else ""


def shown_notes(patient: Patient) -> QuerySet[Note]:
    """Return the patient's notes that stand by themselves, unordered.

    That one was entered in error stands at the note it speaks of.
    """
    return patient.notes.exclude(relation=Note.Relation.ERROR)


def page_of_notes(
    patient: Patient, user: User, *, before: Note | None = None
) -> tuple[list[Note], bool]:
    """Return the latest notes before one, and whether there are more; one query."""
    notes = shown_notes(patient)
    if before is not None:
        notes = notes.filter(
            Q(happened_at__lt=before.happened_at)
            | Q(happened_at=before.happened_at, pk__lt=before.pk)
        )
    found = read_by(user, notes.order_by("-happened_at", "-pk")[: PAGE + 1])
    return found[:PAGE], len(found) > PAGE


def load_notes(ids: Collection[int], user: User | AnonymousUser) -> list[Note]:
    """Return these notes as the user may read them; one query."""
    return read_by(user, Note.objects.filter(pk__in=ids))


def note_drafts(user: User) -> list[tuple[Draft, Patient | None]]:
    """Return the user's unsigned notes, oldest first, each with whom it is about.

    That is None once they are out of the user's reach. Three queries at most.
    """
    drafts = [
        draft
        for draft in _drafts().filter(user=user).order_by("at", "pk")
        if draft.text.get("body", "").strip()
    ]
    about = patients_of_drafts(drafts)
    visible = Patient.objects.visible_to(user).in_bulk(set(about.values()))
    return [(draft, visible.get(about.get(draft.pk, 0))) for draft in drafts]


def count_note_drafts(user: User) -> int:
    """Return how many notes the user began and has not signed; one query."""
    return _drafts().filter(user=user).exclude(text__body="").count()


def forgotten_drafts() -> QuerySet[Draft]:
    """Return unsigned notes that nobody came back to for seven days, oldest first.

    Of those who still work here; what a leaver left is swept.
    """
    return (
        _drafts()
        .filter(at__lt=timezone.now() - FORGOTTEN_AFTER, user__is_active=True)
        .order_by("at", "pk")
    )


def patients_of_drafts(drafts: Iterable[Draft]) -> dict[int, int]:
    """Return {draft: patient} by their numbers; one query at most."""
    whom: dict[int, int] = {}
    which: dict[int, int] = {}
    for draft in drafts:
        if match := _DRAFT_KEY.fullmatch(draft.key):
            (whom if match[1] == "note" else which)[draft.pk] = int(match[2])
    if which:
        patient_of = dict(
            Note.objects.filter(pk__in=which.values()).values_list("pk", "patient_id")
        )
        whom |= {
            pk: patient_of[note] for pk, note in which.items() if note in patient_of
        }
    return whom


def _drafts() -> QuerySet[Draft]:
    return Draft.objects.filter(is_note_draft())


def is_note_draft() -> Q:
    """Return the condition that a draft is one of a note."""
    return Q(
        *((("key__startswith", f"{word}:")) for word in DRAFT_OF.values()),
        _connector=Q.OR,
    )


timeline.add(
    "notes",
    TimelineSource(
        rows=lambda patient, user: shown_notes(patient),
        at="happened_at",
        template="patients/event_note.html",
        permission="patients.view_note",
        group="notes",
        load=load_notes,
    ),
)
