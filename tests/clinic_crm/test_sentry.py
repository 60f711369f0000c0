"""A Sentry server, where a clinic has one, learns what broke and where, and no more."""

import json

import pytest

from clinic_crm import sentry
from clinic_crm.checks import check_clinic_server

GRACE = "Grace Okafor +16175550143"


def test_of_an_event_only_kinds_and_places_are_sent():
    event = {
        "event_id": "1",
        "level": "error",
        "message": GRACE,
        "logentry": {"message": "%s", "params": [GRACE]},
        "request": {"url": f"https://clinic.example/p/{GRACE}/", "data": GRACE},
        "user": {"username": GRACE},
        "extra": {"sys.argv": [GRACE]},
        "breadcrumbs": {"values": [{"message": GRACE}]},
        "contexts": {"trace": {"data": GRACE}},
        "exception": {
            "values": [
                {
                    "type": "IntegrityError",
                    "module": "django.db.utils",
                    "value": GRACE,
                    "stacktrace": {
                        "frames": [
                            {
                                "filename": "patients/services.py",
                                "lineno": 7,
                                "vars": {"name": GRACE},
                                "context_line": GRACE,
                            }
                        ]
                    },
                }
            ]
        },
    }
    sent = sentry.stripped(event, {})
    assert "Grace" not in json.dumps(sent)
    assert sent == {
        "event_id": "1",
        "level": "error",
        "exception": {
            "values": [
                {
                    "type": "IntegrityError",
                    "module": "django.db.utils",
                    "stacktrace": {
                        "frames": [{"filename": "patients/services.py", "lineno": 7}]
                    },
                }
            ]
        },
    }


def test_a_line_of_the_log_is_not_sent():
    assert sentry.stripped({"message": GRACE}, {}) is None


@pytest.mark.skipif(sentry.is_installed(), reason="sentry-sdk is installed here")
def test_named_but_not_installed_it_does_not_start(settings):
    settings.SENTRY_DSN = "https://key@sentry.example/1"
    (problem,) = check_clinic_server()
    assert problem.id == "clinic_crm.E010"
    assert "pip install sentry-sdk" in problem.hint
