"""The texts that ship: whole, in both languages, one segment each."""

import pytest

from messaging import segments
from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Template
from messaging.texts import install_default_texts, render

pytestmark = pytest.mark.django_db

ORDINARY = {
    "clinic": "Harbour Clinic",
    "first": "Grace",
    "when": "Tue 24 Nov 10:00am",
    "clinician": "Dr Rao",
    "place": "Pier St",
    "phone": "617 555 0100",
    "emergency": "911",
    "d1": "1",
    "d2": "2",
    "d3": "3",
}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("key", DEFAULT_TEXTS)
def test_one_segment_with_ordinary_values(key, language):
    subject, body = render(key, language, **ORDINARY)
    counted = segments.count(segments.normalise(body))
    assert (counted.encoding, counted.segments) == ("GSM-7", 1), body
    assert "{" not in subject + body


@pytest.mark.parametrize("key", DEFAULT_TEXTS)
def test_a_subject_says_nothing_of_a_patient(key):
    for subject, _body in DEFAULT_TEXTS[key].values():
        assert "{" not in subject


def test_no_text_asks_for_a_word_that_carriers_take():
    for languages in DEFAULT_TEXTS.values():
        for _subject, body in languages.values():
            assert "CANCEL" not in body
            assert "YES" not in body


def test_a_hole_never_leaves():
    with pytest.raises(ValueError, match=r"nothing for \{first\}"):
        render("visit_booked", "en", **ORDINARY | {"first": ""})


def test_a_stored_text_reaches_into_nothing():
    Template.objects.create(
        key="visit_booked", language="en", version=2, body="{first.__class__} {first}"
    )
    assert render("visit_booked", "en", **ORDINARY)[1] == "{first.__class__} Grace"


def test_a_clinics_own_version_stays():
    Template.objects.create(
        key="visit_booked", language="en", version=2, body="See you {when}"
    )
    install_default_texts()
    assert render("visit_booked", "en", **ORDINARY)[1] == "See you Tue 24 Nov 10:00am"
    assert Template.objects.filter(key="visit_booked", language="en").count() == 2


def test_another_language_falls_back_to_english():
    assert render("visit_booked", "pt", **ORDINARY)[1].startswith("Harbour Clinic: ")
