"""What a locked session answers, and what it keeps of a form sent to it."""

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import crypto

#: HTTP's word for it.
LOCKED_STATUS = 423
#: Fields that are never kept.
SECRET = frozenset(
    {
        "csrfmiddlewaretoken",
        "password",
        "oldpassword",
        "password1",
        "password2",
        "code",
        "credential",
    }
)


def locked_page(request: HttpRequest) -> HttpResponse:
    """Answer that the session is locked: with a way to unlock it, to a person.

    Nothing of the page is shown. What a form brought is kept in it, encrypted, so that
    who stands at the screen reads none of it; files are not.
    """
    if request.htmx or not _takes_pages(request):  # type: ignore[attr-defined]
        return HttpResponse("locked", status=LOCKED_STATUS, content_type="text/plain")
    context = {"next": request.get_full_path(), "kept": keep(request)}
    return render(request, "account/lock.html", context, status=LOCKED_STATUS)


def keep(request: HttpRequest) -> str:
    """Return what a form brought, encrypted; empty when there was none."""
    if request.method != "POST":
        return ""
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in SECRET
    ]
    kept = {"path": request.get_full_path(), "fields": fields}
    return crypto.encrypt(json.dumps(kept), use=_use(request))


def kept_form(
    request: HttpRequest, kept_text: str
) -> tuple[str, list[tuple[str, str]]] | None:
    """Return where a kept form was going and what it brought, or None.

    None also when it was kept for another login, or too long ago for its key.
    """
    try:
        text = crypto.decrypt(kept_text, use=_use(request))
    except crypto.UnreadableError:
        return None
    kept = json.loads(text)
    return kept["path"], [(name, value) for name, value in kept["fields"]]


def _takes_pages(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "text/html")


def _use(request: HttpRequest) -> str:
    return f"kept-form:{request.user.pk}"
