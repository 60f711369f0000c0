"""What a page sends while somebody types."""

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.drafts import DRAFT_KEY, save_draft
from accounts.http import StaffRequest
from accounts.policies import SIGNED_IN, policy
from core.dates import written


@policy(SIGNED_IN, "POST")
def draft_save(request: StaffRequest) -> HttpResponse:
    """Keep what somebody is typing, and say when that was; blank for nothing typed.

    Typing is being there, so it counts as activity.
    """
    text = {
        name: str(value)
        for name, value in request.POST.items()
        if name not in (DRAFT_KEY, "csrfmiddlewaretoken")
    }
    try:
        draft = save_draft(
            user=request.user, key=request.POST.get(DRAFT_KEY, ""), text=text
        )
    except ValidationError as error:
        return _say(error.messages[0], status=400)
    if draft is None:
        return _say("")
    clock = written(timezone.localtime(draft.at), "clock")
    return _say(_("Saved %(clock)s") % {"clock": clock})


def _say(words: str, status: int = 200) -> HttpResponse:
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
