"""Words that speak of a danger, however they are typed, and words that do not."""

import json
import re
from pathlib import Path
from random import Random
from textwrap import fill
from time import process_time

import pytest

from messaging import red_flags
from messaging.alike import Lexicon, parted
from messaging.default_texts import DEFAULT_TEXTS
from messaging.red_flags import NAMES, NEVER_LOWERED, dangers

DATA = json.loads(
    (Path(red_flags.__file__).parent / "data/red_flags.json").read_text("utf-8")
)


def rows(kind: str) -> list[tuple[str, str]]:
    """Return (the dangers it speaks of, a text) for every text of a kind.

    The file holds them under "== kind: dangers", the one that leads first, "?" behind
    one that is denied. All are made up.
    """
    found, key = [], ""
    texts = Path(__file__).with_name("red_flag_texts.txt").read_text("utf-8")
    for line in filter(None, texts.splitlines()):
        if line.startswith("== "):
            key = line.removeprefix("== ")
        elif key.startswith(f"{kind}:"):
            found.append((key.partition(":")[2].strip(), line))
    return found


DANGEROUS, MISTYPED, ORDINARY = rows("danger"), rows("mistyped"), rows("ordinary")


def found_in(text: str) -> str:
    """Return the dangers in a text as the tables write them."""
    return " ".join(one.key + ("" if one.plain else "?") for one in dangers(text))


def slipped(chance: Random, word: str) -> str:
    """Return a word with a slip: letters swapped, or one lost, doubled, wrong."""
    n = chance.randrange(len(word) - 1)
    match chance.choice(["swap", "drop", "double", "other"]):
        case "swap":
            return word[:n] + word[n + 1] + word[n] + word[n + 2 :]
        case "drop":
            return word[:n] + word[n + 1 :]
        case "double":
            return word[:n] + word[n] + word[n:]
    return word[:n] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[n + 1 :]


@pytest.mark.parametrize(("expected", "text"), DANGEROUS + MISTYPED)
def test_dangers(expected, text):
    assert found_in(text) == expected


def test_the_table_is_worth_its_name():
    english_and_spanish = DANGEROUS + MISTYPED
    assert len(english_and_spanish) >= 400
    keys = " ".join(keys for keys, _text in english_and_spanish)
    assert set(keys.replace("?", "").split()) == set(NAMES)


@pytest.mark.parametrize(("expected", "text"), ORDINARY)
def test_what_people_write_on_other_days_is_no_alarm(expected, text):
    assert found_in(text) == expected == ""


def test_enough_other_days_were_asked():
    assert len(ORDINARY) >= 150


@pytest.mark.parametrize(("expected", "text"), rows("false alarm"))
def test_a_false_alarm_that_is_known_and_kept(expected, text):
    assert found_in(text) == expected


@pytest.mark.parametrize(("every_word", "least"), [(False, 0.97), (True, 0.94)])
def test_slips_of_the_thumb_hide_little(every_word, least):
    """One slip in one long word of a text, then one in every long word of it.

    The rest are slips that make another word ("had to breathe").
    """
    chance = Random(20261123)
    told = noticed = 0
    for expected, text in DANGEROUS:
        long_words = list(re.finditer(r"[^\W\d_]{4,}", text))
        if "?" in expected or not long_words:
            continue
        for _time in range(4):
            hit = long_words if every_word else [chance.choice(long_words)]
            typed = text
            for word in reversed(hit):
                typed = (
                    typed[: word.start()]
                    + slipped(chance, word[0])
                    + typed[word.end() :]
                )
            told += 1
            noticed += not set(found_in(typed).split()).isdisjoint(expected.split())
    assert noticed / told >= least


@pytest.mark.parametrize(
    ("expected", "text"), [r for r in DANGEROUS if "?" not in r[0]][::9]
)
@pytest.mark.parametrize(
    "dress",
    [
        str.upper,
        lambda text: text.replace("'", "’"),
        lambda text: f"1 but {text}",
        lambda text: f"Hi. {text}. Please call me",
        lambda text: fill(text, 20),
        lambda text: f"👋 {text} 😢😢",
        lambda text: text.replace("a", "ａ"),
        lambda text: "\u200b".join(text),
    ],
)
def test_dress_changes_nothing(expected, text, dress):
    assert not set(found_in(dress(text)).split()).isdisjoint(expected.split())


@pytest.mark.parametrize("no", ["no", "not", "without", "I never", "sin", "no tengo"])
def test_a_no_never_lowers_self_harm_and_violence(no):
    for expected, text in DANGEROUS:
        for key in NEVER_LOWERED & set(expected.split()):
            assert key in found_in(f"{no} {text}").split()


