"""What a merge does with the tables of this app, beside moving their rows.

Where the two records disagree about what may be sent or what is safe, the careful one
wins: a no stands over a yes, an allergy over "none known".
"""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from core.dates import written
from core.phones import readable
from patients.flags import live_flags
from patients.merging import beside, profile
from patients.merging.ledger import Ledger
from patients.merging.registry import (
    KEPT,
    LOST,
    Answers,
    Belongs,
    Fate,
    MergeRule,
    Option,
    Pair,
    Question,
    belong,
    merge_rules,
)
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
    PatientTerm,
    SafeContactPlan,
)
from patients.services import NO_CONSENT_YET

STAYS, ENDS = "stays", "ends"
#: What one record says of an address and another may say otherwise.
_SETTINGS = ("usable", "why_not", "safe_to_text", "voicemail")
_HISTORY = "patients.view_historyentry"
_NOTES = "patients.view_note"

belong(
    Belongs(ContactPoint, title=gettext_lazy("Numbers and addresses")),
    Belongs(Identifier, title=gettext_lazy("Identifiers")),
    Belongs(ContactPerson, title=gettext_lazy("Contact persons")),
    Belongs(ContactPerson, "person", title=gettext_lazy("Is a contact person of")),
    Belongs(Flag, title=gettext_lazy("Pinned alerts")),
    Belongs(SafeContactPlan, title=gettext_lazy("Safe contact plans")),
    Belongs(Consent, title=gettext_lazy("Consents")),
    Belongs(HistoryEntry, title=gettext_lazy("History"), permission=_HISTORY),
    Belongs(HistoryReview, title=gettext_lazy("History reviews"), permission=_HISTORY),
    Belongs(Intake, title=gettext_lazy("Intakes"), permission=_HISTORY),
    Belongs(Note, title=gettext_lazy("Notes"), permission=_NOTES),
    Belongs(Link, title=gettext_lazy("Patient links")),
    Belongs(AccessGrant, title=gettext_lazy("Emergency access")),
    Belongs(Patient, "merged_into", title=gettext_lazy("Records merged before")),
    Belongs(Patient.sites.through, fate=Fate.RULE),
    Belongs(PatientTerm, fate=Fate.MADE),
    Belongs(NotTheSame, fate=Fate.RULE),
    Belongs(NotTheSame, "other", fate=Fate.RULE),
    Belongs(PatientMerge, "kept", fate=Fate.STAYS),
    Belongs(PatientMerge, "lost", fate=Fate.STAYS),
)


#: What is said of two that somebody has told apart.
TOLD_APART = gettext_lazy("A colleague found that these are two people.")


def _refuses_two_people(pair: Pair) -> list[str]:
    """Return why these are two people, by what staff have said of them; one query."""
    low, high = sorted(pair.ids)
    answers_for = ContactPerson.objects.filter(
        Q(patient=pair.kept, person=pair.lost) | Q(patient=pair.lost, person=pair.kept)
    )
    apart = NotTheSame.objects.filter(patient=low, other=high)
    facts = Patient.objects.filter(pk=pair.kept.pk).values_list(
        Exists(answers_for), Exists(apart)
    )
    is_a_contact, is_told_apart = facts.get()
    whys = []
    if is_a_contact:
        whys.append(_("One is a contact person of the other: they are two people."))
    if is_told_apart:
        whys.append(str(TOLD_APART))
    return whys


def _both_have(pair: Pair) -> list[tuple[ContactPoint, ContactPoint]]:
    """Return the addresses that are on both records, the kept one's first."""
    ours = {(p.channel, p.address): p for p in pair.kept.contact_points.all()}
    return [
        (ours[p.channel, p.address], p)
        for p in pair.lost.contact_points.all()
        if (p.channel, p.address) in ours
    ]


def _ask_points(pair: Pair) -> list[Question]:
    return [
        Question(
            key=f"point_{theirs.pk}",
            title=_("%(address)s is on both, and may be used differently")
            % {"address": readable(theirs.address)},
            options=[Option(KEPT, _use_of(ours)), Option(LOST, _use_of(theirs))],
        )
        for ours, theirs in _both_have(pair)
        if any(getattr(ours, name) != getattr(theirs, name) for name in _SETTINGS)
    ]


def _use_of(point: ContactPoint) -> str:
    """Return how an address may be used."""
    if not point.usable:
        return _("Not in use: %(why)s") % {"why": _(point.why_not or "not reachable")}
    said = [_("Safe to text") if point.safe_to_text else _("Not safe to text")]
    if point.voicemail:
        said.append(_("voicemail may be left"))
    return ", ".join(said)


