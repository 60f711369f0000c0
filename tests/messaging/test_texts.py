"""The texts that ship, and how one is filled in: whole, in both languages."""

import threading
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, close_old_connections, connection, transaction

from accounts.models import Language
from accounts.roles import Role
from messaging import segments, wording
from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Template
from messaging.texts import (
    gaps,
    install_default_texts,
    remembered,
    render,
    write_version,
)
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db

BOOKED = "{clinic}: {when}, {d1} {d2} {d3} {phone}"


def ordinary(language: str = "en", **values: str) -> dict[str, str]:
    return {
        name: field.example_in(language) for name, field in wording.FIELDS.items()
    } | values


def version(body: str, n: int = 2, *, key="visit_booked", language="en") -> Template:
    """Put a version into the table by itself, past all that looks at it."""
    return Template.objects.create(
        key=key, language=language, version=n, subject="Your visit", body=body
    )


@pytest.mark.parametrize("language", Language.values)
@pytest.mark.parametrize("key", DEFAULT_TEXTS)
def test_one_segment_with_ordinary_values(key, language):
    subject, body = render(key, language, **ordinary(language))
    counted = segments.count(segments.normalise(body))
    assert (counted.encoding, counted.segments) == ("GSM-7", 1), body
    assert "{" not in subject + body


@pytest.mark.parametrize("language", Language.values)
@pytest.mark.parametrize("key", [k for k, s in DEFAULT_TEXTS.items() if not s.locked])
def test_what_ships_could_be_saved(key, language):
    subject, body = DEFAULT_TEXTS[key].words[language]
    assert wording.faults(key, language, subject, body) == ()
    assert "{" not in subject


@pytest.mark.parametrize("key", DEFAULT_TEXTS)
def test_both_languages_have_the_same_fields_and_each_is_known(key):
    shipped = DEFAULT_TEXTS[key]
    used = [set(wording.FIELD.findall(body)) for _s, body in shipped.words.values()]
    assert all(fields == used[0] for fields in used)
    assert shipped.fields | shipped.also <= set(wording.FIELDS)


def test_every_language_has_every_text():
    assert gaps() == []


def test_a_language_without_a_text_is_a_gap_and_gets_english(monkeypatch):
    spoken = SimpleNamespace(values=["en", "es", "pt"])
    monkeypatch.setattr("messaging.texts.Language", spoken)
    assert ("pt", "visit_booked") in gaps()
    assert render("visit_booked", "pt", **ordinary())[1].startswith("Harbour Clinic: ")


@pytest.mark.parametrize("blank", ["", "  ", "\n", "\u200b", "\u202e\u202c"])
def test_a_hole_never_leaves(blank):
    with pytest.raises(ValueError, match=r"nothing for \{first\}"):
        render("visit_booked", "en", **ordinary(first=blank))


@pytest.mark.parametrize(
    "body",
    [
        BOOKED + " {frist}",
        BOOKED + " {link}",
        BOOKED + " {first.__class__}",
        BOOKED + " {",
        BOOKED.replace("{phone}", ""),
        BOOKED + " Reply YES",
        BOOKED + "\u202e",
        "",
    ],
)
def test_a_stored_text_that_could_not_be_saved_does_not_leave(body):
    version(body)
    with pytest.raises(ValueError, match="not as texts must be"):
        render("visit_booked", "en", **ordinary())


def test_a_value_is_not_read_as_a_text():
    _subject, body = render(
        "visit_booked", "en", **ordinary(first="{link}", clinician="{first}{phone}")
    )
    assert "{link}, your visit" in body
    assert "with {first}{phone}." in body


def test_a_value_stays_on_its_line_and_hides_nothing():
    _subject, body = render(
        "visit_booked", "en", **ordinary(first="Gra\u202ece\n\x00Call\u200b now ")
    )
    assert body.startswith("Harbour Clinic: Grace Call now, your visit")


def test_one_long_name_does_not_double_what_a_text_costs():
    _subject, body = render(
        "visit_booked", "en", **ordinary(first="Wolfeschlegelsteinhausenbergerdorff")
    )
    assert segments.count(body).segments == 1
    assert body.startswith("Harbour Clinic: Wolfeschlegelste")
    assert "., your visit is Tue 24 Nov 10:00am with Dr Rao." in body


