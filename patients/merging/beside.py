"""What names a patient by number without a key to them: drafts and links."""

from django.db.models import Q

from accounts.models import Draft
from patients.links.intake import PURPOSE
from patients.merging.ledger import Ledger
from patients.models import Link

#: First words of the keys of drafts about somebody that are not about their profile:
#: what was begun there was begun beside other values.
_DRAFTS = Q(key__startswith="note:") | Q(key__startswith="intake:")
_DRAFTS |= Q(key__startswith="history_")


def before(ledger: Ledger) -> None:
    """Let what colleagues have begun to write be found with the kept record.

    A draft stays with the lost one where its author has one of the kept one already.
    And let the next link to the same questions close the one before. Two queries, and
    two for each row.
    """
    kept_id, lost_id = ledger.pair.ids
    end = f":{lost_id}"
    for draft in Draft.objects.filter(_DRAFTS, key__endswith=end).order_by("pk"):
        key = f"{draft.key.removesuffix(end)}:{kept_id}"
        if not Draft.objects.filter(user=draft.user_id, key=key).exists():
            ledger.change(draft, key=key)
    asked = Link.objects.filter(patient=lost_id, purpose=PURPOSE, subject_id=lost_id)
    for link in asked.order_by("pk"):
        ledger.change(link, subject_id=kept_id)
