"""The texts the product ships: their words, and which fields each may and must have.

One GSM-7 segment each with ordinary values. Subjects say nothing of a patient. The
Spanish needs a native clinician's review. What a field is says ``wording.FIELDS``.
"""

import re
from dataclasses import dataclass

#: Fields a visit's texts may use beside those they are shipped with.
_OF_VISITS = frozenset({"clinic", "first", "when", "clinician", "place", "phone"})


@dataclass(frozen=True)
class Shipped:
    """One text in each language, as (email subject, body).

    Its own version of it a clinic writes with the same fields. ``also`` are fields
    that are filled in where the text names them; ``locked`` is never changed.
    """

    words: dict[str, tuple[str, str]]
    also: frozenset[str] = frozenset()
    locked: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """The fields it is shipped with."""
        bodies = " ".join(body for _subject, body in self.words.values())
        return frozenset(re.findall(r"\{(\w+)\}", bodies))


_VISIT = ("Your visit", "Su cita")
_WORD = ("A word from us", "Unas palabras nuestras")


def _both(
    subjects: tuple[str, str],
    en: str,
    es: str,
    *,
    also: frozenset[str] = frozenset(),
    locked: bool = False,
) -> Shipped:
    words = {"en": (subjects[0], en), "es": (subjects[1], es)}
    return Shipped(words, also, locked)


def _visit(en: str, es: str) -> Shipped:
    return _both(_VISIT, en, es, also=_OF_VISITS)


