"""What patients are asked before the clinic writes to them, word for word.

Each wording has a version, and every consent keeps the one it was given to. Nothing
here is ever changed or taken out: a new wording is a new version, added at the end, so
that years later one can still read what somebody said yes to. The patient reads these,
so they stand here in the patient's language, like the texts that go out, and not among
the words of the pages.
"""

from dataclasses import dataclass

from accounts.models import Language
from patients.models import Channel, Consent

#: {purpose: {language: question}}
Questions = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Wording:
    """One version of all that is asked: the questions, and what stands below each."""

    questions: Questions
    freely: dict[str, str]


_CARE, _CHECKS, _PAGES = Consent.Purpose
_EN, _ES = Language.ENGLISH, Language.SPANISH

#: Every version there ever was, the one in use last.
WORDINGS: dict[str, Wording] = {
    "2026-03": Wording(
        questions={
            _CARE: {
                _EN: "May we write to you about your visits, and answer when you write "
                "to us?",
                _ES: "¿Podemos escribirle sobre sus citas y responderle cuando nos "
                "escriba?",
            },
            _CHECKS: {
                _EN: "May we ask you by message how you are after a visit or a "
                "treatment?",
                _ES: "¿Podemos preguntarle por mensaje cómo se encuentra después de "
                "una cita o un tratamiento?",
            },
            _PAGES: {
                _EN: "May we send you pages to read about your health and your "
                "treatment?",
                _ES: "¿Podemos enviarle páginas para leer sobre su salud y su "
                "tratamiento?",
            },
        },
        freely={
            _EN: "You may say no, and your care stays the same. You can change your "
            "mind at any time: tell us, or answer STOP to a text. Others who use your "
            "phone may see what we send. Your phone company may charge for texts.",
            _ES: "Puede decir que no; su atención será la misma. Puede cambiar de idea "
            "cuando quiera: díganoslo o responda STOP a un mensaje. Otras personas que "
            "usen su teléfono pueden ver lo que enviamos. Su compañía puede cobrarle "
            "los mensajes.",
        },
    ),
}
#: The version that is asked now.
CURRENT = list(WORDINGS)[-1]

#: By which channel, as the patient reads it.
BY_CHANNEL = {
    Channel.SMS: {_EN: "By text message", _ES: "Por mensaje de texto"},
    Channel.EMAIL: {_EN: "By email", _ES: "Por correo electrónico"},
}

#: A yes and a no, as the patient reads them.
SAID = {_EN: {"yes": "Yes", "no": "No"}, _ES: {"yes": "Sí", "no": "No"}}


def question(purpose: str, language: str, version: str = CURRENT) -> str:
    """Return what is asked, in this language or else in English."""
    by_language = WORDINGS[version].questions[purpose]
    return by_language.get(language, by_language[_EN])


def freely(language: str, version: str = CURRENT) -> str:
    """Return what stands below every question: that a no is as good as a yes."""
    by_language = WORDINGS[version].freely
    return by_language.get(language, by_language[_EN])


def wording_of(purpose: str, kept: str) -> str:
    """Return the question a consent was given to, by what it keeps: version, language.

    Blank where that names none of ours, as with consents from elsewhere.
    """
    version, _space, language = kept.partition(" ")
    return question(purpose, language, version) if version in WORDINGS else ""


def language_of(kept: str) -> str:
    """Return the language of a kept wording, or a blank where it names none of ours."""
    version, _space, language = kept.partition(" ")
    return language if version in WORDINGS else ""


def spoken_in(language: str) -> str:
    """Return the language in which the wordings are there for somebody."""
    return language if language in WORDINGS[CURRENT].freely else str(_EN)
