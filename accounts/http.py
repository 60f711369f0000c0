"""The request a view of ours gets once its policy has let it through."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class StaffRequest(HttpRequest):
    """A request of a signed-in member of staff; only for annotations."""

    user: User
    htmx: HtmxDetails
