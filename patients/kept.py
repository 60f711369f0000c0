"""What our tables keep about people: exported, erased, and kept for how long."""

from datetime import datetime
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.sayings import told
from patients.fields import in_words
from patients.history.kinds import DECLINED, KINDS
from patients.intake import PROFILE
from patients.models import (
    AccessGrant,
    Consent,
    ContactPerson,
    ContactPoint,
    Flag,
    HistoryEntry,
    HistoryReview,
    Identifier,
    Intake,
    Link,
    Note,
    NotTheSame,
    Patient,
    PatientMerge,
    SafeContactPlan,
)
from patients.personal import Personal, Whose, not_personal, personal, points_of
from patients.retention import Retention, retention

#: What stands where a name stood.
ERASED = "Erased patient"


def _are_reviewed(whose: Whose, by: User | None) -> None:
    """Refuse where emergency access is open or waits for its review: that would be
    nobody's to find any more.
    """
    if AccessGrant.objects.filter(patient__in=whose.ids, reviewed_at=None).exists():
        raise ValidationError(
            gettext("Emergency access to them waits for its review first.")
        )


def _not_for(user: User, notes: QuerySet[Note]) -> QuerySet[Note]:
    """Return the sensitive notes of others, for those who may not read them."""
    if user.has_perm("patients.view_sensitive_note"):
        return notes.none()
    return notes.exclude(sensitive="").exclude(author=user)


def _of(model: Any) -> Any:
    """Return the rows of a table that name the patient themselves."""
    return lambda whose: model.objects.filter(patient__in=whose.ids)


def _over_links(cutoff: datetime) -> QuerySet[Link]:
    return Link.objects.filter(Q(expires_at__lt=cutoff) | Q(revoked_at__lt=cutoff))


def register_retention() -> None:
    """Name how long what our tables keep may be kept."""
    retention.add(
        "links",
        Retention(
            title=_("Links that are over"),
            goes=_("The row goes: when it was made, for what, and when it was opened."),
            due=_over_links,
            apply=lambda ids: Link.objects.filter(pk__in=ids).delete()[0],
            patient="patient",
            days=365,
            least=30,
            source=_("No term in law; questions about a visit come within weeks."),
        ),
    )
    retention.add(
        "intake_answers",
        Retention(
            title=_("Answers of patients, once reviewed"),
            goes=_("The answers as they were given. What was taken over stays."),
            due=lambda cutoff: Intake.objects.filter(reviewed_at__lt=cutoff).exclude(
                answers={}
            ),
            apply=lambda ids: Intake.objects.filter(pk__in=ids).update(answers={}),
            patient="patient",
            days=365,
            least=30,
            source=_("No term in law; the medical history holds what came of them."),
        ),
    )
    retention.add(
        "merges",
        Retention(
            title=_("What a merge could be undone with"),
            goes=_("Both profiles as they were. The merge cannot be undone any more."),
            due=lambda cutoff: PatientMerge.objects.filter(at__lt=cutoff),
            apply=lambda ids: PatientMerge.objects.filter(pk__in=ids).delete()[0],
            patient="kept",
            days=365,
            least=90,
            source=_("No term in law; a wrong merge shows at the next visit."),
        ),
    )
    retention.add(
        "emergency_access",
        Retention(
            title=_("Reasons for emergency access, once reviewed"),
            goes=_("The reason and the finding. Who and when stays, in the audit too."),
            due=lambda cutoff: AccessGrant.objects.filter(
                reviewed_at__lt=cutoff
            ).exclude(reason="", finding=""),
            apply=lambda ids: AccessGrant.objects.filter(pk__in=ids).update(
                reason="", finding=""
            ),
            patient="patient",
            days=2557,
            least=2192,
            source=_("Six years: 45 CFR 164.316(b)(2)(i), records of security."),
        ),
    )


def _of_profile(name: str, patient: Patient) -> str:
    return in_words(name, getattr(patient, name))


def _scopes(person: ContactPerson) -> list[str]:
    labels = dict(ContactPerson.Scope.choices)
    return [str(labels.get(scope, scope)) for scope in person.scopes]


def _label(entry: HistoryEntry) -> str:
    """Return what an entry is; some of what staff tick is stored as English words."""
    return told(entry.label) if entry.label == DECLINED else entry.label


def _status(entry: HistoryEntry) -> str:
    return str(KINDS[entry.kind].statuses.get(entry.status, entry.status))


def _details(entry: HistoryEntry) -> dict[str, str]:
    """Return {what is asked: answer in words}; what is no question stays as it came."""
    asked = {one.name: one for one in KINDS[entry.kind].fields}
    return {
        str(asked[name].label) if name in asked else name: (
            asked[name].says(value) if name in asked else value
        )
        for name, value in entry.details.items()
    }


def _answers(intake: Intake) -> dict[str, str]:
    """Return {what is asked: answer in words}."""
    outcomes = dict(HistoryReview.Outcome.choices)
    said: dict[str, str] = {}
    for name, answer in intake.answers.items():
        kind = name.removesuffix("_none")
        if kind in KINDS:
            said[str(KINDS[kind].title)] = str(outcomes.get(answer, answer))
        elif name in PROFILE:
            of: Any = Patient._meta.get_field(name)
            said[str(of.verbose_name)] = in_words(name, answer)
        else:
            said[name] = answer
    return said


