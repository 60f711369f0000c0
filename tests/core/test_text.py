"""Text as people type it."""

import pytest

from core.phones import readable, to_e164
from core.text import clean, fold, isolated, slips, words


def test_fold_and_words():
    assert fold("  José  ÁLVAREZ ") == "jose alvarez"
    assert words("O'Neill-Smith, José") == ["o", "neill", "smith", "jose"]


def test_clean_leaves_what_people_write():
    assert clean("a\x00b\u202ec\ud800") == "abc"
    assert clean("line\nbreak\tand 👨‍👩‍👧") == "line\nbreak\tand 👨‍👩‍👧"
    assert clean("e\u0301") == "é"
    assert clean("نوال \u200fعلي\u200e") == "نوال \u200fعلي\u200e"


def test_clean_takes_what_no_honest_message_contains():
    """Overrides and isolates of direction, controls of both sets, halves of letters."""
    for letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\uffff":
        assert clean(f"a{letter}b") == "ab"
    for number in (0, 1, 8, 11, 27, 31, 127, 0x80, 0x90, 0x9F, 0xD800, 0xDFFF):
        assert clean(f"a{chr(number)}b") == "ab"


def test_clean_ends_lines_in_one_way():
    assert clean("a\r\nb\rc\u2028d\u2029e\x85f") == "a\nb\nc\nd\ne\nf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(617) 555-0143", "+16175550143"),
        ("+44 20 7946 0958", "+442079460958"),
        ("555-810-7203", None),
        ("", None),
        ("call me", None),
    ],
)
def test_phones(text, expected):
    assert to_e164(text, "US") == expected


def test_phones_as_people_read_them():
    assert readable("+16175550143") == "617 555 0143"
    assert readable("+442079460958") == "+44 20 7946 0958"
    assert readable("nonsense") == "nonsense"


@pytest.mark.parametrize(
    ("one", "other", "n"),
    [
        ("garcia", "garcia", 0),
        ("garcia", "gracia", 1),
        ("garcia", "garca", 1),
        ("garcia", "garzia", 1),
        ("garcia", "gracias", 2),
        ("", "ana", 3),
        ("ana", "", 3),
    ],
)
def test_slips_count_letters_and_swapped_neighbours(one, other, n):
    assert slips(one, other) == n


@pytest.mark.parametrize(
    ("text", "right_to_left", "shown"),
    [
        ("Grace Okafor", False, "Grace Okafor"),
        ("Grace Okafor", True, "\u2066Grace Okafor\u2069"),
        ("ليلى حداد", True, "ليلى حداد"),
        ("ליאור", True, "ליאור"),
        ("ليلى حداد", False, "\u2067ليلى حداد\u2069"),
        ("617 555 0143", False, "617 555 0143"),
        ("617 555 0143", True, "\u2066617 555 0143\u2069"),
        ("", True, ""),
    ],
)
def test_a_name_keeps_its_own_direction(text, right_to_left, shown):
    assert isolated(text, right_to_left=right_to_left) == shown
