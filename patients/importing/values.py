"""What stands in a cell, read as people write it. Pure: no database."""

from datetime import date
from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.models import Language, Site
from core.dates import parse_date
from core.phones import to_e164
from core.text import fold
from core.time import is_zone
from patients.importing.rows import PatientRow, Point
from patients.languages import SPOKEN
from patients.models import Channel, ContactPoint, Patient

#: Why an address cannot be used; ends in ``ContactPoint.why_not``.
NOT_A_NUMBER = gettext_noop("not a valid number")
NOT_AN_EMAIL = gettext_noop("not a valid email address")

_OLDEST_YEARS = 130

_SEXES = {
    word: sex
    for sex, spellings in {
        Patient.Sex.FEMALE: "f female w woman girl mujer femenino femenina femenil",
        Patient.Sex.MALE: "m male man boy h hombre varon masculino",
        Patient.Sex.OTHER: "o other x nb nonbinary non-binary otro otra diverse",
        Patient.Sex.UNKNOWN: "u unknown unk ? desconocido n/a",
    }.items()
    for word in spellings.split()
}
_LANGUAGES = {
    word: language
    for language, spellings in {
        Language.ENGLISH: "en eng english ingles",
        Language.SPANISH: "es esp spa spanish espanol castellano castilian",
    }.items()
    for word in spellings.split()
}
_WAYS = {
    word: way
    for way, spellings in {
        Patient.Way.SMS: "sms text texto mensaje mobile cell",
        Patient.Way.EMAIL: "email e-mail mail correo",
        Patient.Way.CALL: "call phone telephone llamada telefono voice",
        Patient.Way.LETTER: "letter post carta correspondencia",
    }.items()
    for word in spellings.split()
}
_ANSWERS = {
    word: given
    for given, spellings in {
        True: "yes y true t 1 si s on x ok given granted agreed agree opt-in optin",
        False: "no n false f 0 off declined withdrawn refused denied opt-out optout",
    }.items()
    for word in spellings.split()
}
_check_email = EmailValidator()
_LONGEST_ADDRESS = ContactPoint._meta.get_field("address").max_length or 254
_LONGEST = {
    field.name: field.max_length
    for field in Patient._meta.concrete_fields
    if field.max_length
}


def take_text(row: PatientRow, name: str, text: str) -> None:
    """Take a text as it is; one that does not fit rejects the row."""
    if len(text) > _LONGEST[name]:
        row.reject(
            name,
            _("is longer than %(most)d characters") % {"most": _LONGEST[name]},
        )
    elif text:
        row.fields[name] = text


def take_birth_date(row: PatientRow, text: str, site: Site, today: date) -> None:
    """Take a date of birth, or reject the row.

    Taking the person without it would be worse: by name and date of birth staff and
    links make sure whom they have before them.
    """
    if not text:
        return
    born = parse_date(text, month_first=site.region == "US")
    if born is None:
        row.reject("birth_date", _("%(text)s is not a date") % {"text": text[:40]})
    elif born > today:
        row.reject("birth_date", _("%(text)s lies ahead") % {"text": text[:40]})
    elif born.year < today.year - _OLDEST_YEARS:
        row.reject("birth_date", _("%(text)s is too long ago") % {"text": text[:40]})
    else:
        row.fields["birth_date"] = born


def take_sex(row: PatientRow, text: str) -> None:
    """Take the sex; a word we do not know is a warning."""
    _take_choice(row, "sex", text, _SEXES.get(fold(text).rstrip(".")))


def take_language(row: PatientRow, text: str) -> None:
    """Take the language they read: a name, or a code such as en-US."""
    word = fold(text)
    found = _LANGUAGES.get(word) or _LANGUAGES.get(
        word.replace("_", "-").partition("-")[0].partition(" ")[0]
    )
    _take_choice(row, "language", text, found)


