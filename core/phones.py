"""Phone numbers: one written form inside, a readable one outside."""

import phonenumbers


def to_e164(text: str, region: str) -> str | None:
    """Return a number as E.164, or None when it cannot be one that takes calls.

    ``region`` is the two-letter country that numbers without a country code are of.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def readable(e164: str) -> str:
    """Return a number as people read it aloud at home, 617 555 0143."""
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return e164
    if number.country_code == 1:
        digits = str(number.national_number)
        return f"{digits[:3]} {digits[3:6]} {digits[6:]}"
    return phonenumbers.format_number(
        number, phonenumbers.PhoneNumberFormat.INTERNATIONAL
    )
