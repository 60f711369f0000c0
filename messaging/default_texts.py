"""The texts the product ships, {key: {language: (email subject, body)}}.

One GSM-7 segment each with ordinary values. Subjects say nothing of a patient. The
Spanish needs a native clinician's review.
"""

_VISIT = ("Your visit", "Su cita")


def _both(subjects: tuple[str, str], en: str, es: str) -> dict[str, tuple[str, str]]:
    return {"en": (subjects[0], en), "es": (subjects[1], es)}


DEFAULT_TEXTS: dict[str, dict[str, tuple[str, str]]] = {
    "visit_booked": _both(
        _VISIT,
        "{clinic}: {first}, your visit is {when} with {clinician}. Reply {d1} if you "
        "will come, {d2} to move it, {d3} if you can't. Or call {phone}",
        "{clinic}: {first}, su cita es el {when} con {clinician}. Responda {d1} si "
        "viene, {d2} para cambiarla, {d3} si no puede. O llame al {phone}",
    ),
    "visit_booked_no_digits": _both(
        _VISIT,
        "{clinic}: {first}, your visit is {when} with {clinician}. To move it or if "
        "you can't come, call {phone}",
        "{clinic}: {first}, su cita es el {when} con {clinician}. Para cambiarla o si "
        "no puede venir, llame al {phone}",
    ),
    "visit_reminder": _both(
        _VISIT,
        "{clinic}: {first}, see you {when} at {place}. Reply {d1} if you will come, "
        "{d2} to move it, {d3} if you can't. Or call {phone}",
        "{clinic}: {first}, le esperamos el {when} en {place}. Responda {d1} si viene, "
        "{d2} para cambiarla, {d3} si no puede. O llame al {phone}",
    ),
    "visit_reminder_no_digits": _both(
        _VISIT,
        "{clinic}: {first}, see you {when} at {place}. To move it or if you can't "
        "come, call {phone}",
        "{clinic}: {first}, le esperamos el {when} en {place}. Para cambiarla o si no "
        "puede venir, llame al {phone}",
    ),
    "visit_changed": _both(
        _VISIT,
        "{clinic}: {first}, your visit is now {when} with {clinician}. Your old time "
        "is gone. Can't make it? Call {phone}",
        "{clinic}: {first}, su cita ahora es el {when} con {clinician}. La hora de "
        "antes ya no vale. ¿No puede? Llame al {phone}",
    ),
    "visit_cancelled": _both(
        _VISIT,
        "{clinic}: {first}, your visit {when} is cancelled. Do not come in. For a new "
        "time call {phone}",
        "{clinic}: {first}, su cita del {when} queda cancelada. No venga. Para otra "
        "hora llame al {phone}",
    ),
    "reply_confirmed": _both(
        _VISIT,
        "{clinic}: Thank you, {first}. See you {when} at {place}.",
        "{clinic}: Gracias, {first}. Le esperamos el {when} en {place}.",
    ),
    "reply_move": _both(
        _VISIT,
        "{clinic}: OK, {first}. We will call you to find another time. Until then "
        "your visit stays {when}.",
        "{clinic}: De acuerdo, {first}. Le llamaremos para buscar otra hora. Hasta "
        "entonces su cita sigue el {when}.",
    ),
    "reply_cancel_ask": _both(
        _VISIT,
        "{clinic}: Cancel your visit {when}? Reply {d1} to cancel it, {d2} to keep it. "
        "Or call {phone}",
        "{clinic}: ¿Cancelar su cita del {when}? Responda {d1} para cancelarla, {d2} "
        "para mantenerla. O llame al {phone}",
    ),
    "reply_cancel_ask_no_digits": _both(
        _VISIT,
        "{clinic}: To cancel your visit {when}, please call {phone}. We will call you "
        "too.",
        "{clinic}: Para cancelar su cita del {when}, llame al {phone}. Nosotros "
        "también le llamaremos.",
    ),
    "reply_cancelled": _both(
        _VISIT,
        "{clinic}: Your visit {when} is cancelled. For a new time call {phone}",
        "{clinic}: Su cita del {when} queda cancelada. Para otra hora llame al {phone}",
    ),
    "reply_kept": _both(
        _VISIT,
        "{clinic}: Good, your visit stays {when} at {place}.",
        "{clinic}: Bien, su cita sigue el {when} en {place}.",
    ),
    "emergency_reply": _both(
        ("Please read", "Lea esto"),
        "{clinic}: What you wrote may be an emergency. Call {emergency} now. Do not "
        "wait for a text from us. We may not see this yet.",
        "{clinic}: Esto puede ser una emergencia. Llame al {emergency} ahora. No "
        "espere nuestra respuesta. Puede que nadie lo lea ahora.",
    ),
    # Added to the first text to a number; locked, so that nobody can leave it out.
    "first_text_footer": _both(
        ("", ""), " Text STOP to end texts.", " STOP para no recibir textos."
    ),
}
