"""What a run is to use, from the environment and ``.env``, and how it talks."""

import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 8000
DEFAULT_PATIENTS = 300
#: What is easily read aloud: no 0 or o, no 1, i or l.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
#: How the settings spell that something is on.
YES = ("1", "true", "on", "ok", "y", "yes")


class RunError(Exception):
    """The run cannot start or go on; the text says why, for whoever started it."""


def say(text: str = "") -> None:
    """Print a line at once, even into a pipe, and even when nobody reads any more."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def read_env_file(path: Path) -> dict[str, str]:
    """Return what an ``.env`` file sets; the same plain lines the settings read."""
    found = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and not name.startswith("#"):
                value = value.strip()
                if value[:1] in ("'", '"') and value[-1:] == value[:1]:
                    value = value[1:-1]
                found[name.strip()] = value
    return found


def whole_number(settings: Mapping[str, str], name: str, default: int) -> int:
    """Return a setting that must be a number."""
    value = settings.get(name) or str(default)
    if not value.isdecimal():
        raise RunError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


class Config:
    """What this run is to use, from the environment and ``.env``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        settings = read_env_file(ROOT / ".env") | dict(environment)
        if settings.get("DEBUG", "1").lower() not in YES:
            raise RunError(
                "DEBUG=0 means a clinic server, and this is the embedded run, which "
                "may fill an empty database with a demo clinic.\n"
                "Unset DEBUG here, or start web and worker as the README describes."
            )
        self.port = whole_number(settings, "PORT", DEFAULT_PORT)
        self.patients = whole_number(settings, "DEMO_PATIENTS", DEFAULT_PATIENTS)
        self.data = ROOT / (settings.get("DATA_DIR") or "var")
        self.logs = self.data / "logs"
        self.own_broker = not settings.get("CELERY_BROKER_URL")
        self.own_database = not settings.get("DATABASE_URL")
        self.address = f"http://127.0.0.1:{self.port}"
        self.password = settings.get("DEMO_PASSWORD", "")
        # Tuning of other servers must not reach ours; an empty address is none.
        drop = {"GUNICORN_CMD_ARGS", "DJANGO_SETTINGS_MODULE"}
        drop |= {
            name
            for name in ("CELERY_BROKER_URL", "DATABASE_URL", "DATA_DIR")
            if not settings.get(name)
        }
        self.environment = {k: v for k, v in environment.items() if k not in drop}
        self.environment |= {
            "DATA_DIR": str(self.data),
            "PUBLIC_BASE_URL": settings.get("PUBLIC_BASE_URL") or self.address,
            "PYTHONUNBUFFERED": "1",
            # The pinned tz data, not what the machine happens to have.
            "PYTHONTZPATH": "",
        }
        # glibc gives each thread its own arena; two are plenty and save memory.
        self.environment.setdefault("MALLOC_ARENA_MAX", "2")
        if hosts := settings.get("ALLOWED_HOSTS"):
            self.environment["ALLOWED_HOSTS"] = f"{hosts},127.0.0.1"

    def settle_password(self) -> None:
        """Take the demo password that was set, or the one kept from the first start."""
        path = self.data / "demo-password"
        if not self.password:
            if not path.exists():
                groups = (
                    "".join(secrets.choice(LETTERS) for _ in range(4)) for _ in "123"
                )
                path.write_text("-".join(groups), encoding="utf-8")
                path.chmod(0o600)
            self.password = path.read_text(encoding="utf-8").strip()
        self.environment["DEMO_PASSWORD"] = self.password