DEFAULT_TEXTS: dict[str, Shipped] = {
    "visit_booked": _visit(
        "{clinic}: {first}, your visit is {when} with {clinician}. Reply {d1} if you "
        "will come, {d2} to move it, {d3} if you can't. Or call {phone}",
        "{clinic}: {first}, su cita es el {when} con {clinician}. Responda {d1} si "
        "viene, {d2} para cambiarla, {d3} si no puede. O llame al {phone}",
    ),
    "visit_booked_no_digits": _visit(
        "{clinic}: {first}, your visit is {when} with {clinician}. To move it or if "
        "you can't come, call {phone}",
        "{clinic}: {first}, su cita es el {when} con {clinician}. Para cambiarla o si "
        "no puede venir, llame al {phone}",
    ),
    "visit_reminder": _visit(
        "{clinic}: {first}, see you {when} at {place}. Reply {d1} if you will come, "
        "{d2} to move it, {d3} if you can't. Or call {phone}",
        "{clinic}: {first}, le esperamos el {when} en {place}. Responda {d1} si viene, "
        "{d2} para cambiarla, {d3} si no puede. O llame al {phone}",
    ),
    "visit_reminder_no_digits": _visit(
        "{clinic}: {first}, see you {when} at {place}. To move it or if you can't "
        "come, call {phone}",
        "{clinic}: {first}, le esperamos el {when} en {place}. Para cambiarla o si no "
        "puede venir, llame al {phone}",
    ),
    "visit_changed": _visit(
        "{clinic}: {first}, your visit is now {when} with {clinician}. Your old time "
        "is gone. Can't make it? Call {phone}",
        "{clinic}: {first}, su cita ahora es el {when} con {clinician}. La hora de "
        "antes ya no vale. ¿No puede? Llame al {phone}",
    ),
    "visit_cancelled": _visit(
        "{clinic}: {first}, your visit {when} is cancelled. Do not come in. For a new "
        "time call {phone}",
        "{clinic}: {first}, su cita del {when} queda cancelada. No venga. Para otra "
        "hora llame al {phone}",
    ),
    "reply_confirmed": _visit(
        "{clinic}: Thank you, {first}. See you {when} at {place}.",
        "{clinic}: Gracias, {first}. Le esperamos el {when} en {place}.",
    ),
    "reply_move": _visit(
        "{clinic}: OK, {first}. We will call you to find another time. Until then "
        "your visit stays {when}.",
        "{clinic}: De acuerdo, {first}. Le llamaremos para buscar otra hora. Hasta "
        "entonces su cita sigue el {when}.",
    ),
    "reply_cancel_ask": _visit(
        "{clinic}: Cancel your visit {when}? Reply {d1} to cancel it, {d2} to keep it. "
        "Or call {phone}",
        "{clinic}: ¿Cancelar su cita del {when}? Responda {d1} para cancelarla, {d2} "
        "para mantenerla. O llame al {phone}",
    ),
    "reply_cancel_ask_no_digits": _visit(
        "{clinic}: To cancel your visit {when}, please call {phone}. We will call you "
        "too.",
        "{clinic}: Para cancelar su cita del {when}, llame al {phone}. Nosotros "
        "también le llamaremos.",
    ),
    "reply_cancelled": _visit(
        "{clinic}: Your visit {when} is cancelled. For a new time call {phone}",
        "{clinic}: Su cita del {when} queda cancelada. Para otra hora llame al {phone}",
    ),
    "reply_kept": _visit(
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
    # To somebody who may hurt themselves, at the number that wrote.
    "crisis_reply": _both(
        ("Please read", "Lea esto"),
        "{clinic}: You are not alone. If you might hurt yourself, call {crisis} now, "
        "or {emergency}. We may not see this yet, but we will call you.",
        "{clinic}: Estamos con usted. Si puede hacerse daño, llame ahora al {crisis}, "
        "o al {emergency}. Puede que nadie lo lea ahora, pero le llamaremos.",
    ),
    # Not sent yet: for absences, waiting lists, check-ins and education.
    "away_link": _visit(
        "{clinic}: Sorry, your visit {when} is off. Do not come in. New time: {link} "
        "or call {phone}",
        "{clinic}: Lo sentimos, no hay cita el {when}. No venga. Otra hora: {link} o "
        "llame al {phone}",
    ),
    "away_choices": _visit(
        "{clinic}: Sorry, no visit {when}. Do not come in. New time? Reply {d1} {t1}, "
        "{d2} {t2}, {d3} {t3}, {d4} call me",
        "{clinic}: Lo sentimos, no venga el {when}. Otra hora: responda {d1} {t1}, "
        "{d2} {t2}, {d3} {t3}, {d4} llamada",
    ),
    "visit_owed": _visit(
        "{clinic}: Sorry, {first}, your visit {when} is off. Do not come in. We owe "
        "you a new time and will call by {by}. Or call {phone}",
        "{clinic}: Lo sentimos, {first}, no hay cita el {when}. No venga. Le debemos "
        "otra hora. Le llamamos antes del {by}. Tel. {phone}",
    ),
    "waitlist_offer": _visit(
        "{clinic}: {first}, a sooner time is open: {when}. Reply {d1} by {time} to ask "
        "for it, {d2} to keep your own. First to reply gets it.",
        "{clinic}: {first}, hay una hora antes: {when}. Responda {d1} antes de {time} "
        "para pedirla, {d2} para no cambiar. Es del primero que responda.",
    ),
    "check_in_first": _both(
        _WORD,
        "{clinic}: {first}, can a nurse text you a few questions? Reply {d1} to get "
        "them, {d2} for no. We read texts {hours}. Emergency? Call {emergency}",
        "{clinic}: {first}, ¿le mandamos unas preguntas por texto? Responda {d1} si "
        "quiere, {d2} si no. Leemos textos {hours}. ¿Emergencia? Llame al {emergency}",
    ),
    "check_in_again": _both(
        _WORD,
        "{clinic}: {first}, we still need your answer: {link} or call {phone}. "
        "Emergency? Call {emergency}",
        "{clinic}: {first}, nos falta su respuesta: {link} o llame al {phone}. "
        "¿Emergencia? Llame al {emergency}",
    ),
    "material": _both(
        _WORD,
        "{clinic}: {first}, here is a short page for you: {link} Want us to read it to "
        "you? Call {phone}",
        "{clinic}: {first}, una hoja corta para usted: {link} ¿Quiere que se la "
        "leamos? Llame al {phone}",
    ),
    # For a bare HELP, AYUDA and the like, where the provider does not answer it.
    "help": _both(
        _WORD,
        "{clinic}: We read texts when we are open. Call us: {phone}. In an emergency "
        "call {emergency}.",
        "{clinic}: Leemos los textos cuando abrimos. Llame al {phone}. En una "
        "emergencia llame al {emergency}.",
    ),
    # For opt-outs in other words than the provider's: after those it blocks us itself.
    "opted_out": _both(
        _WORD,
        "{clinic}: OK, no more texts to this number. You still get your care. We will "
        "call or write. Want texts again? Call {phone}",
        "{clinic}: De acuerdo, no mandaremos textos a este celular. Le atendemos "
        "igual, por llamada o carta. ¿Quiere textos? Llame al {phone}",
    ),
    "wrong_number": _both(
        _WORD,
        "{clinic}: Sorry. We took this number off our list. You will get no more texts "
        "from us. You do not need to do a thing.",
        "{clinic}: Disculpe. Quitamos este celular de nuestra lista. Ya no le "
        "mandaremos textos. No tiene que hacer nada.",
    ),
    # To a colleague on duty: how much waits and where, and nothing of a patient.
    "duty_alert": _both(
        ("Urgent work waiting", "Trabajo urgente en espera"),
        "{clinic}: {count} urgent waiting. Open {link}",
        "{clinic}: {count} urgente(s) en espera. Abra {link}",
    ),
    # To a manager who tries the way out; locked, for it is the way that is tried.
    "test_send": _both(
        ("A test", "Una prueba"),
        "{clinic}: This is a test, sent by a colleague. You do not need to do "
        "anything.",
        "{clinic}: Esto es una prueba, de alguien del equipo. No tiene que hacer nada.",
        locked=True,
    ),
    # Added to the first text to a number; locked, so that nobody can leave it out.
    "first_text_footer": _both(
        ("", ""),
        " Text STOP to end texts.",
        " STOP para no recibir textos.",
        locked=True,
    ),
}
