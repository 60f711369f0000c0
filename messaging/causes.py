"""Notices that messaging itself makes: answers to what somebody wrote."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_noop

from accounts.models import Site
from core.sayings import say
from messaging.models import Message, Notice
from messaging.registry import Cause, Draft
from messaging.reply_work import sites_of
from messaging.texts import render
from patients.models import Channel
from patients.queries import speaking_site


class MessageCause(Cause):
    """The cause "message": somebody wrote this to us."""

    def untrue(self, notices: Sequence[Notice]) -> dict[int, str]:
        """Return nothing: what was written stays written."""
        return {}

    def compose(
        self,
        notices: Sequence[Notice],
        *,
        channel: Channel,
        digits_from: int | None,
        neutral: bool,
    ) -> Draft:
        """Return the notice's text with the site's names and numbers."""
        notice = notices[0]
        site = self.site(notice)
        language = (
            notice.about_patient.language if notice.about_patient else site.language
        )
        subject, body = render(
            notice.template_key,
            language,
            clinic=site.discreet if neutral else site.name,
            emergency=site.emergency_number,
            crisis=site.crisis_number,
            phone=site.phone,
        )
        return Draft(body=body, subject=subject, language=language)

    def sentence(self, notice: Notice) -> dict[str, Any]:
        """Return what was owed."""
        return say(gettext_noop("Answer to a text"))

    def site(self, notice: Notice) -> Site:
        """Return the site of the patient or of those who share the address, or the
        first there is.
        """
        message = Message.objects.select_related("patient").get(pk=notice.cause_id)
        return sites_of(message)[0] or speaking_site(message.patient)
