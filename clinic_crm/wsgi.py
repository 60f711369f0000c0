"""The WSGI entry point; refuses to serve a project whose checks fail."""

import os

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic_crm.settings")

application = get_wsgi_application()

# A web server runs no system checks by itself, and an address without a policy,
# a missing secret or an unnamed gateway must not be served.
_errors = [e for e in checks.run_checks() if e.is_serious() and not e.is_silenced()]
if _errors:
    raise ImproperlyConfigured("\n".join(str(error) for error in _errors))
