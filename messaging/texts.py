"""Texts with fixed fields, in the recipient's language."""

import re

from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Template

_FIELD = re.compile(r"\{(\w+)\}")


def render(key: str, language: str, **fields: str) -> tuple[str, str]:
    """Return (subject, body) of the latest version of a text, its fields filled in.

    Falls back to English. Raises ``ValueError`` for a field nobody filled: a text with
    a hole must not leave. Never ``str.format``: a stored text must not reach into
    objects. One query.
    """
    versions = Template.objects.filter(key=key, language__in={language, "en"})
    ranked = sorted(versions, key=lambda t: (t.language == language, t.version))
    if not ranked:
        raise ValueError(f"no text {key!r}")

    def fill(match: re.Match[str]) -> str:
        value = fields.get(match[1], "")
        if not value:
            raise ValueError(f"text {key!r}: nothing for {match[0]}")
        return value

    chosen = ranked[-1]
    return _FIELD.sub(fill, chosen.subject), _FIELD.sub(fill, chosen.body)


def install_default_texts(**_: object) -> None:
    """Add the shipped texts a clinic does not have yet; its own versions stay."""
    known = set(Template.objects.values_list("key", "language").distinct())
    Template.objects.bulk_create(
        [
            Template(key=key, language=language, subject=subject, body=body)
            for key, languages in DEFAULT_TEXTS.items()
            for language, (subject, body) in languages.items()
            if (key, language) not in known
        ],
        ignore_conflicts=True,
    )
