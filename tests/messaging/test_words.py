"""What single texts mean, whoever writes them; words of danger are apart."""

import time

import pytest

from messaging.words import (
    HELP,
    OPT_OUT,
    Wish,
    chosen_digit,
    is_yes,
    normalise,
    says_death,
    says_wrong_number,
    wish,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STOP", "stop"),
        (" Stop. ", "stop"),
        ("“STOP!”", "stop"),
        ("‘stop’", "stop"),
        ("opt-out", "opt out"),
        ("Opt  Out", "opt out"),
        ("ＳＴＯＰ", "stop"),
        ("S.T.O.P", "stop"),
        ("s t o p", "stop"),
        ("ST\u200bOP", "stop"),
        ("STOP 🙏", "stop 🙏"),
        ("STOP 🛑", "stop"),
        ("Arrêt", "arret"),
        ("Sí", "si"),
        ("don’t", "dont"),
        ("👍🏽", "👍"),
        ("ok👍", "ok 👍"),
        ("", ""),
        ("🌷", ""),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected


EXACT = [
    *(
        "STOP",
        "stop",
        "Stop.",
        "“STOP!”",
        "ＳＴＯＰ",
        "S.T.O.P",
        "s t o p",
        "ST\u200bOP",
    ),
    *(
        "STOPALL",
        "stop all",
        "UNSUBSCRIBE",
        "end",
        "Quit",
        "CANCEL",
        "revoke",
        "OPTOUT",
    ),
    *("opt out", "Opt-Out", "OPT OUT!", "Alto", "¡ALTO!", "parar", "baja", "ARRET"),
    *("Arrêt", "no más", "STOP 🛑", "STOP 🙏", "👍 stop", "'Stop'"),
]
SHORT = [
    *("please stop", "Stop please", "STOP STOP STOP", "stop it now", "I said stop"),
    *("stop texting me", "Stop sending me these messages", "stop all these texts"),
    *("can you stop texting me?", "could you stop the reminders", "no more texts"),
    *("please no more messages thanks", "I don't want any more texts", "don't text me"),
    *("Do not text this number", "unsubscribe me", "unsubcribe", "stpo", "STOPP"),
    *("take me off your list", "remove me from this list", "leave me alone"),
    *("opt me out please", "end texts", "cancel these texts", "quit texting me"),
    *("lose my number", "i want to stop texts", "Stop!! no more messages"),
    *("Alto por favor", "no me escriban más", "ya no quiero mensajes", "paren ya"),
    *("dejen de mandarme mensajes", "No más mensajes por favor", "quiten mi número"),
    *("no quiero recibir mensajes", "darme de baja", "por favor ya no me escriban"),
    *("no me manden más textos", "cancelar suscripción", "basta ya", "dejeme en paz"),
]
UNCLEAR = [
    *("I'll stop by at 5", "please don't stop my meds", "can I stop my pills?"),
    *(
        "I want to stop",
        "should I stop the aspirin before the visit",
        "stop calling me",
    ),
    *("is there a bus stop near you", "it won't stop hurting", "1 stop"),
    *("Please stop texting me, I told you people twice that I have moved away",),
    *("Can you take me off the waiting list for Tuesday and put me on Friday",),
    *("I don't want any more texts about it but please call me tomorrow morning",),
    *("don't stop texting me", "never stop sending reminders, I need them"),
    *("ya no quiero más mensajes de esta clínica porque me mudé a Texas",),
    *("remove me from the waitlist", "take me off my meds", "stop the pills"),
]
ORDINARY = [
    *(
        "",
        "hello",
        "thank you",
        "see you tomorrow",
        "10:30 works",
        "Tengo el azúcar alto",
    ),
    *("no more pills left", "my fever is no more", "I quit", "end of the month?"),
    *("la presión baja", "¿puedo parar en la farmacia?", "para mi hijo", "sí", "no"),
    *("Can I bring my son?", "me siento mejor, gracias", "are you open", "it stopped"),
    *("don't cancel my visit", "no cancelen mi cita", "why did you cancel"),
    *("what does it mean when the message says no more than two a day",),
]
VISIT = [
    *("please cancel", "cancel my appointment", "I need to cancel tomorrow", "Cancelo"),
    *("cancelar mi cita por favor", "cancle my appt", "quiero cancelar"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, Wish.STOP) for text in EXACT),
        *((text, Wish.STOP_SHORT) for text in SHORT),
        *((text, Wish.UNCLEAR) for text in UNCLEAR),
        *((text, Wish.NOTHING) for text in ORDINARY),
        *((text, Wish.CANCEL_VISIT) for text in VISIT),
        *((text, Wish.START) for text in ("START", "Start!", "unstop")),
        *((text, Wish.NOTHING) for text in ("start when?", "yes", "HELP")),
    ],
)
def test_what_is_said_about_getting_texts(text, expected):
    assert wish(text) is expected