def _settle_points(ledger: Ledger, answers: Answers) -> None:
    """Let each address stand once, and open none by the other record's consent."""
    pair = ledger.pair
    for ours, theirs in _both_have(pair):
        ledger.leave(ContactPoint, "patient", [theirs.pk])
        if answers.get(f"point_{theirs.pk}") == LOST:
            ledger.change(ours, **{name: getattr(theirs, name) for name in _SETTINGS})
    left = ledger.left["patients.ContactPoint.patient"]
    for point in _not_agreed_to(pair):
        ledger.change(point, usable=False, why_not=NO_CONSENT_YET)
    last = max((p.rank for p in pair.kept.contact_points.all()), default=-1)
    for point in pair.lost.contact_points.exclude(pk__in=left):
        ledger.change(point, rank=last + 1 + point.rank)


def _not_agreed_to(pair: Pair) -> list[ContactPoint]:
    """Return the addresses that the other record's consent would open, which was given
    for that record's own.
    """
    ours, theirs = (_channels_agreed(patient) for patient in (pair.kept, pair.lost))
    shared = {(p.channel, p.address) for p, _other in _both_have(pair)}
    return [
        point
        for patient, channels in (
            (pair.kept, theirs - ours),
            (pair.lost, ours - theirs),
        )
        for point in patient.contact_points.all()
        if point.usable
        and point.channel in channels
        and (point.channel, point.address) not in shared
    ]


def _channels_agreed(patient: Patient) -> set[str]:
    """Return the channels on which somebody agreed to hear of their visits."""
    rows = sorted(patient.consents.all(), key=lambda row: (row.at, row.pk))
    care = [row for row in rows if row.purpose == Consent.Purpose.CARE]
    latest = {row.channel: row.given for row in care}
    return {channel for channel, given in latest.items() if given}


def _put_aside(pair: Pair) -> list[Consent]:
    """Return the consents that must not win over a no on the other record."""
    rows = [*pair.kept.consents.all(), *pair.lost.consents.all()]
    rows.sort(key=lambda row: (row.at, row.pk))
    aside: list[Consent] = []
    for about in {(row.channel, row.purpose) for row in rows}:
        ours = [row for row in rows if (row.channel, row.purpose) == about]
        latest = {row.patient_id: row for row in ours}
        refused = [place for place, row in enumerate(ours) if not row.given]
        if any(not row.given for row in latest.values()):
            aside += ours[refused[-1] + 1 :]
    return aside


def _not_none_known(pair: Pair) -> list[int]:
    """Return the reviews that say "none known" of what the other record knows."""
    known = (
        HistoryEntry.objects.filter(patient__in=pair.ids, kind=OuterRef("kind"))
        .exclude(patient=OuterRef("patient"))
        .exclude(
            Q(status__in=HistoryEntry.TAKEN_BACK)
            | Q(verification__in=HistoryEntry.TAKEN_BACK)
        )
    )
    reviews = HistoryReview.objects.filter(
        Exists(known),
        patient__in=pair.ids,
        outcome=HistoryReview.Outcome.NONE_KNOWN,
    )
    return list(reviews.values_list("pk", flat=True))


def _plans(pair: Pair) -> list[SafeContactPlan]:
    """Return the plans in force, the kept record's first."""
    plans = SafeContactPlan.objects.in_force().filter(patient__in=pair.ids)
    return sorted(plans, key=lambda plan: plan.patient_id != pair.kept.pk)


def _ask_plans(pair: Pair) -> list[Question]:
    plans = _plans(pair)
    if len(plans) < 2:
        return []
    return [
        Question(
            key="plan",
            title=_("Each has a safe contact plan. Which one holds?"),
            options=[
                Option(whose, _plan_in_words(plan))
                for whose, plan in zip((KEPT, LOST), plans, strict=True)
            ],
            help=_("The other one ends."),
        )
    ]


def _plan_in_words(plan: SafeContactPlan) -> str:
    made = written(timezone.localdate(plan.made_at), "date")
    parts = [
        str(plan.get_channel_display() or _("Calls only")),
        readable(plan.address),
        profile.said_hours(plan.safe_from, plan.safe_until),
        _("made %(day)s") % {"day": made},
    ]
    return ", ".join(part for part in parts if part)


def _settle_plans(ledger: Ledger, answers: Answers) -> None:
    plans = _plans(ledger.pair)
    if len(plans) == 2:
        ends = plans[0] if answers["plan"] == LOST else plans[1]
        ledger.change(ends, ended_at=timezone.now(), ended_by=ledger.by)


def _flags(pair: Pair) -> list[Flag]:
    flags = Flag.objects.filter(live_flags(), patient__in=pair.ids)
    return list(flags.order_by("at", "pk"))


