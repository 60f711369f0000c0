"""Which language a page speaks: its reader's own choice, else the browser's.

Pages for patients under ``/p/`` speak the patient's and switch by themselves.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.text import capfirst
from django.utils.translation.trans_real import parse_accept_lang_header

from accounts.models import User


class LanguageMiddleware:
    """Speaks one language while a request is answered.

    Stands after AuthenticationMiddleware. Sets no cookie and reads none: a page varies
    with the session, which says so itself, or with Accept-Language. A view that speaks
    another language says so in Content-Language.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        chosen = chosen_language(request)
        with translation.override(chosen or browser_language(request)):
            request.LANGUAGE_CODE = translation.get_language()
            response: HttpResponseBase = self.get_response(request)
            response.headers.setdefault(
                "Content-Language", translation.get_language() or ""
            )
        if not chosen:
            patch_vary_headers(response, ("Accept-Language",))
        return response


def chosen_language(request: HttpRequest) -> str:
    """Return what a signed-in user chose, blank when nothing we speak."""
    if not request.user.is_authenticated:
        return ""
    return _spoken(request.user.language)


def browser_language(request: HttpRequest) -> str:
    """Return the first language the browser asks for that we speak, else our first."""
    asked = request.headers.get("Accept-Language", "")
    for code, _weight in parse_accept_lang_header(asked):
        if code == "*":
            break
        if spoken := _spoken(code):
            return spoken
    return str(settings.LANGUAGE_CODE)


def other_languages() -> list[tuple[str, str]]:
    """Return (code, its own name) of the languages a page could be read in instead."""
    now = translation.get_language()
    return [
        (code, capfirst(translation.get_language_info(code)["name_local"]))
        for code, _name in settings.LANGUAGES
        if code != now
    ]


def choose_language(*, user: User, language: str) -> None:
    """Let a user's pages speak one of ``settings.LANGUAGES`` from now on.

    Raises ``ValueError`` for any other; one query.
    """
    if language not in dict(settings.LANGUAGES):
        raise ValueError(f"{language!r} is not one of the languages offered.")
    User.objects.filter(pk=user.pk).update(language=language)


def _spoken(code: str) -> str:
    try:
        return translation.get_supported_language_variant(code) if code else ""
    except LookupError:
        return ""
