"""The cause "duty_alert": urgent work waits, and a colleague is told so."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_noop

from accounts.models import Site
from core.sayings import say
from messaging.duty.alerts import waiting
from messaging.duty.links import address_of
from messaging.models import DutyAlert, Notice
from messaging.registry import Cause, Draft
from messaging.texts import render
from patients.models import Channel
from patients.queries import speaking_site


class DutyAlertCause(Cause):
    """Notices to colleagues on duty; each is about one ``DutyAlert``."""

    def untrue(self, notices: Sequence[Notice]) -> dict[int, str]:
        """Return those nobody need hear any more; two queries."""
        alerts = DutyAlert.objects.in_bulk([notice.cause_id for notice in notices])
        asked = {pk for alert in alerts.values() for pk in alert.items}
        free = set(waiting().filter(pk__in=asked).values_list("pk", flat=True))
        why = {}
        for notice in notices:
            alert = alerts[notice.cause_id]
            if alert.acknowledged_at:
                why[notice.pk] = gettext_noop("they know already")
            elif not free & set(alert.items):
                why[notice.pk] = gettext_noop("somebody has taken it on")
        return why

    def compose(
        self,
        notices: Sequence[Notice],
        *,
        channel: Channel,
        digits_from: int | None,
        neutral: bool,
    ) -> Draft:
        """Return how much waits where, and the link; nothing of a patient."""
        alert = DutyAlert.objects.select_related("user", "site").get(
            pk=notices[0].cause_id
        )
        count = waiting().filter(pk__in=alert.items).count()
        site = alert.site or speaking_site(None)
        language = alert.user.language or site.language
        subject, body = render(
            notices[0].template_key,
            language,
            clinic=site.name,
            count=str(count or len(alert.items)),
            link=address_of(alert),
        )
        return Draft(body=body, subject=subject, language=language)

    def sentence(self, notice: Notice) -> dict[str, Any]:
        """Return what a colleague was to hear."""
        return say(gettext_noop("Urgent work waits"))

    def site(self, notice: Notice) -> Site:
        """Return the site whose work it is, or the first one."""
        alert = DutyAlert.objects.select_related("site").get(pk=notice.cause_id)
        return alert.site or speaking_site(None)
