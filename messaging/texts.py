"""Texts with fixed fields, in the recipient's language."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Language, User
from messaging import wording
from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Template

#: (language, subject, body)
Words = tuple[str, str, str]

_remembered: ContextVar[dict[tuple[str, str], Words] | None] = ContextVar(
    "remembered_texts", default=None
)


@contextmanager
def remembered() -> Iterator[None]:
    """Read each text once while this runs: for a pass that fills in many.

    A version written meanwhile is used by the next pass.
    """
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def render(
    key: str, language: str, *, short: bool = True, **fields: str
) -> tuple[str, str]:
    """Return (subject, body) of the latest version of a text, its fields filled in.

    Falls back to English. Where ``short``, long names are cut so that it costs no more
    segments than with ordinary ones; an email need not be. Raises ``ValueError`` for a
    field nobody filled, and for a text that could not be saved today: a text with a
    hole must not leave. Never ``str.format``: a stored text must not reach into
    objects. One query, none where the text is ``remembered``.
    """
    language, subject, body = _words(key, language)
    if not DEFAULT_TEXTS[key].locked and wording.faults(key, language, subject, body):
        raise ValueError(f"text {key!r} in {language!r} is not as texts must be")
    values = {name: wording.plain(value) for name, value in fields.items()}
    for name in wording.FIELD.findall(subject + body):
        if not values.get(name):
            raise ValueError(f"text {key!r}: nothing for {{{name}}}")
    if short:
        values = wording.shortened(language, body, values)
    return wording.fill(subject, values), wording.fill(body, values)


def _words(key: str, language: str) -> Words:
    """Return the latest words of a text, in a language or in English."""
    if key not in DEFAULT_TEXTS:
        raise ValueError(f"no text {key!r}")
    shipped = DEFAULT_TEXTS[key]
    if shipped.locked:
        spoken = language if language in shipped.words else "en"
        return spoken, *shipped.words[spoken]
    known = _remembered.get()
    if known is not None and (key, language) in known:
        return known[key, language]
    versions = Template.objects.filter(key=key, language__in={language, "en"})
    ranked = sorted(versions, key=lambda t: (t.language == language, t.version))
    if not ranked:
        raise ValueError(f"no text {key!r}")
    words = (ranked[-1].language, ranked[-1].subject, ranked[-1].body)
    if known is not None:
        known[key, language] = words
    return words


def install_default_texts(**_: object) -> None:
    """Add the shipped texts a clinic does not have yet; its own versions stay.

    One that is locked is no row: nobody could write another version of it.
    """
    known = set(Template.objects.values_list("key", "language").distinct())
    Template.objects.bulk_create(
        [
            Template(key=key, language=language, subject=subject, body=body)
            for key, shipped in DEFAULT_TEXTS.items()
            for language, (subject, body) in shipped.words.items()
            if not shipped.locked and (key, language) not in known
        ],
        ignore_conflicts=True,
    )


def check_version(
    *, key: str, language: str, subject: str, body: str, after: int
) -> None:
    """Raise ``ValidationError`` if this may not become the next version of a text.

    Each complaint stands beside its part. ``after`` is the version its writer had
    before them, 0 where there was none. Call it in the transaction that writes: it
    locks the versions there are.
    """
    if key not in DEFAULT_TEXTS or DEFAULT_TEXTS[key].locked:
        raise ValidationError({"key": _("This text is not one that can be written.")})
    wrong: dict[str, list[str]] = {}
    for fault in wording.faults(key, language, subject, body):
        wrong.setdefault(fault.part, []).append(fault.says)
    if wrong:
        raise ValidationError(wrong)
    versions = Template.objects.select_for_update().filter(key=key, language=language)
    if max(versions.values_list("version", flat=True), default=0) != after:
        raise ValidationError(
            _("This text has another version already. Open that one.")
        )


@transaction.atomic
def write_version(
    *, key: str, language: str, subject: str, body: str, by: User, after: int
) -> Template:
    """Add a version of a text, as ``check_version`` allows; it goes out from now on."""
    check_version(key=key, language=language, subject=subject, body=body, after=after)
    return Template.objects.create(
        key=key,
        language=language,
        version=after + 1,
        subject=subject,
        body=body,
        by=by,
    )


def gaps() -> list[tuple[str, str]]:
    """Return each (language, text) that has no words yet: English goes out instead.

    One query.
    """
    there = set(Template.objects.values_list("language", "key").distinct())
    return [
        (language, key)
        for language in Language.values
        for key, shipped in DEFAULT_TEXTS.items()
        if not shipped.locked and (language, key) not in there
    ]
