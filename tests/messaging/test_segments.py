"""Segment counts, against the vectors of Twilio's own counter."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.segments import GSM_BASIC, GSM_EXTENSION, Segments, count, normalise

GRIN = "\N{GRINNING FACE}"
CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
ZWJ = "\N{ZERO WIDTH JOINER}"
RAINBOW_FLAG = "\N{WAVING WHITE FLAG}\N{VARIATION SELECTOR-16}" + ZWJ + "\N{RAINBOW}"
FAMILY = ZWJ.join("\N{MAN}\N{WOMAN}\N{GIRL}\N{BOY}")
THUMB = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
ITALY = "\N{REGIONAL INDICATOR SYMBOL LETTER I}\N{REGIONAL INDICATOR SYMBOL LETTER T}"
REMINDER = "Recordatorio: su cita es mañana a las 14:00. Responda SÍ para confirmar."


def test_gsm_tables_are_whole():
    assert len(GSM_BASIC) == 127  # 128 places, less ESC
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("a" * 459, 459, 3),
        ("a" * 460, 460, 4),
        ("a" * 1530, 1530, 10),
        ("a" * 1531, 1531, 11),
        ("€" * 80, 160, 1),
        ("€" * 81, 162, 2),
        ("€" * 152, 304, 2),
        ("€" * 153, 306, 3),  # two by division; a pair would be split
        ("a" * 158 + "€", 160, 1),
        ("a" * 159 + "€", 161, 2),
        ("a" * 152 + "€" + "a" * 152, 306, 3),  # two by division
        ("a" * 152 + "€" + "a" * 151, 305, 2),
        ("{name}", 8, 1),
        ("a\fb", 4, 1),
        ("a\r\nb", 4, 1),
        ("é", 1, 1),
        ("".join(sorted(GSM_BASIC)), 127, 1),
        ("".join(sorted(GSM_EXTENSION)), 20, 1),
    ],
)
def test_count_gsm(text, units, segments):
    assert count(text) == Segments("GSM-7", units, segments)


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("á" * 70, 70, 1),
        ("á" * 71, 71, 2),
        ("á" * 134, 134, 2),
        ("á" * 135, 135, 3),
        ("á" * 201, 201, 3),
        ("á" * 202, 202, 4),
        (GRIN * 35, 70, 1),
        (GRIN * 36, 72, 2),
        (GRIN * 66, 132, 2),
        (GRIN * 67, 134, 3),  # two by division; a pair would be split
        ("x" * 66 + GRIN + "x" * 66, 134, 3),  # two by division
        ("x" * 66 + GRIN + "x" * 65, 133, 2),
        (f"Don{CURLY}t", 5, 1),
        (CURLY * 71, 71, 2),
        (REMINDER, 72, 2),
        ("e\N{COMBINING ACUTE ACCENT}", 2, 1),
        (ITALY, 4, 1),
        (RAINBOW_FLAG, 6, 1),
        (FAMILY, 11, 1),
        (THUMB, 4, 1),
        ("ç", 1, 1),
        ("नमस्ते", 6, 1),
        (RAINBOW_FLAG + "a" * 64, 70, 1),
        (RAINBOW_FLAG + "a" * 65, 71, 2),
    ],
)
def test_count_ucs2(text, units, segments):
    assert count(text) == Segments("UCS-2", units, segments)


@pytest.mark.parametrize("character", list("çáíóú`\t\x1b\u00a0\u2022\u2013\u2026"))
def test_count_one_foreign_character_turns_the_whole_text(character):
    assert count("a" * 70 + character) == Segments("UCS-2", 71, 2)


@given(st.text(st.sampled_from("a€[é"), max_size=700))
def test_count_gsm_pieces_hold_the_text(text):
    assert_plausible(count(text), single=160, piece=153)


@given(st.text(st.sampled_from("aá" + GRIN), max_size=300).map(lambda text: "á" + text))
def test_count_ucs2_pieces_hold_the_text(text):
    result = count(text)
    assert result.units == len(text.encode("utf-16-le")) // 2
    assert_plausible(result, single=70, piece=67)


def assert_plausible(result, *, single, piece):
    """Check segments against division: at most one unit is wasted in each piece."""
    if result.units <= single:
        assert result.segments == bool(result.units)
    else:
        assert -(-result.units // piece) <= result.segments
        assert result.segments <= -(-result.units // (piece - 1))


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        (f"Don{CURLY}t", "Don't"),
        ("\u2018a\u2019 \u201ab\u201b", "'a' 'b'"),
        ("\u201ca\u201d \u201eb\u201f", '"a" "b"'),
        (
            "9\u201310 \u2014 a\u2010b\u2011c\u2012d \u2015 \u22125",
            "9-10 - a-b-c-d - -5",
        ),
        ("wait\u2026", "wait..."),
        ("10:00\u00a0am, 9:00\u202fpm", "10:00 am, 9:00 pm"),
        ("a\tb", "a b"),
        ("a\u200bb\ufeffc", "abc"),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("e\u200b\N{COMBINING ACUTE ACCENT}", "é"),
        ("\N{OHM SIGN}", "\N{GREEK CAPITAL LETTER OMEGA}"),
    ],
)
def test_normalise_folds_look_alikes(typed, plain):
    assert normalise(typed) == plain
    assert count(plain).encoding == "GSM-7"


@pytest.mark.parametrize(
    "text",
    [
        REMINDER,
        "áíóúçñü",
        "नमस्ते",
        GRIN,
        RAINBOW_FLAG,
        FAMILY,
        THUMB,
        ITALY,
        "a  b\r\nc",
    ],
)
def test_normalise_leaves_what_a_reader_would_notice(text):
    assert normalise(text) == text


@pytest.mark.parametrize("marks", [71, 160])
def test_normalise_saves_segments(marks):
    assert count(CURLY * marks).segments > count(normalise(CURLY * marks)).segments == 1


@given(st.text())
def test_normalise_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
