"""Links for patients: made for one purpose, opened with the patient's birth date.

The token is the capability: 128 random bits, of which only a hash is kept (OWASP ASVS
5.0, 11.5.1). The birth date only keeps a link shut that reached somebody else; it is no
authentication, so each link does one thing and shows the least that it needs.
"""

import hashlib
import secrets
from datetime import date, datetime
from enum import Enum

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from patients.models import ContactPerson, Link, Patient
from patients.models.access import LinkQuerySet
from patients.registry import link_closed, links

#: 16 bytes are 128 bits, and 22 characters in an address.
TOKEN_BYTES = 16
#: So many wrong birth dates since the last right one, and the link is closed for good.
MOST_WRONG = 10
#: Who acts, as the audit names them.
ACTOR = "patient link"


class Answer(Enum):
    """What a birth date did to a link."""

    RIGHT = "right"
    WRONG = "wrong"
    CLOSED = "closed"


@transaction.atomic
def make_link(
    *,
    purpose: str,
    subject_id: int,
    patient: Patient,
    expires_at: datetime,
    contact_person: ContactPerson | None = None,
    by: User | None = None,
) -> tuple[Link, str]:
    """Make a link and return it with its whole address, which nobody can show again.

    ``purpose`` is a key of ``links``, ``subject_id`` what it opens, as the purpose has
    it. The link works until just before the instant ``expires_at``. The caller hands
    the address on and keeps it nowhere.
    """
    links[purpose]
    token = secrets.token_urlsafe(TOKEN_BYTES)
    link = Link.objects.create(
        token_hash=_hash_of(token),
        purpose=purpose,
        subject_id=subject_id,
        patient=patient,
        contact_person=contact_person,
        made_by=by,
        created_at=timezone.now(),
        expires_at=expires_at,
    )
    _record(AuditEvent.Verb.CREATE, link, by=by)
    return link, settings.PUBLIC_BASE_URL + reverse("links:enter", args=[token])


@transaction.atomic
def revoke_links(*, purpose: str, subject_id: int, by: User | None = None) -> int:
    """Close every live link to one thing; return how many that were."""
    return _revoke(Link.objects.filter(purpose=purpose, subject_id=subject_id), by)


@transaction.atomic
def revoke_link(*, link_id: int, by: User | None = None) -> bool:
    """Close one link; return whether it was live. Locks it."""
    return bool(_revoke(Link.objects.filter(pk=link_id), by))


@transaction.atomic
def expire_links_at(*, purpose: str, subject_id: int, expires_at: datetime) -> None:
    """Let the live links to one thing last as long as it now does; one statement."""
    Link.objects.live().filter(purpose=purpose, subject_id=subject_id).update(
        expires_at=expires_at
    )


def find_link(token: str) -> Link | None:
    """Return the link of a token while it opens something; changes nothing.

    Found by the hash of the token, so that how long it takes tells nothing of another
    one. Two queries at most.
    """
    return _openable(Link.objects.filter(token_hash=_hash_of(token)))


def get_open_link(link_id: int) -> Link | None:
    """Return a link that was opened, while it still opens something; two queries."""
    return _openable(Link.objects.filter(pk=link_id))


@transaction.atomic
def answer_link(*, link_id: int, born: date) -> Answer:
    """Hold a birth date against the patient's; locks the link.

    A right one makes the wrong ones before it forgotten. The tenth wrong one in a row
    closes the link and tells a person.
    """
    link = Link.objects.select_for_update().get(pk=link_id)
    patient = Patient.objects.get(pk=link.patient_id)
    if link.revoked_at is not None:
        return Answer.CLOSED
    if born == patient.birth_date:
        link.tries, link.opened_at = 0, link.opened_at or timezone.now()
        link.save(update_fields=["tries", "opened_at"])
        return Answer.RIGHT
    link.tries += 1
    if link.tries >= MOST_WRONG:
        link.revoked_at = timezone.now()
    link.save(update_fields=["tries", "revoked_at"])
    _record(AuditEvent.Verb.REFUSED, link)
    if link.revoked_at is None:
        return Answer.WRONG
    for _key, tell in link_closed:
        tell(link)
    return Answer.CLOSED


def record_shown(link: Link) -> None:
    """Write that a patient saw what their link opens; two inserts."""
    _record(AuditEvent.Verb.READ, link, opened=True)


def _hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _openable(found: LinkQuerySet) -> Link | None:
    link = found.live().select_related("patient").first()
    if link is None:
        return None
    purpose = links.get(link.purpose)
    return link if purpose is not None and purpose.alive(link) else None


def _revoke(found: LinkQuerySet, by: User | None) -> int:
    live = list(found.live().select_for_update(of=("self",)).order_by("pk"))
    for link in live:
        link.revoked_at = timezone.now()
        link.save(update_fields=["revoked_at"])
        _record(AuditEvent.Verb.DELETE, link, by=by)
    return len(live)


def _record(
    verb: AuditEvent.Verb, link: Link, *, by: User | None = None, opened: bool = False
) -> None:
    record(
        verb,
        patient_ids=[link.patient_id],
        opened=[link.patient_id] if opened else (),
        subject=f"link:{link.pk}",
        by=by,
    )