def test_every_word_of_twilio_and_of_the_fcc_is_known():
    twilio = ["stop", "stopall", "unsubscribe", "end", "quit", "cancel"]
    twilio += ["revoke", "optout"]
    fcc = ["stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe"]
    assert {*twilio, *fcc} <= OPT_OUT
    assert {"help", "info", "ayuda"} <= HELP
    assert not OPT_OUT & HELP


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ("1", "")),
        (" 1. ", ("1", "")),
        ("(2)", ("2", "")),
        ("#1", ("1", "")),
        ("1️⃣", ("1", "")),
        ("１", ("1", "")),
        ("1!!!", ("1", "")),
        ("1👍", ("1", "")),
        ("1 thanks!", ("1", "")),
        ("1 yes", ("1", "")),
        ("option 1", ("1", "")),
        ("Option: 2", ("2", "")),
        ("opción 3", ("3", "")),
        ("number 2 please", ("2", "")),
        ("my answer is 1", ("1", "")),
        ("ok 1", ("1", "")),
        ("Sí, 1", ("1", "")),
        ("one", ("1", "")),
        ("Two, please", ("2", "")),
        ("uno", ("1", "")),
        ("TRES gracias", ("3", "")),
        ("option one", ("1", "")),
        ("1 but my cut leaks", ("1", "but my cut leaks")),
        ("1 pero me duele", ("1", "pero me duele")),
        ("3, sorry", ("3", "sorry")),
        ("1\nmy cut leaks", ("1", "my cut leaks")),
        ("1 can I come at 2pm", ("1", "can I come at 2pm")),
        # Times, sums, quantities, dates: nobody chose anything.
        ("10", ("", "")),
        ("1:30 would be better", ("", "")),
        ("1 pm please", ("", "")),
        ("1 p.m.", ("", "")),
        ("1pm", ("", "")),
        ("120/80", ("", "")),
        ("1.5", ("", "")),
        ("1 hour late", ("", "")),
        ("2 weeks ago", ("", "")),
        ("3 pastillas", ("", "")),
        ("4 days of fever", ("", "")),
        ("1st time", ("", "")),
        ("2x a day", ("", "")),
        ("1 of my stitches", ("", "")),
        ("$5", ("", "")),
        ("5%", ("", "")),
        ("-1", ("", "")),
        ("+16175550143", ("", "")),
        ("el 3 no puedo", ("", "")),
        ("my 2 sisters", ("", "")),
        ("I come at 1", ("", "")),
        # Two at once: a person asks which.
        ("1 or 2?", ("", "")),
        ("1 2", ("", "")),
        ("1,2", ("", "")),
        ("1/2", ("", "")),
        ("1 y 2", ("", "")),
        ("one or two", ("", "")),
        ("no one", ("", "")),
        ("one of my stitches broke", ("", "")),
        ("the one", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_digit_that_was_chosen(text, expected):
    assert chosen_digit(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ok",
            "Yes!",
            "sí",
            "Si, gracias",
            "👍",
            "👍🏽👍🏽",
            "ok👍",
            "ok thank you",
            "OKAY.",
        ),
        *("I'll be there", "yes I will be there, thanks", "ahí estaré", "de acuerdo"),
        *("sounds good", "Confirmo", "✅", "claro", "Perfecto, muchas gracias"),
    ],
)
def test_yes(text):
    assert is_yes(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ok but later", "no", "yes can I bring my son", "thank you", "gracias"),
        *("good morning", "ok?", "are you sure", "🙏", "yes and no", "not sure", "1"),
    ],
)
def test_not_a_plain_yes(text):
    assert not is_yes(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "wrong number",
            "Wrong number!!",
            "sorry wrong nubmer",
            "you have the wrong person",
        ),
        *("I think you got the wrong number, I don't know any Grace", "Not her number"),
        *("this is not Grace", "I'm not Grace", "this isn’t Okafor's phone"),
        *("no one by that name here", "This is no longer her number", "wrong persn"),
        *("I am not your patient", "there is no Grace here", "don't know Grace"),
        *("número equivocado", "numero equivocdo"),
        *("se equivocó de número", "se equivocaron de persona", "No soy Grace"),
        *("no soy paciente", "este número ya no es de ella", "aquí no vive"),
        *("no conozco a esa persona", "No conozco a Grace"),
    ],
)
def test_wrong_number(text):
    assert says_wrong_number(text, ["Grace", "Okafor"])


