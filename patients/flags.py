"""Pinned alerts: at most five a patient, dated, and never a judgment."""

import re
from datetime import date, timedelta

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.record import record
from accounts.models import AuditEvent, User
from core.text import words
from patients.models import Flag, Patient

#: For how long an alert stands unless somebody says shorter.
LASTS = timedelta(days=365)

#: Words that judge somebody instead of saying what helps, in both languages, as
#: patterns over folded text. Patients may read what is pinned to them, and such labels
#: colour how the next colleague treats them (Goddu et al. 2018,
#: doi:10.1007/s11606-017-4289-2). What a body does is no judgment: a difficult airway,
#: a lazy eye, a manipulation of the knee.
_JUDGING = re.compile(
    r"\b(?:"
    r"difficult(?! (?:airway|intubation|veins?|access|cannulation|to hear))"
    r"|non ?(?:complian\w*|adheren\w*)"
    r"|(?:drug|pill|attention) seek\w*"
    r"|frequent fl[iy]ers?|time wasters?|trouble ?makers?"
    r"|manipulativ\w*|hysterical|crazy|lazy(?! eyes?)|rude|annoying"
    r"|malinger\w*|hypochondriac\w*|junkies?|addicts?"
    r"|(?<!via )(?<!via aerea )(?<!acceso )(?<!intubacion )dificil"
    r"|conflictiv[oa]s?|incumplidor\w*"
    r"|no cumple|manipulador\w*|histeric[oa]s?|loc[oa]s?|drogadict\w*"
    r"|perezos[oa]s?|hipocondriac[oa]s?|quejicas?|busca drogas"
    r")\b"
)


def judging_words(text: str) -> list[str]:
    """Return the words of a text that judge the patient, folded; pure."""
    return _JUDGING.findall(" ".join(words(text)))


def flags_for(user: User | AnonymousUser) -> Q:
    """Return the condition that this user may read an alert: clinical ones like the
    history itself.
    """
    if user.has_perm("patients.view_historyentry"):
        return Q()
    return ~Q(category=Flag.Category.CLINICAL)


def live_flags() -> Q:
    """Return the condition that an alert stands today."""
    return Q(ended_at=None, expires_on__gte=timezone.localdate())


@transaction.atomic
def pin_flag(
    *,
    patient_id: int,
    category: str,
    text: str,
    reason: str,
    by: User,
    expires_on: date | None = None,
) -> Flag:
    """Pin an alert to a patient and return it; locks the patient.

    It stands until the end of ``expires_on``, a year from today at most. Raises
    ``ValidationError`` when five stand already, for a day that is past or farther off,
    and for words that judge.
    """
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    today = timezone.localdate()
    last = today + LASTS
    expires_on = expires_on or last
    for field, typed in (("text", text), ("reason", reason)):
        if judging := judging_words(typed):
            raise ValidationError(
                {
                    field: _(
                        "“%(words)s” judges the patient, who may read this. Say what "
                        "happens and what helps instead, such as “Call her the day "
                        "before: forgets visits”."
                    )
                    % {"words": ", ".join(judging)}
                }
            )
    if expires_on < today:
        raise ValidationError({"expires_on": _("This day is past.")})
    if expires_on > last:
        raise ValidationError(
            {"expires_on": _("A year at most; it can be pinned anew then.")}
        )
    if patient.flags.filter(live_flags()).count() >= Flag.MOST:
        raise ValidationError(
            _(
                "Five alerts are pinned already, and more would not be read. Take one "
                "off first."
            )
        )
    flag = Flag.objects.create(
        patient=patient,
        category=category,
        text=text,
        reason=reason,
        author=by,
        at=timezone.now(),
        expires_on=expires_on,
    )
    _note(AuditEvent.Verb.CREATE, flag, by)
    return flag


@transaction.atomic
def unpin_flag(*, flag_id: int, by: User) -> Flag:
    """Take an alert off; the row stays. Taking off what is off changes nothing."""
    flag = Flag.objects.select_for_update().get(pk=flag_id)
    if flag.ended_at is None:
        flag.ended_at, flag.ended_by = timezone.now(), by
        flag.save(update_fields=["ended_at", "ended_by"])
        _note(AuditEvent.Verb.DELETE, flag, by)
    return flag


def _note(verb: AuditEvent.Verb, flag: Flag, by: User) -> None:
    record(
        verb,
        patient_ids=[flag.patient_id],
        subject=f"flag:{flag.pk}",
        details={"what": flag.category},
        by=by,
    )
