"""Languages people speak, by ISO 639 code, as staff name them."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

#: Those most spoken at home in the United States (US Census Bureau, American Community
#: Survey, table B16001), and signed ones. What an import brings beside stays its code.
SPOKEN: dict[str, Promise] = {
    "en": _("English"),
    "es": _("Spanish"),
    "sq": _("Albanian"),
    "ase": _("American Sign Language"),
    "am": _("Amharic"),
    "ar": _("Arabic"),
    "hy": _("Armenian"),
    "bn": _("Bengali"),
    "yue": _("Cantonese"),
    "zh": _("Chinese, Mandarin"),
    "fr": _("French"),
    "de": _("German"),
    "el": _("Greek"),
    "gu": _("Gujarati"),
    "ht": _("Haitian Creole"),
    "hi": _("Hindi"),
    "hmn": _("Hmong"),
    "it": _("Italian"),
    "ja": _("Japanese"),
    "kea": _("Cape Verdean Creole"),
    "km": _("Khmer"),
    "ko": _("Korean"),
    "ssp": _("Spanish Sign Language"),
    "ne": _("Nepali"),
    "fa": _("Persian"),
    "pl": _("Polish"),
    "pt": _("Portuguese"),
    "pa": _("Punjabi"),
    "ru": _("Russian"),
    "so": _("Somali"),
    "sw": _("Swahili"),
    "tl": _("Tagalog"),
    "ta": _("Tamil"),
    "te": _("Telugu"),
    "ti": _("Tigrinya"),
    "uk": _("Ukrainian"),
    "ur": _("Urdu"),
    "vi": _("Vietnamese"),
    "yi": _("Yiddish"),
}


def language_name(code: str) -> str:
    """Return what a language is called, by its code or that of a kind of it (es-MX)."""
    return str(SPOKEN.get(code) or SPOKEN.get(code.partition("-")[0]) or code)
