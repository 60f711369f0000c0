"""What a text may say: each thing that is refused, beside what is not."""

import pytest

from messaging import segments, wording

BODY = "{clinic}: {when}, {d1} {d2} {d3} {phone}"


def refused(body: str = BODY, subject: str = "Your visit", key="visit_booked") -> str:
    """Return what is said against a text, all of it."""
    return "; ".join(
        f"{fault.part}: {fault.says}"
        for fault in wording.faults(key, "en", subject, body)
    )


def test_a_text_with_the_fields_it_must_have_is_fine():
    assert refused() == ""
    assert refused(BODY + "\n{first} {clinician} {place}") == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (BODY + " {frist}", "There is no {frist} here"),
        (BODY + " {link}", "There is no {link} here"),
        (BODY.replace("{when}", ""), "It must say {when}."),
        (BODY.replace("{d2}", "2"), "It must say {d2}."),
        (BODY + " {first", "A brace stands alone"),
        (BODY + " first}", "A brace stands alone"),
        (BODY + " { first }", "A brace stands alone"),
        (BODY + " {first!r}", "A brace stands alone"),
        (BODY + " {first.given_name}", "A brace stands alone"),
        (BODY + " {{first}}", "A brace stands alone"),
        (BODY + " {}", "A brace stands alone"),
        ("", "Write what the text says."),
        (" \n ", "Write what the text says."),
        (BODY + "\u202eevil", "U+202E"),
        (BODY + "\u2066x\u2069", "U+2066, U+2069"),
        (BODY + "\u200b", "U+200B"),
        (BODY + "\u200d", "U+200D"),
        (BODY + "\ufeff", "U+FEFF"),
        (BODY + "\u00ad", "U+00AD"),
        (BODY + "\x00", "U+0000"),
        (BODY + "\x07", "U+0007"),
        (BODY + "\r\n", "U+000D"),
        (BODY + "\u2028", "U+2028"),
    ],
)
def test_a_text_is_refused_for(body, says):
    assert f"body: {says}" in refused(body) or says in refused(body)


@pytest.mark.parametrize(
    "asks",
    [
        "Reply YES to confirm.",
        "Reply yes to confirm.",
        "Reply with yes",
        "reply 'yes' or 'no'",
        'Answer "cancel"',
        "Text HELP for help.",
        "CANCEL cancels it",
        "Send stop to end",
        "Text back stop",
        "Or STOP.",
        "Responda CANCEL",
        "Responda con ALTO",
        "Envie ayuda",
        "Envíe AYUDA",
        "Conteste la palabra baja",
        "START",
        "INFO: call us",
        "REVOKE",
        "OPTOUT",
    ],
)
def test_words_that_carriers_take_are_not_asked_for(asks):
    assert "phone companies take for themselves" in refused(f"{BODY} {asks}")


@pytest.mark.parametrize(
    "says",
    [
        "Reply {d1} to cancel it.",
        "We can help you.",
        "Your visit will start at once and end by noon.",
        "Stop by at the desk. Yes, really.",
        "For more info call us.",
        "Quitamos la cita. Le da ayuda el equipo.",
        "Call for help if you are bleeding",
        "STOPPED",
        "Answer within a day.",
    ],
)
def test_ordinary_words_are(says):
    assert refused(f"{BODY} {says}") == ""


@pytest.mark.parametrize(
    ("link", "fine"),
    [
        ("https://bit.ly/3xYz", False),
        ("bit.ly/3xYz", False),
        ("BIT.LY/3", False),
        ("see tinyurl.com/a.", False),
        ("t.co/x", False),
        ("goo.gl", False),
        ("https://harbour.example/t.co", True),
        ("habit.ly/x", True),
        ("bit.ly.example", True),
        ("t.com", True),
        ("harbour.example/visits", True),
    ],
)
def test_no_link_that_hides_where_it_leads(link, fine):
    assert ("hides where it leads" not in refused(f"{BODY} {link}")) is fine


@pytest.mark.parametrize(
    ("subject", "fine"),
    [
        ("Your visit", True),
        ("A word from {clinic}", True),
        ("{first}, your visit", False),
        ("Visit {when}", False),
        ("Your visit {", False),
        ("Your\nvisit", False),
        ("Your visit\r\nBcc: all@example.com", False),
        ("Your\u202evisit", False),
        ("Reply STOP", False),
        ("bit.ly/x", False),
        ("", False),
        ("  ", False),
    ],
)
def test_a_subject(subject, fine):
    assert (refused(subject=subject) == "") is fine


def with_length(units: int) -> str:
    """Return a text of so many characters with ordinary values."""
    short = len(wording.example("en", BODY))
    return BODY + "x" * (units - short)


@pytest.mark.parametrize(
    ("units", "parts", "fine"),
    [(160, 1, True), (161, 2, True), (306, 2, True), (307, 3, False)],
)
def test_two_segments_with_ordinary_values_and_not_one_more(units, parts, fine):
    body = with_length(units)
    assert wording.count("en", body).segments == parts
    assert ("Too long: 3 texts' worth" not in refused(body)) is fine


def test_one_letter_that_gsm_has_not_makes_it_too_long():
    body = with_length(160)
    assert refused(body) == ""
    assert "Too long" in refused(body[:-1] + "á")


def test_several_complaints_come_at_once():
    said = refused("{clinic} {frist} Reply YES", subject="{first}")
    assert "There is no {frist}" in said
    assert "It must say {d1}, {d2}, {d3}, {phone}, {when}." in said
    assert "asks for YES" in said
    assert said.startswith("subject: A subject is read over a shoulder")


def test_complaints_are_told_in_the_readers_language():
    (fault,) = wording.faults("visit_booked", "en", "", BODY)
    assert fault.says == "An email needs a subject."


@pytest.mark.parametrize("length", range(20, 80))
def test_cutting_ends_and_never_below_twelve_letters(length):
    values = {n: f.example for n, f in wording.FIELDS.items()} | {"first": "x" * length}
    body = "{clinic}: {first}, " + "y" * 110
    cut = wording.shortened("en", body, values)["first"]
    assert len(cut) >= wording.SHORTEST
    fits = segments.count(wording.fill(body, values | {"first": cut})).segments == 1
    assert fits or cut == values["first"]