@pytest.mark.parametrize(
    "text",
    [
        *("", "9", "hello", "this is not good", "I'm not sure", "I'm not well"),
        *("the wrong number of pills", "I dialed the wrong number before, sorry"),
        *("you gave me the wrong number for the pharmacy", "it's not wrong"),
        *(
            "no soy alérgica",
            "no es grave",
            "this is not the right time",
            "this is Grace",
        ),
        *("I'm not Maria", "something is wrong with my number one tooth"),
    ],
)
def test_no_wrong_number(text):
    assert not says_wrong_number(text, ["Grace", "Okafor"])


@pytest.mark.parametrize(
    "text",
    [
        *("Grace passed away", "She died last week", "he has died", "Grace past away"),
        *(
            "My mother died, can I move my visit?",
            "my husband is dead",
            "she passd away",
        ),
        *("Grace is deceased", "we lost her on Sunday", "she passed yesterday"),
        *("my dad passed away last night so I can't come", "He's dead", "deceasd"),
        *("Grace is no longer with us", "in case you dont know: died Monday"),
        *("Mi mamá murió ayer", "Falleció el lunes", "Grace ha fallecido", "se murió"),
        *("mi esposo está muerto", "ya no está con nosotros", "fallesio ayer"),
        "doña Grace, que en paz descanse",
    ],
)
def test_a_death(text):
    assert says_death(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "my phone died",
            "sorry, battery died",
            "the pain died down",
            "died laughing",
        ),
        *(
            "nobody died",
            "she has not died",
            "I almost died",
            "he hasn't died",
            "my dog died",
        ),
        *("dead tired", "my phone is dead", "the pain has passed", "I passed the exam"),
        *("my tooth is dead", "deadline?", "I'm dying of heat", "he died years ago"),
        *(
            "no murió",
            "casi se murió de risa",
            "estoy muerto de hambre",
            "me muero de risa",
        ),
        *("mi celular se murió", "¿se va a morir?", "mi perro murió"),
        *("estoy muerta de cansancio", "nadie murió"),
    ],
)
def test_no_death(text):
    assert not says_death(text)


def test_ten_thousand_letters_cost_next_to_nothing():
    longest = ("stop no more wrong numbre died phone passd 1 or yes ok " * 200)[:10_000]
    started = time.process_time()
    wish(longest)
    says_wrong_number(longest, ["Grace"])
    says_death(longest)
    chosen_digit(longest)
    is_yes(longest)
    assert time.process_time() - started < 1