def _ask_flags(pair: Pair) -> list[Question]:
    flags = _flags(pair)
    if len(flags) <= Flag.MOST:
        return []
    options = [Option(STAYS, _("Stays")), Option(ENDS, _("Ends"))]
    return [
        Question(
            key=f"flag_{flag.pk}",
            title=flag.text,
            options=options,
            permission=_HISTORY,
            veiled=Question(
                key=f"flag_{flag.pk}", title=_("A clinical alert"), options=options
            )
            if flag.category == Flag.Category.CLINICAL
            else None,
        )
        for flag in flags
    ]


def _settle_flags(ledger: Ledger, answers: Answers) -> None:
    """End the alerts that were chosen; raises where more than five stay."""
    flags = _flags(ledger.pair)
    ending = [flag for flag in flags if answers.get(f"flag_{flag.pk}") == ENDS]
    if len(flags) - len(ending) > Flag.MOST:
        raise ValidationError(
            {
                f"flag_{flags[0].pk}": _(
                    "At most %(most)d alerts can be pinned. Let some of them end."
                )
                % {"most": Flag.MOST}
            }
        )
    for flag in ending:
        ledger.change(flag, ended_at=timezone.now(), ended_by=ledger.by)


def _join_sites(ledger: Ledger) -> None:
    """Make the kept record a patient of the lost one's sites, too."""
    membership = Patient.sites.through
    kept_id, lost_id = ledger.pair.ids
    ours = membership.objects.filter(patient=kept_id).values("site")
    for row in membership.objects.filter(patient=lost_id).exclude(site__in=ours):
        ledger.add(membership(patient_id=kept_id, site_id=row.site_id))


def _carry_differences(ledger: Ledger) -> None:
    """Who was found to be somebody else than the lost record is so of the kept one."""
    kept_id, lost_id = ledger.pair.ids
    about = Q(patient=lost_id) | Q(other=lost_id)
    for row in NotTheSame.objects.filter(about):
        third = row.other_id if row.patient_id == lost_id else row.patient_id
        low, high = sorted((kept_id, third))
        if not NotTheSame.objects.filter(patient=low, other=high).exists():
            ledger.add(
                NotTheSame(patient_id=low, other_id=high, by_id=row.by_id, at=row.at)
            )


def _asks(pair: Pair) -> list[Question]:
    return [
        question
        for ask in (profile.asks, _ask_points, _ask_plans, _ask_flags)
        for question in ask(pair)
    ]


def _tells(pair: Pair, user: User) -> list[str]:
    """Return what nobody is asked about, and why it will be so."""
    said: list[str] = []
    for channel, purpose in _told(_put_aside(pair)):
        said.append(
            _(
                "%(channel)s, %(purpose)s: one record says no, so it is no. Ask them "
                "again."
            )
            % {"channel": channel, "purpose": purpose}
        )
    if same := len(_both_have(pair)):
        said.append(
            ngettext(
                "%(n)d number or address is on both and stands once from then on.",
                "%(n)d numbers or addresses are on both and stand once from then on.",
                same,
            )
            % {"n": same}
        )
    said += [
        _("%(address)s is not used until they agree to it.")
        % {"address": readable(point.address)}
        for point in _not_agreed_to(pair)
    ]
    if user.has_perm(_HISTORY) and _not_none_known(pair):
        said.append(
            _("“None known” no longer stands where the other record knows something.")
        )
    if pair.lost.legal_hold and not pair.kept.legal_hold:
        said.append(_("The legal hold on one of them holds for both."))
    return said


def _told(consents: Iterable[Consent]) -> list[tuple[str, str]]:
    told: dict[Any, None] = {}
    for consent in consents:
        told[consent.get_channel_display(), consent.get_purpose_display()] = None
    return list(told)


def _before(ledger: Ledger, answers: Answers) -> None:
    pair = ledger.pair
    profile.before(ledger, answers)
    _settle_points(ledger, answers)
    _settle_plans(ledger, answers)
    _settle_flags(ledger, answers)
    aside = [consent.pk for consent in _put_aside(pair)]
    ledger.put_aside(Consent, "patient", aside)
    ledger.put_aside(HistoryReview, "patient", _not_none_known(pair))
    _join_sites(ledger)
    _carry_differences(ledger)
    beside.before(ledger)


def _follow(ledger: Ledger) -> None:
    """Let what came last hold where there can be but one."""
    _settle_plans(ledger, {"plan": LOST})
    known = set(ledger.left["patients.ContactPoint.patient"])
    doubled = {theirs.pk for _ours, theirs in _both_have(ledger.pair)}
    ledger.leave(ContactPoint, "patient", doubled - known)


merge_rules.add(
    "patients",
    MergeRule(
        refuses=lambda pair: [*profile.refuses(pair), *_refuses_two_people(pair)],
        asks=_asks,
        tells=_tells,
        before=_before,
        follow=_follow,
    ),
)
