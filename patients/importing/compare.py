"""What a row of a patient list changes about what is stored. Reads and writes nothing.

* The file changes what it says; a blank says nothing and erases nothing.
* What people recorded here outlives the file: a no, an address marked unusable, a yes
  heard after the file's no.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Site, User
from core.text import fold
from core.time import to_local, zone
from patients.importing.rows import PatientRow, Point
from patients.models import Channel, Consent, ContactPoint, Patient
from patients.services import BY_IMPORT, NO_CONSENT_YET

#: Why an address that the file no longer names is not used any more. Numbers are given
#: to other people: the next text might be read by a stranger.
REPLACED = gettext_noop("replaced by the imported list")

_NAMES = {"given_name", "family_name", "preferred_name"}
_COLUMN = {Channel.SMS.value: "phone", Channel.EMAIL.value: "email"}
_Key = tuple[str, str]


@dataclass(slots=True)
class Stored:
    """What is stored about the patients of a chunk."""

    #: {(system, value): patient id} of every identifier the chunk names.
    owners: dict[_Key, int] = field(default_factory=dict)
    patients: dict[int, Patient] = field(default_factory=dict)
    #: Best rank first.
    points: dict[int, list[ContactPoint]] = field(
        default_factory=lambda: defaultdict(list)
    )
    at_site: set[int] = field(default_factory=set)
    #: {identifier: patient id} of those beyond the reach of whoever brings the list.
    beyond: dict[_Key, int] = field(default_factory=dict)
    #: {(patient id, channel): given} as of the latest row, and of the latest import.
    consents: dict[tuple[int, str], bool] = field(default_factory=dict)
    imported: dict[tuple[int, str], bool] = field(default_factory=dict)

    def owner(self, row: PatientRow) -> Patient | None:
        """Return the patient a row is about, if we have them."""
        pk = self.owners.get(row.identifiers[0])
        patient = self.patients[pk] if pk else None
        while patient is not None and patient.merged_into_id:
            patient = self.patients[patient.merged_into_id]
        return patient


@dataclass(slots=True)
class Changes:
    """What a chunk comes to: filled row by row, written at once."""

    at: datetime
    created: list[tuple[PatientRow, Patient]] = field(default_factory=list)
    updated: list[tuple[PatientRow, Patient]] = field(default_factory=list)
    unchanged: list[tuple[PatientRow, Patient]] = field(default_factory=list)
    #: {patient id: row} of those we had.
    row_of: dict[int, int] = field(default_factory=dict)
    patients: list[Patient] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)
    at_site: list[Patient] = field(default_factory=list)
    identifiers: dict[_Key, Patient] = field(default_factory=dict)
    new_points: list[ContactPoint] = field(default_factory=list)
    old_points: dict[int, ContactPoint] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    #: Patients beyond reach whom rows had numbers of.
    refused: set[int] = field(default_factory=set)
    #: Those we had whose name, birth date, number or identifier changed.
    to_index: list[Patient] = field(default_factory=list)
    #: Those we had who are noted as dead now.
    died: list[Patient] = field(default_factory=list)


class Comparison:
    """One row against what is stored; ``run`` adds to ``changes``."""

    def __init__(
        self,
        row: PatientRow,
        stored: Stored,
        changes: Changes,
        site: Site,
        by: User | None,
    ) -> None:
        self.row, self.stored, self.changes = row, stored, changes
        self.site, self.by = site, by
        #: Channels in which the row brings an address that needs its own consent.
        self.needs_yes: set[str] = set()

    def run(self, row_of: dict[int, int]) -> None:
        """Compare; ``row_of`` tells which rows of this run were about whom."""
        if self._is_beyond_reach():
            return
        patient = self.stored.owner(self.row)
        if patient is None:
            self._compare_new()
        elif not self._is_refused(patient, row_of):
            self._compare_known(patient)

    def _is_beyond_reach(self) -> bool:
        """Reject a row with a number of somebody of another site.

        Before anything is compared, and in the same words whatever the row says: they
        would tell who has the number.
        """
        beyond = self.stored.beyond
        whose = {beyond[key] for key in self.row.identifiers if key in beyond}
        if whose:
            self.changes.refused |= whose
            self.row.reject(
                "identifier",
                _("this number cannot be used here; ask the manager"),
            )
        return bool(whose)

    def _compare_new(self) -> None:
        row, changes = self.row, self.changes
        patient = Patient(**({"language": self.site.language} | row.fields))
        self._note_death(patient)
        for key in row.identifiers:
            self._claim(key, patient)
        ranks: Counter[str] = Counter()
        for point in row.points:
            changes.new_points.append(_new_point(patient, point, ranks[point.channel]))
            ranks[point.channel] += 1
        for channel, given in row.consents.items():
            if given:
                self._warn_without_address(channel, [])
            self._consent(patient, channel, given)
        changes.at_site.append(patient)
        changes.created.append((row, patient))

    def _is_refused(self, patient: Patient, row_of: dict[int, int]) -> bool:
        earlier = row_of.get(patient.pk) or self.changes.row_of.get(patient.pk)
        if earlier:
            self.row.reject(
                "identifier",
                _("is the same person as row %(row)d") % {"row": earlier},
            )
        elif _is_reused(patient, self.row):
            self.row.reject(
                "identifier",
                _("belongs to somebody of another name and another date of birth"),
            )
        return self.row.is_rejected

    def _compare_known(self, patient: Patient) -> None:
        row, changes = self.row, self.changes
        changes.row_of[patient.pk] = row.number
        fields = self._compare_fields(patient)
        index = bool(fields & (_NAMES | {"birth_date"}))
        index |= self._compare_identifiers(patient)
        index |= self._compare_points(patient)
        if index:
            changes.to_index.append(patient)
        changed = bool(fields) | index | self._compare_consents(patient)
        if patient.pk not in self.stored.at_site:
            changes.at_site.append(patient)
            changed = True
        (changes.updated if changed else changes.unchanged).append((row, patient))

    def _compare_fields(self, patient: Patient) -> set[str]:
        changed = set()
        lived = patient.deceased_on is None
        if lived and patient.death_corrected_at:
            self._disbelieve_death()
        for name, value in self.row.fields.items():
            if getattr(patient, name) != value:
                setattr(patient, name, value)
                changed.add(name)
        if self._note_death(patient):
            changed.add("deceased_on")
        if lived and patient.deceased_on:
            self.changes.died.append(patient)
        if changed:
            # A page of the profile that is open elsewhere must not be saved over it.
            patient.version += 1
            self.changes.patients.append(patient)
            self.changes.fields |= changed | {"version"}
        return changed

    def _disbelieve_death(self) -> None:
        """Leave somebody alive of whom a person here knows it better than the list."""
        died_on = self.row.fields.pop("deceased_on", None)
        if died_on or self.row.has_died:
            self.row.has_died = False
            self.row.warn(
                "deceased", _("has died by this list; somebody here corrected that")
            )

    def _note_death(self, patient: Patient) -> bool:
        if not self.row.has_died or patient.deceased_on:
            return False
        # Which day matters less than that nothing goes out from now on.
        here = zone(self.site.zone)
        patient.deceased_on = to_local(self.changes.at, here).date()
        self.row.warn("deceased", _("no day is given; today is noted"))
        return True

    def _compare_identifiers(self, patient: Patient) -> bool:
        claimed = [self._claim(key, patient) for key in self.row.identifiers]
        return any(claimed)

    def _claim(self, key: _Key, patient: Patient) -> bool:
        """Give the patient an identifier; one that is taken stays where it is."""
        owner = self.stored.owners.get(key)
        if owner is None and key not in self.changes.identifiers:
            self.changes.identifiers[key] = patient
            return True
        if owner != patient.pk and key != self.row.identifiers[0]:
            self.row.warn(
                "identifier", _("%(value)s is somebody else's") % {"value": key[1]}
            )
        return False

    def _compare_points(self, patient: Patient) -> bool:
        known = self.stored.points[patient.pk]
        by_address = {(point.channel, point.address): point for point in known}
        changed = False
        for point in self.row.points:
            old = by_address.get((point.channel, point.address))
            # That somebody here marked it unusable outlives the file.
            if old is None or old.why_not == REPLACED:
                self._take_point(patient, point, old)
                changed = True
            elif old.why_not == NO_CONSENT_YET and self._says_yes(point.channel):
                self.needs_yes.add(point.channel)
                old.usable, old.why_not = True, ""
                self.changes.old_points[old.pk] = old
                changed = True
        return changed

    def _take_point(
        self, patient: Patient, point: Point, old: ContactPoint | None
    ) -> None:
        """Take an address that is new, or that the file names again."""
        known = self.stored.points[patient.pk]
        rank = sum(other.channel == point.channel for other in known)
        new = old or _new_point(patient, point, rank)
        if not point.why_not:
            new.usable, new.why_not = True, ""
            self._replace(patient, new, self._replaced_by(point, known))
        if old is None:
            known.append(new)
            self.changes.new_points.append(new)
        else:
            self.changes.old_points[old.pk] = old

    def _replaced_by(
        self, point: Point, known: list[ContactPoint]
    ) -> ContactPoint | None:
        """Return the best address so far that the file does not name any more."""
        named = {(p.channel, p.address) for p in self.row.points}
        for other in known:
            if (
                other.channel == point.channel
                and other.usable
                and (other.channel, other.address) not in named
            ):
                return other
        return None

    def _replace(
        self, patient: Patient, new: ContactPoint, before: ContactPoint | None
    ) -> None:
        if before is None:
            return
        # Whom it is not safe to text, it is not on a number we know less of.
        new.safe_to_text = before.safe_to_text
        new.rank, before.rank = before.rank, new.rank
        before.usable, before.why_not = False, REPLACED
        if before.pk:
            self.changes.old_points[before.pk] = before
        # They agreed to be reached on the number before.
        if self._says_yes(new.channel):
            self.needs_yes.add(new.channel)
        elif self.stored.consents.get((patient.pk, new.channel)):
            new.usable, new.why_not = False, NO_CONSENT_YET
            self.row.warn(
                _COLUMN[new.channel], _("is new, and not used before they agree to it")
            )

    def _says_yes(self, channel: str) -> bool:
        return bool(self.row.consents.get(channel))

    def _compare_consents(self, patient: Patient) -> bool:
        changed = False
        for channel, given in self.row.consents.items():
            if given:
                self._warn_without_address(channel, self.stored.points[patient.pk])
            if self._is_news(patient, channel, given):
                self._consent(patient, channel, given)
                changed = True
        return changed

    def _is_news(self, patient: Patient, channel: str, given: bool) -> bool:
        now = self.stored.consents.get((patient.pk, channel))
        if given and now is False:
            self.row.warn(
                f"consent_{channel}",
                _("they said no before; only a person can note a new yes"),
            )
            return False
        if given:
            return not now or channel in self.needs_yes
        # A no that the file repeats is no news to a yes heard here since.
        imported = self.stored.imported.get((patient.pk, channel))
        return now is not False and imported is not False

    def _warn_without_address(self, channel: str, known: list[ContactPoint]) -> None:
        channels = {p.channel for p in known} | {p.channel for p in self.row.points}
        if channel not in channels:
            self.row.warn(
                f"consent_{channel}",
                _("they agreed, but there is no %(what)s") % {"what": _COLUMN[channel]},
            )

    def _consent(self, patient: Patient, channel: str, given: bool) -> None:
        self.changes.consents.append(
            Consent(
                patient=patient,
                channel=channel,
                purpose=Consent.Purpose.CARE,
                given=given,
                method=BY_IMPORT,
                evidence=f"{self.row.source} {self.row.number}".strip()[-200:],
                recorded_by=self.by,
                at=self.changes.at,
            )
        )


def _new_point(patient: Patient, point: Point, rank: int) -> ContactPoint:
    return ContactPoint(
        patient=patient,
        channel=point.channel,
        address=point.address,
        usable=not point.why_not,
        why_not=point.why_not,
        rank=rank,
    )


def _is_reused(patient: Patient, row: PatientRow) -> bool:
    """Tell whether the row cannot be about the patient who has its identifier.

    Names change by marriage and dates get corrected; but where given name, family name
    and date of birth all differ, the number was given to somebody else, and writing on
    would put one person's messages on another's page.
    """
    fields = row.fields
    return bool(
        patient.birth_date
        and fields.get("birth_date", patient.birth_date) != patient.birth_date
        and fold(fields["given_name"]) != fold(patient.given_name)
        and fold(fields.get("family_name", "")) != fold(patient.family_name)
    )