def take_spoken_language(row: PatientRow, text: str) -> None:
    """Take the language they speak, by its name in a language of ours or its code."""
    word = fold(text).replace("_", "-")
    _take_choice(row, "spoken_language", text, _spoken().get(word.partition("-")[0]))


@cache
def _spoken() -> dict[str, str]:
    found = {code: code for code in SPOKEN}
    for language in Language.values:
        with override(language):
            found |= {
                word: code
                for code, name in SPOKEN.items()
                for word in (fold(str(name)), fold(str(name)).partition(",")[0])
            }
    return found


def take_way(row: PatientRow, text: str) -> None:
    """Take how they like best to hear from the clinic."""
    _take_choice(row, "preferred_way", text, _WAYS.get(fold(text)))


def take_interpreter(row: PatientRow, text: str) -> None:
    """Take whether they need an interpreter: yes or no."""
    needed = _ANSWERS.get(fold(text).rstrip("."))
    if needed is not None:
        row.fields["needs_interpreter"] = needed
    elif text:
        row.warn(
            "needs_interpreter",
            _("%(text)s is neither yes nor no") % {"text": text[:40]},
        )


def take_country(row: PatientRow, text: str) -> None:
    """Take a country by its two letters; a letter at home needs none."""
    if len(text) == 2 and text.isascii() and text.isalpha():
        row.fields["country"] = text.upper()
    elif text:
        row.warn(
            "country", _("%(text)s is no code of two letters") % {"text": text[:40]}
        )


def _take_choice(row: PatientRow, name: str, text: str, found: str | None) -> None:
    if found:
        row.fields[name] = str(found)
    elif text:
        row.warn(name, _("%(text)s is not known here") % {"text": text[:40]})


def take_zone(row: PatientRow, text: str, site: Site) -> None:
    """Take the time zone, which is stored only where it is not the site's."""
    if not text:
        return
    name = _zones().get(text.casefold().replace(" ", "_"))
    if name is None:
        row.warn("time_zone", _("%(text)s is not a time zone") % {"text": text[:40]})
    else:
        row.fields["zone"] = "" if name == site.zone else name


@cache
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones() if is_zone(name)}


def take_phone(row: PatientRow, text: str, site: Site) -> None:
    """Take a phone number; a bad one stays to be seen, and is never used."""
    if not text:
        return
    number = to_e164(text, site.region)
    if number is None:
        row.warn("phone", f"{text[:40]}: {_(NOT_A_NUMBER)}")
    _take_point(row, Channel.SMS, number, text, NOT_A_NUMBER)


def take_email(row: PatientRow, text: str) -> None:
    """Take an email address; a bad one stays to be seen, and is never used."""
    if not text:
        return
    local, _at, domain = text.removeprefix("mailto:").rpartition("@")
    address: str | None = f"{local}@{domain.lower()}"
    try:
        _check_email(address)
    except ValidationError:
        address = None
    if address is None or len(address) > _LONGEST_ADDRESS:
        row.warn("email", f"{text[:40]}: {_(NOT_AN_EMAIL)}")
        address = None
    _take_point(row, Channel.EMAIL, address, text, NOT_AN_EMAIL)


def _take_point(
    row: PatientRow, channel: Channel, address: str | None, text: str, why_not: str
) -> None:
    point = (
        Point(channel.value, address)
        if address
        else Point(channel.value, text[:_LONGEST_ADDRESS], why_not)
    )
    if all(
        (p.channel, p.address) != (point.channel, point.address) for p in row.points
    ):
        row.points.append(point)


def take_consent(row: PatientRow, channel: Channel, text: str) -> None:
    """Take a yes or no; anything else says nothing."""
    given = _ANSWERS.get(fold(text).rstrip("."))
    if given is not None:
        row.consents[channel.value] = given
    elif text:
        row.warn(
            f"consent_{channel.value}",
            _("%(text)s is neither yes nor no") % {"text": text[:40]},
        )
