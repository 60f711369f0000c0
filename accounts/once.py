"""A form that was sent twice is done once.

A form that books, sends or gives carries a client key (``{% client_key %}``, or
``ClientKey`` in its layout); a second press, a retry of the browser or of a proxy leads
to where the first one ended.
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseRedirectBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.http import StaffRequest
from accounts.models import Submission
from core.forms import CLIENT_KEY
from core.sql import delete_found

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

#: For so long a form may come a second time.
KEPT = timedelta(days=1)


def submission_key(request: StaffRequest) -> uuid.UUID | None:
    """Return what makes two sendings the same one; None without a client key.

    A keyed hash over the user, the address, the client key and all that was typed: the
    key of a colleague, the same key at another address, or a form that was changed
    before it was sent again, is another sending; so is one with another file.
    """
    if not request.POST.get(CLIENT_KEY):
        return None
    told = sorted(
        (name, values)
        for name, values in request.POST.lists()
        if name != "csrfmiddlewaretoken"
    )
    files = sorted(
        (name, file.name, file.size, _sha256(file))
        for name, sent in request.FILES.lists()
        for file in sent
    )
    said = repr((request.user.pk, request.path, told, files))
    digest = salted_hmac("accounts.once", said, algorithm="sha256").digest()
    return uuid.UUID(bytes=digest[:16])


def once(view: ViewT) -> ViewT:
    """Return the view doing one form's work once.

    The key is written in the transaction of the work, and stays only when the work
    ended with a redirect: a form that came back with errors may be sent again. Of two
    at the same time the second waits for the first at the unique key (on SQLite, at
    the one write lock). Without a key the view runs as it is. Three queries more.
    """

    @wraps(view)
    def guarded(request: StaffRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        key = submission_key(request) if request.method == "POST" else None
        if key is None:
            return view(request, *args, **kwargs)  # type: ignore[no-any-return]
        with transaction.atomic():
            sent, first = Submission.objects.get_or_create(
                key=key, defaults={"user": request.user, "at": timezone.now()}
            )
            if not first:
                messages.info(request, _("This was sent before, and done once."))
                return redirect(sent.location)
            response: HttpResponse = view(request, *args, **kwargs)
            if isinstance(response, HttpResponseRedirectBase):
                sent.location = response.url
                sent.save(update_fields=["location"])
            else:
                sent.delete()
        return response

    guarded.once = True  # type: ignore[attr-defined]
    return guarded  # type: ignore[return-value]


def _sha256(file: UploadedFile) -> str:
    """Return the hash of a file, and leave it at its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def sweep_submissions() -> int:
    """Delete the forms nobody can send a second time any more; return how many."""
    return delete_found(Submission.objects.filter(at__lt=timezone.now() - KEPT))