def register() -> None:
    """Name what our tables keep."""
    personal.add(
        "patient",
        Personal(
            title=_("Profile"),
            model=Patient,
            rows=lambda whose: Patient.objects.filter(pk__in=whose.ids),
            blanks={
                "given_name": ERASED,
                "family_name": "",
                "preferred_name": "",
                "birth_date": None,
                "sex": Patient.Sex.UNKNOWN,
                "pronouns": "",
                "language": Patient._meta.get_field("language").default,
                "spoken_language": "",
                "needs_interpreter": None,
                "reading_help": "",
                "needs": [],
                "preferred_way": "",
                "best_from": None,
                "best_until": None,
                "what_matters": "",
                "top_worry": "",
                "wants_to_know": "",
                "zone": "",
                "usual_clinician": None,
                "address_line": "",
                "city": "",
                "state": "",
                "postal_code": "",
                "country": "",
                "deceased_on": None,
                "death_told_by": "",
                "death_corrected_at": None,
                "legal_hold": "",
            },
            hides=frozenset({"version", "is_demo", "merged_into", "erased_at"}),
            drafts=("note", "intake", "profile_", "history_"),
            reads={
                name: partial(_of_profile, name)
                for name in ("spoken_language", "needs", "needs_interpreter")
            },
        ),
    )
    for key, title, model in (
        ("identifier", _("Numbers they are known by"), Identifier),
        ("flag", _("Pinned alerts"), Flag),
        ("safe_contact_plan", _("Safe contact plans"), SafeContactPlan),
    ):
        personal.add(key, Personal(title, model, _of(model), deletes=True))
    personal.add(
        "contact_point",
        Personal(
            title=_("Phone numbers and email addresses"),
            model=ContactPoint,
            rows=lambda whose: points_of(whose.ids),
            deletes=True,
        ),
    )
    personal.add(
        "contact_person",
        Personal(
            title=_("People around them"),
            model=ContactPerson,
            rows=_of(ContactPerson),
            # Notices to them stay, and need somebody to have been written to.
            blanks={
                "person": None,
                "name": "",
                "relation": "",
                "scopes": [],
                "barred_topics": [],
                "basis": "",
                "since": None,
                "until": None,
                "ended_at": Now(),
                "review_on": None,
                "is_responsible": False,
            },
            hides=frozenset({"person"}),
            reads={"scopes": _scopes},
        ),
    )
    personal.add(
        "contact_person_of",
        Personal(
            title=_("Where they answer for others"),
            model=ContactPerson,
            rows=lambda whose: ContactPerson.objects.filter(
                person__in=whose.ids
            ).exclude(patient__in=whose.ids),
            # Whom to call about a child stays in the child's record.
            blanks={"person": None},
            keeps=frozenset({"name", "relation", "basis", "scopes", "barred_topics"}),
            exports=False,
        ),
    )
    personal.add(
        "consent",
        Personal(
            title=_("What they agreed to"),
            model=Consent,
            rows=_of(Consent),
            blanks={"evidence": ""},
            keeps=frozenset({"channel", "purpose", "wording_version", "method"}),
            reads={"method": lambda consent: told(consent.method)},
        ),
    )
    personal.add(
        "history",
        Personal(
            title=_("Medical history"),
            model=HistoryEntry,
            rows=_of(HistoryEntry),
            deletes=True,
            hides=frozenset({"version", "external_system", "external_id"}),
            reads={"label": _label, "status": _status, "details": _details},
            drafts=("history",),
        ),
    )
    personal.add(
        "history_review",
        Personal(
            title=_("What they were asked about"),
            model=HistoryReview,
            rows=_of(HistoryReview),
            keeps=frozenset({"kind", "outcome", "source"}),
        ),
    )
    personal.add(
        "intake",
        Personal(
            title=_("What they told of themselves"),
            model=Intake,
            rows=_of(Intake),
            blanks={"answers": {}},
            keeps=frozenset({"source", "method"}),
            reads={"answers": _answers},
        ),
    )
    personal.add(
        "note",
        Personal(
            title=_("Notes"),
            model=Note,
            rows=_of(Note),
            blanks={"body": "", "reason": ""},
            keeps=frozenset({"type", "sensitive", "relation", "hash"}),
            hides=frozenset({"hash"}),
            drafts=("note_addendum", "note_correction"),
            withheld=_not_for,
        ),
    )
    personal.add(
        "merge",
        Personal(
            title=_("Records that were made one"),
            model=PatientMerge,
            rows=lambda whose: PatientMerge.objects.filter(
                Q(kept__in=whose.ids) | Q(lost__in=whose.ids)
            ),
            deletes=True,
            # Twice what stands in the profile, or somebody else's when it was undone.
            hides=frozenset({"kept", "lost", "snapshot", "moved", "dropped"}),
        ),
    )
    personal.add(
        "not_the_same",
        Personal(
            title=_("Records that are somebody else's"),
            model=NotTheSame,
            rows=lambda whose: NotTheSame.objects.filter(
                Q(patient__in=whose.ids) | Q(other__in=whose.ids)
            ),
            deletes=True,
            exports=False,
        ),
    )
    personal.add(
        "grant",
        Personal(
            title=_("Emergency access"),
            model=AccessGrant,
            rows=_of(AccessGrant),
            blanks={"reason": "", "finding": ""},
            settle=_are_reviewed,
            drafts=("review",),
        ),
    )
    personal.add(
        "link",
        Personal(
            title=_("Links they were given"),
            model=Link,
            rows=_of(Link),
            deletes=True,
            hides=frozenset({"token_hash"}),
        ),
    )
    not_personal.add("patients.PatientTerm", "made of names and numbers, and with them")
    not_personal.add("patients.Patient_sites", "where they are a patient; emptied")
