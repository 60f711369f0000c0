"""What somebody must know before they pick up the phone."""

from django.utils.translation import gettext as _

from patients.languages import language_name
from patients.models import Patient

#: Needs that decide how a call goes, or that there is none.
_ON_THE_PHONE = (Patient.Need.TEXT_ONLY, Patient.Need.RELAY, Patient.Need.SIGN)


def call_hints(patient: Patient) -> list[str]:
    """Return what matters for a call, in the reader's language; the gravest first.

    That they are deaf and read texts, that there must be an interpreter, which language
    they speak. Pure but for the language of the page.
    """
    hints = [str(need.label) for need in _ON_THE_PHONE if need in patient.needs]
    speaks = patient.spoken_language or patient.language
    if patient.needs_interpreter:
        hints.append(
            _("Interpreter: %(language)s") % {"language": language_name(speaks)}
        )
    elif speaks != "en":
        hints.append(_("Speaks %(language)s") % {"language": language_name(speaks)})
    return hints
