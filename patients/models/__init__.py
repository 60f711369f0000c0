"""People the clinic looks after, what is known of them, and who may look."""

from patients.models.access import AccessGrant, Link
from patients.models.history import HistoryEntry, HistoryReview, Intake
from patients.models.merges import NotTheSame, PatientMerge
from patients.models.notes import Note
from patients.models.people import Flag, Identifier, Patient
from patients.models.reach import (
    Channel,
    Consent,
    ContactPerson,
    ContactPoint,
    SafeContactPlan,
)
from patients.models.retention import RetentionRule
from patients.models.terms import NameToken, PatientTerm

__all__ = [
    "AccessGrant",
    "Channel",
    "Consent",
    "ContactPerson",
    "ContactPoint",
    "Flag",
    "HistoryEntry",
    "HistoryReview",
    "Identifier",
    "Intake",
    "Link",
    "NameToken",
    "NotTheSame",
    "Note",
    "Patient",
    "PatientMerge",
    "PatientTerm",
    "RetentionRule",
    "SafeContactPlan",
]
