"""What every answer tells the browser, files and errors too."""

from csp.constants import NONCE, NONE, SELF
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseFileResponse

from core.http import GetResponse

#: What no page of ours uses, and nothing that slipped into one shall.
UNUSED = (
    "accelerometer",
    "autoplay",
    "bluetooth",
    "browsing-topics",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
#: Each unless the view or, of a file, its server said otherwise.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in UNUSED),
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": settings.X_FRAME_OPTIONS,
}


class HeadersMiddleware:
    """Sets the headers that are the same everywhere, and which scripts may run.

    Kept by browsers are files alone: their server says for how long. A page is never in
    a cache or in the history, whatever its view says (ASVS 14.3.2).

    Stands outside of what may fail, so that an answer to a wrong host or a broken
    session has them too (OWASP ASVS 5.0, 3.4). Needs ``CSPMiddleware`` around it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not isinstance(response, WhiteNoiseFileResponse):
            response.headers.pop("Cache-Control", None)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response._csp_replace = {"script-src": [_scripts(request)]}  # type: ignore[attr-defined]
        return response


def _scripts(request: HttpRequest) -> object:
    """Return the one source of scripts for this answer; its nonce where it used one."""
    match = request.resolver_match
    if match and match.namespace == "admin":
        # Django's own pages know no nonce; their scripts are files of ours.
        return SELF
    return NONCE if request.csp_nonce else NONE  # type: ignore[attr-defined]
