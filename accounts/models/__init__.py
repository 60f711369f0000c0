"""Who works here, where, and when; who did what; whether the machinery is alive."""

from accounts.models.audit import AuditedPatient, AuditEvent, AuditSeal
from accounts.models.duty import Duty
from accounts.models.machinery import Draft, Heartbeat, Job, Submission, Throttle
from accounts.models.places import (
    Language,
    Site,
    StaffedHours,
    Weekday,
    validate_zone,
)
from accounts.models.staff import Clinician, User

__all__ = [
    "AuditEvent",
    "AuditSeal",
    "AuditedPatient",
    "Clinician",
    "Draft",
    "Duty",
    "Heartbeat",
    "Job",
    "Language",
    "Site",
    "StaffedHours",
    "Submission",
    "Throttle",
    "User",
    "Weekday",
    "validate_zone",
]
