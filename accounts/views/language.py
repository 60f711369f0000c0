"""Switching the language of one's pages."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.language import choose_language
from accounts.policies import SIGNED_IN, policy
from core.http import next_page


@policy(SIGNED_IN, "POST")
def language(request: StaffRequest) -> HttpResponse:
    """Take a choice of language and go back to the page it was made on."""
    try:
        choose_language(user=request.user, language=request.POST.get("language", ""))
    except ValueError:
        messages.error(request, _("Choose one of the languages offered."))
    return redirect(next_page(request))
