"""What nobody was reached about goes to a person, and ends as they record it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import User
from core.faults import logged
from core.sayings import Places, in_english, say
from messaging.letters import POST_TAKES, POSTED_WITHIN, in_time, letter_for
from messaging.models import Notice
from messaging.registry import causes
from worklist.models import WorkItem
from worklist.services import close_by_rule, raise_item

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

    They post a letter where one would come in time, else they call. Each of ``whys``
    comes from ``say``.
    """
    why = in_english(list(whys))[:120]
    if not notice.matters:
        notice.state, notice.why = Notice.State.EXPIRED, why
        notice.save(update_fields=["state", "why"])
        return
    notice.state, notice.why = Notice.State.WITH_STAFF, why
    notice.rung_until = None
    notice.save(update_fields=["state", "why", "rung_until"])
    reason = unreached_reason(notice, *whys)
    if letter := letter_for(notice):
        reason["reason_places"]["letter"] = letter
        _raise(notice, "letter", POSTED_WITHIN, reason)
    else:
        _call(notice, notice.deadline, reason)


def _call(notice: Notice, until: datetime, reason: dict[str, Any]) -> None:
    """Let somebody call soon, and before an instant (UTC) that is still to come."""
    left = max(until - timezone.now(), timedelta(0))
    _raise(notice, "unreached", min(left, TAKE_OVER_WITHIN), reason)


def _raise(
    notice: Notice, kind: str, within: timedelta, reason: dict[str, Any]
) -> None:
    raise_item(
        kind=kind,
        severity=WorkItem.Severity.AMBER,
        subject_kind="notice",
        subject_id=notice.pk,
        # Another try of the same notice may fail in its turn.
        dedupe_key=f"{kind}:{notice.pk}:{notice.messages.count()}",
        due_at=timezone.now() + within,
        patient=notice.about_patient,
        site=causes[notice.cause_kind].site(notice),
        **reason,
    )


def lock_notice(item: WorkItem) -> None:
    """Lock the notice an item is about, before the item (architecture.md, locks)."""
    Notice.objects.select_for_update().filter(pk=item.subject_id).first()


def settle_notice(item: WorkItem, outcome: str, by: User) -> None:
    """End a notice with what the person who took it over recorded."""
    Notice.objects.filter(pk=item.subject_id, state=Notice.State.WITH_STAFF).update(
        state=Notice.State.SETTLED, why=outcome
    )


def close_letter(item: WorkItem, outcome: str, by: User) -> None:
    """Count a letter that was posted as told; have somebody called otherwise."""
    if outcome == "posted":
        settle_notice(item, gettext_noop("by letter"), by)
    elif outcome == "not posted":
        _call_instead(item, gettext_noop("the letter could not be posted"))
    else:
        settle_notice(item, outcome, by)


def overtaken_letters() -> int:
    """Have somebody call where a letter nobody has begun would come too late now.

    Returns how many. A letter that somebody took on is theirs: it stands on the list as
    past its time. A transaction for each that is late.
    """
    late = WorkItem.objects.open().filter(
        kind="letter", owner=None, due_at__lte=timezone.now()
    )
    turned = 0
    for item in late:
        with logged(f"work item {item.pk}: letter"), transaction.atomic():
            lock_notice(item)
            notice = Notice.objects.get(pk=item.subject_id)
            if in_time(notice, POST_TAKES):
                continue
            why = gettext_noop("too late for a letter")
            if close_by_rule(
                subject_kind="notice",
                subject_id=notice.pk,
                kind="letter",
                rule=why,
                unclaimed=True,
            ):
                _call_instead(item, why)
                turned += 1
    return turned


def _call_instead(item: WorkItem, why: str) -> None:
    """Raise a call about what a letter was to tell, if nobody has told it yet."""
    notice = Notice.objects.get(pk=item.subject_id)
    if notice.state != Notice.State.WITH_STAFF:
        return
    places: Places = dict(item.reason_places)
    places.pop("letter", None)
    places["why"] = [*places["why"], say(why)]
    _call(
        notice,
        causes[notice.cause_kind].useful_until(notice),
        {"reason": item.reason, "reason_places": places},
    )
