"""Every setting of the project, read from the environment and ``.env``.

With nothing set this is the embedded run: SQLite, an embedded broker, simulated phone
and mailbox. With ``DEBUG=0`` it is a clinic server, and what is missing is refused at
start by the checks in ``clinic_crm/checks.py``.
"""

import os
import secrets
from pathlib import Path

import bootstrap_wrapper
import environ
from csp.constants import NONCE, NONE, SELF
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# The tests name another file: a developer's own may hold a real account.
environ.Env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), overwrite=False)

# Where this run lives

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var")))
DATA_DIR.mkdir(parents=True, exist_ok=True)
# DEBUG=0 in the environment means a clinic server. Django's own DEBUG is another thing:
# its error pages show whatever a page held, so not even the embedded run has them.
EMBEDDED = env.bool("DEBUG", default=True)
DEBUG = False


def _embedded_secret() -> str:
    """Return the secret of this embedded run, made once and kept in ``DATA_DIR``."""
    path = DATA_DIR / "secret-key"
    if not path.exists():
        # "x": of several processes starting at once one writes, the others read.
        try:
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(secrets.token_urlsafe(48))
        except FileExistsError:
            pass
    return path.read_text()


SECRET_KEY = env.str("SECRET_KEY", default="") or (
    _embedded_secret() if EMBEDDED else ""
)
# Keys of before: what they signed or sealed still opens, nothing new is made with them.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if EMBEDDED else []
)
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="http://127.0.0.1:8000").rstrip(
    "/"
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")

# Apps, in the order their imports point down

INSTALLED_APPS = [
    "clinic_crm.apps.ClinicCrmConfig",
    "appointments",
    "messaging",
    "worklist",
    "patients",
    "accounts",
    "core",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "crispy_forms",
    "crispy_bootstrap5",
    "csp",
    "django_htmx",
    "lucide",
    "clinic_crm.apps.HouseAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.forms",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "core.requests.RequestIdMiddleware",
    "csp.middleware.CSPMiddleware",
    "core.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.requests.ReadableErrorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.language.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.door.guard.SessionGuardMiddleware",
    "accounts.middleware.AuditMiddleware",
    "accounts.middleware.PolicyMiddleware",
]

ROOT_URLCONF = "clinic_crm.urls"
WSGI_APPLICATION = "clinic_crm.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "clinic_crm.context_processors.house",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.static",
                "core.templatetags.house",
                "crispy_forms.templatetags.crispy_forms_tags",
                "lucide.templatetags.lucide",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"
# A layout that names no field of its form is a mistake, not something to leave out.
CRISPY_FAIL_SILENTLY = False

# Database

# A blank line in .env means "not set".
DATABASES = {
    "default": env.db_url_config(
        env.str("DATABASE_URL", default="")
        or f"sqlite:///{DATA_DIR / 'clinic.sqlite3'}"
    )
}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    # Django's defaults answer "database is locked" with four writers; these do not.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # Without the last a row could be replaced past the triggers on its table.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
            "PRAGMA recursive_triggers=ON;"
        ),
    }
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # Compiling a statement costs more than ours take. A worker that was stopped in the
    # middle of a transaction must not keep its locks from people.
    _database.setdefault("OPTIONS", {})["options"] = (
        "-c jit=off -c idle_in_transaction_session_timeout=60000"
    )
    _database["CONN_MAX_AGE"] = 600
    _database["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Work in the background

CELERY_BROKER_URL = (
    env.str("CELERY_BROKER_URL", default="")
    or f"redis+socket://{DATA_DIR / 'broker.sock'}"
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A page must never wait for the broker: it is a hint, the next tick finds the work.
# Without "max_retries" whoever sends a hint tries to connect for ever.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "max_retries": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery closes the connection around every task unless told how often to keep it.
CELERY_DB_REUSE_MAX = 1000
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "accounts.scheduler.HouseScheduler"
TICK_SECONDS = 5
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "accounts.tasks.tick",
        "schedule": TICK_SECONDS,
        # A worker that was away needs one tick, not every one it missed.
        "options": {"expires": TICK_SECONDS * 4},
    },
    # Long work is woken as it comes; this finds what was not, and what a worker left.
    "jobs": {
        "task": "accounts.tasks.run_jobs",
        "schedule": TICK_SECONDS,
        "options": {"expires": TICK_SECONDS * 4},
    },
    "verify_audit": {"task": "accounts.tasks.verify_audit", "schedule": 24 * 3600},
}

# Reaching patients

