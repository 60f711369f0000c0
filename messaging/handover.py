"""What nobody was reached about goes to a person, and ends as they record it."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import User
from core.sayings import in_english
from messaging.models import Notice
from messaging.registry import causes
from worklist.models import WorkItem
from worklist.services import raise_item

#: An unreached promise is dealt with this soon, or by its deadline when that is sooner.
TAKE_OVER_WITHIN = timedelta(hours=2)


def unreached_reason(notice: Notice, *whys: dict[str, Any]) -> dict[str, Any]:
    """Return what somebody does not know yet, and why, for whoever calls them.

    As ``raise_item`` takes it; each of ``whys`` comes from ``say``.
    """
    return {
        "reason": gettext_noop("%(about)s (%(why)s)"),
        "reason_places": {
            "about": causes[notice.cause_kind].sentence(notice),
            "why": list(whys),
        },
    }


def give_up(notice: Notice, *whys: dict[str, Any]) -> None:
    """Hand a notice that matters to a person; end one that does not.

    Each of ``whys`` comes from ``say``.
    """
    why = in_english(list(whys))[:120]
    if not notice.matters:
        notice.state, notice.why = Notice.State.EXPIRED, why
        notice.save(update_fields=["state", "why"])
        return
    notice.state, notice.why = Notice.State.WITH_STAFF, why
    notice.rung_until = None
    notice.save(update_fields=["state", "why", "rung_until"])
    cause = causes[notice.cause_kind]
    now = timezone.now()
    raise_item(
        kind="unreached",
        severity=WorkItem.Severity.AMBER,
        subject_kind="notice",
        subject_id=notice.pk,
        dedupe_key=f"unreached:{notice.pk}",
        due_at=max(now, min(notice.deadline, now + TAKE_OVER_WITHIN)),
        patient=notice.about_patient,
        site=cause.site(notice),
        **unreached_reason(notice, *whys),
    )


def lock_notice(item: WorkItem) -> None:
    """Lock the notice an item is about, before the item (architecture.md, locks)."""
    Notice.objects.select_for_update().filter(pk=item.subject_id).first()


def settle_notice(item: WorkItem, outcome: str, by: User) -> None:
    """End a notice with what the person who took it over recorded."""
    Notice.objects.filter(pk=item.subject_id, state=Notice.State.WITH_STAFF).update(
        state=Notice.State.SETTLED, why=outcome
    )
