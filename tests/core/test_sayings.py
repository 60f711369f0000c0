"""What is written down once and read in several languages."""

from datetime import datetime

import pytest
from django.utils import translation

from core.sayings import in_english, say, say_label, told, wall
from patients.models import Channel
from worklist.models import WorkItem

ABOUT = "%(about)s (%(why)s)"


def unreached() -> dict:
    return {
        "about": say(
            "Not told of the visit %(when)s with %(clinician)s",
            when=wall(datetime(2026, 11, 24, 15, 20)),
            clinician="Dr Rao",
        ),
        "why": [
            say(
                "%(channel)s: %(why)s",
                channel=say_label(Channel.SMS.label),
                why=say("they asked us to stop"),
            ),
            say("not reached in time"),
        ],
    }


def test_each_reads_it_in_their_own_language(monday):
    assert told(ABOUT, unreached()) == (
        "Not told of the visit Tue 24 Nov, 15:20 with Dr Rao "
        "(Text: they asked us to stop; not reached in time)"
    )
    with translation.override("es"):
        assert told(ABOUT, unreached()) == (
            "No sabe de la cita del mar 24 nov, 15:20 con Dr Rao "
            "(Mensaje de texto: pidió que no le escribamos; "
            "no se le localizó a tiempo)"
        )


def test_what_is_stored_is_english_whoever_wrote_it(monday):
    with translation.override("es"):
        places = unreached()
        assert in_english(places["why"]) == (
            "Text: they asked us to stop; not reached in time"
        )
    assert places == unreached()


def test_another_year_is_named(monday):
    assert told("%(day)s", {"day": wall(datetime(2028, 2, 29, 9, 5))}) == (
        "Tue 29 Feb 2028, 09:05"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("refused (30006)", "rechazado (30006)"),
        ("not at this hour", "no a esta hora"),
        ("rang twice", "rang twice"),
        ("100% (sure)", "100% (sure)"),
    ],
)
def test_a_reason_alone(text, shown):
    with translation.override("es"):
        assert told(text) == shown


def test_a_hole_that_nobody_filled_is_noticed():
    with pytest.raises(KeyError):
        told(ABOUT, {"about": "?"})


def test_a_work_item_says_why(monday):
    item = WorkItem(kind="unreached", reason=ABOUT, reason_places=unreached())
    with translation.override("es"):
        assert item.sentence.startswith("No sabe de la cita")
        assert item.title == "Sin localizar"
        item.outcome = "told"
        assert item.ending == "Localizado y avisado"
        item.outcome = "settled itself"
        assert item.ending == "se resolvió solo"