SMS_GATEWAY = env.str("SMS_GATEWAY", default="simulated" if EMBEDDED else "")
TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKENS = env.list("TWILIO_AUTH_TOKEN", default=[])
TWILIO_MESSAGING_SERVICE_SID = env.str("TWILIO_MESSAGING_SERVICE_SID", default="")
TWILIO_FROM_NUMBER = env.str("TWILIO_FROM_NUMBER", default="")
TWILIO_API_BASE_URL = env.str(
    "TWILIO_API_BASE_URL", default="https://api.twilio.com"
).rstrip("/")
# What one segment costs, such as "0.0083 USD", for the estimate on the operations page.
SMS_SEGMENT_PRICE = env.str("SMS_SEGMENT_PRICE", default="")
# What the sender may send; a messaging service shares it out among its numbers itself.
SMS_SEGMENTS_PER_SECOND = env.float("SMS_SEGMENTS_PER_SECOND", default=0)
# Longer than the slowest call to a provider; shorter only to watch it run out.
DISPATCH_LEASE_SECONDS = env.int("DISPATCH_LEASE_SECONDS", default=90)
EMAIL_GATEWAY = env.str("EMAIL_GATEWAY", default="simulated" if EMBEDDED else "")
vars().update(env.email("EMAIL_URL", default="smtp://127.0.0.1:25"))
# For each exchange with the server; a mail takes up to eight, all within one lease.
EMAIL_TIMEOUT = 8
DEFAULT_FROM_EMAIL = env.str(
    "DEFAULT_FROM_EMAIL", default="Harbour Clinic <clinic@harbour.example>"
)
# What patients write back and what bounces; without it mail goes one way.
MAIL_IN_URL = env.str("MAIL_IN_URL", default="")
MAIL_IN_ADDRESS = env.str("MAIL_IN_ADDRESS", default="")

# Login

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.door.backends.RoleBackend"]
PASSWORD_HASHERS = [
    "accounts.door.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": (
            "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"
        )
    },
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "today"
ACCOUNT_ADAPTER = "accounts.door.adapters.StaffAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_FORMS = {
    "login": "accounts.door.forms.LoginForm",
    "reauthenticate": "accounts.door.forms.ReauthenticateForm",
    "change_password": "accounts.door.forms.ChangePasswordForm",
}
# Tries are counted in the database (accounts/throttling.py), not in a cache.
ACCOUNT_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 5 * 60
MFA_ADAPTER = "accounts.door.adapters.StaffMFAAdapter"
MFA_FORMS = {
    "authenticate": "accounts.door.forms.AuthenticateForm",
    "reauthenticate": "accounts.door.forms.ReauthenticateCodeForm",
    "activate_totp": "accounts.door.forms.ActivateTOTPForm",
    "add_webauthn": "accounts.door.forms.AddWebAuthnForm",
    "login_webauthn": "accounts.door.forms.LoginWebAuthnForm",
}
MFA_RATE_LIMITS = False
# A phone's clock may be half a minute off.
MFA_TOTP_TOLERANCE = 1
# Browsers allow passkeys over plain HTTP on the machine itself only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = EMBEDDED
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Clinic"
# Nobody of the clinic's staff signs in without a second factor, but in the demo.
REQUIRE_MFA = env.bool("REQUIRE_MFA", default=not EMBEDDED)
# Proxies in front of the web server that each add one entry to X-Forwarded-For.
PROXY_COUNT = env.int("PROXY_COUNT", default=0 if EMBEDDED else 1)
# Whoever left the desk finds the page locked, and after a shift signs in anew.
IDLE_LOCK_SECONDS = 15 * 60
SESSION_SECONDS = 12 * 3600
SESSION_COOKIE_AGE = SESSION_SECONDS
SESSION_ENGINE = "accounts.door.sessions"
# Not in a cookie: what happened to a patient is told in messages.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "clinic_crm.views.csrf_failure"

# What a browser is told

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if not EMBEDDED:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_SSL_REDIRECT = True
    # The machine's own probes speak plain HTTP to the application server.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-session"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
SESSION_COOKIE_HTTPONLY = True

# Languages and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="America/New_York")

# Files

STATIC_URL = "/static/"
# The embedded run serves them from where they lie; a server collects them first.
STATIC_ROOT = None if EMBEDDED else BASE_DIR / "staticfiles"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor/bootstrap", bootstrap_wrapper.get_bootstrap_dir()),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if EMBEDDED
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = False
# No other site reads even these.
WHITENOISE_ALLOW_ALL_ORIGINS = False
# All that a form holds but its files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Logs: ids only, never a name, a number or a text

SENTRY_DSN = env.str("SENTRY_DSN", default="")
# Who asks /metrics must know it; without one only this machine is answered.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "core.logs.LineFormatter", "as_json": not EMBEDDED}},
    "handlers": {"stderr": {"class": "core.logs.LineHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Those who bring a handler of their own say it only through ours.
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": [], "propagate": False},
        # What went wrong on our side; the rest stands in the line of the request.
        "django.request": {"level": "ERROR"},
        "gunicorn.error": {"handlers": [], "propagate": True},
        # One line for each request is ours, and holds no path.
        "gunicorn.access": {"handlers": [], "propagate": False},
        "twilio": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
    },
}