def test_a_mail_has_room_for_it():
    name = "Wolfeschlegelsteinhausenbergerdorff"
    _subject, body = render("visit_booked", "en", short=False, **ordinary(first=name))
    assert name in body


@pytest.mark.parametrize("name", ["Tomás", "Łucja-Aleksandra Maria Magdalena Wójcik"])
def test_a_name_that_costs_more_anyway_stays_whole(name):
    assert name in render("visit_booked", "en", **ordinary(first=name))[1]


def test_what_is_not_spare_is_never_cut():
    when = "Tue 24 Nov 10:00am and 2:00pm for Leo and Ana and Ben and Mia and Zoe"
    _subject, body = render("visit_booked", "en", **ordinary(when=when))
    assert when in body
    assert "Dr Rao" in body


def test_a_clinics_own_version_stays():
    version(BOOKED)
    install_default_texts()
    assert render("visit_booked", "en", **ordinary())[1] == (
        "Harbour Clinic: Tue 24 Nov 10:00am, 1 2 3 617 555 0100"
    )
    assert Template.objects.filter(key="visit_booked", language="en").count() == 2


def test_the_footer_is_no_row_that_somebody_could_write():
    assert not Template.objects.filter(key="first_text_footer").exists()
    version(" Nothing.", key="first_text_footer")
    assert render("first_text_footer", "en")[1] == " Text STOP to end texts."
    assert render("first_text_footer", "es")[1] == " STOP para no recibir textos."
    assert render("first_text_footer", "pt")[1] == " Text STOP to end texts."
    with pytest.raises(ValidationError):
        write_version(
            key="first_text_footer",
            language="en",
            subject="",
            body="No.",
            by=member_of_staff("ada", Role.MANAGER),
            after=0,
        )


def test_an_unknown_text_is_none():
    version("Hello {first}", key="nonsense")
    with pytest.raises(ValueError, match="no text 'nonsense'"):
        render("nonsense", "en", **ordinary())


def test_a_pass_reads_each_text_once(django_assert_num_queries):
    with django_assert_num_queries(3), remembered():
        for _again in range(50):
            render("visit_booked", "en", **ordinary())
            render("visit_booked", "es", **ordinary("es"))
            render("visit_cancelled", "en", **ordinary())


def test_a_new_version_is_used_by_the_next_pass():
    with remembered():
        render("visit_booked", "en", **ordinary())
        version(BOOKED)
        assert "your visit is" in render("visit_booked", "en", **ordinary())[1]
    assert "your visit is" not in render("visit_booked", "en", **ordinary())[1]


def test_writing_a_version_keeps_the_older_and_says_who():
    ada = member_of_staff("ada", Role.MANAGER)
    new = write_version(
        key="visit_booked",
        language="en",
        subject="Your visit",
        body=BOOKED,
        by=ada,
        after=1,
    )
    first, second = Template.objects.filter(key="visit_booked", language="en").order_by(
        "version"
    )
    assert second == new
    assert (first.by, second.by, second.version) == (None, ada, 2)
    assert "your visit is" in first.body


def test_of_two_who_write_one_text_the_second_is_told():
    ada = member_of_staff("ada", Role.MANAGER)
    words = {"key": "visit_booked", "language": "en", "subject": "Your visit"}
    write_version(**words, body=BOOKED, by=ada, after=1)
    with pytest.raises(ValidationError, match="another version"):
        write_version(**words, body=BOOKED + " Thank you", by=ada, after=1)


def test_a_version_is_never_changed_in_place():
    for change in (
        lambda: Template.objects.filter(version=1).update(body="Pay now"),
        lambda: Template.objects.filter(version=1).delete(),
    ):
        with pytest.raises(DatabaseError, match="new rows only"), transaction.atomic():
            change()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_at_the_same_moment_write_one_version():
    ada = member_of_staff("ada", Role.MANAGER)
    outcomes = []
    ready = threading.Barrier(2)

    def write(word: str) -> None:
        ready.wait()
        try:
            write_version(
                key="visit_booked",
                language="en",
                subject="Your visit",
                body=f"{BOOKED} {word}",
                by=ada,
                after=1,
            )
            outcomes.append("written")
        except (ValidationError, DatabaseError):
            outcomes.append("refused")
        finally:
            close_old_connections()
            connection.close()

    writers = [threading.Thread(target=write, args=(w,)) for w in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(outcomes) == ["refused", "written"]
    assert Template.objects.filter(key="visit_booked", language="en").count() == 2
