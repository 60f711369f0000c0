"""What single texts mean, whoever writes them."""

import pytest

from messaging.words import OPT_OUT, is_yes, leading_digit, normalise, red_flag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STOP", "stop"),
        (" Stop. ", "stop"),
        ("“STOP!”", "stop"),
        ("opt-out", "opt out"),
        ("Opt  Out", "opt out"),
        ("ＳＴＯＰ", "stop"),
        ("STOP 🙏", "stop"),
        ("Sí", "si"),
        ("👍🏽", "👍"),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize("text", ["Stop.", "OPT OUT", "unsubscribe", "Alto", "CANCEL"])
def test_opt_out_words(text):
    assert normalise(text) in OPT_OUT


@pytest.mark.parametrize("text", ["I'll stop by at 5", "please don't stop my meds"])
def test_a_sentence_is_no_opt_out(text):
    assert normalise(text) not in OPT_OUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ("1", "")),
        (" 1. ", ("1", "")),
        ("(2)", ("2", "")),
        ("1 but my cut leaks", ("1", "but my cut leaks")),
        ("3, sorry", ("3", "sorry")),
        ("10", ("", "")),
        ("1:30 would be better", ("", "")),
        ("1 pm please", ("", "")),
        ("120/80", ("", "")),
        ("I come at 1", ("", "")),
        ("", ("", "")),
    ],
)
def test_leading_digit(text, expected):
    assert leading_digit(text) == expected


@pytest.mark.parametrize(
    "text", ["ok", "Yes!", "sí", "Si, gracias", "👍", "ok thank you"]
)
def test_yes(text):
    assert is_yes(text)


@pytest.mark.parametrize("text", ["", "ok but later", "no", "yes can I bring my son"])
def test_not_a_plain_yes(text):
    assert not is_yes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I have chest pain", ("chest pain", True)),
        ("me duele el pecho", ("chest pain", True)),
        ("I can’t breathe", ("hard to breathe", True)),
        ("no chest pain today", ("chest pain", False)),
        ("I want to kill myself", ("self-harm", True)),
        ("no, I don't want to hurt myself", ("self-harm", True)),
        ("it is bleeding a lot", ("heavy bleeding", True)),
        ("see you tomorrow", ("", False)),
        ("took all my pills today as told!", ("", False)),
    ],
)
def test_red_flag(text, expected):
    assert red_flag(text) == expected
