"""The short list of names with codes, and what a code means."""

from patients.codes import (
    all_codes,
    as_known,
    code_at,
    covers,
    risk_class_of,
    search_codes,
)


def test_the_list_is_sound():
    lines = all_codes()
    assert len({line.key for line in lines}) == len(lines)
    for line in lines:
        assert line.plain, line
        assert line.kind in ("condition", "allergy", "medicine", "procedure")
        assert bool(line.code) == bool(line.system), line
        assert not line.risk_class or line.kind == "medicine"
        assert code_at(line.key) == line
    conditions = [line for line in lines if line.kind == "condition"]
    assert {line.system for line in conditions} == {"icd"}


def test_words_in_any_order_and_half_typed():
    assert search_codes("right osteo", "condition")[0].code in ("M17.11", "M16.11")
    assert search_codes("hyperten", "condition")[0].code == "I10"
    assert search_codes("I10", "condition")[0].plain == "High blood pressure"
    assert search_codes("high blood", "medicine") == []
    assert search_codes("  ", "condition") == []
    assert len(search_codes("c", "condition")) == 8


def test_a_class_needs_the_whole_word():
    assert risk_class_of("Warfarin 3 mg") == "blood_thinner"
    assert risk_class_of("Tablet", "11289") == "blood_thinner"
    assert risk_class_of("Warfarinoid") == ""
    assert risk_class_of("Amlodipine") == ""


def test_a_code_covers_what_stands_below_it():
    assert covers("E11", "E11.9")
    assert covers("E11.3", "E11.319")
    assert not covers("E11.9", "E11")
    assert not covers("I1", "I10")
    assert not covers("4405", "44054006")
    codes, names = as_known(["I10"])
    assert "59621000" in codes
    assert "high blood pressure" in names