def test_a_no_never_silences():
    for expected, text in DANGEROUS:
        if "?" not in expected and " " not in expected:
            denied = found_in(f"no {text}")
            assert expected in denied.replace("?", "").split(), text


def test_the_worst_leads():
    told = dangers("chest pain and he hit me and no stroke signs, bleeding a lot")
    assert [(one.key, one.plain) for one in told] == [
        ("violence", True),
        ("chest", True),
        ("bleeding", True),
        ("stroke", False),
    ]
    assert told[0].name == "violence"


def test_our_own_texts_are_no_alarm_when_they_come_back():
    """Phones quote what they answer: Liked “…”."""
    places = {"clinic": "Harbour Clinic", "emergency": "911", "crisis": "988"}
    for key, shipped in DEFAULT_TEXTS.items():
        for language, (_subject, body) in shipped.words.items():
            text = re.sub(r"\{(\w+)\}", lambda m: places.get(m[1], "5"), body)
            for verb in ("Liked", "Laughed at", "Reacted 👍 to"):
                assert found_in(f"{verb} “{text}”") == "", (key, language)
    assert found_in("He said “I will kill you” and liked it") == "violence"


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "1", "👍", "\ud800", "مرحبا", "।" * 99]
)
def test_nothing_to_read_is_no_danger(text):
    assert dangers(text) == []


def test_any_text_can_be_read():
    chance = Random(7)
    for _time in range(300):
        letters = [chr(chance.randrange(0x3000)) for _n in range(chance.randrange(200))]
        dangers("".join(letters) + " chest pain")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000,
        "a " * 5_000,
        " " * 10_000,
        "no " * 3_333,
        "no chest pain " * 714,
        "can't stop " * 909,
        "took all my pills " * 555,
        "want to " * 1_250,
        ". - , " * 1_666,
        "cantbreathe" * 909,
        "x y-z." * 1_666,
    ],
)
def test_no_text_takes_long(text):
    """Linear in its length: 50 ms for the longest on a quiet machine, not seconds."""
    dangers("warm")
    began = process_time()
    dangers(text)
    assert process_time() - began < 0.5


def test_words_nobody_ever_typed_take_no_longer():
    chance = Random(3)
    text = " ".join(
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randrange(3, 16)))
        for _n in range(1_100)
    )
    began = process_time()
    dangers(text[:10_000])
    assert process_time() - began < 0.5


def test_the_data_is_whole():
    assert set(DATA["dangers"]) == set(NAMES)
    slot = "[a-zA-Z_=#|0-9]+"
    for language in ("en", "es"):
        for name, lists in DATA["dangers"].items():
            assert lists[language], name
            for line in (*lists[language], *lists["harmless"]):
                groups = set(re.findall(r"\b[A-Z_]{2,}\b", line))
                known = set(DATA["words"]["en"]) | set(DATA["words"]["es"])
                assert groups <= known, line
                assert re.fullmatch(rf"{slot}((\.\.\.|-| ){slot})*", line), line
    used = json.dumps(DATA["dangers"])
    for language in DATA["words"].values():
        assert [group for group in language if group not in used] == []
    assert DATA["ordinary"] == sorted(set(DATA["ordinary"]))


def test_every_phrase_is_found_as_it_stands():
    groups = {k: v[0] for words in DATA["words"].values() for k, v in words.items()}
    for danger, lists in DATA["dangers"].items():
        for line in lists["en"] + lists["es"]:
            slots = [slot.split("|")[0] for slot in re.split(r"\.\.\.|-| ", line)]
            typed = " ".join(groups.get(slot, slot).strip("=") for slot in slots)
            typed = typed.replace("##", "30")
            assert danger in found_in(typed).replace("?", "").split(), line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("breathe", {"breathe"}),
        ("brethe", {"breathe"}),
        ("braethe", {"breathe"}),
        ("breeeeathe", {"breathe"}),
        ("br3athe", {"breathe"}),
        ("brthe", set()),
        ("bleedng", {"bleeding"}),
        ("bleedg", {"bleeding"}),
        ("feeding", set()),
        ("die", {"die"}),
        ("dies", set()),
        ("aogo", set()),
        ("haogos", {"ahogos"}),
        ("desmalle", {"desmaye"}),
        ("x" * 500, set()),
    ],
)
def test_words_alike(typed, meant):
    lexicon = Lexicon(
        ["breathe", "bleeding", "die", "ahogos", "desmaye"], ordinary=["feeding"]
    )
    assert lexicon.meant(typed) == meant


def test_words_run_together_are_parted():
    parts = {"i", "cant", "breathe", "no", "puedo"}
    assert parted("icantbreathe", parts) == ["i", "cant", "breathe"]
    assert parted("icantbreathx", parts) == []
    assert parted("i" * 100, parts) == []
