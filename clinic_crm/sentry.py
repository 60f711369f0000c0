"""Errors told to a Sentry server, when the clinic has one: kinds and places, no more.

The package is not among our requirements: a clinic that wants it installs it.
"""

from importlib.util import find_spec
from typing import Any

#: What of an event is sent. The rest may hold a request, a query or a person.
KEPT = ("event_id", "timestamp", "platform", "level", "release", "environment")
PLACE = ("filename", "function", "module", "lineno", "in_app")


def is_installed() -> bool:
    """Tell whether the package is there."""
    return find_spec("sentry_sdk") is not None


def start(dsn: str) -> None:
    """Tell a Sentry server of every error from now on."""
    import sentry_sdk  # type: ignore[import-not-found]  # noqa: PLC0415 - optional

    sentry_sdk.init(
        dsn=dsn,
        before_send=stripped,
        # It would send what the lines before an error said, and queries.
        max_breadcrumbs=0,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        auto_session_tracking=False,
    )


def stripped(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    """Return of an event only which errors there were, and where; without one None."""
    errors = [
        {
            "type": error.get("type"),
            "module": error.get("module"),
            "stacktrace": {
                "frames": [
                    {key: frame[key] for key in PLACE if key in frame}
                    for frame in (error.get("stacktrace") or {}).get("frames", [])
                ]
            },
        }
        for error in (event.get("exception") or {}).get("values", [])
    ]
    if not errors:
        return None
    kept = {key: event[key] for key in KEPT if key in event}
    return kept | {"exception": {"values": errors}}
